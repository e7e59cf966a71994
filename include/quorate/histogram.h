/* Counters and latency histograms that one thread writes and any may read (relaxed). Pure.
 */
#ifndef QUORATE_HISTOGRAM_H
#define QUORATE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* Adds to a counter that only this thread writes. */
static inline void quo_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline uint64_t quo_counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#define QUO_HISTOGRAM_BUCKETS 18u

/* Upper bounds in microseconds; the last bucket is unbounded. */
extern const uint64_t quo_histogram_bounds_us[QUO_HISTOGRAM_BUCKETS - 1];

struct quo_histogram {
    _Atomic uint64_t buckets[QUO_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
};
void quo_histogram_record(struct quo_histogram *h, uint64_t us);

#endif
