/* What a request asks of the cluster: the query strings under /v1/cluster. Pure.
 */
#ifndef QUORATE_HTTP_CLUSTER_REQUEST_H
#define QUORATE_HTTP_CLUSTER_REQUEST_H

#include "proxy/http/request.h"

/* Reads a query string of `timeout` into ret->ask and, of EQUALITY, of `partition`, which must be
 * there. Returns false with a BAD_QUERY or BAD_CONSISTENCY problem. */
bool quo_cluster_parse(struct quo_slice query, const struct quo_map *map, struct quo_wish *ret,
                       struct quo_problem *problem);

#endif
