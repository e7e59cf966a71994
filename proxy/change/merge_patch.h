/* JSON Merge Patch (RFC 7396). Numbers keep their text, strings their bytes (also %00), members
 * their order; of a member given twice the last counts, at the first one's place. Inside of arrays
 * nothing is looked at: a patch replaces them whole. A document with half a surrogate pair is
 * refused: it stands for no character.
 *
 * Threads: none of its own.
 */
#ifndef QUORATE_PROXY_MERGE_PATCH_H
#define QUORATE_PROXY_MERGE_PATCH_H

#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/status.h"

/* Whether `text` is one whole JSON document, nested at most QUO_JSON_DEPTH_MAX deep and with at
 * most QUO_JSON_MEMBERS_MAX members outside of arrays. Returns QUO_OK; QUO_MALFORMED with a
 * sentence in `why` (cut to fit) that says where; QUO_NO_MEMORY. */
enum quo_status quo_json_check(struct quo_slice text, char *why, size_t why_size);

/* Applies `patch` to `target`. Requires a patch that passes quo_json_check; an empty target is the
 * document null.
 * Returns QUO_OK with the new document (compact) in *ret_text, which the caller frees with free();
 * QUO_INVALID: the target does not pass quo_json_check; QUO_MALFORMED: the patch does not, after
 * all; QUO_TOO_LARGE: over `max` bytes or QUO_JSON_MEMBERS_MAX members; QUO_NO_MEMORY. */
enum quo_status quo_merge_patch(struct quo_slice target, struct quo_slice patch, size_t max,
                                char **ret_text, size_t *ret_len);

#endif
