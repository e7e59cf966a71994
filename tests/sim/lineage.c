/* What consensus may decide: a ballot belongs to one operation and one epoch, nothing is sent past
 * its deadline, and what has been chosen holds every operation at most once, always with the same
 * decision. */
#include "sim.h"

/* Of a request id: the operation, without the round (proxy/service/ops.c). */
#define ROUND_BITS 12u

static uint64_t sender(const struct sim_process *proxy, uint64_t id)
{
    return (id >> ROUND_BITS << 8 | proxy->number) + ((uint64_t)proxy->incarnation << 56);
}

static void judge_deadline(struct sim *sim, const struct sim_process *proxy, uint32_t key)
{
    if (sim->now >= sim->limit[proxy->number][key])
        sim_accuse(sim, key, "%s goes on with a write after every deadline",
                   sim_process_name(proxy));
}

static void judge_prep(struct sim *sim, const struct sim_process *proxy, uint64_t id,
                       const struct quo_msg_prep *prep)
{
    uint32_t key = sim_key_index(prep->ns, prep->key);
    struct sim_known_version *known = sim_oracle_know(sim, key, prep->ballot);
    uint64_t by = sender(proxy, id);
    uint32_t epoch = quo_get_u32(prep->entry.data);
    judge_deadline(sim, proxy, key);
    if (known->prepared_epoch != 0 && (known->prepared_by != by || known->prepared_epoch != epoch))
        sim_accuse(sim, key, "%s prepares a ballot twice", sim_process_name(proxy));
    known->prepared_by = by;
    known->prepared_epoch = epoch;
}

static void judge_acc(struct sim *sim, const struct sim_process *proxy, uint64_t id,
                      const struct quo_msg_acc *acc)
{
    uint32_t key = sim_key_index(acc->ns, acc->key);
    struct quo_version version;
    uint8_t flags;
    enum quo_status status = quo_record_peek(acc->record, &version, &flags);
    QUO_REQUIRE(status == QUO_OK);
    const struct sim_known_version *known = sim_oracle_know(sim, key, version);
    /* Others may pass an accepted record on in any epoch, at any time. */
    if (known->prepared_epoch == 0 || known->prepared_by != sender(proxy, id))
        return;
    judge_deadline(sim, proxy, key);
    if (known->prepared_epoch != quo_get_u32(acc->entry.data))
        sim_accuse(sim, key, "%s asks to accept in one epoch what was promised in another",
                   sim_process_name(proxy));
}

void sim_lineage_sent(const struct sim_process *proxy, const struct sim_frame *frame)
{
    struct sim *sim = sim_world;
    struct quo_slice body = quo_slice(frame->body, frame->len);
    struct quo_msg_prep prep;
    struct quo_msg_acc acc;
    if (frame->type == QUO_MESSAGE_PREP && quo_msg_prep_decode(body, &prep) == QUO_OK)
        judge_prep(sim, proxy, frame->id, &prep);
    else if (frame->type == QUO_MESSAGE_ACC && quo_msg_acc_decode(body, &acc) == QUO_OK)
        judge_acc(sim, proxy, frame->id, &acc);
}

static struct sim_effect *find_effect(struct sim *sim, uint32_t key, const struct quo_opid *opid)
{
    uint32_t at = (uint32_t)quo_get_u64(opid->bytes + 8) ^ key;
    for (at %= SIM_EFFECTS_MAX;; at = (at + 1) % SIM_EFFECTS_MAX) {
        struct sim_effect *effect = &sim->effects[at];
        if (effect->life != sim->life) {
            *effect = (struct sim_effect){.life = sim->life, .key = key, .opid = *opid};
            QUO_REQUIRE(++sim->effect_count < SIM_EFFECTS_MAX);
            return effect;
        }
        if (effect->key == key && quo_opid_equal(&effect->opid, opid))
            return effect;
    }
}

static void judge_entry(struct sim *sim, uint32_t key, const struct quo_ring_entry *entry)
{
    struct sim_effect *effect = find_effect(sim, key, &entry->opid);
    if (quo_version_is_none(effect->at)) {
        effect->at = entry->at;
        effect->code = entry->code;
    } else if (!quo_version_equal(effect->at, entry->at) &&
               (effect->code != QUO_CHANGE_FENCED || entry->code != QUO_CHANGE_FENCED)) {
        sim_accuse(sim, key, "an operation was decided twice, at %llx and at %llx",
                   (unsigned long long)effect->at.hlc, (unsigned long long)entry->at.hlc);
    } else if (effect->code != entry->code) {
        sim_accuse(sim, key, "an operation was decided one way and the other");
    }
}

static void judge_ring(struct sim *sim, uint32_t node, uint32_t key, struct quo_slice ring)
{
    size_t count = quo_ring_count(ring);
    for (size_t i = 0; i < count; i++) {
        struct quo_ring_entry a = quo_ring_at(ring, i);
        for (size_t j = i + 1; j < count; j++) {
            struct quo_ring_entry b = quo_ring_at(ring, j);
            if (quo_opid_equal(&a.opid, &b.opid))
                sim_accuse(sim, key, "%s holds one operation twice in a ring",
                           sim_process_name(sim_node(sim, node)));
        }
    }
}

/* What was said to have failed, or was fenced, is never chosen. */
static void judge_writer(struct sim *sim, uint32_t key, const struct quo_record *record)
{
    if ((record->flags & QUO_RECORD_TOMBSTONE) != 0 || sim_key_model(key) != QUO_HISTORY_REGISTER)
        return;
    uint32_t value = sim_value_of(sim, record->value);
    const struct sim_op *op = value == 0 ? NULL : &sim->ops[value - 1];
    if (op != NULL && op->is_decided && op->seen.outcome != QUO_HISTORY_OK)
        sim_accuse(sim, key, "operation %u was said not to have taken effect, and is chosen",
                   value);
}

/* Whether a write quorum has accepted the version, though maybe not at one time. While replicas
 * change there are two quorums, and the answer is not given. */
static bool is_chosen(const struct sim *sim, uint32_t key, const struct sim_known_version *known)
{
    const struct quo_entry *entry = &sim->maps[0]->entries[sim_key_partition(sim, key)];
    uint32_t count = 0;
    if (sim->swarm.move)
        return false;
    for (uint8_t i = 0; i < QUO_MIN(entry->n, sim->swarm.n); i++) {
        int node = quo_map_node(sim->maps[0], entry->replicas[i]);
        count += (known->holders >> node) & 1;
    }
    return count >= sim->swarm.ws;
}

void sim_lineage_held(struct sim *sim, uint32_t node, uint32_t key, struct sim_known_version *known,
                      const struct quo_record *record)
{
    uint8_t bit = (uint8_t)(1u << node);
    if ((known->holders & bit) != 0)
        return;
    if (known->holders == 0)
        judge_ring(sim, node, key, record->ring);
    known->holders |= bit;
    if (known->chosen || !is_chosen(sim, key, known))
        return;
    known->chosen = true;
    judge_writer(sim, key, record);
    for (size_t i = 0; i < quo_ring_count(record->ring); i++) {
        struct quo_ring_entry entry = quo_ring_at(record->ring, i);
        judge_entry(sim, key, &entry);
    }
}
