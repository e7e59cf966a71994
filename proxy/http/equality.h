/* GET /v1/cluster/equality: whether the replicas of a partition hold the same bytes, as they say
 * who read them all. Pure.
 *
 * Namespaces of fewer replicas than the partition has are on its first ones only: the replicas are
 * compared once for each number of replicas that namespaces ask for.
 */
#ifndef QUORATE_HTTP_EQUALITY_H
#define QUORATE_HTTP_EQUALITY_H

#include "proxy/http/problem.h"
#include "quorate/metrics.h"

/* What one replica said. */
struct quo_replica_digest {
    uint32_t node; /* by index of the map */
    bool is_known; /* it answered with a digest */
    struct quo_msg_digested says;
};

struct quo_equality_group {
    uint8_t replicas;
    struct quo_replica_digest digests[QUO_REPLICAS_MAX];
};

struct quo_equality {
    uint32_t partition, epoch;
    uint32_t group_count;
    struct quo_equality_group groups[QUO_REPLICAS_MAX];
};

enum quo_equal { QUO_EQUAL_UNKNOWN = 0, QUO_EQUAL_YES, QUO_EQUAL_NO };

/* The groups of a map, without digests. */
void quo_equality_init(struct quo_equality *equality, const struct quo_map *map, uint16_t partition,
                       const struct quo_entry *entry);
/* Reads the body of a DIGESTED message; empty: there was none. */
struct quo_replica_digest quo_equality_read(uint32_t node, struct quo_slice body);

/* Not known: somebody did not answer, or they differ while somebody was written to or deletes are
 * being collected. */
enum quo_equal quo_equality_of_group(const struct quo_equality_group *group);
/* Of all groups. */
enum quo_equal quo_equality_of(const struct quo_equality *equality);

/* Writes the JSON document. `text` fails when out of memory. */
void quo_equality_render(const struct quo_equality *equality, const struct quo_map *map,
                         struct quo_text *text);

#endif
