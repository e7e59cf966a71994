/* Names of writes, and where to ask about them:
 *
 *   /v1/kv/{ns}/{key}/operations/{id}
 *
 * A write that went through consensus is named by 48 hexadecimal digits, its operation id and the
 * hlc of its submission; a blind one by a 'v' and the 32 of its version. Pure.
 */
#ifndef QUORATE_HTTP_OPERATION_ID_H
#define QUORATE_HTTP_OPERATION_ID_H

#include "proxy/service/service.h"

struct quo_operation_id {
    bool is_blind;
    struct quo_version version; /* of a blind write */
    struct quo_opid opid;       /* of any other */
    uint64_t since;
};

#define QUO_OPERATION_ID_MAX 48u
/* Of every path: what stands round the names, and each byte of the key escaped. */
#define QUO_OPERATION_PATH_MAX (20u + QUO_NAME_MAX + 3u * QUO_KEY_MAX + QUO_OPERATION_ID_MAX)

/* Takes the name of the write that was answered so. Returns false, *ret untouched, when it has
 * none: a blind write that failed before it had a version. */
bool quo_operation_id_of(const struct quo_response *response, struct quo_operation_id *ret);

/* Writes the text and a NUL. Returns its length. */
size_t quo_operation_id_format(const struct quo_operation_id *id,
                               char out[QUO_OPERATION_ID_MAX + 1]);

/* Returns false, *ret untouched, for anything but what quo_operation_id_format writes. */
bool quo_operation_id_parse(struct quo_slice text, struct quo_operation_id *ret);

/* Writes the path of a key's value, percent-encoded, without a NUL. Returns its length, at most
 * QUO_OPERATION_PATH_MAX. */
size_t quo_key_path(const char *ns, struct quo_slice key, char out[QUO_OPERATION_PATH_MAX]);

/* Likewise of an operation. */
size_t quo_operation_path(const char *ns, struct quo_slice key, const struct quo_operation_id *id,
                          char out[QUO_OPERATION_PATH_MAX]);

#endif
