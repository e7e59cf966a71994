#include "api/cluster/log2.h"

uint64_t quo_log2_deficit(uint64_t x)
{
    if (x == 0)
        x = 1;
    const unsigned whole = 63u - (unsigned)__builtin_clzll(x);
    uint64_t m = x << (63u - whole); /* x / 2^whole in [1,2), 63 bits after the point */
    uint64_t log = whole;

    /* log2(m^2) = 2 log2(m): squaring shifts the logarithm left, and its next bit says whether the
     * square reached 2. Each truncation of the square weighs half of the one before. */
    for (unsigned i = 0; i < QUO_LOG2_FRACTION; i++) {
        const quo_u128 square = (quo_u128)m * m; /* 126 bits after the point */
        const unsigned bit = (unsigned)(square >> 127);
        m = (uint64_t)(square >> (63 + bit));
        log = log << 1 | bit;
    }
    return (UINT64_C(64) << QUO_LOG2_FRACTION) - log;
}
