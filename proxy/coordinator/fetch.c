#include "proxy/coordinator/fetch.h"

#include "quorate/record.h"

void quo_fetch_reset(struct quo_fetch *fetch)
{
    fetch->from = QUO_MEMBER_NONE;
    fetch->failed = 0;
}

bool quo_fetch_is_done(const struct quo_fetch *fetch, const struct quo_query *query)
{
    return quo_version_equal(fetch->kept, query->newest);
}

void quo_fetch_keep(struct quo_fetch *fetch, const struct quo_query *query,
                    const struct quo_msg_reply *reply, struct quo_effects *effects)
{
    if ((reply->flags & QUO_REPLY_VALUE) == 0 ||
        !quo_version_equal(reply->version, query->newest) || quo_fetch_is_done(fetch, query))
        return;
    QUO_INVARIANT(quo_record_peek(reply->record, &fetch->kept, &fetch->kept_flags) == QUO_OK);
    quo_effects_add(effects, QUO_EFFECT_KEEP);
}

enum quo_fetching quo_fetch_ask(struct quo_fetch *fetch, const struct quo_query *query,
                                const struct quo_plan *plan, uint64_t now_us, uint64_t deadline_us,
                                struct quo_effects *effects)
{
    quo_members holders = quo_query_holders(query, query->newest);

    if ((quo_fetch_waiting(fetch) & holders) != 0)
        return QUO_FETCH_AWAITED;
    for (uint8_t i = 0; i < plan->count; i++) {
        uint8_t member = plan->order[i];
        if (!quo_members_has(holders & (quo_members)~fetch->failed, member))
            continue;
        struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_QUERY);
        effect->member = member;
        effect->value_max = UINT32_MAX;
        fetch->from = member;
        fetch->until = now_us + (deadline_us > now_us ? deadline_us - now_us : 0) / 2;
        return QUO_FETCH_ASKED;
    }
    return QUO_FETCH_IMPOSSIBLE;
}

void quo_fetch_end(struct quo_fetch *fetch, bool is_answer)
{
    if (!is_answer)
        fetch->failed |= quo_fetch_waiting(fetch);
    fetch->from = QUO_MEMBER_NONE;
}

void quo_fetch_timer(struct quo_fetch *fetch, uint64_t now_us)
{
    if (now_us >= quo_fetch_deadline(fetch))
        quo_fetch_end(fetch, false);
}

quo_members quo_fetch_waiting(const struct quo_fetch *fetch)
{
    return fetch->from == QUO_MEMBER_NONE ? 0 : QUO_MEMBER(fetch->from);
}

uint64_t quo_fetch_deadline(const struct quo_fetch *fetch)
{
    return fetch->from == QUO_MEMBER_NONE ? UINT64_MAX : fetch->until;
}
