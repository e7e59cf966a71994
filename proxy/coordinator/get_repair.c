#include "proxy/coordinator/get_internal.h"
#include "quorate/testpoints.h"

/* No reply is awaited any more. If they differ something is to be done; whether it may be is for
 * the driver to say. */
static void conclude(struct quo_get *get, struct quo_effects *effects)
{
    get->over = true;
    if (quo_query_behind(&get->query) == 0)
        return;
    get->phase = QUO_GET_OFFER;
    quo_effects_add(effects, QUO_EFFECT_REPAIR);
}

void quo_get_listen(struct quo_get *get, struct quo_effects *effects)
{
    get->phase = QUO_GET_LISTEN;
    if (get->options.look_further)
        quo_query_look(&get->query, &get->plan, get->options.seed, effects);
    if (quo_get_waiting(get) == 0)
        conclude(get, effects);
}

static void take_in(struct quo_get *get, const struct quo_event *event, struct quo_effects *effects)
{
    QUO_PROBE(LATE_REPLY);
    if (quo_query_reply(&get->query, &get->plan, event->member, event->reply, effects))
        quo_fetch_keep(&get->fetch, &get->query, event->reply, effects);
}

static void listen(struct quo_get *get, const struct quo_event *event, quo_members awaited,
                   struct quo_effects *effects)
{
    if (event->type == QUO_EVENT_REPLY)
        take_in(get, event, effects);
    else
        get->query.replies.unreachable |= awaited;
    if (quo_get_waiting(get) == 0)
        conclude(get, effects);
}

static void send(struct quo_get *get, struct quo_effects *effects)
{
    QUO_PROBE(READ_REPAIRED);
    get->phase = QUO_GET_REPAIR;
    quo_tally_init(&get->held, get->plan.sets, get->plan.n);
    get->written_back = quo_query_behind(&get->query);
    quo_get_pass_on(get, effects);
}

/* Sends the newest record if it is at hand. If not, a replica that holds it is asked; it may have
 * something newer by now, which is just as good. */
static void go_on(struct quo_get *get, uint64_t now_us, struct quo_effects *effects)
{
    if (quo_fetch_is_done(&get->fetch, &get->query)) {
        send(get, effects);
        return;
    }
    get->phase = QUO_GET_FETCH;
    if (quo_fetch_ask(&get->fetch, &get->query, &get->plan, now_us, get->deadline_us, effects) ==
        QUO_FETCH_IMPOSSIBLE)
        get->over = true;
}

static void on_granted(struct quo_get *get, const struct quo_event *event,
                       struct quo_effects *effects)
{
    QUO_REQUIRE(get->phase == QUO_GET_OFFER);
    get->over = false;
    get->deadline_us = event->now_us + QUO_REPAIR_TIMEOUT_MS * UINT64_C(1000);
    get->round++;
    effects->round = get->round;
    if (!event->has_record)
        get->fetch.kept = QUO_VERSION_NONE;
    go_on(get, event->now_us, effects);
}

/* Who did not hand out the bytes is not asked again. */
static void on_fetched(struct quo_get *get, const struct quo_event *event,
                       struct quo_effects *effects)
{
    bool has_bytes = event->type == QUO_EVENT_REPLY &&
                     quo_query_reply(&get->query, &get->plan, event->member, event->reply, effects);

    if (has_bytes)
        quo_fetch_keep(&get->fetch, &get->query, event->reply, effects);
    quo_fetch_end(&get->fetch, has_bytes && quo_fetch_is_done(&get->fetch, &get->query));
    go_on(get, event->now_us, effects);
}

static void on_timer(struct quo_get *get, uint64_t now_us, struct quo_effects *effects)
{
    bool is_over = now_us >= get->deadline_us;

    if (is_over && get->phase == QUO_GET_LISTEN) {
        conclude(get, effects);
    } else if (is_over) {
        get->over = true;
    } else if (get->phase == QUO_GET_FETCH && now_us >= quo_fetch_deadline(&get->fetch)) {
        quo_fetch_timer(&get->fetch, now_us);
        go_on(get, now_us, effects);
    }
}

/* What became of a repair is nobody's business: a replica that refuses it is a matter for later
 * writes and for those who compare all that replicas hold. */
void quo_get_listen_step(struct quo_get *get, const struct quo_event *event,
                         struct quo_effects *effects)
{
    quo_members awaited = quo_event_members(event) & quo_get_waiting(get);

    if (event->type == QUO_EVENT_REPAIR)
        on_granted(get, event, effects);
    else if (event->type == QUO_EVENT_TIMER)
        on_timer(get, event->now_us, effects);
    else if (awaited == 0)
        return;
    else if (get->phase == QUO_GET_LISTEN)
        listen(get, event, awaited, effects);
    else if (get->phase == QUO_GET_FETCH)
        on_fetched(get, event, effects);
    else
        get->held.unreachable |= awaited;
}
