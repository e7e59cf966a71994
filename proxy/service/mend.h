/* Keys that replicas cannot make equal among themselves: the record that one of them lacks is below
 * a promise it has given, to a proposer that may be gone. A consensus write that changes nothing
 * gets past it. Nodes ask any proxy for that, with MEND.
 *
 * They ask again for what is not done, so everything that is too much is left out.
 */
#ifndef QUORATE_SERVICE_MEND_H
#define QUORATE_SERVICE_MEND_H

#include "quorate/limits.h"
#include "quorate/rpc.h"

struct quo_service;

struct quo_mends {
    uint32_t under_way;
    /* By the hash of quo_name: keys that meet in a slot wait for each other. */
    uint64_t until_us[QUO_MEND_SLOTS];
};

/* A MEND frame came; its body is borrowed until the return. What is malformed is ignored. */
void quo_mend_take(struct quo_service *service, const struct quo_frame *frame);

#endif
