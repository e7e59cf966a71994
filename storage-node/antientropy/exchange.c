#include "storage-node/antientropy/exchange.h"

#include "quorate/testpoints.h"

enum step { NEW, ROOT, ROOT_AGAIN, BRANCHES, BRANCHES_AGAIN, LEAVES, LEAVES_AGAIN, KEYS, OVER };

void quo_exchange_init(struct quo_exchange *exchange, uint64_t pause_us)
{
    *exchange = (struct quo_exchange){.step = NEW, .pause_us = pause_us, .wake_us = UINT64_MAX};
}

static enum quo_exchange_effect end(struct quo_exchange *exchange, enum quo_exchange_effect effect)
{
    exchange->step = OVER;
    exchange->wake_us = UINT64_MAX;
    return effect;
}

/* Whether what the look that is over shows may be a write under way. */
static bool is_first_look(const struct quo_exchange *exchange, enum step step)
{
    return exchange->step == step && !QUO_MUTANT(EXCHANGE_ONCE);
}

/* The second look follows when the pause is over. */
static enum quo_exchange_effect look_again(struct quo_exchange *exchange, enum step step,
                                           uint64_t now_us)
{
    exchange->step = (uint8_t)step;
    exchange->wake_us = now_us + exchange->pause_us;
    return QUO_EXCHANGE_NOTHING;
}

static enum quo_exchange_effect ask(struct quo_exchange *exchange, enum step step,
                                    enum quo_exchange_effect effect)
{
    exchange->step = (uint8_t)step;
    return effect;
}

static enum quo_exchange_effect ask_leaves(struct quo_exchange *exchange)
{
    exchange->branch = (uint32_t)__builtin_ctzll(exchange->left);
    exchange->left &= exchange->left - 1;
    return QUO_EXCHANGE_ASK_LEAVES;
}

static enum quo_exchange_effect on_root(struct quo_exchange *exchange,
                                        const struct quo_exchange_event *event)
{
    if (event->theirs[0] == event->ours[0])
        return end(exchange, QUO_EXCHANGE_EQUAL);
    if (is_first_look(exchange, ROOT))
        return look_again(exchange, ROOT_AGAIN, event->now_us);
    return ask(exchange, BRANCHES, QUO_EXCHANGE_ASK_BRANCHES);
}

static enum quo_exchange_effect on_branches(struct quo_exchange *exchange,
                                            const struct quo_exchange_event *event)
{
    uint64_t differ = quo_tree_differ(event->theirs, event->ours);
    exchange->branches = exchange->step == BRANCHES ? differ : exchange->branches & differ;
    if (exchange->branches == 0)
        return end(exchange, QUO_EXCHANGE_EQUAL);
    if (is_first_look(exchange, BRANCHES))
        return look_again(exchange, BRANCHES_AGAIN, event->now_us);
    exchange->left = exchange->branches;
    exchange->step = LEAVES;
    return ask_leaves(exchange);
}

static enum quo_exchange_effect on_leaves(struct quo_exchange *exchange,
                                          const struct quo_exchange_event *event)
{
    uint64_t *leaves = &exchange->leaves[exchange->branch];
    uint64_t differ = quo_tree_differ(event->theirs, event->ours);
    *leaves = exchange->step == LEAVES ? differ : *leaves & differ;
    if (*leaves == 0)
        exchange->branches &= ~(UINT64_C(1) << exchange->branch);
    if (exchange->left != 0)
        return ask_leaves(exchange);
    if (exchange->branches == 0)
        return end(exchange, QUO_EXCHANGE_EQUAL);
    if (is_first_look(exchange, LEAVES))
        return look_again(exchange, LEAVES_AGAIN, event->now_us);
    return ask(exchange, KEYS, QUO_EXCHANGE_ASK_KEYS);
}

static enum quo_exchange_effect on_hashes(struct quo_exchange *exchange,
                                          const struct quo_exchange_event *event)
{
    QUO_REQUIRE(exchange->wake_us == UINT64_MAX);
    switch (exchange->step) {
    case ROOT:
    case ROOT_AGAIN:
        return on_root(exchange, event);
    case BRANCHES:
    case BRANCHES_AGAIN:
        return on_branches(exchange, event);
    case LEAVES:
    case LEAVES_AGAIN:
        return on_leaves(exchange, event);
    default:
        QUO_UNREACHABLE();
    }
}

static enum quo_exchange_effect on_timer(struct quo_exchange *exchange, uint64_t now_us)
{
    if (now_us < exchange->wake_us)
        return QUO_EXCHANGE_NOTHING;
    exchange->wake_us = UINT64_MAX;
    switch (exchange->step) {
    case ROOT_AGAIN:
        return QUO_EXCHANGE_ASK_ROOT;
    case BRANCHES_AGAIN:
        return QUO_EXCHANGE_ASK_BRANCHES;
    case LEAVES_AGAIN:
        exchange->left = exchange->branches;
        return ask_leaves(exchange);
    default:
        QUO_UNREACHABLE();
    }
}

enum quo_exchange_effect quo_exchange_step(struct quo_exchange *exchange,
                                           const struct quo_exchange_event *event)
{
    QUO_REQUIRE(exchange->step != OVER);
    QUO_REQUIRE((exchange->step == NEW) == (event->type == QUO_EXCHANGE_START));
    switch (event->type) {
    case QUO_EXCHANGE_START:
        return ask(exchange, ROOT, QUO_EXCHANGE_ASK_ROOT);
    case QUO_EXCHANGE_HASHES:
        return on_hashes(exchange, event);
    case QUO_EXCHANGE_TIMER:
        return on_timer(exchange, event->now_us);
    case QUO_EXCHANGE_LISTED:
        QUO_REQUIRE(exchange->step == KEYS);
        return end(exchange, QUO_EXCHANGE_MENDED);
    case QUO_EXCHANGE_FAILED:
        return end(exchange, QUO_EXCHANGE_GIVEN_UP);
    }
    QUO_UNREACHABLE();
}

uint64_t quo_exchange_deadline(const struct quo_exchange *exchange)
{
    return exchange->wake_us;
}

enum quo_mend quo_exchange_mend(struct quo_version ours, struct quo_version theirs)
{
    int order = quo_version_compare(ours, theirs);
    if (order == 0)
        return QUO_MEND_NOTHING;
    return order > 0 ? QUO_MEND_PUSH : QUO_MEND_PULL;
}
