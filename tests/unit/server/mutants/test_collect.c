/* Deletes are collected while replicas come and go, frames are late by more than the grace, and
 * everything is written again: nothing comes back, nothing is lost, and in the end every replica
 * holds the same and no delete.
 *
 * Clients are one at a time, so that what each may see is known: what the last one completed, or
 * what came after it. Late are the messages of those who are gone.
 *
 * The same histories, or a schedule of their own, must show that something is wrong when one rule
 * is switched off.
 */
#include "tests/unit/server/cluster.h"

#include "quorate/testpoints.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

#ifdef __SANITIZE_ADDRESS__
#define HISTORIES 500
#else
#define HISTORIES 10000
#endif

enum {
    HISTORIES_MUTANT = 10000, /* within which a mutant must be caught */
    KEYS = 8,
    ISSUED_MAX = 256, /* of one key */
    LATES_MAX = 256,
    RECORD_BYTES = 160,
    GRACE_MS = 300,
    ALL_NODES = (1 << NODES) - 1,
};
#define MS UINT64_C(1000)

/* A record that was made for a key, whoever got it. */
struct issued {
    struct quo_version version;
    uint64_t gone_ms; /* from then on it is absent; UINT64_MAX: never */
    size_t len;
    uint8_t bytes[RECORD_BYTES];
};

struct key {
    uint32_t ns;
    uint16_t partition;
    char name[8];
    struct quo_version completed; /* on a quorum, as its client knows */
    struct quo_version acked;     /* on one disk at least */
    uint32_t count;
    struct issued issued[ISSUED_MAX];
};

struct late {
    uint64_t at_us;
    struct key *key;
    const struct issued *record;
    uint32_t node;
    uint8_t flags; /* of a STORE */
};

struct world {
    struct cluster c;
    struct key keys[KEYS];
    uint32_t late_count;
    struct late lates[LATES_MAX];
    uint32_t away; /* nodes that nobody reaches */
    uint16_t ticks;
    /* Replies to what was asked last. */
    uint64_t first_id;
    uint32_t answered;
    struct quo_msg_reply replies[NODES];
    uint8_t records[NODES][RECORD_BYTES];
    uint32_t mends;
    const char *violation; /* NULL: none */
};

static void violate(struct world *w, const char *what)
{
    if (w->violation == NULL)
        w->violation = what;
}

static uint64_t now_ms(const struct world *w)
{
    return START_MS + w->c.mono_us / 1000;
}

static struct quo_version version_at(struct world *w, uint64_t ms)
{
    return (struct quo_version){.hlc = ms << 16 | ++w->ticks, .node = 7};
}

/* Messages */

static struct world *world_of(struct cluster *c)
{
    return QUO_CONTAINER_OF(c, struct world, c);
}

static void on_reply(struct cluster *c, uint32_t node, uint64_t id,
                     const struct quo_msg_reply *reply)
{
    struct world *w = world_of(c);
    if (id < w->first_id)
        return;
    w->answered |= 1u << node;
    w->replies[node] = *reply;
    assert_true(reply->record.len <= RECORD_BYTES);
    if (reply->record.len > 0)
        memcpy(w->records[node], reply->record.data, reply->record.len);
    w->replies[node].record = quo_slice(w->records[node], reply->record.len);
}

static struct quo_slice entry_bytes(const struct world *w, const struct key *key, uint8_t *out)
{
    const struct quo_entry *entry = &w->c.map->entries[key->partition];
    quo_entry_encode(entry, out);
    return quo_slice(out, quo_entry_size(entry));
}

static void send_record(struct world *w, uint32_t node, const struct key *key,
                        const struct issued *issued, uint8_t flags)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX], record_flags;
    struct quo_version version;
    struct quo_slice record = quo_slice(issued->bytes, issued->len);
    assert_int_equal(quo_record_peek(record, &version, &record_flags), QUO_OK);
    struct packet *packet;
    if ((record_flags & QUO_RECORD_BLIND) != 0) {
        struct quo_msg_store message = {
            .partition = key->partition,
            .ns = key->ns,
            .kind = kind_of(key->ns),
            .entry = entry_bytes(w, key, entry),
            .flags = flags | QUO_STORE_SYNC,
            .key = quo_slice_of(key->name),
            .record = record,
        };
        packet = packet_new(&w->c, quo_msg_store_size(&message));
        quo_msg_store_encode(&message, packet->body);
        client_send(&w->c, node, QUO_MESSAGE_STORE, packet);
        return;
    }
    struct quo_msg_acc message = {
        .partition = key->partition,
        .ns = key->ns,
        .kind = kind_of(key->ns),
        .entry = entry_bytes(w, key, entry),
        .key = quo_slice_of(key->name),
        .record = record,
    };
    packet = packet_new(&w->c, quo_msg_acc_size(&message));
    quo_msg_acc_encode(&message, packet->body);
    client_send(&w->c, node, QUO_MESSAGE_ACC, packet);
}

/* QUERY, or PREP of a ballot. */
static void send_question(struct world *w, uint32_t node, const struct key *key,
                          struct quo_version ballot)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    struct packet *packet;
    if (quo_version_is_none(ballot)) {
        struct quo_msg_query message = {
            .partition = key->partition,
            .ns = key->ns,
            .kind = kind_of(key->ns),
            .entry = entry_bytes(w, key, entry),
            .value_max = RECORD_BYTES,
            .key = quo_slice_of(key->name),
        };
        packet = packet_new(&w->c, quo_msg_query_size(&message));
        quo_msg_query_encode(&message, packet->body);
        client_send(&w->c, node, QUO_MESSAGE_QUERY, packet);
        return;
    }
    struct quo_msg_prep message = {
        .partition = key->partition,
        .ns = key->ns,
        .kind = kind_of(key->ns),
        .entry = entry_bytes(w, key, entry),
        .ballot = ballot,
        .value_max = RECORD_BYTES,
        .key = quo_slice_of(key->name),
    };
    packet = packet_new(&w->c, quo_msg_prep_size(&message));
    quo_msg_prep_encode(&message, packet->body);
    client_send(&w->c, node, QUO_MESSAGE_PREP, packet);
}

static void expect_replies(struct world *w)
{
    w->first_id = w->c.last_id + 1;
    w->answered = 0;
}

static bool reaches(const struct world *w, uint32_t node)
{
    return (w->away >> node & 1) == 0 && w->c.nodes[node].server != NULL;
}

/* Sends a record to those of these nodes that are reached; the others get it late, or never.
 * Returns those who have it. */
static uint32_t give(struct world *w, struct key *key, const struct issued *issued, uint32_t nodes,
                     uint8_t flags)
{
    uint32_t have = 0;
    expect_replies(w);
    for (uint32_t i = 0; i < NODES; i++) {
        if ((nodes >> i & 1) != 0 && reaches(w, i))
            send_record(w, i, key, issued, flags);
        else if (w->late_count < LATES_MAX && below(&w->c, 2) == 0)
            w->lates[w->late_count++] = (struct late){
                .at_us = w->c.mono_us + below(&w->c, 4 * GRACE_MS) * MS,
                .key = key,
                .record = issued,
                .node = i,
                .flags = flags,
            };
    }
    cluster_run(&w->c, 4 * MS);
    for (uint32_t i = 0; i < NODES; i++) {
        if ((w->answered >> i & 1) == 0)
            continue;
        if (w->replies[i].status == QUO_OK || w->replies[i].status == QUO_SUPERSEDED)
            have |= 1u << i;
        if (w->replies[i].status == QUO_OK)
            key->acked = quo_version_max(key->acked, issued->version);
    }
    return have;
}

static uint32_t ask(struct world *w, const struct key *key, uint32_t nodes,
                    struct quo_version ballot)
{
    uint32_t answered = 0;
    expect_replies(w);
    for (uint32_t i = 0; i < NODES; i++)
        if ((nodes >> i & 1) != 0 && reaches(w, i))
            send_question(w, i, key, ballot);
    cluster_run(&w->c, 4 * MS);
    for (uint32_t i = 0; i < NODES; i++)
        if ((w->answered >> i & 1) != 0 && w->replies[i].status == QUO_OK)
            answered |= 1u << i;
    return answered;
}

static bool is_quorum(uint32_t nodes)
{
    return __builtin_popcount(nodes) >= 2;
}

/* What may be seen */

static struct issued *issue(struct world *w, struct key *key, uint8_t flags,
                            struct quo_version version, uint64_t ttl_ms)
{
    assert_true(key->count < ISSUED_MAX);
    struct issued *issued = &key->issued[key->count++];
    struct quo_record record = {
        .flags = flags,
        .version = version,
        .changed = version,
        .ttl_ms = ttl_ms,
        .value = quo_slice_of((flags & QUO_RECORD_TOMBSTONE) != 0 ? "" : "value"),
    };
    *issued = (struct issued){
        .version = version,
        .gone_ms = UINT64_MAX,
        .len = quo_record_size(&record),
    };
    if ((flags & QUO_RECORD_TOMBSTONE) != 0)
        issued->gone_ms = 0;
    else if (ttl_ms != 0)
        issued->gone_ms = quo_record_expires_ms(&record);
    assert_true(issued->len <= RECORD_BYTES);
    quo_record_encode(&record, issued->bytes);
    (void)w;
    return issued;
}

static const struct issued *find(const struct key *key, struct quo_version version)
{
    for (uint32_t i = 0; i < key->count; i++)
        if (quo_version_equal(key->issued[i].version, version))
            return &key->issued[i];
    return NULL;
}

/* Whether a reader may find nothing: something as new as that is gone by now. */
static bool may_be_absent(const struct world *w, const struct key *key, struct quo_version newest)
{
    bool gone = quo_version_is_none(newest);
    for (uint32_t i = 0; i < key->count; i++)
        gone = gone || (quo_version_compare(key->issued[i].version, newest) >= 0 &&
                        key->issued[i].gone_ms <= now_ms(w));
    return gone;
}

static void judge(struct world *w, const struct key *key, struct quo_version seen,
                  struct quo_version newest, const char *lost)
{
    if (quo_version_is_none(seen)) {
        if (!may_be_absent(w, key, newest))
            violate(w, lost);
    } else if (find(key, seen) == NULL) {
        violate(w, "a version was seen that nobody made");
    } else if (quo_version_compare(seen, newest) < 0) {
        violate(w, "something came back");
    }
}

static struct quo_version newest_of(const struct world *w, uint32_t nodes)
{
    struct quo_version newest = QUO_VERSION_NONE;
    for (uint32_t i = 0; i < NODES; i++)
        if ((nodes >> i & 1) != 0)
            newest = quo_version_max(newest, w->replies[i].version);
    return newest;
}

static void complete(struct key *key, struct quo_version version)
{
    key->completed = quo_version_max(key->completed, version);
}

/* Clients */

static uint32_t some_nodes(struct world *w)
{
    return below(&w->c, 5) < 3 ? ALL_NODES : 1 + (uint32_t)below(&w->c, ALL_NODES);
}

static uint8_t some_flags(struct world *w)
{
    return below(&w->c, 5) < 2 ? QUO_RECORD_TOMBSTONE : 0;
}

static void write_blind(struct world *w, struct key *key)
{
    uint8_t flags = QUO_RECORD_BLIND | some_flags(w);
    uint64_t ms = now_ms(w), ttl_ms = 0;
    bool is_slow = below(&w->c, 6) == 0; /* its clock is behind by up to twice the grace */
    if (is_slow)
        ms -= below(&w->c, 2 * GRACE_MS);
    if ((flags & QUO_RECORD_TOMBSTONE) == 0 && below(&w->c, 5) == 0) {
        flags |= QUO_RECORD_EXPIRES;
        ttl_ms = 1 + below(&w->c, GRACE_MS);
    }
    struct issued *issued = issue(w, key, flags, version_at(w, ms), ttl_ms);
    uint32_t have = give(w, key, issued, some_nodes(w), 0);
    if (!is_slow && is_quorum(have))
        complete(key, issued->version);
}

/* Two nodes or three. */
static uint32_t readers(struct world *w)
{
    uint32_t left_out = (uint32_t)below(&w->c, 2 * NODES);
    return ALL_NODES & ~(1u << left_out);
}

/* Of kinds without consensus: what a quorum shows is on a quorum before it is answered. */
static void read_blind(struct world *w, struct key *key)
{
    for (int attempt = 0; attempt < 8; attempt++) {
        uint32_t answered = ask(w, key, readers(w), QUO_VERSION_NONE), have = 0;
        struct quo_version seen = newest_of(w, answered);
        if (!is_quorum(answered))
            return;
        judge(w, key, seen, key->completed, "a reader found nothing where something was");
        const struct issued *issued = find(key, seen);
        if (issued == NULL || w->violation != NULL)
            return;
        for (uint32_t i = 0; i < NODES; i++)
            if ((answered >> i & 1) != 0 && quo_version_equal(w->replies[i].version, seen))
                have |= 1u << i;
        if (!is_quorum(have))
            have |= give(w, key, issued, ALL_NODES & ~have, QUO_STORE_WRITEBACK);
        if (is_quorum(have)) {
            complete(key, seen);
            return;
        }
    }
    /* Nobody else is there: what one replica has must be what another one takes. */
    if (w->away == 0 && w->c.lost_in == 0)
        violate(w, "a reader cannot write back what it saw");
}

/* A read-modify-write; of `identity` what is there stays. */
static void rmw(struct world *w, struct key *key, bool identity)
{
    struct quo_version ballot = version_at(w, now_ms(w));
    uint32_t promised = ask(w, key, readers(w), ballot);
    struct quo_version base = newest_of(w, promised);
    if (!is_quorum(promised))
        return;
    judge(w, key, base, key->completed, "a proposer found nothing where something was");
    uint8_t flags = some_flags(w);
    if (identity) {
        const struct issued *held = find(key, base);
        flags = held == NULL || held->gone_ms <= now_ms(w) ? QUO_RECORD_TOMBSTONE : 0;
    }
    struct issued *issued = issue(w, key, flags, ballot, 0);
    if (is_quorum(give(w, key, issued, identity ? ALL_NODES : some_nodes(w), 0)))
        complete(key, ballot);
}

static bool is_blind_kind(const struct key *key)
{
    return key->ns == NS_LWW || key->ns == NS_CRDT;
}

static void work(struct world *w)
{
    struct key *key = &w->keys[below(&w->c, KEYS)];
    if (key->count >= ISSUED_MAX - 8)
        return;
    bool writes = below(&w->c, 3) > 0;
    if (is_blind_kind(key) && writes)
        write_blind(w, key);
    else if (is_blind_kind(key))
        read_blind(w, key);
    else if (key->ns == NS_MIXED && writes && below(&w->c, 2) == 0)
        write_blind(w, key);
    else
        rmw(w, key, !writes);
}

/* What a node asked for. */
static void settle_mends(struct world *w)
{
    while (w->mends < w->c.mends && w->violation == NULL) {
        w->mends = w->c.mends;
        for (uint32_t i = 0; i < KEYS; i++) {
            struct key *key = &w->keys[i];
            bool asked = key->ns == w->c.last_mend_ns && strcmp(key->name, w->c.last_mend) == 0;
            if (asked && key->count < ISSUED_MAX - 8 && is_blind_kind(key))
                read_blind(w, key);
            else if (asked && key->count < ISSUED_MAX - 8)
                rmw(w, key, true);
        }
    }
}

/* Time and chance */

static void deliver_lates(struct world *w)
{
    for (uint32_t i = 0; i < w->late_count;) {
        const struct late *late = &w->lates[i];
        if (late->at_us > w->c.mono_us) {
            i++;
            continue;
        }
        if (reaches(w, late->node))
            send_record(w, late->node, late->key, late->record, late->flags);
        w->lates[i] = w->lates[--w->late_count];
    }
}

static void pass(struct world *w, uint64_t us)
{
    deliver_lates(w);
    cluster_run(&w->c, us);
    settle_mends(w);
}

static void cut(struct world *w, uint32_t away)
{
    w->away = away;
    for (uint32_t a = 0; a < NODES; a++)
        for (uint32_t b = 0; b < NODES; b++)
            if (a != b && w->c.nodes[a].server != NULL && w->c.nodes[b].server != NULL)
                link_set(&w->c, a, b, ((away >> a | away >> b) & 1) == 0);
}

/* Stops without a word, what is on disk stays. */
static void restart(struct world *w, uint32_t index)
{
    struct node *node = &w->c.nodes[index];
    for (uint32_t i = 0; i < NODES; i++) {
        if (i == index)
            continue;
        link_set(&w->c, i, index, false);
        link_set(&w->c, index, i, false);
    }
    if (below(&w->c, 2) == 0) {
        node_close(node);
    } else {
        for (int i = 0; i < 1000 && !quo_server_idle(node->server); i++)
            node_turn(node);
        assert_true(quo_server_idle(node->server));
        quo_server_free(node->server);
        node->server = NULL;
    }
    cluster_run(&w->c, below(&w->c, GRACE_MS) * MS);
    node_open(node);
    cluster_run(&w->c, 10 * MS);
    cut(w, w->away);
}

static void happen(struct world *w)
{
    switch (below(&w->c, 12)) {
    case 0:
    case 1:
        cut(w, w->away != 0 ? 0 : 1u << below(&w->c, NODES));
        break;
    case 2:
        restart(w, (uint32_t)below(&w->c, NODES));
        break;
    case 3:
    case 4:
        pass(w, below(&w->c, 3 * GRACE_MS) * MS);
        break;
    default:
        pass(w, below(&w->c, GRACE_MS / 4) * MS);
        break;
    }
}

/* Histories */

static void begin(struct world *w, uint64_t seed)
{
    static const uint32_t namespaces[] = {NS_LWW, NS_CRDT, NS_CAS, NS_MIXED};
    memset(w, 0, sizeof *w);
    cluster_prepare(&w->c, seed);
    w->c.on_reply = on_reply;
    w->c.options.delete_grace_ms = GRACE_MS;
    w->c.options.collect_every_ms = 100;
    w->c.options.exchange_every_ms = 400;
    w->c.options.exchange_pause_ms = 10;
    for (uint32_t i = 0; i < KEYS; i++) {
        w->keys[i] = (struct key){.ns = namespaces[i % 4], .partition = (uint16_t)(i / 4)};
        snprintf(w->keys[i].name, sizeof w->keys[i].name, "key%u", (unsigned)i);
    }
    cluster_open(&w->c);
    cut(w, 0);
}

static bool add_key(void *context, struct quo_slice key, struct quo_slice record)
{
    struct world *w = context;
    struct quo_version version;
    uint8_t flags;
    assert_int_equal(quo_record_peek(record, &version, &flags), QUO_OK);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct key *at = &w->keys[i];
        struct quo_slice name =
            quo_slice(key.data + QUO_STORAGE_KEY_PREFIX, key.len - QUO_STORAGE_KEY_PREFIX);
        if (quo_get_u32(key.data + 2) == at->ns && quo_slice_equal(name, quo_slice_of(at->name)))
            w->replies[0].version = i == w->first_id ? version : w->replies[0].version;
    }
    return true;
}

/* What the first node holds of a key; the others hold the same. */
static struct quo_version held(struct world *w, uint32_t index)
{
    static const uint8_t hi[] = {0xff, 0xff, 0xff};
    struct quo_store *store = w->c.nodes[0].store;
    w->first_id = index;
    w->replies[0].version = QUO_VERSION_NONE;
    assert_int_equal(store->ops->scan(store, QUO_FAMILY_DATA, quo_slice(hi, 0),
                                      quo_slice(hi, sizeof hi), add_key, w),
                     QUO_OK);
    return w->replies[0].version;
}

static bool is_clean(struct world *w)
{
    uint64_t tombstones = 0;
    for (uint32_t i = 0; i < NODES; i++)
        tombstones += quo_server_tombstones(w->c.nodes[i].server);
    return tombstones == 0 && all_equal(&w->c);
}

static void check_end(struct world *w)
{
    for (uint32_t i = 0; i < KEYS && w->violation == NULL; i++) {
        struct key *key = &w->keys[i];
        judge(w, key, held(w, i), key->completed, "what was completed is lost");
        /* A proposal that no quorum accepted may be overcome by what does not know of it. */
        if (is_blind_kind(key))
            judge(w, key, held(w, i), key->acked, "what one replica took is lost");
    }
    for (uint32_t i = 0; i < NODES && w->violation == NULL; i++) {
        uint32_t ready;
        if (!quo_server_check_trees(w->c.nodes[i].server, &ready) || ready != PARTITIONS)
            violate(w, "a tree is not what is held");
    }
}

/* All are there again, what was late arrives, and nothing more is written. */
static void end(struct world *w)
{
    w->c.lost_in = 0;
    cut(w, 0);
    while (w->late_count > 0 && w->violation == NULL)
        pass(w, 100 * MS);
    bool clean = false;
    for (int i = 0; i < 100 && !clean && w->violation == NULL; i++) {
        pass(w, 200 * MS);
        clean = i > 5 && is_clean(w);
    }
    if (!all_equal(&w->c))
        violate(w, "replicas stay different");
    else if (!clean)
        violate(w, "deletes are never collected");
    for (int i = 0; i < 1000 && !quo_server_idle(w->c.nodes[i % NODES].server); i++)
        cluster_run(&w->c, MS);
    check_end(w);
    w->first_id = UINT64_MAX;
}

static struct {
    uint64_t collected, done, given_up, nacks;
} seen;

static const char *run_history(struct world *w, uint64_t seed)
{
    begin(w, seed);
    uint64_t steps = 10 + below(&w->c, 40);
    if (below(&w->c, 10) == 0)
        w->c.lost_in = 10;
    for (uint64_t i = 0; i < steps && w->violation == NULL; i++) {
        work(w);
        happen(w);
    }
    if (w->violation == NULL)
        end(w);
    seen.collected += SUM(&w->c, collected);
    seen.done += SUM(&w->c, collections_done);
    seen.given_up += SUM(&w->c, collections_given_up);
    seen.nacks += SUM(&w->c, nacks);
    cluster_stop(&w->c);
    return w->violation;
}

static struct world world;

static void test_nothing_comes_back(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    memset(&seen, 0, sizeof seen);
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        const char *violation = run_history(&world, seed);
        if (violation != NULL)
            fail_msg("seed %u: %s", (unsigned)seed, violation);
    }
    print_message("%u histories: %u collections, %u given up, %u records dropped, %u refused\n",
                  (unsigned)HISTORIES, (unsigned)seen.done, (unsigned)seen.given_up,
                  (unsigned)seen.collected, (unsigned)seen.nacks);
    assert_true(seen.collected > HISTORIES && seen.done > HISTORIES && seen.given_up > HISTORIES);
    assert_true(seen.nacks > HISTORIES);
}

static void test_rules_matter(void **state)
{
    (void)state;
    static const struct {
        enum quo_mutant mutant;
        const char *name;
    } mutants[] = {
        {QUO_MUTANT_FLOOR_NOT_ON_ALL, "FLOOR_NOT_ON_ALL"},
        {QUO_MUTANT_SEAL_WITHOUT_EQUAL, "SEAL_WITHOUT_EQUAL"},
        {QUO_MUTANT_EQUAL_TO_ONE, "EQUAL_TO_ONE"},
        {QUO_MUTANT_DROP_UNSEALED, "DROP_UNSEALED"},
        {QUO_MUTANT_ABSENT_IS_FLOOR, "ABSENT_IS_FLOOR"},
        {QUO_MUTANT_COPY_BELOW_SEAL, "COPY_BELOW_SEAL"},
        {QUO_MUTANT_GATE_STOPS_COPIES, "GATE_STOPS_COPIES"},
    };
    for (size_t i = 0; i < QUO_COUNT(mutants); i++) {
        const char *violation = NULL;
        uint64_t seed = 0;
        quo_mutant_planted = mutants[i].mutant;
        while (violation == NULL && seed < HISTORIES_MUTANT)
            violation = run_history(&world, ++seed);
        quo_mutant_planted = QUO_MUTANT_NONE;
        if (violation == NULL)
            fail_msg("%s was not noticed", mutants[i].name);
        print_message("%-20s %5u  %s\n", mutants[i].name, (unsigned)seed,
                      violation != NULL ? violation : "");
    }
}

/* T15. Two proposers stand on one delete: the first one has its promises from B and C, the second,
 * of a higher ballot, from A and B. The delete is collected meanwhile. If the promise went with it,
 * A and B would take the first one's proposal, all the same, and the second one's after it: two
 * changes of one and the same absence. */
static uint32_t race(struct world *w)
{
    struct key *key = &w->keys[2];
    begin(w, 1);
    assert_int_equal(key->ns, NS_CAS);
    struct issued *deleted = issue(w, key, QUO_RECORD_TOMBSTONE, version_at(w, now_ms(w)), 0);
    give(w, key, deleted, ALL_NODES, 0);
    pass(w, (GRACE_MS - 20) * MS);
    struct quo_version low = version_at(w, now_ms(w)), high = version_at(w, now_ms(w));
    assert_int_equal(ask(w, key, 6, low), 6);
    assert_true(quo_version_equal(newest_of(w, 6), deleted->version));
    assert_int_equal(ask(w, key, 3, high), 3);
    assert_true(quo_version_equal(newest_of(w, 3), deleted->version));
    const struct quo_server *server = w->c.nodes[0].server;
    while (SUM(&w->c, collected) < NODES)
        cluster_run(&w->c, MS);
    assert_true(quo_version_compare(quo_server_sealed(server, key->partition), low) < 0);
    uint32_t first = give(w, key, issue(w, key, 0, low, 0), ALL_NODES, 0);
    uint32_t second = give(w, key, issue(w, key, 0, high, 0), ALL_NODES, 0);
    cluster_stop(&w->c);
    assert_true(is_quorum(second));
    return first;
}

static void test_a_promise_outlives_the_delete_it_stands_on(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    assert_false(is_quorum(race(&world)));
    quo_mutant_planted = QUO_MUTANT_DROP_IGNORES_PROMISE;
    assert_true(is_quorum(race(&world)));
    quo_mutant_planted = QUO_MUTANT_NONE;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_promise_outlives_the_delete_it_stands_on),
        cmocka_unit_test(test_rules_matter),
        cmocka_unit_test(test_nothing_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
