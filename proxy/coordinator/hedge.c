#include "proxy/coordinator/hedge.h"

#include "quorate/base.h"

/* A stalled process must not raise the estimate beyond all reason. */
#define SAMPLE_MAX_US 1000000u

void quo_hedge_init(struct quo_hedge *hedge, uint32_t percent, uint64_t min_us)
{
    *hedge = (struct quo_hedge){.percent = percent, .min_us = min_us};
}

void quo_hedge_earn(struct quo_hedge *hedge)
{
    uint64_t sum = (uint64_t)hedge->hundredths + hedge->percent;

    hedge->hundredths = (uint32_t)QUO_MIN(sum, QUO_HEDGE_BURST * 100u);
}

bool quo_hedge_take(struct quo_hedge *hedge)
{
    if (hedge->hundredths < 100)
        return false;
    hedge->hundredths -= 100;
    return true;
}

void quo_hedge_observe(struct quo_hedge *hedge, uint64_t us)
{
    /* 0 stands for "nothing observed". */
    uint64_t sample = QUO_MAX(QUO_MIN(us, SAMPLE_MAX_US), 1u);

    if (hedge->mean_us == 0) {
        hedge->mean_us = sample;
        hedge->deviation_us = sample / 2;
        return;
    }
    uint64_t error = sample > hedge->mean_us ? sample - hedge->mean_us : hedge->mean_us - sample;
    hedge->deviation_us = (hedge->deviation_us * 3 + error) / 4;
    hedge->mean_us = QUO_MAX((hedge->mean_us * 7 + sample) / 8, 1u);
}

uint64_t quo_hedge_delay_us(const struct quo_hedge *hedge)
{
    if (hedge->mean_us == 0)
        return QUO_MAX(hedge->min_us, QUO_HEDGE_FIRST_US);
    return QUO_MAX(hedge->min_us, hedge->mean_us + 4 * hedge->deviation_us);
}

uint64_t quo_hedge_typical_us(const struct quo_hedge *hedge)
{
    if (hedge->mean_us == 0)
        return QUO_HEDGE_FIRST_US;
    return hedge->mean_us + hedge->deviation_us;
}
