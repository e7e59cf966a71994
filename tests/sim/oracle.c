#include <xxhash.h>

#include "sim.h"
#include "storage-node/server/mesh.h"

/* Of the keys of hints: be64 target | version | storage key. */
#define HINT_KEY_VERSION (8u + QUO_VERSION_SIZE)
#define HINT_KEY_PREFIX (HINT_KEY_VERSION + 6u)

void sim_accuse(struct sim *sim, uint32_t key, const char *format, ...)
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

static const char *type_name(uint8_t type)
{
    switch (type) {
    case QUO_MESSAGE_QUERY:
        return "QUERY";
    case QUO_MESSAGE_STORE:
        return "STORE";
    case QUO_MESSAGE_PREP:
        return "PREP";
    case QUO_MESSAGE_ACC:
        return "ACC";
    case QUO_MESSAGE_HINT: /* of no key's replica */
        return "HINT";
    case QUO_MESSAGE_FLOOR: /* of no key at all */
        return "FLOOR";
    default:
        return NULL;
    }
}

/* ---- one value per (key, version) ---- */

struct sim_known_version *sim_oracle_know(struct sim *sim, uint32_t key, struct quo_version version)
{
    uint32_t at = (uint32_t)((version.hlc * 0x9e3779b97f4a7c15u) >> 40) ^ (uint32_t)version.node;
    for (at %= SIM_VERSIONS_MAX;; at = (at + 1) % SIM_VERSIONS_MAX) {
        struct sim_known_version *known = &sim->versions[at];
        if (known->life != sim->life) {
            *known = (struct sim_known_version){
                .life = sim->life, .key = (uint8_t)key, .version = version};
            sim->version_count++;
            QUO_REQUIRE(sim->version_count < SIM_VERSIONS_MAX);
            return known;
        }
        if (known->key == key && quo_version_equal(known->version, version))
            return known;
    }
}

static struct sim_known_version *know_version(struct sim *sim, uint32_t key,
                                              struct quo_version version, struct quo_slice record)
{
    struct sim_known_version *known = sim_oracle_know(sim, key, version);
    uint64_t hash = XXH3_64bits(record.data, record.len) | 1;
    if (known->bytes_hash != 0 && known->bytes_hash != hash)
        sim_accuse(sim, key, "one version of a key names two records");
    known->bytes_hash = hash;
    return known;
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
            (old->accepted || old->hinted))
            sim_accuse(sim, key, "operation %llu was tagged anew although a node had taken it",
                       (unsigned long long)op->seen.id);
    }
    op->tag = known->version;
}

static void judge_store_sent(struct sim *sim, struct quo_slice body)
{
    struct quo_msg_store store;
    enum quo_status status = quo_msg_store_decode(body, &store);
    QUO_REQUIRE(status == QUO_OK);
    uint32_t key = sim_key_index(store.ns, store.key);
    const struct sim_known_version *known = know_record(sim, key, store.record);
    if (known != NULL && (store.flags & QUO_STORE_WRITEBACK) == 0)
        judge_tag(sim, key, known, store.record);
}

static void judge_acc_sent(struct sim *sim, struct quo_slice body)
{
    struct quo_msg_acc acc;
    enum quo_status status = quo_msg_acc_decode(body, &acc);
    QUO_REQUIRE(status == QUO_OK);
    (void)know_record(sim, sim_key_index(acc.ns, acc.key), acc.record);
}

static void judge_hint_sent(struct sim *sim, struct quo_slice body)
{
    struct quo_msg_hint hint;
    enum quo_status status = quo_msg_hint_decode(body, &hint);
    QUO_REQUIRE(status == QUO_OK);
    struct sim_known_version *known =
        know_record(sim, sim_key_index(hint.ns, hint.key), hint.record);
    if (known != NULL)
        known->hinted = true;
}

void sim_oracle_sent(const struct sim_process *proxy, const struct sim_frame *frame)
{
    struct sim *sim = sim_world;
    struct quo_slice body = quo_slice(frame->body, frame->len);
    if (frame->type == QUO_MESSAGE_STORE)
        judge_store_sent(sim, body);
    else if (frame->type == QUO_MESSAGE_ACC)
        judge_acc_sent(sim, body);
    else if (frame->type == QUO_MESSAGE_HINT)
        judge_hint_sent(sim, body);
    sim_lineage_sent(proxy, frame);
}

/* Nodes pass on what they hold, as it is. */
static void judge_relayed(const struct sim_process *node, uint32_t key, struct quo_slice record)
{
    struct sim *sim = sim_world;
    const struct sim_known_version *known = know_record(sim, key, record);
    if (known != NULL && !known->accepted && !known->hinted)
        sim_accuse(sim, key, "%s passes on what no node has taken", sim_process_name(node));
}

/* What two nodes mend differed when they looked first, and so one of them had it then. */
static void judge_haste(const struct sim_process *node, uint32_t to, uint64_t id, uint32_t key)
{
    struct sim *sim = sim_world;
    uint32_t pause_ms = sim->swarm.exchange_pause_ms;
    uint64_t ours = sim->first_held[node->number][key], theirs = sim->first_held[to][key];
    uint64_t first = ours != 0 && (theirs == 0 || ours < theirs) ? ours : theirs;
    if (pause_ms == 0)
        pause_ms = QUO_EXCHANGE_PAUSE_MS;
    if (id >> QUO_MESH_PART_SHIFT == QUO_MESH_EXCHANGES && sim->now - first < pause_ms * SIM_MS)
        sim_accuse(sim, key, "%s mends what may still be under way", sim_process_name(node));
}

void sim_oracle_relayed(const struct sim_process *node, uint32_t to, const struct sim_frame *frame)
{
    struct quo_slice body = quo_slice(frame->body, frame->len), record = quo_slice(NULL, 0);
    struct quo_msg_query query;
    struct quo_msg_store store;
    struct quo_msg_acc acc;
    uint32_t key = SIM_KEYS_MAX;
    const char *name = type_name(frame->type);
    sim_note(sim_world, "%s asks node%u #%llx: %s", sim_process_name(node), to,
             (unsigned long long)frame->id, name != NULL ? name : "to compare");
    if (frame->type == QUO_MESSAGE_QUERY && quo_msg_query_decode(body, &query) == QUO_OK) {
        key = sim_key_index(query.ns, query.key);
    } else if (frame->type == QUO_MESSAGE_STORE && quo_msg_store_decode(body, &store) == QUO_OK) {
        key = sim_key_index(store.ns, store.key);
        record = store.record;
    } else if (frame->type == QUO_MESSAGE_ACC && quo_msg_acc_decode(body, &acc) == QUO_OK) {
        key = sim_key_index(acc.ns, acc.key);
        record = acc.record;
    }
    judge_relayed(node, key, record);
    if (key < SIM_KEYS_MAX)
        judge_haste(node, to, frame->id, key);
}

/* A node put the record in the place of what it had. */
static void note_accepted(struct sim *sim, uint32_t key, struct sim_known_version *known,
                          struct quo_slice record)
{
    struct quo_version version;
    uint8_t flags = 0;
    known->accepted = true;
    /* A consensus write may come to be under any of its ballots; lineage.c has an eye on that. */
    if (quo_record_peek(record, &version, &flags) != QUO_OK || (flags & QUO_RECORD_BLIND) == 0)
        return;
    const struct sim_op *op = writer_of(sim, record);
    if (op != NULL && !quo_version_equal(op->tag, known->version))
        sim_accuse(sim, key, "a version that operation %llu had given up was taken",
                   (unsigned long long)op->seen.id);
}

/* ---- what a node may answer ---- */

static void address(struct sim_request *request, uint32_t ns, struct quo_slice key,
                    uint32_t partition, struct quo_slice entry)
{
    request->key = sim_key_index(ns, key);
    request->partition = partition;
    request->epoch = quo_get_u32(entry.data);
}

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
    struct quo_msg_prep prep;
    struct quo_msg_acc acc;
    uint8_t flags;
    if (frame->type == QUO_MESSAGE_QUERY && quo_msg_query_decode(body, &query) == QUO_OK) {
        address(&request, query.ns, query.key, query.partition, query.entry);
    } else if (frame->type == QUO_MESSAGE_STORE && quo_msg_store_decode(body, &store) == QUO_OK) {
        address(&request, store.ns, store.key, store.partition, store.entry);
        request.flags = store.flags;
        (void)quo_record_peek(store.record, &request.version, &flags);
    } else if (frame->type == QUO_MESSAGE_PREP && quo_msg_prep_decode(body, &prep) == QUO_OK) {
        address(&request, prep.ns, prep.key, prep.partition, prep.entry);
        request.version = prep.ballot;
    } else if (frame->type == QUO_MESSAGE_ACC && quo_msg_acc_decode(body, &acc) == QUO_OK) {
        address(&request, acc.ns, acc.key, acc.partition, acc.entry);
        request.next = acc.next;
        (void)quo_record_peek(acc.record, &request.version, &flags);
    }
    return request;
}

void sim_oracle_request(struct sim_process *node, uint64_t conn, const struct sim_frame *frame)
{
    struct sim *sim = sim_world;
    if (type_name(frame->type) == NULL)
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

/* Frames of one id may wait together: a PREP that came twice, and the QUERY for the bytes that its
 * promises left out. A promise shows itself, and what was accepted below it; a QUERY is never too
 * low. */
static bool may_be_answer(const struct sim_request *request, const struct quo_msg_reply *reply)
{
    if (request->type == QUO_MESSAGE_QUERY)
        return reply->status != QUO_NACK;
    return request->type != QUO_MESSAGE_PREP || reply->status != QUO_OK ||
           (quo_version_equal(reply->promised, request->version) &&
            quo_version_compare(reply->version, request->version) < 0);
}

static bool take_request(struct sim *sim, uint32_t node, uint64_t conn, uint64_t id,
                         const struct quo_msg_reply *reply, struct sim_request *ret)
{
    struct sim_request *list = sim->requests[node];
    uint32_t count = sim->request_count[node], found = count;
    for (uint32_t i = count; i-- > 0;) {
        if (list[i].conn == conn && list[i].id == id &&
            (found == count || may_be_answer(&list[i], reply)))
            found = i;
    }
    if (found == count)
        return false;
    *ret = list[found];
    memmove(&list[found], &list[found + 1], (count - found - 1) * sizeof *list);
    sim->request_count[node]--;
    return true;
}

static void judge_epoch(struct sim_process *node, const struct sim_request *request)
{
    struct sim *sim = sim_world;
    uint32_t *served = &sim->served_epoch[node->number][request->partition % SIM_PARTITIONS_MAX];
    if (request->epoch < *served)
        sim_accuse(sim, request->key,
                   "%s served epoch %u of a partition after it had served epoch %u",
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
        sim_accuse(sim, request->key, "%s answered a synced STORE that is not on its disk", name);
    if (request->key == SIM_KEY_FORBIDDEN)
        sim_accuse(sim, request->key, "%s took a blind write in a namespace that allows none",
                   name);
    uint64_t ms = quo_version_ms(request->version);
    uint64_t now = QUO_MAX(request->wall_ms, sim_process_wall_ms(node));
    if (reply->status == QUO_OK && ms > now + QUO_SKEW_MAX_MS)
        sim_accuse(sim, request->key, "%s took a version from the future", name);
}

/* What is promised is on disk, and what is shown with it was accepted below. */
static void judge_prep(struct sim_process *node, const struct sim_request *request,
                       const struct quo_msg_reply *reply, struct quo_version durable)
{
    struct sim *sim = sim_world;
    const char *name = sim_process_name(node);
    if (quo_version_compare(sim->promised[node->number][request->key], request->version) < 0)
        sim_accuse(sim, request->key, "%s made a promise that is not on its disk", name);
    if (quo_version_compare(reply->version, request->version) >= 0)
        sim_accuse(sim, request->key, "%s promised a ballot below what it has accepted", name);
    if (quo_version_compare(reply->version, durable) > 0)
        sim_accuse(sim, request->key, "%s showed with a promise what is not on its disk", name);
}

static void judge_acc(struct sim_process *node, const struct sim_request *request,
                      const struct quo_msg_reply *reply, struct quo_version durable)
{
    struct sim *sim = sim_world;
    const char *name = sim_process_name(node);
    if (quo_version_compare(request->version, durable) > 0)
        sim_accuse(sim, request->key, "%s answered an ACC that is not on its disk", name);
    if ((reply->flags & QUO_REPLY_NEXT) != 0 &&
        quo_version_compare(sim->promised[node->number][request->key], request->next) < 0)
        sim_accuse(sim, request->key, "%s promised a next ballot that is not on its disk", name);
}

static void judge_claim(struct sim_process *node, const struct sim_request *request,
                        const struct quo_msg_reply *reply, struct quo_version durable)
{
    struct sim *sim = sim_world;
    uint32_t n = node->number, key = request->key;
    bool sworn = (reply->flags & QUO_REPLY_DURABLE) != 0;
    if (sworn && quo_version_compare(reply->version, durable) > 0)
        sim_accuse(sim, key, "%s says that a version is on disk and it is not",
                   sim_process_name(node));
    sim->claimed[n][key] = quo_version_max(sim->claimed[n][key], reply->version);
    if (!sworn)
        return;
    /* A STORE may be answered late, with what was held when it was judged: only queries and
     * promises are new. */
    bool new = request->type == QUO_MESSAGE_QUERY || request->type == QUO_MESSAGE_PREP;
    if (new &&quo_version_compare(durable, sim->sworn[n][key]) < 0)
        sim_accuse(sim, key, "%s has lost a version it had on disk", sim_process_name(node));
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
    if (!take_request(sim, node->number, conn, frame->id, &reply, &request)) {
        sim_accuse(sim, SIM_KEYS_MAX, "%s answered what nobody asked", sim_process_name(node));
        return;
    }
    sim_note(sim, "%s answers %s #%llu: %s, version %llx.%llx%s", sim_process_name(node),
             type_name(request.type), (unsigned long long)frame->id,
             quo_status_text((enum quo_status)reply.status), (unsigned long long)reply.version.hlc,
             (unsigned long long)reply.version.node,
             (reply.flags & QUO_REPLY_DURABLE) != 0 ? " on disk" : "");
    if ((reply.status != QUO_OK && reply.status != QUO_SUPERSEDED) || request.key == SIM_KEYS_MAX)
        return;
    judge_epoch(node, &request);
    struct quo_version durable = sim_disk_version(node->disk, request.key);
    if (request.type == QUO_MESSAGE_STORE)
        judge_store(node, &request, &reply, durable);
    else if (request.type == QUO_MESSAGE_PREP)
        judge_prep(node, &request, &reply, durable);
    else if (request.type == QUO_MESSAGE_ACC)
        judge_acc(node, &request, &reply, durable);
    judge_claim(node, &request, &reply, durable);
    if ((reply.flags & QUO_REPLY_VALUE) != 0)
        know_record(sim, request.key, reply.record);
}

/* ---- what a disk may hold ---- */

/* What the record may hold, by whose operations. */
static void judge_value(struct sim *sim, uint32_t key, const char *name,
                        const struct quo_record *record)
{
    int64_t number;
    if ((record->flags & QUO_RECORD_TOMBSTONE) != 0)
        return;
    if (sim_key_model(key) == QUO_HISTORY_COUNTER) {
        if (!sim_number_of(record->value, &number))
            sim_accuse(sim, key, "%s holds a counter that is no number", name);
        return;
    }
    uint32_t value = sim_value_of(sim, record->value);
    if (value == 0) {
        sim_accuse(sim, key, "%s holds a value that nobody wrote", name);
        return;
    }
    /* What was fenced may still be accepted where nobody has heard of it. */
    const struct sim_op *op = &sim->ops[value - 1];
    if (op->seen.outcome == QUO_HISTORY_NOT_APPLIED && !op->is_fenced)
        sim_accuse(sim, key, "%s took the value of operation %u, which was said not to be applied",
                   name, value);
}

/* A delete goes when every replica has it: then no older record comes back. */
static void judge_drop(struct sim *sim, struct sim_disk *disk, uint32_t key,
                       const struct sim_blob *before)
{
    struct quo_record record;
    const char *name = sim_process_name(sim_node(sim, disk->node));
    if (before == NULL)
        return;
    if (quo_record_decode(quo_slice(before->bytes, before->len), &record) != QUO_OK ||
        (record.flags & QUO_RECORD_TOMBSTONE) == 0)
        sim_accuse(sim, key, "%s drops what is no delete", name);
    else if (quo_version_compare(record.version,
                                 sim_disk_sealed(disk, sim_key_partition(sim, key))) > 0)
        sim_accuse(sim, key, "%s drops a delete that is not sealed", name);
    else
        disk->dropped[key] = quo_version_max(disk->dropped[key], record.version);
}

/* The target of a hint that goes has what the hint was about, where nothing but that may end it. */
static void judge_hint_gone(struct sim *sim, const struct sim_disk *disk,
                            const struct sim_cell *cell)
{
    const struct sim_swarm *s = &sim->swarm;
    struct quo_slice bytes = quo_slice(cell->key->bytes, cell->key->len);
    if (s->move || s->stale_maps || s->grace_ms > 0 || bytes.len < HINT_KEY_PREFIX ||
        (s->kind != QUO_KIND_LWW && s->kind != QUO_KIND_CRDT))
        return;
    int target = quo_map_node(sim->maps[0], quo_get_u64(bytes.data));
    uint32_t key =
        sim_key_of_data(quo_slice(bytes.data + HINT_KEY_VERSION, bytes.len - HINT_KEY_VERSION));
    if (target < 0 || key >= SIM_KEY_FORBIDDEN || sim->disks[target].wiped)
        return;
    if (quo_version_compare(sim_disk_version(&sim->disks[target], key),
                            quo_version_decode(bytes.data + 8)) < 0)
        sim_accuse(sim, key, "%s forgets what node%d has not got",
                   sim_process_name(sim_node(sim, disk->node)), target);
}

void sim_oracle_applied(struct sim_disk *disk, const struct sim_cell *cell,
                        const struct sim_blob *before, const struct sim_blob *after)
{
    struct sim *sim = sim_world;
    uint32_t key = cell->index;
    const char *name = sim_process_name(sim_node(sim, disk->node));
    struct quo_version old;
    struct quo_record new;
    uint8_t flags;
    if (cell->family == QUO_FAMILY_PROMISE && key < SIM_KEYS_MAX)
        disk->touched |= 1u << key;
    if (cell->family == QUO_FAMILY_HINTS && after == NULL && before != NULL)
        judge_hint_gone(sim, disk, cell);
    if (cell->family != QUO_FAMILY_DATA)
        return;
    if (after == NULL && key < SIM_KEYS_MAX) {
        disk->touched |= 1u << key;
        judge_drop(sim, disk, key, before);
        return;
    }
    if (after == NULL || key == SIM_KEYS_MAX ||
        quo_record_decode(quo_slice(after->bytes, after->len), &new) != QUO_OK) {
        sim_accuse(sim, key, "%s wrote what is not a record", name);
        return;
    }
    if (sim->first_held[disk->node][key] == 0)
        sim->first_held[disk->node][key] = sim->now;
    disk->touched |= 1u << key;
    disk->replaced |= 1u << key;
    struct quo_slice bytes = quo_slice(after->bytes, after->len);
    struct sim_known_version *known = know_version(sim, key, new.version, bytes);
    note_accepted(sim, key, known, bytes);
    if (before != NULL &&
        quo_record_peek(quo_slice(before->bytes, before->len), &old, &flags) == QUO_OK &&
        quo_version_compare(new.version, old) < 0)
        sim_accuse(sim, key, "%s put an older record over a newer one", name);
    if (quo_version_compare(new.version, disk->dropped[key]) <= 0)
        sim_accuse(sim, key, "%s takes back what was collected", name);
    judge_value(sim, key, name, &new);
    sim_lineage_held(sim, disk->node, key, known, &new);
}

/* Nothing below it is accepted: what is kept beside the record, or the record that consensus made.
 */
static struct quo_version promise_in_force(const struct sim_disk *disk, uint32_t key)
{
    struct quo_version kept = sim_disk_promised(disk, key), version;
    uint8_t flags;
    struct quo_slice record = sim_disk_durable(disk, key);
    if (record.len == 0 || quo_record_peek(record, &version, &flags) != QUO_OK ||
        (flags & QUO_RECORD_BLIND) != 0)
        return kept;
    return quo_version_max(kept, version);
}

void sim_oracle_committed(struct sim_disk *disk)
{
    struct sim *sim = sim_world;
    const char *name = sim_process_name(sim_node(sim, disk->node));
    for (uint32_t key = 0; key < SIM_KEYS_MAX && disk->touched != 0; key++) {
        if ((disk->touched & 1u << key) == 0)
            continue;
        struct quo_version *before = &sim->promised[disk->node][key];
        struct quo_version now = promise_in_force(disk, key);
        /* What is sealed is promised to nobody. */
        if (quo_version_compare(*before, sim_disk_sealed(disk, sim_key_partition(sim, key))) <= 0)
            now = quo_version_max(now, *before);
        if ((disk->replaced & 1u << key) != 0 &&
            quo_version_compare(sim_disk_version(disk, key), *before) < 0)
            sim_accuse(sim, key, "%s accepted a version below its promise", name);
        if (quo_version_compare(now, *before) < 0)
            sim_accuse(sim, key, "%s has taken a promise back", name);
        *before = quo_version_max(*before, now);
    }
    disk->touched = disk->replaced = 0;
}
