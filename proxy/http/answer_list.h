/* The answer to a listing. Pure, but for the JSON library's memory.
 *
 *   {"keys": [{"key": "user%2Fada", "etag": "\"01a2...\"", "size": 5}], "cursor": "AQAF..." }
 *   Link: </v1/kv/default?prefix=user%2F&limit=100&level=quorum&cursor=AQAF...>; rel="next"
 *
 * Keys stand as they do in paths: percent-encoded, so that any bytes are text.
 */
#ifndef QUORATE_HTTP_ANSWER_LIST_H
#define QUORATE_HTTP_ANSWER_LIST_H

#include "proxy/http/answer.h"
#include "proxy/service/list.h"
#include "quorate/metrics.h"

/* Makes the answer; its body and Link are in `text`, which outlives it. */
void quo_answer_list(const struct quo_operation *operation, const struct quo_list_answer *list,
                     const struct quo_map *map, const struct quo_answer_facts *facts,
                     struct quo_text *text, struct quo_answer *ret);

#endif
