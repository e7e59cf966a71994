/* What a request for a page says in its query string beside its consistency. Pure.
 *
 *   ?prefix=user%2F&limit=100&cursor=...&level=quorum
 */
#ifndef QUORATE_HTTP_PAGING_H
#define QUORATE_HTTP_PAGING_H

#include "proxy/http/problem.h"

enum quo_paging_parameter {
    QUO_PAGING_LIMIT = 1u << 0,
    QUO_PAGING_PREFIX = 1u << 1,
    QUO_PAGING_CURSOR = 1u << 2,
    QUO_PAGING_BEFORE = 1u << 3,
};

struct quo_paging {
    uint32_t limit; /* 1 to QUO_SCAN_COUNT_MAX; QUO_PAGE_DEFAULT unless it was said */
    size_t prefix_len;
    struct quo_slice cursor, before; /* as they stand, borrowed; empty: not there */
    uint8_t prefix[QUO_KEY_MAX];     /* decoded */
};

/* What is left of a query string. */
#define QUO_PAGING_REST_MAX 512u

/* Takes the `allowed` parameters (enum quo_paging_parameter) out of a query string.
 * Returns true with *ret, and what is left for quo_ask_parse_query in `rest`, its length in
 * *ret_len; or false with BAD_QUERY, or BAD_KEY for the prefix. */
bool quo_paging_parse(struct quo_slice query, unsigned allowed, struct quo_paging *ret,
                      char rest[QUO_PAGING_REST_MAX], size_t *ret_len, struct quo_problem *problem);

#endif
