#include "storage-node/server/pairs.h"

#include "storage-node/server/internal.h"

int quo_pairs_place(const struct quo_entry *entry, uint64_t replica)
{
    for (int i = 0; i < entry->n; i++)
        if (entry->replicas[i] == replica)
            return i;
    return -1;
}

bool quo_pairs_share(const struct quo_server *server, uint32_t partition, uint64_t replica)
{
    const struct quo_entry *entry = &server->partitions[partition].entry;
    return replica != server->replica && entry->state == QUO_ENTRY_NORMAL &&
           quo_pairs_place(entry, server->replica) >= 0 && quo_pairs_place(entry, replica) >= 0;
}

bool quo_pairs_is(const struct quo_server *server, uint32_t partition, uint64_t replica)
{
    return replica > server->replica && quo_pairs_share(server, partition, replica);
}

struct quo_pair *quo_pairs_find(const struct quo_server *server, uint32_t partition,
                                uint64_t replica)
{
    struct quo_pair *at = server->exchanges->pairs_known[partition];
    for (size_t i = 0; i < QUO_REPLICAS_MAX; i++)
        if (at[i].replica == replica)
            return &at[i];
    return NULL;
}

/* In place of one that is no replica any more, if need be. */
static struct quo_pair *make(struct quo_server *server, uint32_t partition,
                             const struct quo_entry *entry, uint64_t replica)
{
    struct quo_pair *pair = quo_pairs_find(server, partition, replica);
    for (size_t i = 0; pair == NULL && i < QUO_REPLICAS_MAX; i++) {
        struct quo_pair *other = &server->exchanges->pairs_known[partition][i];
        if (other->replica != 0 && quo_pairs_place(entry, other->replica) >= 0)
            continue;
        *other = (struct quo_pair){.replica = replica};
        pair = other;
    }
    /* An entry has at most as many replicas, and we are one of them. */
    QUO_INVARIANT(pair != NULL);
    return pair;
}

void quo_pairs_equal(struct quo_server *server, uint32_t partition, const struct quo_entry *entry,
                     uint64_t replica, uint64_t mono_us)
{
    struct quo_pair *pair = make(server, partition, entry, replica);
    *pair = (struct quo_pair){.replica = replica, .mono_us = mono_us, .epoch = entry->epoch};
}

void quo_pairs_differ(struct quo_server *server, uint32_t partition, const struct quo_entry *entry,
                      uint64_t replica)
{
    make(server, partition, entry, replica)->differs = true;
}

struct quo_pairs_sum quo_pairs_sum(const struct quo_server *server)
{
    const struct quo_exchanges *x = server->exchanges;
    struct quo_pairs_sum sum = {.pairs = 0};
    uint64_t oldest_us = UINT64_MAX;
    for (uint32_t i = 0; x != NULL && i < server->partition_count; i++) {
        const struct quo_entry *entry = &server->partitions[i].entry;
        for (uint32_t member = 0; member < entry->n; member++) {
            if (!quo_pairs_is(server, i, entry->replicas[member]))
                continue;
            const struct quo_pair *pair = quo_pairs_find(server, i, entry->replicas[member]);
            bool ever = pair != NULL && pair->mono_us != 0;
            sum.pairs++;
            sum.differing += pair != NULL && pair->differs;
            oldest_us = QUO_MIN(oldest_us, ever ? pair->mono_us : x->started_us);
        }
    }
    if (oldest_us != UINT64_MAX)
        sum.unequal_us = quo_mono_us(server->env) - oldest_us;
    return sum;
}

uint64_t quo_server_unequal_us(const struct quo_server *server)
{
    return quo_pairs_sum(server).unequal_us;
}

uint32_t quo_server_differing(const struct quo_server *server)
{
    return quo_pairs_sum(server).differing;
}

/* EQUAL */

void quo_handle_equal(struct quo_server *server, struct quo_slice body)
{
    struct quo_msg_equal told;
    struct quo_entry entry;
    if (server->exchanges == NULL || !server->serving ||
        quo_msg_equal_decode(body, &told) != QUO_OK || told.partition >= server->partition_count ||
        quo_entry_decode(told.entry, &entry) != QUO_OK)
        return;
    const struct quo_partition *partition = &server->partitions[told.partition];
    bool is_peer = quo_pairs_place(&partition->entry, told.replica) >= 0 &&
                   quo_pairs_place(&partition->entry, server->replica) >= 0 &&
                   told.replica != server->replica;
    if (is_peer && partition->adopting == NULL && quo_entry_equal(&partition->entry, &entry) &&
        told.since_us <= quo_mono_us(server->env))
        quo_pairs_equal(server, told.partition, &entry, told.replica, told.since_us);
}

/* FRESH */

static void insert(uint64_t moments[QUO_REPLICAS_MAX], uint32_t count, uint64_t moment_us)
{
    uint32_t at = count;
    for (; at > 0 && moments[at - 1] < moment_us; at--)
        moments[at] = moments[at - 1];
    moments[at] = moment_us;
}

uint64_t quo_pairs_fresh_us(const struct quo_server *server, uint32_t partition,
                            const struct quo_namespace *ns)
{
    const struct quo_entry *entry = &server->partitions[partition].entry;
    uint64_t latest[QUO_REPLICAS_MAX];
    uint32_t count = 0, need = ns->rs - 1u;
    int place = quo_pairs_place(entry, server->replica);
    if (server->exchanges == NULL || entry->state != QUO_ENTRY_NORMAL || place < 0 ||
        place >= ns->n)
        return 0;
    /* We alone are a read quorum. */
    if (need == 0)
        return quo_mono_us(server->env);
    if (QUO_MUTANT(FRESH_BY_ONE_PEER))
        need = 1;
    for (int i = 0; i < ns->n && i < entry->n; i++) {
        const struct quo_pair *pair = quo_pairs_find(server, partition, entry->replicas[i]);
        bool counts = pair != NULL && pair->mono_us != 0;
        if (counts && (pair->epoch == entry->epoch || QUO_MUTANT(FRESH_ACROSS_EPOCHS)))
            insert(latest, count++, pair->mono_us);
    }
    return count >= need ? latest[need - 1] : 0;
}

static void send_freshness(struct quo_server *server, uint64_t peer, uint64_t id,
                           const struct quo_msg_freshness *message)
{
    struct quo_transport *transport = server->transport;
    uint8_t *body;
    if (transport->ops->reserve(transport, peer, quo_msg_freshness_size(message), &body) != QUO_OK)
        return; /* who asked does without */
    quo_msg_freshness_encode(message, body);
    transport->ops->seal(transport, peer, QUO_MESSAGE_FRESHNESS, id);
}

/* In whole milliseconds, none of them left out. */
static uint32_t age_of(const struct quo_server *server, uint64_t moment_us)
{
    if (moment_us == 0)
        return UINT32_MAX;
    uint64_t age_ms = (quo_mono_us(server->env) - moment_us + 999) / 1000;
    return (uint32_t)QUO_MIN(age_ms, UINT32_MAX);
}

void quo_handle_fresh(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_msg_freshness answer = {.status = QUO_MALFORMED, .age_ms = UINT32_MAX};
    struct quo_msg_fresh asked;
    struct quo_entry entry;
    if (quo_msg_fresh_decode(body, &asked) == QUO_OK && asked.partition < server->partition_count &&
        quo_entry_decode(asked.entry, &entry) == QUO_OK) {
        const struct quo_partition *partition = &server->partitions[asked.partition];
        const struct quo_namespace *ns = quo_request_namespace(server, asked.ns);
        answer.partition = asked.partition;
        answer.ns = asked.ns;
        answer.epoch = entry.epoch;
        answer.status = QUO_BUSY;
        if (server->serving && partition->adopting == NULL && ns != NULL &&
            quo_entry_equal(&partition->entry, &entry)) {
            answer.status = QUO_OK;
            answer.age_ms = age_of(server, quo_pairs_fresh_us(server, asked.partition, ns));
        }
    }
    send_freshness(server, peer, id, &answer);
}
