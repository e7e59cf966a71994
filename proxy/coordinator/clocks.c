#include "proxy/coordinator/clocks.h"

#include "quorate/limits.h"

void quo_clocks_take(struct quo_clocks *clocks, uint8_t member, struct quo_version refused,
                     uint64_t now_ms)
{
    if (quo_version_ms(refused) <= now_ms)
        return;
    clocks->behind |= QUO_MEMBER(member);
    clocks->ms[member] = now_ms;
}

static uint8_t count_reached(const struct quo_clocks *clocks, uint64_t ms)
{
    uint8_t count = 0;

    for (uint8_t i = 0; i < QUO_MEMBERS_MAX; i++)
        count += quo_members_has(clocks->behind, i) && clocks->ms[i] >= ms;
    return count;
}

bool quo_clocks_choose(const struct quo_clocks *clocks, uint8_t need, struct quo_version seen,
                       uint64_t *ret_ms)
{
    uint8_t count = quo_members_count(clocks->behind);
    uint64_t ms = 0;

    if (count == 0)
        return false;
    for (uint8_t i = 0; i < QUO_MEMBERS_MAX; i++) {
        if (quo_members_has(clocks->behind, i) &&
            count_reached(clocks, clocks->ms[i]) >= QUO_MIN(count, need))
            ms = QUO_MAX(ms, clocks->ms[i]);
    }
    if (quo_version_ms(seen) > ms + QUO_SKEW_MAX_MS)
        return false;
    *ret_ms = ms;
    return true;
}
