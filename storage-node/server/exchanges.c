/* Which partition is compared with which peer when, and the course of one exchange up to the keys.
 */
#include "storage-node/server/exchanges.h"

#include <stdlib.h>

#include "storage-node/server/internal.h"

#define MS UINT64_C(1000)
#define IDLE_US (1000u * MS) /* between looks for something to compare when there was nothing */

/* Making and freeing */

static uint64_t us_of(uint32_t ms, uint32_t otherwise_ms)
{
    return (ms != 0 ? ms : otherwise_ms) * MS;
}

enum quo_status quo_exchanges_open(struct quo_server *server,
                                   const struct quo_server_options *options)
{
    const struct quo_map *map = options->map;
    struct quo_exchanges *x = calloc(1, sizeof *x);
    if (x == NULL)
        return QUO_NO_MEMORY;
    server->exchanges = x;
    x->peers = calloc(map->node_count + 1, sizeof *x->peers);
    x->pairs_known = calloc(server->partition_count, sizeof *x->pairs_known);
    if (x->peers == NULL || x->pairs_known == NULL)
        return QUO_NO_MEMORY;
    x->every_us = us_of(options->exchange_every_ms, QUO_EXCHANGE_EVERY_MS);
    x->pause_us = us_of(options->exchange_pause_ms, QUO_EXCHANGE_PAUSE_MS);
    x->peer_count = map->node_count;
    for (uint32_t i = 0; i < map->node_count; i++)
        x->peers[i] = (struct quo_exchange_peer){.replica = map->nodes[i].replica,
                                                 .due = server->partition_count};
    x->started_us = x->budget_us = quo_mono_us(server->env);
    x->budget = QUO_EXCHANGE_RATE;
    /* Each peer gets its first turns when it comes up. */
    x->wake_us = x->started_us + x->every_us;
    return QUO_OK;
}

void quo_exchanges_free(struct quo_server *server)
{
    struct quo_exchanges *x = server->exchanges;
    if (x == NULL)
        return;
    quo_keys_stop(server);
    server->store->ops->range_release(server->store, &x->keys.range);
    free(x->peers);
    free(x->pairs_known);
    free(x);
    server->exchanges = NULL;
}

/* Budget */

void quo_exchanges_spend(struct quo_server *server, size_t bytes)
{
    server->exchanges->budget -= (int64_t)bytes;
    quo_count(&server->stats.exchange_bytes, bytes);
}

static void earn(struct quo_exchanges *x, uint64_t now_us)
{
    uint64_t passed_us = QUO_MIN(now_us - x->budget_us, 1000 * MS);
    int64_t earned = (int64_t)(passed_us * QUO_EXCHANGE_RATE / (1000 * MS));
    x->budget = QUO_MIN(x->budget + earned, (int64_t)QUO_EXCHANGE_RATE);
    x->budget_us = now_us;
}

bool quo_exchanges_may_work(struct quo_server *server)
{
    struct quo_exchanges *x = server->exchanges;
    uint64_t now_us = quo_mono_us(server->env);
    if (now_us < x->rest_us)
        return false;
    earn(x, now_us);
    if (x->budget > 0 && server->memory <= server->memory_max / 8)
        return true;
    x->rest_us = now_us + QUO_EXCHANGE_REST_US;
    return false;
}

/* Frames */

uint64_t quo_exchanges_id(struct quo_server *server)
{
    return quo_mesh_id(server, QUO_MESH_EXCHANGES);
}

uint8_t *quo_exchanges_reserve(struct quo_server *server, uint32_t peer, size_t len)
{
    struct quo_transport *mesh = server->mesh;
    uint8_t *body;
    if (mesh->ops->reserve(mesh, peer, len, &body) != QUO_OK)
        return NULL;
    quo_exchanges_spend(server, QUO_FRAME_HEADER + len);
    return body;
}

void quo_exchanges_seal(struct quo_server *server, uint32_t peer, uint8_t type, uint64_t id)
{
    struct quo_transport *mesh = server->mesh;
    mesh->ops->seal(mesh, peer, type, id);
    quo_count(&server->stats.exchange_requests, 1);
}

struct quo_slice quo_exchanges_entry(const struct quo_comparison *comparison,
                                     uint8_t out[QUO_ENTRY_SIZE_MAX])
{
    quo_entry_encode(&comparison->entry, out);
    return quo_slice(out, quo_entry_size(&comparison->entry));
}

/* Pairs */

static int peer_of(const struct quo_exchanges *x, uint64_t replica)
{
    for (uint32_t i = 0; i < x->peer_count; i++)
        if (x->peers[i].replica == replica)
            return (int)i;
    return -1;
}

/* The other one asks, if it knows that it holds the partition: who has not heard of the epoch that
 * made it a replica asks nobody. It hears of it from the question itself. */
static bool may_tell(const struct quo_server *server, uint32_t partition, uint32_t peer)
{
    const struct quo_exchange_peer *to = &server->exchanges->peers[peer];
    return to->up && to->replica < server->replica &&
           quo_pairs_share(server, partition, to->replica) &&
           server->partitions[partition].adopting == NULL && !QUO_MUTANT(EPOCH_NOT_TOLD);
}

/* Whether they are a pair that can be compared now. */
static bool is_possible(const struct quo_server *server, uint32_t partition, uint32_t peer)
{
    const struct quo_exchanges *x = server->exchanges;
    return x->peers[peer].up && quo_pairs_is(server, partition, x->peers[peer].replica) &&
           server->partitions[partition].adopting == NULL && quo_trees_ready(server, partition);
}

/* Schedule */

static bool take_recheck(struct quo_server *server, struct quo_recheck *ret)
{
    struct quo_exchanges *x = server->exchanges;
    while (x->recheck_count > 0) {
        *ret = x->rechecks[--x->recheck_count];
        if (is_possible(server, ret->partition, ret->peer))
            return true;
    }
    return false;
}

/* Trees may still be in the making, there or here: the round is repeated for what it missed. */
static void repeat_round(const struct quo_server *server, struct quo_exchange_peer *peer,
                         uint64_t now_us)
{
    if (!peer->up || !peer->missed || peer->due < server->partition_count)
        return;
    peer->missed = false;
    peer->due = 0;
    peer->due_us = now_us + QUO_EXCHANGE_RETRY_US;
}

static bool is_due(const struct quo_server *server, uint32_t partition,
                   const struct quo_exchange_peer *peer)
{
    const struct quo_pair *equal = quo_pairs_find(server, partition, peer->replica);
    return quo_pairs_is(server, partition, peer->replica) &&
           (equal == NULL || equal->mono_us < peer->up_us);
}

static bool take_due(struct quo_server *server, uint64_t now_us, struct quo_recheck *ret)
{
    struct quo_exchanges *x = server->exchanges;
    for (uint32_t i = 0; i < x->peer_count; i++) {
        struct quo_exchange_peer *peer = &x->peers[i];
        repeat_round(server, peer, now_us);
        while (peer->up && peer->due < server->partition_count && now_us >= peer->due_us) {
            *ret = (struct quo_recheck){.partition = peer->due++, .peer = i};
            if (!is_due(server, ret->partition, peer))
                continue;
            if (is_possible(server, ret->partition, i))
                return true;
            peer->missed = true;
        }
    }
    return false;
}

static uint32_t count_pairs(const struct quo_server *server)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->partition_count; i++)
        for (uint32_t member = 0; member < server->partitions[i].entry.n; member++)
            count += quo_pairs_share(server, i, server->partitions[i].entry.replicas[member]);
    return count;
}

/* So that a round takes as long as it should, with jitter. */
static void wait_turn(struct quo_server *server, uint64_t now_us)
{
    struct quo_exchanges *x = server->exchanges;
    if (x->partition == 0 && x->member == 0)
        x->pairs = count_pairs(server);
    uint64_t pace_us = x->every_us / QUO_MAX(x->pairs, 1u);
    x->wake_us = now_us + pace_us / 2 + quo_random(server->env) % (pace_us + 1);
}

static bool take_turn(struct quo_server *server, uint64_t now_us, struct quo_recheck *ret)
{
    struct quo_exchanges *x = server->exchanges;
    if (now_us < x->wake_us)
        return false;
    wait_turn(server, now_us);
    for (uint32_t i = 0; i <= server->partition_count; i++) {
        const struct quo_entry *entry = &server->partitions[x->partition].entry;
        while (x->member < entry->n) {
            int peer = peer_of(x, entry->replicas[x->member++]);
            if (peer >= 0 && (is_possible(server, x->partition, (uint32_t)peer) ||
                              may_tell(server, x->partition, (uint32_t)peer))) {
                *ret = (struct quo_recheck){.partition = x->partition, .peer = (uint32_t)peer};
                return true;
            }
        }
        x->member = 0;
        x->partition = (x->partition + 1) % server->partition_count;
    }
    x->wake_us = now_us + IDLE_US;
    return false;
}

/* The course of a comparison */

static void act(struct quo_server *server, struct quo_comparison *c,
                enum quo_exchange_effect effect);

static void step_plainly(struct quo_server *server, struct quo_comparison *c,
                         enum quo_exchange_event_type type)
{
    struct quo_exchange_event event = {.type = type, .now_us = quo_mono_us(server->env)};
    act(server, c, quo_exchange_step(&c->machine, &event));
}

static uint8_t level_of(enum quo_exchange_effect effect)
{
    if (effect == QUO_EXCHANGE_ASK_ROOT)
        return QUO_TREE_ROOT;
    return effect == QUO_EXCHANGE_ASK_BRANCHES ? QUO_TREE_BRANCH_HASHES : QUO_TREE_LEAF_HASHES;
}

static void ask_hashes(struct quo_server *server, struct quo_comparison *c,
                       enum quo_exchange_effect effect)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    struct quo_msg_tree message = {
        .partition = (uint16_t)c->partition,
        .entry = quo_exchanges_entry(c, entry),
        .replicas = c->replicas,
        .level = level_of(effect),
        .branch = (uint8_t)c->machine.branch,
    };
    uint8_t *body = quo_exchanges_reserve(server, c->peer, quo_msg_tree_size(&message));
    if (body == NULL) {
        quo_exchanges_give_up(server, c);
        return;
    }
    quo_msg_tree_encode(&message, body);
    c->asked = effect;
    c->waits_for = quo_exchanges_id(server);
    c->expires_us = quo_mono_us(server->env) + QUO_EXCHANGE_TIMEOUT_MS * MS;
    quo_exchanges_seal(server, c->peer, QUO_MESSAGE_TREE, c->waits_for);
}

/* The peer has no other way to know. If the frame is lost, it hears of the next time. */
static void tell_equal(struct quo_server *server, const struct quo_comparison *c)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    struct quo_msg_equal message = {
        .partition = (uint16_t)c->partition,
        .entry = quo_exchanges_entry(c, entry),
        .replica = server->replica,
        .since_us = c->theirs_us,
    };
    uint8_t *body = quo_exchanges_reserve(server, c->peer, quo_msg_equal_size(&message));
    if (body == NULL)
        return;
    quo_msg_equal_encode(&message, body);
    quo_exchanges_seal(server, c->peer, QUO_MESSAGE_EQUAL, quo_exchanges_id(server));
}

static void finish(struct quo_server *server, struct quo_comparison *c)
{
    if (server->exchanges->keys.of == c)
        quo_keys_stop(server);
    c->active = c->wants_keys = false;
    c->waits_for = 0;
}

/* What was mended, by us or meanwhile by others, is looked at again soon, unless some of it has to
 * wait. */
static void finish_mended(struct quo_server *server, struct quo_comparison *c)
{
    struct quo_exchanges *x = server->exchanges;
    quo_count(&server->stats.exchanges_mended, 1);
    quo_pairs_differ(server, c->partition, &c->entry, x->peers[c->peer].replica);
    bool soon = c->failed == 0 && (c->mended > 0 || !c->again);
    if (soon && x->recheck_count < QUO_RECHECKS_MAX)
        x->rechecks[x->recheck_count++] =
            (struct quo_recheck){.partition = c->partition, .peer = c->peer, .again = true};
    finish(server, c);
}

static void act(struct quo_server *server, struct quo_comparison *c,
                enum quo_exchange_effect effect)
{
    switch (effect) {
    case QUO_EXCHANGE_NOTHING:
        break;
    case QUO_EXCHANGE_ASK_ROOT:
    case QUO_EXCHANGE_ASK_BRANCHES:
    case QUO_EXCHANGE_ASK_LEAVES:
        ask_hashes(server, c, effect);
        break;
    case QUO_EXCHANGE_ASK_KEYS:
        c->wants_keys = true;
        break;
    case QUO_EXCHANGE_EQUAL:
        quo_count(&server->stats.exchanges_equal, 1);
        quo_pairs_equal(server, c->partition, &c->entry, server->exchanges->peers[c->peer].replica,
                        c->began_us);
        tell_equal(server, c);
        finish(server, c);
        break;
    case QUO_EXCHANGE_MENDED:
        finish_mended(server, c);
        break;
    case QUO_EXCHANGE_GIVEN_UP:
        quo_count(&server->stats.exchanges_given_up, 1);
        server->exchanges->peers[c->peer].missed = true;
        finish(server, c);
        break;
    }
}

void quo_exchanges_listed(struct quo_server *server, struct quo_comparison *comparison)
{
    step_plainly(server, comparison, QUO_EXCHANGE_LISTED);
}

void quo_exchanges_give_up(struct quo_server *server, struct quo_comparison *comparison)
{
    step_plainly(server, comparison, QUO_EXCHANGE_FAILED);
}

void quo_exchanges_learn(struct quo_server *server, const struct quo_comparison *comparison,
                         struct quo_slice bytes)
{
    uint32_t partition = comparison->partition;
    struct quo_entry entry;
    if (quo_entry_decode(bytes, &entry) != QUO_OK)
        return;
    if (quo_replica_fence(&server->partitions[partition].entry, &entry, server->replica).adopt)
        quo_epochs_adopt(server, (uint16_t)partition, &entry);
}

static void start(struct quo_server *server, struct quo_comparison *c,
                  const struct quo_recheck *pair)
{
    const struct quo_entry *entry = &server->partitions[pair->partition].entry;
    uint64_t replica = server->exchanges->peers[pair->peer].replica;
    int ours = quo_pairs_place(entry, server->replica);
    int theirs = quo_pairs_place(entry, replica);
    *c = (struct quo_comparison){
        .active = true,
        .partition = pair->partition,
        .peer = pair->peer,
        .again = pair->again,
        .tells = replica < server->replica,
        .entry = *entry,
        .replicas = (uint8_t)(QUO_MAX(ours, theirs) + 1),
        .began_us = quo_mono_us(server->env),
    };
    quo_exchange_init(&c->machine, server->exchanges->pause_us);
    step_plainly(server, c, QUO_EXCHANGE_START);
}

/* Whether what the peer says can be compared with what we hold. */
static bool still_fits(const struct quo_server *server, const struct quo_comparison *c)
{
    return quo_entry_equal(&server->partitions[c->partition].entry, &c->entry) &&
           is_possible(server, c->partition, c->peer);
}

static void on_hashes(struct quo_server *server, struct quo_comparison *c,
                      const struct quo_msg_tree_hashes *message)
{
    uint64_t theirs[64] = {0}, ours[64] = {0};
    size_t count = c->asked == QUO_EXCHANGE_ASK_ROOT ? 1 : 64;
    if (message->status == QUO_WRONG_EPOCH)
        quo_exchanges_learn(server, c, message->entry);
    if (c->tells) {
        finish(server, c);
        return;
    }
    if (message->status != QUO_OK || message->hashes.len != 8 * count || !still_fits(server, c)) {
        quo_exchanges_give_up(server, c);
        return;
    }
    if (c->theirs_us == 0)
        c->theirs_us = message->now_us;
    for (size_t i = 0; i < count; i++)
        theirs[i] = quo_get_u64(message->hashes.data + 8 * i);
    if (c->asked == QUO_EXCHANGE_ASK_ROOT)
        ours[0] = quo_trees_root(server, c->partition, c->replicas);
    else if (c->asked == QUO_EXCHANGE_ASK_BRANCHES)
        quo_trees_branches(server, c->partition, c->replicas, ours);
    else
        quo_trees_leaves(server, c->partition, c->replicas, c->machine.branch, ours);
    struct quo_exchange_event event = {
        .type = QUO_EXCHANGE_HASHES,
        .now_us = quo_mono_us(server->env),
        .theirs = theirs,
        .ours = ours,
    };
    act(server, c, quo_exchange_step(&c->machine, &event));
}

/* Events of the mesh */

static void on_answer(struct quo_server *server, struct quo_comparison *c,
                      const struct quo_frame *frame)
{
    struct quo_msg_tree_hashes hashes;
    struct quo_msg_leaf_keys page;
    c->waits_for = 0;
    if (frame->type == QUO_MESSAGE_TREE_HASHES && server->exchanges->keys.of != c &&
        quo_msg_tree_hashes_decode(frame->body, &hashes) == QUO_OK)
        on_hashes(server, c, &hashes);
    else if (frame->type == QUO_MESSAGE_LEAF_KEYS && server->exchanges->keys.of == c &&
             still_fits(server, c) && quo_msg_leaf_keys_decode(frame->body, &page) == QUO_OK)
        quo_keys_on_page(server, &page);
    else
        quo_exchanges_give_up(server, c);
}

void quo_exchanges_on_frame(struct quo_server *server, uint32_t peer, const struct quo_frame *frame)
{
    struct quo_exchanges *x = server->exchanges;
    struct quo_msg_reply reply;
    quo_exchanges_spend(server, QUO_FRAME_HEADER + frame->body.len);
    if (frame->type == QUO_MESSAGE_REPLY) {
        if (x->keys.of != NULL && x->keys.of->peer == peer &&
            quo_msg_reply_decode(frame->body, &reply) == QUO_OK)
            quo_mend_on_reply(server, frame->id, &reply);
        return;
    }
    for (size_t i = 0; i < QUO_EXCHANGES_MAX; i++) {
        struct quo_comparison *c = &x->comparisons[i];
        if (c->active && c->peer == peer && c->waits_for != 0 && c->waits_for == frame->id) {
            on_answer(server, c, frame);
            return;
        }
    }
}

void quo_exchanges_on_up(struct quo_server *server, uint32_t peer)
{
    server->exchanges->peers[peer] = (struct quo_exchange_peer){
        .replica = server->exchanges->peers[peer].replica,
        .up = true,
        .up_us = quo_mono_us(server->env),
    };
}

void quo_exchanges_on_down(struct quo_server *server, uint32_t peer)
{
    struct quo_exchanges *x = server->exchanges;
    x->peers[peer].up = false;
    for (size_t i = 0; i < QUO_EXCHANGES_MAX; i++)
        if (x->comparisons[i].active && x->comparisons[i].peer == peer)
            quo_exchanges_give_up(server, &x->comparisons[i]);
}

/* Time */

static bool is_resting(const struct quo_server *server)
{
    return server->draining || server->failed || !server->serving;
}

static void go_on(struct quo_server *server, struct quo_comparison *c, uint64_t now_us)
{
    if (c->waits_for != 0 && now_us >= c->expires_us)
        quo_exchanges_give_up(server, c);
    else if (now_us >= quo_exchange_deadline(&c->machine))
        step_plainly(server, c, QUO_EXCHANGE_TIMER);
    else if (server->exchanges->keys.of == c)
        quo_keys_go_on(server);
}

static bool is_under_way(const struct quo_exchanges *x, const struct quo_recheck *pair)
{
    for (size_t i = 0; i < QUO_EXCHANGES_MAX; i++)
        if (x->comparisons[i].active && x->comparisons[i].partition == pair->partition &&
            x->comparisons[i].peer == pair->peer)
            return true;
    return false;
}

static void start_what_is_due(struct quo_server *server, uint64_t now_us)
{
    struct quo_exchanges *x = server->exchanges;
    struct quo_recheck pair;
    for (size_t i = 0; i < QUO_EXCHANGES_MAX; i++) {
        if (x->comparisons[i].active)
            continue;
        if (!quo_exchanges_may_work(server) ||
            !(take_recheck(server, &pair) || take_due(server, now_us, &pair) ||
              take_turn(server, now_us, &pair)))
            return;
        if (!is_under_way(x, &pair))
            start(server, &x->comparisons[i], &pair);
    }
}

/* One at a time goes through keys. */
static void grant_keys(struct quo_server *server)
{
    struct quo_exchanges *x = server->exchanges;
    for (size_t i = 0; i < QUO_EXCHANGES_MAX; i++) {
        struct quo_comparison *c = &x->comparisons[i];
        if (!c->wants_keys || x->keys.of != NULL || x->keys.ranging)
            continue;
        c->wants_keys = false;
        quo_keys_start(server, c);
        quo_keys_go_on(server);
    }
}

void quo_exchanges_end_turn(struct quo_server *server)
{
    struct quo_exchanges *x = server->exchanges;
    if (x == NULL)
        return;
    uint64_t now_us = quo_mono_us(server->env);
    bool resting = is_resting(server);
    for (size_t i = 0; i < QUO_EXCHANGES_MAX; i++) {
        struct quo_comparison *c = &x->comparisons[i];
        if (c->active && resting)
            quo_exchanges_give_up(server, c);
        else if (c->active)
            go_on(server, c, now_us);
    }
    if (resting)
        return;
    grant_keys(server);
    start_what_is_due(server, now_us);
}

static uint64_t keys_deadline(const struct quo_server *server)
{
    const struct quo_exchanges *x = server->exchanges;
    const struct quo_keys *keys = &x->keys;
    bool may_send =
        keys->step == QUO_KEYS_ASK || (keys->step == QUO_KEYS_MEND && keys->differences != NULL &&
                                       keys->mending_count < QUO_EXCHANGE_WINDOW);
    uint64_t deadline = quo_mend_deadline(server);
    return may_send ? QUO_MIN(deadline, x->rest_us) : deadline;
}

static uint64_t start_deadline(const struct quo_server *server)
{
    const struct quo_exchanges *x = server->exchanges;
    uint64_t deadline = UINT64_MAX;
    for (uint32_t i = 0; i < x->peer_count; i++) {
        const struct quo_exchange_peer *peer = &x->peers[i];
        if (!peer->up)
            continue;
        deadline = QUO_MIN(deadline, x->recheck_count > 0 ? 0 : x->wake_us);
        if (peer->due < server->partition_count)
            deadline = QUO_MIN(deadline, peer->due_us);
        else if (peer->missed)
            deadline = 0;
    }
    return QUO_MAX(deadline, x->rest_us);
}

uint64_t quo_exchanges_deadline(const struct quo_server *server)
{
    const struct quo_exchanges *x = server->exchanges;
    if (x == NULL || is_resting(server))
        return UINT64_MAX;
    uint64_t deadline = keys_deadline(server);
    bool free_slot = false;
    for (size_t i = 0; i < QUO_EXCHANGES_MAX; i++) {
        const struct quo_comparison *c = &x->comparisons[i];
        free_slot = free_slot || !c->active;
        if (!c->active)
            continue;
        deadline = QUO_MIN(deadline, quo_exchange_deadline(&c->machine));
        if (c->waits_for != 0)
            deadline = QUO_MIN(deadline, c->expires_us);
        if (c->wants_keys && x->keys.of == NULL && !x->keys.ranging)
            deadline = 0;
    }
    return free_slot ? QUO_MIN(deadline, start_deadline(server)) : deadline;
}

bool quo_exchanges_idle(const struct quo_server *server)
{
    return (server->exchanges == NULL || !server->exchanges->keys.ranging) &&
           server->listings == NULL;
}

/* For collections of deletes */

int quo_exchanges_peer(const struct quo_server *server, uint64_t replica)
{
    return peer_of(server->exchanges, replica);
}

bool quo_exchanges_is_up(const struct quo_server *server, uint64_t replica, uint64_t *ret_us)
{
    const struct quo_exchanges *x = server->exchanges;
    int peer = peer_of(x, replica);
    if (peer < 0 || !x->peers[peer].up)
        return false;
    *ret_us = x->peers[peer].up_us;
    return true;
}

bool quo_exchanges_any_up(const struct quo_server *server)
{
    const struct quo_exchanges *x = server->exchanges;
    for (uint32_t i = 0; i < x->peer_count; i++)
        if (x->peers[i].up)
            return true;
    return false;
}

uint64_t quo_exchanges_equal_us(const struct quo_server *server, uint32_t partition,
                                uint64_t replica)
{
    const struct quo_pair *pair = quo_pairs_find(server, partition, replica);
    bool counts = pair != NULL && pair->epoch == server->partitions[partition].entry.epoch;
    return counts ? pair->mono_us : 0;
}

void quo_exchanges_hurry(struct quo_server *server, uint32_t partition, uint64_t replica)
{
    struct quo_exchanges *x = server->exchanges;
    int peer = peer_of(x, replica);
    if (peer < 0)
        return;
    struct quo_recheck pair = {.partition = partition, .peer = (uint32_t)peer};
    bool queued = is_under_way(x, &pair);
    for (uint32_t i = 0; i < x->recheck_count; i++)
        queued = queued ||
                 (x->rechecks[i].partition == partition && x->rechecks[i].peer == (uint32_t)peer);
    if (!queued && x->recheck_count < QUO_RECHECKS_MAX)
        x->rechecks[x->recheck_count++] = pair;
}
