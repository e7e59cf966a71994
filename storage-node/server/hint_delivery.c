/* Delivers hints: batch by batch, the oldest first, each as the STORE that its target missed, under
 * the partition's entry of now. */
#include "storage-node/server/internal.h"

#define MS UINT64_C(1000)
#define REST_US 50000u /* while writes queue up */

/* The course of a batch */

static void finish(struct quo_server *server, struct quo_hint_lane *lane)
{
    uint64_t now_us = quo_mono_us(server->env);
    enum quo_handoff_end end = lane->range.more ? QUO_HANDOFF_MORE : QUO_HANDOFF_ALL;
    if (lane->stopped)
        end = QUO_HANDOFF_STOPPED;
    quo_handoff_end(lane->target, end, lane->upto, lane->kept, now_us);
    server->store->ops->range_release(server->store, &lane->range);
    *lane = (struct quo_hint_lane){.server = server};
}

/* Whatever is under way is forgotten: an answer that still comes is of no use. */
static void stop(struct quo_server *server, struct quo_hint_lane *lane)
{
    lane->stopped = true;
    memset(lane->sent, 0, sizeof lane->sent);
    lane->sent_count = 0;
    lane->lost = lane->reading;
    if (!lane->reading)
        finish(server, lane);
}

static void remove_hint(struct quo_server *server, struct quo_hint_lane *lane, struct quo_slice key,
                        size_t bytes)
{
    /* Without memory it is delivered once more. */
    if (!quo_hints_remove(server, lane->target, key, bytes))
        lane->kept = true;
}

static struct quo_slice user_key_of(struct quo_slice key)
{
    return quo_slice(key.data + QUO_STORAGE_KEY_PREFIX, key.len - QUO_STORAGE_KEY_PREFIX);
}

/* Returns the id of the STORE; 0 if it cannot be sent. */
static uint64_t send_store(struct quo_server *server, const struct quo_hint_lane *lane,
                           const struct quo_hint_key *hint, const struct quo_namespace *ns,
                           struct quo_slice record)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    uint16_t partition = quo_get_u16(hint->key.data);
    const struct quo_entry *mine = &server->partitions[partition].entry;
    uint64_t peer = (uint64_t)(lane->target - server->hints->handoff.targets);
    quo_entry_encode(mine, entry);
    struct quo_msg_store message = {
        .partition = partition,
        .ns = quo_get_u32(hint->key.data + 2),
        .kind = (uint8_t)ns->kind,
        .entry = quo_slice(entry, quo_entry_size(mine)),
        /* The writer's own message, late. It may be on no replica yet, so it is no copy: a gate
         * above it refuses it. */
        .flags = QUO_STORE_SYNC,
        .key = user_key_of(hint->key),
        .record = record,
    };
    size_t len = quo_msg_store_size(&message);
    uint8_t *body;
    if (server->mesh->ops->reserve(server->mesh, peer, len, &body) != QUO_OK)
        return 0;
    quo_msg_store_encode(&message, body);
    if (QUO_MUTANT(HINT_RETAGGED))
        quo_record_set_version(body + len - record.len,
                               (struct quo_version){quo_wall_ms(server->env) << 16, 1});
    uint64_t id = quo_mesh_id(server, QUO_MESH_HINTS);
    server->mesh->ops->seal(server->mesh, peer, QUO_MESSAGE_STORE, id);
    quo_handoff_spend(&server->hints->handoff, QUO_FRAME_HEADER + len + QUO_HINT_OVERHEAD);
    return id;
}

static void note_sent(struct quo_server *server, struct quo_hint_lane *lane, uint64_t id,
                      const struct quo_range_entry *entry)
{
    struct quo_hint_sent *sent = lane->sent;
    while (sent->id != 0)
        sent++;
    *sent = (struct quo_hint_sent){
        .id = id, .key = entry->key, .bytes = entry->key.len + entry->value_len};
    lane->sent_count++;
    lane->expires_us = quo_mono_us(server->env) + QUO_HINT_TIMEOUT_MS * MS;
    if (QUO_MUTANT(HINT_DROPPED_EARLY))
        remove_hint(server, lane, entry->key, sent->bytes);
}

static void drop(struct quo_server *server, struct quo_hint_lane *lane,
                 const struct quo_range_entry *entry, uint64_t *counter)
{
    ++*counter;
    remove_hint(server, lane, entry->key, entry->key.len + entry->value_len);
}

/* What becomes of a hint. Returns false when the batch must stop before it. */
static bool go_through(struct quo_server *server, struct quo_hint_lane *lane,
                       const struct quo_range_entry *entry)
{
    struct quo_hint_key hint;
    if (quo_hint_key_decode(entry->key, &hint) != QUO_OK)
        return true;
    uint16_t number = quo_get_u16(hint.key.data);
    const struct quo_partition *partition =
        number < server->partition_count ? &server->partitions[number] : NULL;
    const struct quo_namespace *ns = quo_request_namespace(server, quo_get_u32(hint.key.data + 2));
    if (quo_handoff_is_expired(hint.version, quo_wall_ms(server->env))) {
        drop(server, lane, entry, &lane->target->expired);
    } else if (partition == NULL || ns == NULL ||
               !quo_entry_has(&partition->entry, lane->target->replica)) {
        drop(server, lane, entry, &lane->target->useless);
    } else if (!lane->target->up) {
        return false;
    } else if (partition->adopting != NULL) {
        lane->kept = true;
    } else {
        uint64_t id = send_store(server, lane, &hint, ns, entry->value);
        if (id == 0)
            return false;
        note_sent(server, lane, id, entry);
    }
    lane->upto = hint.version;
    return true;
}

/* Whether hints may be sent now: the rate allows it, and writes do not queue up. */
static bool may_work(struct quo_server *server)
{
    struct quo_hints *hints = server->hints;
    uint64_t now_us = quo_mono_us(server->env);
    if (now_us < hints->rest_us)
        return false;
    if (!quo_handoff_may_send(&hints->handoff, now_us)) {
        hints->rest_us = quo_handoff_rested_us(&hints->handoff);
        return false;
    }
    /* On a full disk the deletions try whether there is room again, as writes do. */
    bool full = server->full && now_us < server->probe_at_us;
    if (full || server->memory > server->memory_max / 8) {
        hints->rest_us = now_us + REST_US;
        return false;
    }
    return true;
}

static void go_on(struct quo_server *server, struct quo_hint_lane *lane)
{
    struct quo_range_entry entry;
    size_t at = lane->at;
    while (lane->sent_count < QUO_HINT_WINDOW && may_work(server) &&
           quo_range_next(&lane->range, &at, &entry)) {
        if (!go_through(server, lane, &entry)) {
            lane->stopped = true;
            lane->at = lane->range.len;
            break;
        }
        lane->at = at;
    }
    if (lane->sent_count == 0 && lane->at == lane->range.len)
        finish(server, lane);
}

/* Batches */

static void read_batch(struct quo_load *load)
{
    struct quo_hint_lane *lane = load->context;
    struct quo_server *server = lane->server;
    struct quo_range_entry first;
    size_t at = 0;
    struct quo_hint_key hint;
    lane->reading = false;
    if (lane->lost || load->status != QUO_OK) {
        lane->stopped = true;
        finish(server, lane);
        return;
    }
    bool found = quo_range_next(&lane->range, &at, &first);
    if (lane->whole && found && quo_hint_key_decode(first.key, &hint) == QUO_OK)
        quo_handoff_oldest(lane->target, hint.version);
    if (lane->whole && !found && lane->target->kept == lane->kept_before)
        quo_handoff_none(lane->target);
    go_on(server, lane);
}

static void start(struct quo_server *server, struct quo_hint_lane *lane,
                  struct quo_handoff_target *target)
{
    static const struct quo_version last = {UINT64_MAX, UINT64_MAX - 1};
    *lane = (struct quo_hint_lane){
        .server = server,
        .target = target,
        .reading = true,
        /* Nothing of it may be on its way to disk, if the counts are to follow it. */
        .whole = quo_version_is_none(target->cursor) && server->hints->arriving == 0,
        .kept_before = target->kept,
        .upto = target->cursor,
    };
    quo_hint_key_after(target->replica, target->cursor, lane->lo);
    quo_hint_key_after(target->replica, last, lane->hi);
    lane->range = (struct quo_range){
        .load = {.family = QUO_FAMILY_HINTS, .done = read_batch, .context = lane},
        .lo = quo_slice(lane->lo, sizeof lane->lo),
        .hi = quo_slice(lane->hi, sizeof lane->hi),
        .count_max = QUO_HINT_BATCH_MAX,
        .bytes_max = QUO_HINT_BATCH_BYTES,
        .value_max = QUO_RECORD_MAX,
    };
    server->store->ops->range(server->store, &lane->range);
}

/* Answers */

static void take_answer(struct quo_server *server, struct quo_hint_lane *lane,
                        struct quo_hint_sent *sent, enum quo_status status)
{
    struct quo_handoff *handoff = &server->hints->handoff;
    struct quo_hint_sent answered = *sent;
    *sent = (struct quo_hint_sent){.id = 0};
    lane->sent_count--;
    switch (quo_hint_fate(status)) {
    case QUO_HINT_DELIVERED:
        quo_handoff_count_delivered(handoff, lane->target, quo_mono_us(server->env));
        remove_hint(server, lane, answered.key, answered.bytes);
        break;
    case QUO_HINT_USELESS:
        lane->target->useless++;
        remove_hint(server, lane, answered.key, answered.bytes);
        break;
    case QUO_HINT_KEPT:
        lane->kept = true;
        break;
    case QUO_HINT_STOPPED:
        lane->stopped = true;
        lane->at = lane->range.len;
        break;
    }
}

/* The target knows a newer entry. */
static void learn(struct quo_server *server, struct quo_slice key, struct quo_slice entry)
{
    struct quo_hint_key hint;
    struct quo_entry newer;
    if (quo_hint_key_decode(key, &hint) != QUO_OK || quo_entry_decode(entry, &newer) != QUO_OK)
        return;
    uint16_t partition = quo_get_u16(hint.key.data);
    const struct quo_entry *mine = &server->partitions[partition].entry;
    struct quo_fence_verdict fence = quo_replica_fence(mine, &newer, server->replica);
    if (fence.adopt)
        quo_epochs_adopt(server, partition, &newer);
}

static struct quo_hint_lane *find(struct quo_server *server, uint64_t id,
                                  struct quo_hint_sent **ret_sent)
{
    for (size_t i = 0; i < QUO_HINT_LANES; i++) {
        struct quo_hint_lane *lane = &server->hints->lanes[i];
        for (size_t at = 0; at < QUO_HINT_WINDOW; at++) {
            if (lane->sent[at].id != id)
                continue;
            *ret_sent = &lane->sent[at];
            return lane;
        }
    }
    return NULL;
}

void quo_hints_on_frame(struct quo_server *server, const struct quo_frame *frame)
{
    struct quo_hint_sent *sent;
    struct quo_hint_lane *lane = find(server, frame->id, &sent);
    struct quo_msg_reply reply;
    if (lane == NULL || frame->type != QUO_MESSAGE_REPLY ||
        quo_msg_reply_decode(frame->body, &reply) != QUO_OK)
        return;
    if (reply.status == QUO_WRONG_EPOCH)
        learn(server, sent->key, reply.entry);
    take_answer(server, lane, sent, (enum quo_status)reply.status);
    go_on(server, lane);
}

void quo_hints_on_up(struct quo_server *server, uint32_t peer)
{
    quo_handoff_up(&server->hints->handoff.targets[peer], quo_mono_us(server->env));
}

void quo_hints_on_down(struct quo_server *server, uint32_t peer)
{
    struct quo_handoff_target *target = &server->hints->handoff.targets[peer];
    quo_handoff_down(target);
    for (size_t i = 0; i < QUO_HINT_LANES; i++)
        if (server->hints->lanes[i].target == target)
            stop(server, &server->hints->lanes[i]);
}

/* Time */

static bool is_resting(const struct quo_server *server)
{
    return server->draining || server->failed || !server->serving || !server->hints->counted;
}

static void start_what_is_due(struct quo_server *server)
{
    struct quo_hints *hints = server->hints;
    for (size_t i = 0; i < QUO_HINT_LANES; i++) {
        if (hints->lanes[i].target != NULL)
            continue;
        struct quo_handoff_target *target =
            may_work(server) ? quo_handoff_next(&hints->handoff, quo_mono_us(server->env),
                                                quo_wall_ms(server->env))
                             : NULL;
        if (target == NULL)
            return;
        start(server, &hints->lanes[i], target);
    }
}

void quo_hints_deliver(struct quo_server *server)
{
    uint64_t now_us = quo_mono_us(server->env);
    for (size_t i = 0; i < QUO_HINT_LANES; i++) {
        struct quo_hint_lane *lane = &server->hints->lanes[i];
        if (lane->target == NULL || lane->lost)
            continue;
        if (is_resting(server) || (lane->sent_count > 0 && now_us >= lane->expires_us))
            stop(server, lane);
        else if (!lane->reading)
            go_on(server, lane);
    }
    if (!is_resting(server))
        start_what_is_due(server);
}

uint64_t quo_hints_delivery_deadline(const struct quo_server *server)
{
    const struct quo_hints *hints = server->hints;
    uint64_t deadline = UINT64_MAX;
    bool has_free = false;
    for (size_t i = 0; i < QUO_HINT_LANES; i++) {
        const struct quo_hint_lane *lane = &hints->lanes[i];
        has_free = has_free || lane->target == NULL;
        if (lane->target == NULL || lane->reading)
            continue;
        if (lane->sent_count > 0)
            deadline = QUO_MIN(deadline, lane->expires_us);
        if (lane->sent_count < QUO_HINT_WINDOW && lane->at < lane->range.len)
            deadline = QUO_MIN(deadline, hints->rest_us);
    }
    if (!has_free)
        return deadline;
    uint64_t due_us =
        quo_handoff_deadline(&hints->handoff, quo_mono_us(server->env), quo_wall_ms(server->env));
    return QUO_MIN(deadline, due_us == UINT64_MAX ? due_us : QUO_MAX(due_us, hints->rest_us));
}
