#include "sim.h"

/* ---- what an answer may claim ---- */

struct claim {
    struct sim *sim;
    struct sim_op *op;
    const struct quo_response *response;
    struct quo_entry entry;     /* of the receipt's epoch */
    struct quo_version version; /* that the receipt is about */
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
    return quo_version_compare(held, c->version) >= 0;
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
    sim_accuse(c->sim, c->op->seen.key, "the receipt of operation %llu: %s",
               (unsigned long long)c->op->seen.id, text);
}

/* When a reply of the node last came to a proxy that may have run the operation. */
static uint64_t heard_from(const struct claim *c, uint32_t node)
{
    const struct sim *sim = c->sim;
    uint64_t last = sim->replied_at[c->op->proxy][node];
    for (uint32_t p = 0; p < sim->swarm.proxies && c->op->is_consensus && sim->swarm.seats; p++)
        last = QUO_MAX(last, sim->replied_at[p][node]);
    return last;
}

static void judge_answered(const struct claim *c)
{
    const struct quo_receipt *r = &c->response->receipt;
    for (uint8_t i = 0; i < r->replies && i < QUO_REPLICAS_MAX; i++) {
        int node = quo_map_node(c->sim->maps[0], r->answered[i]);
        if (node < 0 || !quo_entry_has(&c->entry, r->answered[i]))
            overclaims(c, "a reply from what is no replica");
        else if (heard_from(c, (uint32_t)node) < c->op->call)
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
    if (quo_version_is_none(c->version))
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

static void judge_write(const struct claim *c)
{
    const struct quo_receipt *r = &c->response->receipt;
    const struct quo_consistency *asked = &c->op->consistency;
    bool written = c->response->verdict == QUO_VERDICT_WRITTEN;
    if (c->response->outcome != (written ? QUO_APPLIED : QUO_NOT_APPLIED))
        overclaims(c, "written and not applied, or the other way round");
    /* Nothing was there, and nothing was done. */
    if (!written && quo_version_is_none(c->version))
        return;
    if (r->acks < asked->w || r->disk < asked->dw)
        overclaims(c, "%u acks and %u on disk where w=%u and dw=%u were asked", r->acks, r->disk,
                   asked->w, asked->dw);
    if (asked->strong && !on_quorum(c, QUO_MAX(asked->w, c->sim->swarm.ws)))
        overclaims(c, "a strong write that is on too few disks");
}

static void judge_success(const struct claim *c)
{
    const struct quo_receipt *r = &c->response->receipt;
    const struct quo_consistency *asked = &c->op->consistency;
    if (r->level != asked->level)
        overclaims(c, "level %s where %s was asked", quo_level_name(r->level),
                   quo_level_name(asked->level));
    if (quo_history_is_write(&c->op->seen)) {
        judge_write(c);
        return;
    }
    if (r->replies < asked->r)
        overclaims(c, "%u replies where r=%u was asked", r->replies, asked->r);
    if (asked->strong && !quo_version_is_none(c->version) && !on_quorum(c, c->sim->swarm.ws))
        overclaims(c, "a strong read of a version that is on too few disks");
}

/* What is on a write quorum is seen by every read that begins later, and what begins later below it
 * is lost at once: no strong read may return it. Unless that is an eventual write beside consensus:
 * a read that began before, and goes on as a read-modify-write, may have its promise of the quorum
 * from before, and come between the two. */
static void judge_freshness(const struct claim *c)
{
    const struct sim_op *op = c->op;
    if (op->consistency.level < QUO_LEVEL_QUORUM || quo_version_is_none(c->version))
        return;
    if (quo_version_compare(c->version, op->settled) < 0)
        overclaims(c, "a read of less than was settled when it was called");
    if (op->seen.model == QUO_HISTORY_COUNTER)
        return;
    const struct sim_op *put = &c->sim->ops[op->told.value - 1];
    if (c->sim->swarm.kind == QUO_KIND_MIXED && !put->consistency.strong)
        return;
    /* A consensus read may have collected its promises before; then what is settled, being blind,
     * takes effect after it. */
    bool is_late = c->sim->swarm.kind == QUO_KIND_MIXED && op->seen.call < put->seen.call;
    if (op->consistency.strong && !is_late && quo_version_compare(c->version, put->settled) < 0)
        overclaims(c, "a strong read of operation %llu, which was lost before it began",
                   (unsigned long long)put->seen.id);
}

/* What the bytes of the answer's record say; 0 for nothing. */
static int64_t value_of(const struct claim *c)
{
    const struct quo_record *record = &c->response->record;
    const struct quo_history_op *seen = &c->op->seen;
    int64_t number = 0;
    if (quo_version_is_none(record->version) || (record->flags & QUO_RECORD_TOMBSTONE) != 0)
        return 0;
    if (!quo_version_equal(record->changed, c->response->receipt.version))
        overclaims(c, "another entity tag than the record's");
    if (seen->model == QUO_HISTORY_COUNTER) {
        if (!sim_number_of(record->value, &number))
            overclaims(c, "a counter that is no number");
        return number;
    }
    uint32_t value = sim_value_of(c->sim, record->value);
    if (value == 0)
        overclaims(c, "a value that nobody wrote");
    else if (c->sim->ops[value - 1].seen.key != seen->key)
        overclaims(c, "a value of another key");
    return value;
}

static void tell_read(const struct claim *c)
{
    struct sim_told *told = &c->op->told;
    told->outcome = QUO_HISTORY_OK;
    told->version = c->response->receipt.version;
    told->value = value_of(c);
    judge_success(c);
    if (c->response->verdict == QUO_VERDICT_FOUND)
        judge_freshness(c);
}

static void tell_written(const struct claim *c)
{
    const struct quo_response *response = c->response;
    struct sim_told *told = &c->op->told;
    bool consensus = response->is_consensus;
    told->outcome = QUO_HISTORY_OK;
    told->is_decided = true;
    told->version = consensus ? response->change.changed : response->receipt.version;
    told->has_value = c->op->type == QUO_REQUEST_ADD && response->change.has_counter;
    told->value = response->change.counter;
    judge_success(c);
}

/* Whether the record shown is the one that the operation was judged by. An attempt that finds an
 * earlier one of its own, with a key or handed from proxy to proxy, shows what is there now. */
static bool is_judged_by(const struct claim *c)
{
    const struct quo_response *response = c->response;
    struct quo_ring_entry entry;
    if (response->change.replayed)
        return false;
    return !quo_ring_find(response->record.ring, &response->opid, &entry) ||
           quo_version_equal(entry.at, response->record.version);
}

/* What made it fail, as the counter says or the record. */
static void tell_cause(const struct claim *c)
{
    const struct quo_change_result *change = &c->response->change;
    struct sim_told *told = &c->op->told;
    told->outcome = QUO_HISTORY_FAILED;
    told->is_decided = true;
    if (c->op->type == QUO_REQUEST_RESOLVE)
        return;
    bool is_judged = is_judged_by(c);
    if (is_judged)
        told->version = c->response->receipt.version;
    told->saw = is_judged || change->has_counter;
    if (change->has_counter)
        told->seen = change->counter;
    else if (told->saw)
        told->seen = value_of(c);
}

static void tell_declined(const struct claim *c)
{
    struct sim_told *told = &c->op->told;
    enum quo_change_code code = c->response->change.code;
    told->outcome = QUO_HISTORY_NOT_APPLIED;
    if (!c->response->is_consensus)
        overclaims(c, "a blind write was declined");
    switch (code) {
    case QUO_CHANGE_CONDITION:
    case QUO_CHANGE_BOUND:
        tell_cause(c);
        break;
    case QUO_CHANGE_FENCED:
        told->is_decided = told->is_fenced = true;
        break;
    case QUO_CHANGE_RING_FULL:
    case QUO_CHANGE_HISTORY_LOST:
        told->is_lost = true;
        return;
    default:
        overclaims(c, "declined with code %d", (int)code);
        return;
    }
    judge_success(c);
}

static void note_answer(const struct claim *c)
{
    static const char *const verdicts[] = {"?",           "found",   "absent",  "written",
                                           "unavailable", "timeout", "refused", "declined"};
    const struct quo_receipt *r = &c->response->receipt;
    sim_note(c->sim,
             "operation %llu (of %u) ends: %s (outcome %d, code %d%s, %s), version %llx.%llx, %u "
             "replies %u acks "
             "%u disk, %u round trips, epoch %u",
             (unsigned long long)c->op->seen.id, c->op->of, verdicts[c->response->verdict],
             c->response->outcome, (int)c->response->change.code,
             c->response->change.replayed ? " replayed" : "", quo_status_text(c->response->refusal),
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

static void tell_failure(const struct claim *c)
{
    const struct quo_response *response = c->response;
    if (!quo_history_is_write(&c->op->seen))
        return;
    if (response->outcome == QUO_NOT_APPLIED)
        c->op->told.outcome = QUO_HISTORY_NOT_APPLIED;
    else if (response->verdict == QUO_VERDICT_UNAVAILABLE)
        overclaims(c, "nothing was attempted, and yet the outcome is open");
    c->op->told.is_lost =
        response->is_consensus && response->change.code == QUO_CHANGE_HISTORY_LOST;
    if (response->outcome == QUO_APPLIED)
        overclaims(c, "applied, but not written");
}

void sim_oracle_answer(struct sim *sim, struct sim_op *op, const struct quo_response *response)
{
    struct claim c = {.sim = sim, .op = op, .response = response};
    const struct quo_receipt *r = &response->receipt;
    note_answer(&c);
    judge_punctuality(&c);
    /* Its turn never came: it has met no epoch. */
    bool is_unbegun = op->is_consensus && r->epoch == 0 && r->replies == 0 && r->acks == 0;
    if (is_unbegun && response->verdict >= QUO_VERDICT_UNAVAILABLE) {
        tell_failure(&c);
        return;
    }
    if (!entry_of(sim, sim_key_partition(sim, op->seen.key), r->epoch, &c.entry)) {
        overclaims(&c, "an epoch that was never published");
        return;
    }
    c.version = r->version;
    judge_answered(&c);
    judge_acks(&c);
    switch (response->verdict) {
    case QUO_VERDICT_FOUND:
    case QUO_VERDICT_ABSENT:
        tell_read(&c);
        break;
    case QUO_VERDICT_WRITTEN:
        tell_written(&c);
        break;
    case QUO_VERDICT_DECLINED:
        tell_declined(&c);
        break;
    default:
        tell_failure(&c);
        break;
    }
}

/* A record on a disk, for the order of versions. */
struct held {
    struct quo_version version, changed;
};

static struct held held_by(const struct sim_disk *disk, uint32_t key)
{
    struct held held = {0};
    struct quo_record record;
    struct quo_slice bytes = sim_disk_settled(disk, key);
    if (bytes.len > 0 && quo_record_decode(bytes, &record) == QUO_OK)
        held = (struct held){record.version, record.changed};
    return held;
}

/* What everybody sees later: of blind writes the least change that a write quorum has on disk, or
 * something newer. Proposals may be newer without knowing what is below them: of those only what a
 * write quorum has in common. `held` has the newest first. */
static struct quo_version settled_by(const struct sim *sim, const struct held *held, uint8_t n)
{
    bool is_agreed = sim->swarm.kind == QUO_KIND_CAS || sim->swarm.kind == QUO_KIND_MIXED;
    uint8_t ws = sim->swarm.ws;
    for (uint8_t i = 0; i + ws <= n; i++) {
        if (!is_agreed)
            return held[i + ws - 1].version;
        if (quo_version_equal(held[i].version, held[i + ws - 1].version))
            return held[i].changed;
    }
    return QUO_VERSION_NONE;
}

/* While replicas change there are two quorums, and the answer is not given. */
void sim_oracle_called(struct sim *sim, struct sim_op *op)
{
    const struct quo_entry *entry = &sim->maps[0]->entries[sim_key_partition(sim, op->seen.key)];
    struct held held[QUO_REPLICAS_MAX];
    uint8_t n = QUO_MIN(entry->n, sim->swarm.n);
    op->settled = QUO_VERSION_NONE;
    if (sim->swarm.move)
        return;
    for (uint8_t i = 0; i < n; i++) {
        int node = quo_map_node(sim->maps[0], entry->replicas[i]);
        struct held its = held_by(&sim->disks[node], op->seen.key);
        uint8_t at = i;
        for (; at > 0 && quo_version_compare(held[at - 1].version, its.version) < 0; at--)
            held[at] = held[at - 1];
        held[at] = its;
    }
    op->settled = settled_by(sim, held, n);
}
