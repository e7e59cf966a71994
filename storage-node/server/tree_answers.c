/* TREE and LEAF: what another node asks about our trees. */
#include <stdlib.h>

#include "storage-node/server/internal.h"

#define LISTED_OVERHEAD (2u + QUO_VERSION_SIZE + 1u)
#define RECORD_HEAD (2u + QUO_VERSION_SIZE) /* what tells version and flags */
#define LEAF_BYTES_MAX (1024u * 1024)       /* read for one answer */

struct quo_listing {
    struct quo_listing *next;
    struct quo_server *server;
    uint64_t peer, id;
    uint32_t partition;
    uint8_t replicas;
    struct quo_entry entry;
    uint64_t leaves[QUO_TREE_BRANCHES];
    uint8_t lo[QUO_STORAGE_KEY_MAX + 1], hi[QUO_STORAGE_KEY_MAX + 1];
    struct quo_range range;
    uint8_t page[QUO_LEAF_KEYS_MAX];
};

/* Keys in pages */

int quo_storage_key_compare(struct quo_slice a, struct quo_slice b)
{
    int order = memcmp(a.data, b.data, QUO_MIN(a.len, b.len));
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool quo_listed_next(struct quo_slice page, size_t *at, struct quo_listed *ret)
{
    size_t left = page.len - *at;
    if (left < LISTED_OVERHEAD)
        return false;
    const uint8_t *bytes = page.data + *at;
    size_t len = quo_get_u16(bytes);
    if (len < QUO_STORAGE_KEY_PREFIX || len > QUO_STORAGE_KEY_MAX || left - LISTED_OVERHEAD < len)
        return false;
    ret->key = quo_slice(bytes + 2, len);
    ret->version = quo_version_decode(bytes + 2 + len);
    ret->flags = bytes[2 + len + QUO_VERSION_SIZE];
    *at += LISTED_OVERHEAD + len;
    return true;
}

static void put_listed(uint8_t *out, const struct quo_listed *listed)
{
    size_t len = listed->key.len;
    quo_put_u16(out, (uint16_t)len);
    memcpy(out + 2, listed->key.data, len);
    quo_version_encode(listed->version, out + 2 + len);
    out[2 + len + QUO_VERSION_SIZE] = listed->flags;
}

bool quo_listed_parse(const struct quo_server *server, const struct quo_range_entry *entry,
                      uint8_t replicas, const uint64_t leaves[QUO_TREE_BRANCHES],
                      struct quo_listed *ret)
{
    if (entry->key.len < QUO_STORAGE_KEY_PREFIX || entry->key.len > QUO_STORAGE_KEY_MAX)
        return false;
    uint32_t leaf = quo_tree_leaf(entry->key);
    if ((leaves[leaf / QUO_TREE_LEAVES] >> leaf % QUO_TREE_LEAVES & 1) == 0)
        return false;
    const struct quo_namespace *ns =
        quo_request_namespace(server, quo_get_u32(entry->key.data + 2));
    ret->key = entry->key;
    return ns != NULL && ns->n >= replicas &&
           quo_record_peek(entry->value, &ret->version, &ret->flags) == QUO_OK;
}

/* Admission */

/* Trees are compared only by two that agree on who holds the partition, and never during a move. */
static enum quo_status admit(struct quo_server *server, uint32_t partition,
                             const struct quo_entry *carried)
{
    const struct quo_entry *mine = &server->partitions[partition].entry;
    if (!server->serving)
        return QUO_BUSY;
    struct quo_fence_verdict fence = quo_replica_fence(mine, carried, server->replica);
    if (fence.adopt)
        quo_epochs_adopt(server, (uint16_t)partition, carried);
    if (fence.status != QUO_OK)
        return fence.status;
    bool settled =
        mine->state == QUO_ENTRY_NORMAL && server->partitions[partition].adopting == NULL;
    return settled && quo_trees_ready(server, partition) ? QUO_OK : QUO_BUSY;
}

static bool is_question(const struct quo_server *server, uint32_t partition, uint8_t replicas,
                        struct quo_slice entry, struct quo_entry *ret)
{
    return partition < server->partition_count && replicas >= 1 && replicas <= QUO_REPLICAS_MAX &&
           quo_entry_decode(entry, ret) == QUO_OK;
}

/* The entry that goes with a status, in `out`. */
static struct quo_slice entry_with(const struct quo_server *server, enum quo_status status,
                                   uint32_t partition, uint8_t out[QUO_ENTRY_SIZE_MAX])
{
    if (status != QUO_WRONG_EPOCH)
        return quo_slice(NULL, 0);
    const struct quo_entry *mine = &server->partitions[partition].entry;
    quo_entry_encode(mine, out);
    return quo_slice(out, quo_entry_size(mine));
}

/* TREE */

static void send_hashes(struct quo_server *server, uint64_t peer, uint64_t id,
                        const struct quo_msg_tree_hashes *message)
{
    struct quo_transport *transport = server->transport;
    uint8_t *body;
    if (transport->ops->reserve(transport, peer, quo_msg_tree_hashes_size(message), &body) !=
        QUO_OK)
        return; /* who asked waits no longer than for any answer */
    quo_msg_tree_hashes_encode(message, body);
    transport->ops->seal(transport, peer, QUO_MESSAGE_TREE_HASHES, id);
}

static struct quo_slice hashes_of(const struct quo_server *server, const struct quo_msg_tree *asked,
                                  uint8_t out[QUO_LEAF_BITS_MAX])
{
    uint64_t hashes[64] = {0};
    size_t count = asked->level == QUO_TREE_ROOT ? 1 : 64;
    if (asked->level == QUO_TREE_ROOT)
        hashes[0] = quo_trees_root(server, asked->partition, asked->replicas);
    else if (asked->level == QUO_TREE_BRANCH_HASHES)
        quo_trees_branches(server, asked->partition, asked->replicas, hashes);
    else
        quo_trees_leaves(server, asked->partition, asked->replicas, asked->branch, hashes);
    for (size_t i = 0; i < count; i++)
        quo_put_u64(out + 8 * i, hashes[i]);
    return quo_slice(out, 8 * count);
}

void quo_handle_tree(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_msg_tree asked;
    struct quo_entry carried;
    uint8_t entry[QUO_ENTRY_SIZE_MAX], hashes[QUO_LEAF_BITS_MAX];
    struct quo_msg_tree_hashes answer = {
        .status = QUO_MALFORMED,
        .now_us = quo_mono_us(server->env),
    };
    if (quo_msg_tree_decode(body, &asked) == QUO_OK && asked.level <= QUO_TREE_LEAF_HASHES &&
        asked.branch < QUO_TREE_BRANCHES &&
        is_question(server, asked.partition, asked.replicas, asked.entry, &carried)) {
        enum quo_status status = admit(server, asked.partition, &carried);
        answer.status = (uint8_t)status;
        answer.entry = entry_with(server, status, asked.partition, entry);
        if (status == QUO_OK)
            answer.hashes = hashes_of(server, &asked, hashes);
    }
    send_hashes(server, peer, id, &answer);
}

/* LEAF */

static void send_keys(struct quo_server *server, uint64_t peer, uint64_t id,
                      const struct quo_msg_leaf_keys *message)
{
    struct quo_transport *transport = server->transport;
    uint8_t *body;
    if (transport->ops->reserve(transport, peer, quo_msg_leaf_keys_size(message), &body) != QUO_OK)
        return;
    quo_msg_leaf_keys_encode(message, body);
    transport->ops->seal(transport, peer, QUO_MESSAGE_LEAF_KEYS, id);
}

static void refuse(struct quo_server *server, uint64_t peer, uint64_t id, enum quo_status status,
                   uint32_t partition)
{
    uint8_t entry[QUO_ENTRY_SIZE_MAX];
    struct quo_msg_leaf_keys answer = {
        .status = (uint8_t)status,
        .entry = entry_with(server, status, partition, entry),
    };
    send_keys(server, peer, id, &answer);
}

/* Fills the page. `upto` is the last key that it speaks of; empty: the partition's end. */
static struct quo_slice fill(struct quo_listing *listing, struct quo_slice *ret_upto)
{
    const struct quo_range *range = &listing->range;
    struct quo_range_entry entry;
    struct quo_listed listed;
    struct quo_slice upto = quo_slice(NULL, 0);
    size_t at = 0, len = 0;
    while (quo_range_next(range, &at, &entry)) {
        if (quo_listed_parse(listing->server, &entry, listing->replicas, listing->leaves,
                             &listed)) {
            if (sizeof listing->page - len < LISTED_OVERHEAD + entry.key.len) {
                *ret_upto = upto;
                return quo_slice(listing->page, len);
            }
            put_listed(listing->page + len, &listed);
            len += LISTED_OVERHEAD + entry.key.len;
        }
        upto = entry.key;
    }
    *ret_upto = range->more ? upto : quo_slice(NULL, 0);
    return quo_slice(listing->page, len);
}

static void unlink_listing(struct quo_listing *listing)
{
    struct quo_listing **at = &listing->server->listings;
    while (*at != listing)
        at = &(*at)->next;
    *at = listing->next;
    listing->server->listing_count--;
}

static void listed(struct quo_load *load)
{
    struct quo_listing *listing = load->context;
    struct quo_server *server = listing->server;
    enum quo_status status = load->status == QUO_NO_MEMORY ? QUO_BUSY : load->status;
    if (status == QUO_IO_ERROR)
        quo_count(&server->stats.io_errors, 1);
    if (status == QUO_OK)
        status = admit(server, listing->partition, &listing->entry);
    if (status == QUO_OK) {
        struct quo_msg_leaf_keys answer = {.status = QUO_OK};
        answer.keys = fill(listing, &answer.upto);
        send_keys(server, listing->peer, listing->id, &answer);
    } else {
        refuse(server, listing->peer, listing->id, status, listing->partition);
    }
    unlink_listing(listing);
    server->store->ops->range_release(server->store, &listing->range);
    free(listing);
}

static void start(struct quo_listing *listing, const struct quo_msg_leaf *asked)
{
    struct quo_server *server = listing->server;
    size_t lo_len = asked->after.len;
    for (size_t i = 0; i < QUO_TREE_BRANCHES; i++)
        listing->leaves[i] = quo_get_u64(asked->leaves.data + 8 * i);
    if (lo_len == 0) {
        quo_put_u16(listing->lo, asked->partition);
        lo_len = 2;
    } else {
        memcpy(listing->lo, asked->after.data, lo_len);
        listing->lo[lo_len++] = 0; /* the next key */
    }
    listing->range = (struct quo_range){
        .load = {.family = QUO_FAMILY_DATA, .done = listed, .context = listing},
        .lo = quo_slice(listing->lo, lo_len),
        .hi = quo_slice(listing->hi, quo_partition_end(asked->partition, listing->hi)),
        .count_max = QUO_LEAF_SCAN_MAX,
        .bytes_max = LEAF_BYTES_MAX,
        .value_max = RECORD_HEAD,
    };
    listing->next = server->listings;
    server->listings = listing;
    server->listing_count++;
    server->store->ops->range(server->store, &listing->range);
}

static bool is_proper(const struct quo_msg_leaf *asked)
{
    return asked->leaves.len == QUO_LEAF_BITS_MAX &&
           (asked->after.len == 0 || (asked->after.len >= QUO_STORAGE_KEY_PREFIX &&
                                      quo_get_u16(asked->after.data) == asked->partition));
}

void quo_handle_leaf(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_msg_leaf asked;
    struct quo_entry carried;
    if (quo_msg_leaf_decode(body, &asked) != QUO_OK || !is_proper(&asked) ||
        !is_question(server, asked.partition, asked.replicas, asked.entry, &carried)) {
        refuse(server, peer, id, QUO_MALFORMED, 0);
        return;
    }
    enum quo_status status = admit(server, asked.partition, &carried);
    struct quo_listing *listing = NULL;
    if (status == QUO_OK && !server->draining && server->listing_count < QUO_LEAF_LISTINGS_MAX)
        listing = malloc(sizeof *listing);
    if (listing == NULL) {
        refuse(server, peer, id, status == QUO_OK ? QUO_BUSY : status, asked.partition);
        return;
    }
    listing->server = server;
    listing->peer = peer;
    listing->id = id;
    listing->partition = asked.partition;
    listing->replicas = asked.replicas;
    listing->entry = carried;
    start(listing, &asked);
}

void quo_listings_free(struct quo_server *server)
{
    while (server->listings != NULL) {
        struct quo_listing *listing = server->listings;
        server->listings = listing->next;
        server->store->ops->range_release(server->store, &listing->range);
        free(listing);
    }
    server->listing_count = 0;
}
