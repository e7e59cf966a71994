#include <xxhash.h>

#include "sim.h"

/* A violation that clients may not be able to see (yet). */
__attribute__((format(printf, 3, 4))) static void accuse(struct sim *sim, uint32_t key,
                                                         const char *format, ...)
{
    if (sim->clients_only)
        return;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_violate(sim, SIM_CONSISTENCY, key, "%s", text);
}

/* ---- one value per (key, version) ---- */

static struct sim_known_version *know_version(struct sim *sim, uint32_t key,
                                              struct quo_version version, struct quo_slice record)
{
    uint64_t hash = XXH3_64bits(record.data, record.len);
    uint32_t at = (uint32_t)((version.hlc * 0x9e3779b97f4a7c15u) >> 40) ^ (uint32_t)version.node;
    for (at %= SIM_VERSIONS_MAX;; at = (at + 1) % SIM_VERSIONS_MAX) {
        struct sim_known_version *known = &sim->versions[at];
        if (known->life != sim->life) {
            *known = (struct sim_known_version){
                .life = sim->life, .key = key, .version = version, .bytes_hash = hash};
            sim->version_count++;
            QUO_REQUIRE(sim->version_count < SIM_VERSIONS_MAX);
            return known;
        }
        if (known->key == key && quo_version_equal(known->version, version)) {
            if (known->bytes_hash != hash)
                accuse(sim, key, "one version of a key names two records");
            return known;
        }
    }
}

/* NULL for what is not a record of one of our keys. */
static struct sim_known_version *know_record(struct sim *sim, uint32_t key, struct quo_slice bytes)
{
    struct quo_version version;
    uint8_t flags;
    if (key == SIM_KEYS_MAX || bytes.len == 0 || quo_record_peek(bytes, &version, &flags) != QUO_OK)
        return NULL;
    return know_version(sim, key, version, bytes);
}

/* ---- a put has one version, unless nobody took the first ---- */

static struct sim_op *writer_of(struct sim *sim, struct quo_slice bytes)
{
    struct quo_record record;
    if (quo_record_decode(bytes, &record) != QUO_OK || (record.flags & QUO_RECORD_TOMBSTONE) != 0)
        return NULL;
    uint32_t value = sim_value_of(sim, record.value);
    return value == 0 ? NULL : &sim->ops[value - 1];
}

static void judge_tag(struct sim *sim, uint32_t key, const struct sim_known_version *known,
                      struct quo_slice record)
{
    struct sim_op *op = writer_of(sim, record);
    if (op == NULL || quo_version_equal(op->tag, known->version))
        return;
    /* The known version's record has the same bytes but for the version: find the old one's entry.
     */
    for (uint32_t i = 0; i < SIM_VERSIONS_MAX && !quo_version_is_none(op->tag); i++) {
        const struct sim_known_version *old = &sim->versions[i];
        if (old->life == sim->life && old->key == key && quo_version_equal(old->version, op->tag) &&
            old->accepted)
            accuse(sim, key, "operation %llu was tagged anew although a node had taken it",
                   (unsigned long long)op->seen.id);
    }
    op->tag = known->version;
}

void sim_oracle_sent(const struct sim_frame *frame)
{
    struct sim *sim = sim_world;
    struct quo_msg_store store;
    if (frame->type != QUO_MESSAGE_STORE)
        return;
    enum quo_status status = quo_msg_store_decode(quo_slice(frame->body, frame->len), &store);
    QUO_REQUIRE(status == QUO_OK);
    uint32_t key = sim_key_index(store.ns, store.key);
    const struct sim_known_version *known = know_record(sim, key, store.record);
    if (known != NULL && (store.flags & QUO_STORE_WRITEBACK) == 0)
        judge_tag(sim, key, known, store.record);
}

/* A node put the record in the place of what it had. */
static void note_accepted(struct sim *sim, uint32_t key, struct sim_known_version *known,
                          struct quo_slice record)
{
    const struct sim_op *op = writer_of(sim, record);
    known->accepted = true;
    if (op != NULL && !quo_version_equal(op->tag, known->version))
        accuse(sim, key, "a version that operation %llu had given up was taken",
               (unsigned long long)op->seen.id);
}

/* ---- what a node may answer ---- */

static struct sim_request request_of(struct sim_process *node, uint64_t conn,
                                     const struct sim_frame *frame)
{
    struct sim_request request = {.conn = conn,
                                  .id = frame->id,
                                  .type = frame->type,
                                  .key = SIM_KEYS_MAX,
                                  .wall_ms = sim_process_wall_ms(node)};
    struct quo_slice body = quo_slice(frame->body, frame->len);
    struct quo_msg_query query;
    struct quo_msg_store store;
    uint8_t flags;
    if (frame->type == QUO_MESSAGE_QUERY && quo_msg_query_decode(body, &query) == QUO_OK) {
        request.key = sim_key_index(query.ns, query.key);
        request.partition = query.partition;
        request.epoch = quo_get_u32(query.entry.data);
    } else if (frame->type == QUO_MESSAGE_STORE && quo_msg_store_decode(body, &store) == QUO_OK) {
        request.key = sim_key_index(store.ns, store.key);
        request.partition = store.partition;
        request.epoch = quo_get_u32(store.entry.data);
        request.flags = store.flags;
        (void)quo_record_peek(store.record, &request.version, &flags);
    }
    return request;
}

void sim_oracle_request(struct sim_process *node, uint64_t conn, const struct sim_frame *frame)
{
    struct sim *sim = sim_world;
    if (frame->type != QUO_MESSAGE_QUERY && frame->type != QUO_MESSAGE_STORE)
        return;
    uint32_t n = sim->request_count[node->number];
    /* Requests whose answers were refused by a full outbox stay; the oldest makes room. */
    if (n == SIM_REQUESTS_MAX) {
        memmove(sim->requests[node->number], sim->requests[node->number] + 1,
                (n - 1) * sizeof sim->requests[0][0]);
        n--;
    }
    sim->requests[node->number][n] = request_of(node, conn, frame);
    sim->request_count[node->number] = n + 1;
}

void sim_oracle_forget(struct sim *sim, uint32_t node)
{
    sim->request_count[node] = 0;
}

static bool take_request(struct sim *sim, uint32_t node, uint64_t conn, uint64_t id,
                         struct sim_request *ret)
{
    struct sim_request *list = sim->requests[node];
    uint32_t count = sim->request_count[node];
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].conn != conn || list[i].id != id)
            continue;
        *ret = list[i];
        memmove(&list[i], &list[i + 1], (count - i - 1) * sizeof *list);
        sim->request_count[node]--;
        return true;
    }
    return false;
}

static void judge_epoch(struct sim_process *node, const struct sim_request *request)
{
    struct sim *sim = sim_world;
    uint32_t *served = &sim->served_epoch[node->number][request->partition % SIM_PARTITIONS_MAX];
    if (request->epoch < *served)
        accuse(sim, request->key, "%s served epoch %u of a partition after it had served epoch %u",
               sim_process_name(node), request->epoch, *served);
    *served = QUO_MAX(*served, request->epoch);
}

static void judge_store(struct sim_process *node, const struct sim_request *request,
                        const struct quo_msg_reply *reply, struct quo_version durable)
{
    struct sim *sim = sim_world;
    const char *name = sim_process_name(node);
    bool ours = quo_version_compare(request->version, durable) <= 0;
    if ((request->flags & QUO_STORE_SYNC) != 0 && !ours)
        accuse(sim, request->key, "%s answered a synced STORE that is not on its disk", name);
    if (request->key == SIM_KEY_FORBIDDEN)
        accuse(sim, request->key, "%s took a blind write in a namespace that allows none", name);
    uint64_t ms = quo_version_ms(request->version);
    uint64_t now = QUO_MAX(request->wall_ms, sim_process_wall_ms(node));
    if (reply->status == QUO_OK && ms > now + QUO_SKEW_MAX_MS)
        accuse(sim, request->key, "%s took a version from the future", name);
}

static void judge_claim(struct sim_process *node, const struct sim_request *request,
                        const struct quo_msg_reply *reply, struct quo_version durable)
{
    struct sim *sim = sim_world;
    uint32_t n = node->number, key = request->key;
    bool sworn = (reply->flags & QUO_REPLY_DURABLE) != 0;
    if (sworn && quo_version_compare(reply->version, durable) > 0)
        accuse(sim, key, "%s says that a version is on disk and it is not", sim_process_name(node));
    sim->claimed[n][key] = quo_version_max(sim->claimed[n][key], reply->version);
    if (!sworn)
        return;
    /* A STORE may be answered late, with what was held when it was judged: only queries are new. */
    if (request->type == QUO_MESSAGE_QUERY && quo_version_compare(durable, sim->sworn[n][key]) < 0)
        accuse(sim, key, "%s has lost a version it had on disk", sim_process_name(node));
    sim->sworn[n][key] = quo_version_max(sim->sworn[n][key], reply->version);
}

void sim_oracle_reply(struct sim_process *node, uint64_t conn, const struct sim_frame *frame)
{
    struct sim *sim = sim_world;
    struct quo_msg_reply reply;
    struct sim_request request;
    if (frame->type != QUO_MESSAGE_REPLY)
        return;
    enum quo_status status = quo_msg_reply_decode(quo_slice(frame->body, frame->len), &reply);
    QUO_REQUIRE(status == QUO_OK);
    if (!take_request(sim, node->number, conn, frame->id, &request)) {
        accuse(sim, SIM_KEYS_MAX, "%s answered what nobody asked", sim_process_name(node));
        return;
    }
    sim_note(sim, "%s answers %s #%llu: %s, version %llx.%llx%s", sim_process_name(node),
             request.type == QUO_MESSAGE_QUERY ? "QUERY" : "STORE", (unsigned long long)frame->id,
             quo_status_text((enum quo_status)reply.status), (unsigned long long)reply.version.hlc,
             (unsigned long long)reply.version.node,
             (reply.flags & QUO_REPLY_DURABLE) != 0 ? " on disk" : "");
    if ((reply.status != QUO_OK && reply.status != QUO_SUPERSEDED) || request.key == SIM_KEYS_MAX)
        return;
    judge_epoch(node, &request);
    struct quo_version durable = sim_disk_version(node->disk, request.key);
    if (request.type == QUO_MESSAGE_STORE)
        judge_store(node, &request, &reply, durable);
    judge_claim(node, &request, &reply, durable);
    if ((reply.flags & QUO_REPLY_VALUE) != 0)
        know_record(sim, request.key, reply.record);
}

/* ---- what a disk may hold ---- */

void sim_oracle_applied(struct sim_disk *disk, const struct sim_cell *cell,
                        const struct sim_blob *before, const struct sim_blob *after)
{
    struct sim *sim = sim_world;
    if (cell->family != QUO_FAMILY_DATA)
        return;
    uint32_t key = sim_key_of_data(quo_slice(cell->key->bytes, cell->key->len));
    const char *name = sim_process_name(sim_node(sim, disk->node));
    struct quo_record old, new;
    if (after == NULL || key == SIM_KEYS_MAX ||
        quo_record_decode(quo_slice(after->bytes, after->len), &new) != QUO_OK) {
        accuse(sim, key, "%s wrote what is not a record", name);
        return;
    }
    struct quo_slice bytes = quo_slice(after->bytes, after->len);
    note_accepted(sim, key, know_version(sim, key, new.version, bytes), bytes);
    if (before != NULL &&
        quo_record_decode(quo_slice(before->bytes, before->len), &old) == QUO_OK &&
        quo_version_compare(new.version, old.version) < 0)
        accuse(sim, key, "%s put an older record over a newer one", name);
    if ((new.flags &QUO_RECORD_TOMBSTONE) != 0)
        return;
    uint32_t value = sim_value_of(sim, new.value);
    if (value == 0)
        accuse(sim, key, "%s holds a value that nobody wrote", name);
    else if (sim->ops[value - 1].seen.outcome == QUO_HISTORY_NOT_APPLIED)
        accuse(sim, key, "%s took the value of operation %u, which was said not to be applied",
               name, value);
}

/* ---- what an answer may claim ---- */

struct claim {
    struct sim *sim;
    struct sim_op *op;
    const struct quo_response *response;
    struct quo_entry entry; /* of the receipt's epoch */
};

static bool entry_of(struct sim *sim, uint32_t partition, uint32_t epoch, struct quo_entry *ret)
{
    for (uint32_t i = 0; i < sim->map_count; i++) {
        if (sim->maps[i]->entries[partition].epoch == epoch) {
            *ret = sim->maps[i]->entries[partition];
            return true;
        }
    }
    return false;
}

static uint8_t limit_n(const struct claim *c, uint8_t n)
{
    return QUO_MIN(n, c->sim->swarm.n);
}

static bool at_least(const struct claim *c, uint64_t replica, bool durable)
{
    struct sim *sim = c->sim;
    uint32_t key = c->op->seen.key;
    int node = quo_map_node(sim->maps[0], replica);
    if (node < 0)
        return false;
    if (sim->disks[node].wiped)
        return true; /* it may have been there */
    struct quo_version held =
        durable ? sim_disk_version(&sim->disks[node], key) : sim->claimed[node][key];
    return quo_version_compare(held, c->response->receipt.version) >= 0;
}

static uint32_t holders(const struct claim *c, const uint64_t *replicas, uint8_t n, bool durable)
{
    uint32_t count = 0;
    for (uint8_t i = 0; i < limit_n(c, n); i++)
        count += at_least(c, replicas[i], durable);
    return count;
}

/* Whether `need` of the old replicas, and of the new ones if the partition moves, hold the version.
 */
static bool on_quorum(const struct claim *c, uint32_t need)
{
    if (holders(c, c->entry.replicas, c->entry.n, true) < need)
        return false;
    return c->entry.state != QUO_ENTRY_JOINT ||
           holders(c, c->entry.next, c->entry.n_next, true) >= need;
}

__attribute__((format(printf, 2, 3))) static void overclaims(const struct claim *c,
                                                             const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    accuse(c->sim, c->op->seen.key, "the receipt of operation %llu: %s",
           (unsigned long long)c->op->seen.id, text);
}

static void judge_answered(const struct claim *c)
{
    const struct quo_receipt *r = &c->response->receipt;
    for (uint8_t i = 0; i < r->replies && i < QUO_REPLICAS_MAX; i++) {
        int node = quo_map_node(c->sim->maps[0], r->answered[i]);
        if (node < 0 || !quo_entry_has(&c->entry, r->answered[i]))
            overclaims(c, "a reply from what is no replica");
        else if (c->sim->replied_at[c->op->proxy][node] < c->op->seen.call)
            overclaims(c, "a reply from %s, which sent none",
                       sim_process_name(sim_node(c->sim, (uint32_t)node)));
        for (uint8_t j = 0; j < i; j++)
            if (r->answered[i] == r->answered[j])
                overclaims(c, "one replica counted twice");
    }
}

static void judge_acks(const struct claim *c)
{
    const struct quo_receipt *r = &c->response->receipt;
    if (quo_version_is_none(r->version))
        return;
    uint32_t any = 0, disk = 0;
    for (uint32_t n = 0; n < c->sim->swarm.nodes; n++) {
        uint64_t replica = c->sim->maps[0]->nodes[n].replica;
        any += quo_entry_has(&c->entry, replica) && at_least(c, replica, false);
        disk += quo_entry_has(&c->entry, replica) && at_least(c, replica, true);
    }
    if (r->disk > r->acks)
        overclaims(c, "%u acks on disk of %u", r->disk, r->acks);
    if (r->acks > any)
        overclaims(c, "%u acks, but %u replicas ever claimed the version", r->acks, any);
    if (r->disk > disk)
        overclaims(c, "%u acks on disk, but %u disks hold the version", r->disk, disk);
    if (r->stable && !on_quorum(c, c->sim->swarm.ws))
        overclaims(c, "stable, but the version is on no write quorum");
}

static void judge_success(const struct claim *c)
{
    const struct quo_receipt *r = &c->response->receipt;
    const struct quo_consistency *asked = &c->op->consistency;
    if (r->level != asked->level)
        overclaims(c, "level %s where %s was asked", quo_level_name(r->level),
                   quo_level_name(asked->level));
    if (c->response->verdict == QUO_VERDICT_WRITTEN) {
        if (r->acks < asked->w || r->disk < asked->dw)
            overclaims(c, "%u acks and %u on disk where w=%u and dw=%u were asked", r->acks,
                       r->disk, asked->w, asked->dw);
        if (asked->strong && !on_quorum(c, QUO_MAX(asked->w, c->sim->swarm.ws)))
            overclaims(c, "a strong write that is on too few disks");
        if (c->response->outcome != QUO_APPLIED)
            overclaims(c, "written, but not applied");
        return;
    }
    if (r->replies < asked->r)
        overclaims(c, "%u replies where r=%u was asked", r->replies, asked->r);
    if (asked->strong && !quo_version_is_none(r->version) && !on_quorum(c, c->sim->swarm.ws))
        overclaims(c, "a strong read of a version that is on too few disks");
}

/* What is on a write quorum is seen by every read that begins later, and what begins later below it
 * is lost at once: no strong read may return it. */
static void judge_freshness(const struct claim *c)
{
    const struct sim_op *op = c->op;
    struct quo_version version = c->response->receipt.version;
    if (op->consistency.level == QUO_LEVEL_EVENTUAL || quo_version_is_none(version))
        return;
    if (quo_version_compare(version, op->settled) < 0)
        overclaims(c, "a read of less than was settled when it was called");
    const struct sim_op *put = &c->sim->ops[op->seen.value - 1];
    if (op->consistency.strong && quo_version_compare(version, put->settled) < 0)
        overclaims(c, "a strong read of operation %llu, which was lost before it began",
                   (unsigned long long)put->seen.id);
}

static uint32_t value_seen(const struct claim *c)
{
    const struct quo_record *record = &c->response->record;
    uint32_t value = sim_value_of(c->sim, record->value);
    if (value == 0)
        overclaims(c, "a value that nobody wrote");
    else if (c->sim->ops[value - 1].seen.key != c->op->seen.key)
        overclaims(c, "a value of another key");
    if (!quo_version_equal(record->version, c->response->receipt.version))
        overclaims(c, "another version than the record's");
    return value;
}

static enum quo_history_outcome outcome_seen(const struct claim *c)
{
    enum quo_effectuality outcome = c->response->outcome;
    if (!quo_history_is_write(&c->op->seen))
        return QUO_HISTORY_UNKNOWN;
    return outcome == QUO_APPLIED       ? QUO_HISTORY_OK
           : outcome == QUO_NOT_APPLIED ? QUO_HISTORY_NOT_APPLIED
                                        : QUO_HISTORY_UNKNOWN;
}

static void note_answer(const struct claim *c)
{
    static const char *const verdicts[] = {"?",           "found",   "absent", "written",
                                           "unavailable", "timeout", "refused"};
    const struct quo_receipt *r = &c->response->receipt;
    sim_note(c->sim,
             "operation %llu ends: %s (outcome %d, %s), version %llx.%llx, %u replies %u acks "
             "%u disk, %u round trips, epoch %u",
             (unsigned long long)c->op->seen.id, verdicts[c->response->verdict],
             c->response->outcome, quo_status_text(c->response->refusal),
             (unsigned long long)r->version.hlc, (unsigned long long)r->version.node, r->replies,
             r->acks, r->disk, r->round_trips, r->epoch);
}

/* An answer is due by the deadline, give or take the timer's slack and what the proxy slept. */
static void judge_punctuality(const struct claim *c)
{
    struct sim *sim = c->sim;
    const struct sim_process *proxy = sim_proxy(sim, c->op->proxy);
    uint64_t slack = 5 * SIM_MS + 2 * (uint64_t)sim->swarm.timer_slop_us;
    if (sim->now > c->op->limit + slack && proxy->thawed_at + slack < sim->now)
        sim_violate(sim, SIM_LIVENESS, c->op->seen.key, "operation %llu was answered %llu us late",
                    (unsigned long long)c->op->seen.id,
                    (unsigned long long)(sim->now - c->op->limit));
}

void sim_oracle_answer(struct sim *sim, struct sim_op *op, const struct quo_response *response)
{
    struct claim c = {.sim = sim, .op = op, .response = response};
    const struct quo_receipt *r = &response->receipt;
    note_answer(&c);
    judge_punctuality(&c);
    if (!entry_of(sim, sim_key_partition(sim, op->seen.key), r->epoch, &c.entry)) {
        overclaims(&c, "an epoch that was never published");
        return;
    }
    judge_answered(&c);
    judge_acks(&c);
    op->seen.version = r->version;
    switch (response->verdict) {
    case QUO_VERDICT_FOUND:
        op->seen.value = value_seen(&c);
        op->seen.outcome = QUO_HISTORY_OK;
        judge_success(&c);
        if (op->seen.value != 0)
            judge_freshness(&c);
        break;
    case QUO_VERDICT_ABSENT:
    case QUO_VERDICT_WRITTEN:
        op->seen.outcome = QUO_HISTORY_OK;
        judge_success(&c);
        break;
    default:
        op->seen.outcome = outcome_seen(&c);
        if (response->verdict == QUO_VERDICT_UNAVAILABLE &&
            op->seen.outcome != QUO_HISTORY_NOT_APPLIED && quo_history_is_write(&op->seen))
            overclaims(&c, "nothing was attempted, and yet the outcome is open");
        break;
    }
}

/* The newest version that a write quorum has on disk. While replicas change there are two quorums,
 * and the answer is not given. */
void sim_oracle_called(struct sim *sim, struct sim_op *op)
{
    const struct quo_entry *entry = &sim->maps[0]->entries[sim_key_partition(sim, op->seen.key)];
    struct quo_version held[QUO_REPLICAS_MAX];
    uint8_t n = QUO_MIN(entry->n, sim->swarm.n);
    op->settled = QUO_VERSION_NONE;
    if (sim->swarm.move)
        return;
    for (uint8_t i = 0; i < n; i++) {
        int node = quo_map_node(sim->maps[0], entry->replicas[i]);
        struct quo_version version = sim_disk_settled(&sim->disks[node], op->seen.key);
        uint8_t at = i;
        for (; at > 0 && quo_version_compare(held[at - 1], version) < 0; at--)
            held[at] = held[at - 1];
        held[at] = version;
    }
    op->settled = held[sim->swarm.ws - 1];
}
