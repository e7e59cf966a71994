/* GET /v1/cluster/debt: what the nodes have still to deliver, compare and collect until all
 * replicas hold the same, each by itself and added up. Pure.
 */
#ifndef QUORATE_HTTP_DEBT_H
#define QUORATE_HTTP_DEBT_H

#include "proxy/http/problem.h"
#include "quorate/metrics.h"

/* What one node said. */
struct quo_node_debt {
    uint32_t node;             /* by index of the map */
    bool is_known;             /* it answered, and what it says makes sense */
    struct quo_msg_debts says; /* `hints` borrowed; a whole number of targets */
};

/* Reads the body of a DEBTS message; empty: there was none. */
struct quo_node_debt quo_debt_read(uint32_t node, struct quo_slice body);

/* Seconds until everything that is known of has arrived, as far as that can be told: hints at the
 * rate of the last minute, what differs with the next round of comparisons. Returns false when it
 * cannot: a node is away, or hints are kept and none was delivered lately. */
bool quo_debt_converges(const struct quo_node_debt *debts, uint32_t count, uint64_t *ret_s);

/* Writes the JSON document. `text` fails when out of memory. */
void quo_debt_render(const struct quo_node_debt *debts, uint32_t count, const struct quo_map *map,
                     struct quo_text *text);

#endif
