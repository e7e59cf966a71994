/* What a request says of consistency, and what that means in its namespace.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_CONSISTENCY_H
#define QUORATE_COORDINATOR_CONSISTENCY_H

#include "quorate/cluster.h"
#include "quorate/version.h"

/* What the client said of consistency. */
struct quo_ask {
    bool has_level;
    enum quo_level level;
    int32_t r, w, dw;    /* -1: not said */
    uint32_t timeout_ms; /* 0: not said */
    uint64_t ttl_ms;     /* no consistency, but said beside it: of a value to write; 0: not said */
    uint32_t stale_ms;   /* max-stale; 0: not said */
    bool sloppy;
};

/* What that means in a namespace. */
struct quo_consistency {
    enum quo_level level; /* what the answer will claim */
    bool strong;          /* runs the strong protocol */
    uint8_t n, r, w,
        dw; /* replies, acks and disk acks needed; of a write, r is what its query phase
               needs (0: it has none); of a read, w and dw what a write-back needs */
    uint32_t timeout_ms;
    bool sloppy;       /* of an eventual write: hints count as acks */
    uint32_t stale_ms; /* level bounded: how long before the request came the value may have been
                          replaced; else 0 */
};

/* At level session: what a read must be as new as (api/PROTOCOLS.md, "Sessions"). All zero:
 * nothing. */
struct quo_freshness {
    struct quo_version least; /* the version seen; none: only the watermarks are known */
    /* Of a key without `least`: something up to here was seen. What is not above it proves to be as
     * new only by Rs replies, if that was firm: on a write quorum; or else by everybody's. */
    uint64_t low_firm, low_weak;
};

/* The arithmetic of levels and numbers, see api/PROTOCOLS.md "Levels".
 * Requires a namespace that passes quo_namespace_check and a level of enum quo_level.
 * Returns QUO_OK, or QUO_INVALID with a sentence that shows the numbers in `why` (cut to fit); *ret
 * is set only on success. */
enum quo_status quo_consistency_resolve(const struct quo_namespace *ns, const struct quo_ask *ask,
                                        bool is_write, struct quo_consistency *ret, char *why,
                                        size_t why_size);

#endif
