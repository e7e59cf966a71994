#include "proxy/coordinator/backoff.h"

#include "quorate/base.h"

/* Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t draw(uint64_t *chance)
{
    uint64_t z = *chance += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

uint64_t quo_backoff_us(uint64_t *chance, uint32_t preempted, uint64_t unit_us)
{
    QUO_REQUIRE(preempted > 0);
    uint64_t units = UINT64_C(1) << QUO_MIN(preempted - 1, 31u);
    uint64_t longest = UINT64_MAX / 2 / QUO_BACKOFF_CAP;
    uint64_t window = QUO_MIN(units, QUO_BACKOFF_CAP) * QUO_MIN(unit_us, longest);

    return 1 + draw(chance) % QUO_MAX(window, 1);
}
