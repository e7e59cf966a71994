/* The phase in which an addition to a counter finds its slot.
 *
 * An addition is done twice if it goes to two slots. So another slot is tried only when the one
 * before provably did nothing, and never with an Idempotency-Key: then whoever tries again, through
 * whichever proxy, must meet the slot that remembers the key. */
#include "proxy/coordinator/put_internal.h"
#include "quorate/testpoints.h"

static bool is_keyed(const struct quo_put *put)
{
    return put->options.key_hash != 0 && !QUO_MUTANT(SLOT_ANYWHERE);
}

/* Mixes all bits (the finalizer of MurmurHash3, A. Appleby). */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

/* The same for all proxies, and while the replica stays one of those, whoever else joins or leaves
 * (Thaler & Ravishankar 1998). In a move only those that are moved from have slots. */
static uint8_t member_of_key(const struct quo_put *put)
{
    uint8_t best = QUO_MEMBER_NONE;
    uint64_t best_score = 0;

    for (uint8_t i = 0; i < put->plan.count; i++) {
        const uint64_t score = mix(put->options.key_hash ^ put->plan.replica[i]);
        if (quo_members_has(put->plan.sets[0], i) &&
            (best == QUO_MEMBER_NONE || score > best_score)) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

/* The first that can be reached, so that few slots of a counter come to be. */
static uint8_t choose(const struct quo_put *put)
{
    const quo_members fit = put->plan.sets[0] & put->plan.up & (quo_members)~put->slot.tried;

    if (is_keyed(put)) {
        const uint8_t member = member_of_key(put);
        return member != QUO_MEMBER_NONE && quo_members_has(fit, member) ? member : QUO_MEMBER_NONE;
    }
    for (uint8_t i = 0; i < put->plan.count; i++) {
        if (quo_members_has(fit, i))
            return i;
    }
    return QUO_MEMBER_NONE;
}

/* Nobody took it: of those that refused, the first says why. */
static void give_up(struct quo_put *put, struct quo_effects *effects)
{
    const enum quo_status refusal = put->acks.refusal;

    if (quo_put_try_other_clock(put, effects))
        return;
    if (refusal != QUO_OK)
        put->outcome.refusal = refusal;
    quo_put_answer(put, refusal != QUO_OK ? QUO_VERDICT_REFUSED : QUO_VERDICT_UNAVAILABLE,
                   put->touched ? QUO_UNKNOWN : QUO_NOT_APPLIED, effects);
}

static void ask(struct quo_put *put, struct quo_effects *effects)
{
    const uint8_t member = choose(put);

    if (member == QUO_MEMBER_NONE) {
        give_up(put, effects);
        return;
    }
    quo_put_next_round(put, effects);
    put->sent |= QUO_MEMBER(member);
    struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_SLOT);
    effect->member = member;
    effect->version = put->tag;
}

void quo_put_begin_slot(struct quo_put *put, struct quo_effects *effects)
{
    quo_put_init_tallies(put);
    put->phase = QUO_PUT_SLOT;
    put->slot.tried = 0;
    ask(put, effects);
}

/* Whether another slot would refuse for the same reason, or would be none the wiser. */
static bool is_final(enum quo_status refusal)
{
    switch (refusal) {
    case QUO_OUT_OF_BOUNDS:
    case QUO_KEY_REUSED:
    case QUO_RING_FULL:
    case QUO_HISTORY_LOST:
    case QUO_BAD_KIND:
    case QUO_MALFORMED:
        return true;
    default:
        return false;
    }
}

static void end_unknown(struct quo_put *put, struct quo_effects *effects)
{
    quo_put_answer(put, QUO_VERDICT_TIMEOUT, QUO_UNKNOWN, effects);
}

static void take_refusal(struct quo_put *put, const struct quo_event *event,
                         struct quo_effects *effects)
{
    const enum quo_status status = (enum quo_status)event->reply->status;

    quo_tally_refused(&put->acks, event->member, status);
    put->slot.tried |= QUO_MEMBER(event->member);
    if (!quo_tally_is_proof(status)) {
        put->outcome.refusal = status;
        end_unknown(put, effects);
        return;
    }
    if (status == QUO_SKEW)
        quo_clocks_take(&put->clocks, event->member, put->tag, event->reply->now_ms);
    if (is_final(status)) {
        put->outcome.refusal = status;
        quo_put_answer(put, QUO_VERDICT_REFUSED, QUO_NOT_APPLIED, effects);
        return;
    }
    ask(put, effects);
}

/* Whether the reply shows the slot's record. */
static bool is_added(const struct quo_msg_reply *reply)
{
    return reply->status == QUO_OK && (reply->flags & QUO_REPLY_VALUE) != 0 &&
           reply->record.len > 0 && !quo_version_is_none(reply->version);
}

void quo_put_slot_reply(struct quo_put *put, const struct quo_event *event,
                        struct quo_effects *effects)
{
    const struct quo_msg_reply *reply = event->reply;

    if (is_added(reply)) {
        put->slot.replica = put->plan.replica[event->member];
        put->slot.found = (reply->flags & QUO_REPLY_FOUND) != 0;
        put->tag = reply->version;
        quo_effects_add(effects, QUO_EFFECT_KEEP);
        quo_put_begin_store(put, effects);
    } else if (reply->status == QUO_WRONG_EPOCH && event->newer != NULL) {
        if (!quo_put_may_try_again(put, effects))
            return;
        put->plan = *event->newer;
        quo_put_begin_slot(put, effects);
    } else if (reply->status == QUO_OK) {
        /* No answer of ours: it may stand for anything. */
        quo_tally_unreachable(&put->acks, event->member);
        end_unknown(put, effects);
    } else {
        take_refusal(put, event, effects);
    }
}

void quo_put_slot_failed(struct quo_put *put, const struct quo_event *event,
                         struct quo_effects *effects)
{
    const quo_members members = quo_event_members(event) & quo_put_waiting(put);

    put->slot.tried |= members;
    put->acks.unreachable |= members;
    if (event->type == QUO_EVENT_UNSENT || QUO_MUTANT(SLOT_SENT_AGAIN))
        ask(put, effects);
    else
        end_unknown(put, effects);
}
