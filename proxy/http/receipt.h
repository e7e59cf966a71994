/* The Consistency-Receipt header: what was reached and who showed it, as an RFC 9651 Dictionary.
 *
 *   level=strong, asked=strong, n=3, r=2, replies=2, acks=2, disk=2, rtt=1,
 *   version="0193a1f0c2d40000f3b1c0de00112233", stable, repaired=?0, epoch=1,
 *   replicas=("node-1" "node-2")
 *
 * api/http/openapi.yaml explains every member. Pure.
 */
#ifndef QUORATE_HTTP_RECEIPT_H
#define QUORATE_HTTP_RECEIPT_H

#include "proxy/service/service.h"

#define QUO_RECEIPT_MAX 1536u

/* Writes the receipt of an answered operation. `asked` is what the request came down to; members
 * that are not known (a version that was never chosen, a level that was not reached) are left out.
 * Returns its length. */
size_t quo_receipt_format(const struct quo_response *response, const struct quo_consistency *asked,
                          bool is_write, const struct quo_map *map, char out[QUO_RECEIPT_MAX]);

#endif
