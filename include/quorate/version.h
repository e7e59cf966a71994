/* Versions and the hybrid logical clock that makes them.
 *
 * A version orders the writes of one key; the same type is a Paxos ballot. Lexicographic order of
 * (hlc, node). hlc = 48 bits of milliseconds since 1970 | 16 bits of counter (Kulkarni et al.,
 * "Logical Physical Clocks", OPODIS 2014). node = 64 random bits, drawn per event loop per process
 * start, so that no two clocks ever make the same version. {0,0} means "none" and is below all
 * others.
 *
 * Threads: a quo_hlc belongs to one thread. All else is pure.
 */
#ifndef QUORATE_VERSION_H
#define QUORATE_VERSION_H

#include "quorate/base.h"

struct quo_version {
    uint64_t hlc;
    uint64_t node;
};

#define QUO_VERSION_NONE ((struct quo_version){0, 0})
#define QUO_VERSION_SIZE 16u /* bytes, big-endian, on disk and wire */
#define QUO_VERSION_TEXT 32u /* hexadecimal digits */

/* Returns <0, 0 or >0 as a is below, equal to or above b. */
static inline int quo_version_compare(struct quo_version a, struct quo_version b)
{
    if (a.hlc != b.hlc)
        return a.hlc < b.hlc ? -1 : 1;
    return a.node == b.node ? 0 : a.node < b.node ? -1 : 1;
}

static inline bool quo_version_equal(struct quo_version a, struct quo_version b)
{
    return a.hlc == b.hlc && a.node == b.node;
}

static inline bool quo_version_is_none(struct quo_version v)
{
    return v.hlc == 0 && v.node == 0;
}

static inline struct quo_version quo_version_max(struct quo_version a, struct quo_version b)
{
    return quo_version_compare(a, b) >= 0 ? a : b;
}

/* The physical part, milliseconds since 1970. */
static inline uint64_t quo_version_ms(struct quo_version v)
{
    return v.hlc >> 16;
}

static inline void quo_version_encode(struct quo_version v, uint8_t out[QUO_VERSION_SIZE])
{
    quo_put_u64(out, v.hlc);
    quo_put_u64(out + 8, v.node);
}

static inline struct quo_version quo_version_decode(const uint8_t in[QUO_VERSION_SIZE])
{
    return (struct quo_version){.hlc = quo_get_u64(in), .node = quo_get_u64(in + 8)};
}

/* Writes 32 lower-case hexadecimal digits and a NUL. */
void quo_version_format(struct quo_version v, char out[QUO_VERSION_TEXT + 1]);

/* Reads exactly 32 hexadecimal digits. Returns false, *ret untouched, on anything else. */
bool quo_version_parse(const char *text, size_t len, struct quo_version *ret);

/* One loop's clock. */
struct quo_hlc {
    uint64_t last; /* the highest hlc handed out or seen */
    uint64_t node; /* our random id, never 0 */
    /* While `corrected`, replicas have refused our wall clock as too far ahead: physical time is
     * then `base_ms` as a replica told it, advanced by our monotonic clock since `base_mono_us`. */
    bool corrected;
    uint64_t base_ms;
    uint64_t base_mono_us;
};

/* Requires node != 0. */
void quo_hlc_init(struct quo_hlc *clock, uint64_t node);

/* Raises the clock to what somebody else showed. Never fails: bytes from outside may hold anything,
 * so a value more than QUO_SKEW_MAX_MS ahead of wall_ms and above `last` is not merged. */
void quo_hlc_observe(struct quo_hlc *clock, uint64_t hlc, uint64_t wall_ms);

/* Returns a new version above `seen` and above everything this clock made before:
 * hlc = max(physical time, last + 1, seen.hlc + 1). Order comes from this maximum; a clock that is
 * wrong costs fairness, never safety. `seen` may come from outside: above an hlc of UINT64_MAX
 * there is nothing, and the version returned then has that hlc again, which every replica
 * refuses. */
struct quo_version quo_hlc_tick(struct quo_hlc *clock, struct quo_version seen, uint64_t wall_ms,
                                uint64_t mono_us);

/* What the clock reads, ms: the physical part of a version that it would make now, of nothing seen.
 */
uint64_t quo_hlc_ms(const struct quo_hlc *clock, uint64_t wall_ms, uint64_t mono_us);

/* Ends a correction: physical time is the wall clock's again. */
void quo_hlc_trust(struct quo_hlc *clock);

/* A replica whose clock reads `replica_ms` refused our version as too far ahead. Follow its clock
 * from now on under a fresh identity, since `last` must fall (to replica_ms at most). Requires
 * fresh_node != 0 and never used. */
void quo_hlc_correct(struct quo_hlc *clock, uint64_t replica_ms, uint64_t mono_us,
                     uint64_t fresh_node);

#endif
