#include "proxy/coordinator/query.h"

#include "quorate/record.h"

static void ask(struct quo_query *query, uint8_t member, struct quo_effects *effects)
{
    bool is_prep = !quo_version_is_none(query->options.ballot);
    struct quo_effect *effect =
        quo_effects_add(effects, is_prep ? QUO_EFFECT_PREP : QUO_EFFECT_QUERY);
    /* The bytes are wanted once; whoever was to send them may have failed. */
    quo_members gone = query->replies.unreachable | query->replies.refused;
    bool in_full = (query->in_full & (quo_members)~gone) == 0;

    effect->member = member;
    effect->version = query->options.ballot;
    effect->value_max = in_full ? query->options.value_max_first : query->options.value_max;
    query->asked |= QUO_MEMBER(member);
    if (in_full)
        query->in_full |= QUO_MEMBER(member);
}

/* Whether those asked so far could not fill this set's quorum even if all of them replied. */
static bool is_short(const struct quo_query *query, quo_members set)
{
    quo_members gone = query->replies.unreachable | query->replies.refused;
    quo_members hopeful = query->asked & (quo_members)~gone;

    return quo_members_count(set & hopeful) < query->options.need;
}

static void ask_as_needed(struct quo_query *query, const struct quo_plan *plan,
                          struct quo_effects *effects)
{
    for (uint8_t i = 0; i < plan->count; i++) {
        uint8_t member = plan->order[i];
        if (quo_members_has(query->asked, member))
            continue;
        if ((quo_members_has(plan->sets[0], member) && is_short(query, plan->sets[0])) ||
            (quo_members_has(plan->sets[1], member) && is_short(query, plan->sets[1])))
            ask(query, member, effects);
    }
}

static uint64_t later(uint64_t now_us, uint64_t us)
{
    return us > UINT64_MAX - now_us ? UINT64_MAX : now_us + us;
}

void quo_query_begin(struct quo_query *query, const struct quo_plan *plan,
                     const struct quo_query_options *options, struct quo_effects *effects)
{
    uint64_t left =
        options->deadline_us > options->now_us ? options->deadline_us - options->now_us : 0;

    memset(query, 0, sizeof *query);
    query->options = *options;
    quo_tally_init(&query->replies, plan->sets, options->need);
    query->hedge_at = later(options->now_us, options->hedge_us);
    query->patience_at = options->now_us + left / 2;
    if (quo_version_is_none(options->ballot))
        ask_as_needed(query, plan, effects);
    else
        quo_query_rest(query, plan, effects);
}

enum quo_status quo_query_judge(const struct quo_msg_reply *reply)
{
    if (reply->status != QUO_OK)
        return (enum quo_status)reply->status;
    /* No clock makes it, and nothing could ever be above it. */
    if (reply->version.hlc == UINT64_MAX || reply->promised.hlc == UINT64_MAX ||
        reply->floor.hlc == UINT64_MAX)
        return QUO_MALFORMED;
    if ((reply->flags & QUO_REPLY_VALUE) == 0)
        return QUO_OK;
    struct quo_record record;
    if (quo_record_decode(reply->record, &record) != QUO_OK ||
        !quo_version_equal(record.version, reply->version))
        return QUO_CORRUPT;
    return QUO_OK;
}

enum quo_status quo_query_status(const struct quo_query *query, const struct quo_msg_reply *reply)
{
    enum quo_status status = quo_query_judge(reply);
    struct quo_version ballot = query->options.ballot;

    if (status != QUO_OK || quo_version_is_none(ballot))
        return status;
    if (quo_version_compare(reply->version, ballot) >= 0)
        return QUO_NACK;
    return quo_version_compare(reply->promised, ballot) < 0 ? QUO_MALFORMED : QUO_OK;
}

struct quo_version quo_query_highest(const struct quo_msg_reply *reply)
{
    const struct quo_version shown[] = {reply->version, reply->promised, reply->floor};
    struct quo_version highest = QUO_VERSION_NONE;

    for (size_t i = 0; i < QUO_COUNT(shown); i++) {
        if (shown[i].hlc != UINT64_MAX)
            highest = quo_version_max(highest, shown[i]);
    }
    return highest;
}

static void learn(struct quo_query *query, uint8_t member, const struct quo_msg_reply *reply)
{
    /* No clock of the coming eight thousand years needs more bits. */
    uint64_t clock_ms = reply->now_ms & ((UINT64_C(1) << 48) - 1);

    query->versions[member] = reply->version;
    if (query->earliest_ms == 0 || clock_ms < query->earliest_ms)
        query->earliest_ms = clock_ms;
    if ((reply->flags & QUO_REPLY_DURABLE) != 0)
        query->durable |= QUO_MEMBER(member);
    else
        query->durable &= (quo_members)~QUO_MEMBER(member);
    query->newest = quo_version_max(query->newest, reply->version);
    query->promised = quo_version_max(query->promised, reply->promised);
    query->floor = quo_version_max(query->floor, reply->floor);
    query->seen = quo_version_max(query->seen, quo_query_highest(reply));
}

bool quo_query_reply(struct quo_query *query, const struct quo_plan *plan, uint8_t member,
                     const struct quo_msg_reply *reply, struct quo_effects *effects)
{
    enum quo_status status = quo_query_status(query, reply);

    if (status != QUO_OK) {
        if (status == QUO_NACK)
            query->seen = quo_version_max(query->seen, quo_query_highest(reply));
        if (quo_tally_refused(&query->replies, member, status))
            ask_as_needed(query, plan, effects);
        return false;
    }
    /* A replica never goes back: a second reply that shows less is an old one. */
    if (!quo_tally_yes(&query->replies, member) &&
        (!quo_members_has(query->replies.yes, member) ||
         quo_version_compare(reply->version, query->versions[member]) < 0))
        return false;
    learn(query, member, reply);
    return true;
}

void quo_query_failed(struct quo_query *query, const struct quo_plan *plan, uint8_t member,
                      struct quo_effects *effects)
{
    if (quo_tally_unreachable(&query->replies, member))
        ask_as_needed(query, plan, effects);
}

static quo_members unasked(const struct quo_query *query, const struct quo_plan *plan)
{
    return quo_plan_all(plan) & (quo_members)~query->asked;
}

static bool is_open(const struct quo_query *query)
{
    return quo_tally_vote(&query->replies) == QUO_VOTE_OPEN;
}

uint8_t quo_query_timer(struct quo_query *query, const struct quo_plan *plan, uint64_t now_us,
                        struct quo_effects *effects)
{
    if (!is_open(query) || unasked(query, plan) == 0)
        return 0;
    if (now_us >= query->patience_at)
        return quo_query_rest(query, plan, effects);
    if (now_us >= query->hedge_at) {
        /* Granted or not, this one's time is over: an empty budget is not asked again and again. */
        query->hedge_at = UINT64_MAX;
        quo_effects_add(effects, QUO_EFFECT_HEDGE);
    }
    return 0;
}

bool quo_query_hedge(struct quo_query *query, const struct quo_plan *plan, uint64_t now_us,
                     struct quo_effects *effects)
{
    if (!is_open(query))
        return false;
    for (uint8_t i = 0; i < plan->count; i++) {
        if (quo_members_has(query->asked, plan->order[i]))
            continue;
        ask(query, plan->order[i], effects);
        query->hedge_at = later(now_us, query->options.hedge_us);
        return true;
    }
    return false;
}

uint8_t quo_query_rest(struct quo_query *query, const struct quo_plan *plan,
                       struct quo_effects *effects)
{
    uint8_t count = 0;

    for (uint8_t i = 0; i < plan->count; i++) {
        if (quo_members_has(query->asked, plan->order[i]))
            continue;
        ask(query, plan->order[i], effects);
        count++;
    }
    return count;
}

uint8_t quo_query_raise(struct quo_query *query, const struct quo_plan *plan, uint8_t need,
                        struct quo_effects *effects)
{
    const quo_members before = query->asked;

    QUO_REQUIRE(need >= query->options.need);
    query->options.need = query->replies.need = need;
    ask_as_needed(query, plan, effects);
    return quo_members_count(query->asked & (quo_members)~before);
}

void quo_query_look(struct quo_query *query, const struct quo_plan *plan, uint64_t seed,
                    struct quo_effects *effects)
{
    quo_members left = unasked(query, plan) & plan->up;

    if (left == 0)
        return;
    for (uint64_t skip = (seed >> 32) % quo_members_count(left); skip > 0; skip--)
        left &= (quo_members)(left - 1u);
    struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_QUERY);
    effect->member = (uint8_t)__builtin_ctz(left);
    query->asked |= QUO_MEMBER(effect->member);
}

quo_members quo_query_waiting(const struct quo_query *query)
{
    return query->asked & (quo_members)~quo_tally_voted(&query->replies);
}

quo_members quo_query_holders(const struct quo_query *query, struct quo_version version)
{
    quo_members holders = 0;

    for (uint8_t i = 0; i < QUO_MEMBERS_MAX; i++) {
        if (quo_members_has(query->replies.yes, i) &&
            quo_version_equal(query->versions[i], version))
            holders |= QUO_MEMBER(i);
    }
    return holders;
}

quo_members quo_query_behind(const struct quo_query *query)
{
    return query->replies.yes & (quo_members)~quo_query_holders(query, query->newest);
}

uint64_t quo_query_deadline(const struct quo_query *query, const struct quo_plan *plan)
{
    if (!is_open(query) || unasked(query, plan) == 0)
        return UINT64_MAX;
    return QUO_MIN(query->hedge_at, query->patience_at);
}
