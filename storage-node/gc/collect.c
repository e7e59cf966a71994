#include "storage-node/gc/collect.h"

#include "quorate/testpoints.h"

void quo_collect_init(struct quo_collect *collect, const struct quo_collect_options *options)
{
    QUO_REQUIRE(options->n >= 1 && options->n <= QUO_REPLICAS_MAX && options->self < options->n);
    *collect = (struct quo_collect){
        .options = *options,
        .earliest_ms = UINT64_MAX,
        .wake_us = UINT64_MAX,
    };
}

static uint8_t member_bit(uint8_t member)
{
    return (uint8_t)(1u << member);
}

static enum quo_collect_effect ask(struct quo_collect *collect, uint8_t members)
{
    collect->asks = members;
    collect->waiting |= members;
    return QUO_COLLECT_ASK;
}

static enum quo_collect_effect enter(struct quo_collect *collect, enum quo_floor_stage stage)
{
    uint8_t all = (uint8_t)((1u << collect->options.n) - 1);
    uint8_t self = member_bit(collect->options.self);
    uint8_t first = all;
    if (stage == QUO_FLOOR_SEAL)
        first = self;
    if (stage == QUO_FLOOR_DROP && all != self)
        first = all & (uint8_t)~self;
    collect->stage = stage;
    collect->later = all & (uint8_t)~first;
    return ask(collect, first);
}

static enum quo_collect_effect start(struct quo_collect *collect,
                                     const struct quo_collect_event *event)
{
    const struct quo_floors *floors = event->floors;
    collect->expires_us = event->now_us + collect->options.timeout_us;
    collect->sealed = floors->sealed;
    if (quo_version_compare(floors->sealed, floors->cleared) <= 0)
        return enter(collect, QUO_FLOOR_READY);
    collect->floor = floors->sealed;
    return enter(collect, QUO_FLOOR_SEAL);
}

/* All clocks are in. */
static enum quo_collect_effect choose_floor(struct quo_collect *collect)
{
    uint64_t grace_ms = collect->options.grace_ms;
    if (collect->earliest_ms <= grace_ms)
        return QUO_COLLECT_DONE;
    collect->floor = quo_floor_of_ms(collect->earliest_ms - grace_ms);
    if (quo_version_compare(collect->floor, collect->sealed) <= 0)
        return QUO_COLLECT_DONE;
    return enter(collect, QUO_FLOOR_GATE);
}

/* All have answered that they have done it. */
static enum quo_collect_effect go_on(struct quo_collect *collect)
{
    if (collect->later != 0) {
        uint8_t later = collect->later;
        collect->later = 0;
        return ask(collect, later);
    }
    switch (collect->stage) {
    case QUO_FLOOR_READY:
        return choose_floor(collect);
    case QUO_FLOOR_GATE:
        return enter(collect, QUO_FLOOR_CONFIRM);
    case QUO_FLOOR_CONFIRM:
        return enter(collect, QUO_FLOOR_SEAL);
    case QUO_FLOOR_SEAL:
        return enter(collect, QUO_FLOOR_DROP);
    case QUO_FLOOR_DROP:
        return QUO_COLLECT_DONE;
    }
    QUO_UNREACHABLE();
}

static enum quo_collect_effect on_answer(struct quo_collect *collect,
                                         const struct quo_collect_event *event)
{
    enum quo_status status = event->status;
    QUO_REQUIRE((collect->waiting & member_bit(event->member)) != 0);
    collect->waiting &= (uint8_t)~member_bit(event->member);
    if (status == QUO_BUSY && collect->stage == QUO_FLOOR_CONFIRM) {
        collect->busy |= member_bit(event->member);
        if (collect->wake_us == UINT64_MAX)
            collect->wake_us = event->now_us + collect->options.pause_us;
        return QUO_COLLECT_NOTHING;
    }
    if (status == QUO_OK)
        collect->earliest_ms = QUO_MIN(collect->earliest_ms, event->clock_ms);
    else if (!QUO_MUTANT(FLOOR_NOT_ON_ALL))
        return QUO_COLLECT_GIVEN_UP;
    return collect->waiting == 0 && collect->busy == 0 ? go_on(collect) : QUO_COLLECT_NOTHING;
}

static enum quo_collect_effect on_timer(struct quo_collect *collect, uint64_t now_us)
{
    if (now_us >= collect->expires_us)
        return QUO_COLLECT_GIVEN_UP;
    if (now_us < collect->wake_us)
        return QUO_COLLECT_NOTHING;
    uint8_t busy = collect->busy;
    collect->busy = 0;
    collect->wake_us = UINT64_MAX;
    return ask(collect, busy);
}

enum quo_collect_effect quo_collect_step(struct quo_collect *collect,
                                         const struct quo_collect_event *event)
{
    switch (event->type) {
    case QUO_COLLECT_START:
        return start(collect, event);
    case QUO_COLLECT_ANSWER:
        return on_answer(collect, event);
    case QUO_COLLECT_TIMER:
        return on_timer(collect, event->now_us);
    }
    QUO_UNREACHABLE();
}

uint64_t quo_collect_deadline(const struct quo_collect *collect)
{
    return QUO_MIN(collect->wake_us, collect->expires_us);
}
