#include "proxy/coordinator/put_hints.h"

/* Of what a promise, a floor, the kind or the epoch forbids, a later attempt changes nothing. */
bool quo_put_is_hintable(enum quo_status refusal)
{
    switch (refusal) {
    case QUO_BUSY:
    case QUO_DISK_FULL:
    case QUO_IO_ERROR:
    case QUO_READ_ONLY:
        return true;
    default:
        return false;
    }
}

quo_members quo_put_hinting(const struct quo_put *put)
{
    return put->hints.asked & (quo_members) ~(put->hints.kept | put->hints.failed);
}

bool quo_put_may_be_hinted(const struct quo_put *put)
{
    return put->hints.maybe || put->hints.kept != 0 || quo_put_hinting(put) != 0;
}

quo_members quo_put_homeless(const struct quo_put *put, quo_members unreachable)
{
    for (uint8_t i = 0; i < put->options.fallbacks; i++)
        unreachable &= (quo_members)(unreachable - 1u);
    return unreachable;
}

enum quo_vote quo_put_vote(const struct quo_put *put, const struct quo_tally *tally)
{
    const quo_members kept = put->hints.kept;
    const quo_members open = kept | quo_put_hinting(put);
    struct quo_tally counted = *tally;

    counted.yes |= kept;
    counted.refused &= (quo_members)~open;
    counted.unreachable &= (quo_members)~open;
    return quo_tally_vote(&counted);
}

static void ask(struct quo_put *put, quo_members members, uint8_t flags,
                struct quo_effects *effects)
{
    for (uint8_t i = 0; i < put->plan.count; i++) {
        if (!quo_members_has(members, i))
            continue;
        struct quo_effect *effect = quo_effects_add(effects, QUO_EFFECT_HINT);
        effect->member = i;
        effect->flags = flags;
    }
}

/* Members that lack the record, as far as is known, and were not asked for. */
static quo_members missing(const struct quo_put *put)
{
    return put->sent & (quo_members) ~(put->acks.yes | put->hints.final | put->hints.asked);
}

void quo_put_hint_now(struct quo_put *put, quo_members members, struct quo_effects *effects)
{
    if (!put->options.want.sloppy || put->answered)
        return;
    members &= missing(put);
    put->hints.asked |= members;
    ask(put, members, QUO_HINT_AWAITED, effects);
}

uint64_t quo_put_hint_deadline(const struct quo_put *put)
{
    if (!put->options.want.sloppy || put->hints.silent_asked || put->phase != QUO_PUT_STORE)
        return UINT64_MAX;
    return put->deadline_us - put->options.want.timeout_ms * UINT64_C(500);
}

void quo_put_hint_silent(struct quo_put *put, struct quo_effects *effects)
{
    put->hints.silent_asked = true;
    quo_put_hint_now(put, quo_put_waiting(put), effects);
}

bool quo_put_take_hinted(struct quo_put *put, const struct quo_event *event)
{
    const quo_members members = event->members & quo_put_hinting(put);

    if (event->status == QUO_OK) {
        put->hints.kept |= members;
    } else {
        put->hints.failed |= members;
        if (event->status != QUO_UNAVAILABLE && !quo_tally_is_proof(event->status))
            put->hints.maybe |= members != 0;
    }
    return members != 0;
}

/* What is known not to have taken effect must not take effect later. */
void quo_put_hint_rest(struct quo_put *put, struct quo_effects *effects)
{
    if (put->hints.rest_asked)
        return;
    put->hints.rest_asked = true;
    if (put->phase == QUO_PUT_STORE && put->outcome.effect != QUO_NOT_APPLIED)
        ask(put, missing(put), 0, effects);
}
