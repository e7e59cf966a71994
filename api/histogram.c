#include "quorate/histogram.h"

const uint64_t quo_histogram_bounds_us[QUO_HISTOGRAM_BUCKETS - 1] = {
    50,    100,    200,    500,    1000,    2000,    5000,    10000,    20000,
    50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000,
};

void quo_histogram_record(struct quo_histogram *h, uint64_t us)
{
    unsigned i = 0;
    while (i < QUO_HISTOGRAM_BUCKETS - 1 && us > quo_histogram_bounds_us[i])
        i++;
    quo_count(&h->buckets[i], 1);
    quo_count(&h->sum_us, us);
}
