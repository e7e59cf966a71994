#include "quorate/base.h"
#include "quorate/limits.h"
#include "quorate/testpoints.h"
#include "quorate/version.h"

#define MS_MAX ((UINT64_C(1) << 48) - 1)

/* The lowest hlc of a millisecond. A wall clock beyond 48 bits is wrong anyway; it must not wrap.
 */
static uint64_t hlc_of_ms(uint64_t ms)
{
    return QUO_MIN(ms, MS_MAX) << 16;
}

/* UINT64_MAX has no successor: see quo_hlc_tick. */
static uint64_t successor(uint64_t hlc)
{
    return hlc == UINT64_MAX ? hlc : hlc + 1;
}

static uint64_t physical_ms(const struct quo_hlc *clock, uint64_t wall_ms, uint64_t mono_us)
{
    if (!clock->corrected)
        return wall_ms;
    /* A caller may have read its monotonic clock just before the correction. */
    uint64_t elapsed_us = mono_us > clock->base_mono_us ? mono_us - clock->base_mono_us : 0;
    return QUO_MIN(clock->base_ms, MS_MAX) + elapsed_us / 1000;
}

/* Two clocks under one identity would sooner or later make one version for two values. */
static uint64_t identity(uint64_t node)
{
    return QUO_MUTANT(SHARED_NODE_ID) ? 1 : node;
}

void quo_hlc_init(struct quo_hlc *clock, uint64_t node)
{
    QUO_REQUIRE(node != 0);
    *clock = (struct quo_hlc){.node = identity(node)};
}

void quo_hlc_observe(struct quo_hlc *clock, uint64_t hlc, uint64_t wall_ms)
{
    if (hlc <= clock->last)
        return;
    /* Else one bad clock anywhere would drag every other clock into its future. */
    uint64_t ms = hlc >> 16;
    if (ms > wall_ms && ms - wall_ms > QUO_SKEW_MAX_MS)
        return;
    clock->last = hlc;
}

struct quo_version quo_hlc_tick(struct quo_hlc *clock, struct quo_version seen, uint64_t wall_ms,
                                uint64_t mono_us)
{
    uint64_t hlc = hlc_of_ms(physical_ms(clock, wall_ms, mono_us));

    hlc = QUO_MAX(hlc, successor(clock->last));
    hlc = QUO_MAX(hlc, successor(seen.hlc));
    clock->last = hlc;
    return (struct quo_version){.hlc = hlc, .node = clock->node};
}

uint64_t quo_hlc_ms(const struct quo_hlc *clock, uint64_t wall_ms, uint64_t mono_us)
{
    uint64_t hlc = hlc_of_ms(physical_ms(clock, wall_ms, mono_us));

    return QUO_MAX(hlc, successor(clock->last)) >> 16;
}

void quo_hlc_correct(struct quo_hlc *clock, uint64_t replica_ms, uint64_t mono_us,
                     uint64_t fresh_node)
{
    QUO_REQUIRE(fresh_node != 0 && fresh_node != clock->node);
    QUO_PROBE(CLOCK_CORRECTED);
    *clock = (struct quo_hlc){
        .last = QUO_MIN(clock->last, hlc_of_ms(replica_ms)),
        .node = identity(fresh_node),
        .corrected = true,
        .base_ms = replica_ms,
        .base_mono_us = mono_us,
    };
}

void quo_hlc_trust(struct quo_hlc *clock)
{
    clock->corrected = false;
}
