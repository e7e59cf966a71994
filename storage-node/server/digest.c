/* DIGEST: what every byte of a partition comes to, read from the store and not from hash trees. For
 * an operator who wants to see replicas equal without believing those. One at a time, in pages. */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "storage-node/gc/floors.h"
#include "storage-node/server/internal.h"

#define PAGE_ENTRIES 1024u
#define PAGE_BYTES (256u * 1024)

struct quo_digesting {
    struct quo_server *server;
    uint64_t peer, id;
    uint16_t partition;
    uint8_t replicas;
    struct quo_entry entry;
    struct quo_version sealed;
    uint64_t root; /* of the hash trees when it began: they change with everything */
    uint64_t records, bytes;
    XXH3_state_t hash;
    struct quo_range range;
    uint8_t lo[QUO_STORAGE_KEY_MAX + 1], hi[QUO_STORAGE_KEY_MAX + 1];
};

static void send_digested(struct quo_server *server, uint64_t peer, uint64_t id,
                          const struct quo_msg_digested *message)
{
    struct quo_transport *transport = server->transport;
    uint8_t *body;
    if (transport->ops->reserve(transport, peer, quo_msg_digested_size(message), &body) != QUO_OK)
        return; /* who asked waits no longer than for any answer */
    quo_msg_digested_encode(message, body);
    transport->ops->seal(transport, peer, QUO_MESSAGE_DIGESTED, id);
}

static void refuse(struct quo_server *server, uint64_t peer, uint64_t id, enum quo_status status)
{
    const struct quo_msg_digested answer = {.status = (uint8_t)status};
    send_digested(server, peer, id, &answer);
}

/* Whether this entry is in force, is no move, and makes us a replica whose trees are there. */
static bool is_settled(const struct quo_server *server, uint32_t partition,
                       const struct quo_entry *entry)
{
    const struct quo_partition *at = &server->partitions[partition];
    return server->serving && server->trees != NULL && at->adopting == NULL &&
           quo_entry_equal(&at->entry, entry) && entry->state == QUO_ENTRY_NORMAL &&
           quo_pairs_place(entry, server->replica) >= 0 && quo_trees_ready(server, partition);
}

static void end(struct quo_digesting *digesting)
{
    struct quo_server *server = digesting->server;
    server->digesting = NULL;
    server->store->ops->range_release(server->store, &digesting->range);
    free(digesting);
}

static void finish(struct quo_digesting *digesting)
{
    struct quo_server *server = digesting->server;
    const XXH128_hash_t hash = XXH3_128bits_digest(&digesting->hash);
    const struct quo_msg_digested answer = {
        .status = QUO_OK,
        .steady = quo_trees_root(server, digesting->partition, 1) == digesting->root,
        .sealed = digesting->sealed,
        .records = digesting->records,
        .bytes = digesting->bytes,
        .high = hash.high64,
        .low = hash.low64,
    };
    send_digested(server, digesting->peer, digesting->id, &answer);
    end(digesting);
}

/* Without the partition of the key, with its lengths, so that no two lists look the same. */
static void add(struct quo_digesting *digesting, const struct quo_range_entry *entry)
{
    const struct quo_namespace *ns =
        entry->key.len >= QUO_STORAGE_KEY_PREFIX
            ? quo_request_namespace(digesting->server, quo_get_u32(entry->key.data + 2))
            : NULL;
    uint8_t lengths[8];
    /* Deletes that are being collected are gone on some replicas before others. */
    if (ns == NULL || ns->n != digesting->replicas ||
        quo_floors_cover(digesting->sealed, entry->value))
        return;
    quo_put_u32(lengths, (uint32_t)entry->key.len);
    quo_put_u32(lengths + 4, entry->value_len);
    XXH3_128bits_update(&digesting->hash, lengths, sizeof lengths);
    XXH3_128bits_update(&digesting->hash, entry->key.data + 2, entry->key.len - 2);
    XXH3_128bits_update(&digesting->hash, entry->value.data, entry->value.len);
    digesting->records++;
    digesting->bytes += entry->key.len + entry->value_len;
}

static void read_on(struct quo_digesting *digesting, size_t lo_len);

static void on_page(struct quo_load *load)
{
    struct quo_digesting *digesting = load->context;
    struct quo_server *server = digesting->server;
    struct quo_range *range = &digesting->range;
    struct quo_range_entry entry = {.value_len = 0};
    size_t at = 0, lo_len = 0;
    enum quo_status status = load->status == QUO_NO_MEMORY ? QUO_BUSY : load->status;
    if (status == QUO_IO_ERROR)
        quo_count(&server->stats.io_errors, 1);
    if (status == QUO_OK &&
        (server->draining || !is_settled(server, digesting->partition, &digesting->entry)))
        status = QUO_BUSY;
    if (status != QUO_OK) {
        refuse(server, digesting->peer, digesting->id, status);
        end(digesting);
        return;
    }
    while (quo_range_next(range, &at, &entry))
        add(digesting, &entry);
    if (!range->more) {
        finish(digesting);
        return;
    }
    lo_len = entry.key.len;
    memcpy(digesting->lo, entry.key.data, lo_len);
    digesting->lo[lo_len++] = 0; /* the next key */
    server->store->ops->range_release(server->store, range);
    read_on(digesting, lo_len);
}

static void read_on(struct quo_digesting *digesting, size_t lo_len)
{
    struct quo_store *store = digesting->server->store;
    digesting->range = (struct quo_range){
        .load = {.family = QUO_FAMILY_DATA, .done = on_page, .context = digesting},
        .lo = quo_slice(digesting->lo, lo_len),
        .hi = quo_slice(digesting->hi, quo_partition_end(digesting->partition, digesting->hi)),
        .count_max = PAGE_ENTRIES,
        .bytes_max = PAGE_BYTES,
        .value_max = QUO_RECORD_MAX,
    };
    store->ops->range(store, &digesting->range);
}

static void begin(struct quo_digesting *digesting, const struct quo_msg_digest *asked)
{
    digesting->partition = asked->partition;
    digesting->replicas = asked->replicas;
    digesting->sealed = quo_server_sealed(digesting->server, asked->partition);
    digesting->root = quo_trees_root(digesting->server, asked->partition, 1);
    XXH3_128bits_reset(&digesting->hash);
    quo_put_u16(digesting->lo, asked->partition);
    digesting->server->digesting = digesting;
    read_on(digesting, 2);
}

void quo_handle_digest(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_msg_digest asked;
    struct quo_entry entry;
    if (quo_msg_digest_decode(body, &asked) != QUO_OK ||
        asked.partition >= server->partition_count || asked.replicas == 0 ||
        asked.replicas > QUO_REPLICAS_MAX || quo_entry_decode(asked.entry, &entry) != QUO_OK) {
        refuse(server, peer, id, QUO_MALFORMED);
        return;
    }
    struct quo_digesting *digesting = NULL;
    if (is_settled(server, asked.partition, &entry) && !server->draining &&
        server->digesting == NULL)
        digesting = aligned_alloc(_Alignof(struct quo_digesting), sizeof *digesting);
    if (digesting == NULL) {
        refuse(server, peer, id, QUO_BUSY);
        return;
    }
    *digesting = (struct quo_digesting){.server = server, .peer = peer, .id = id, .entry = entry};
    begin(digesting, &asked);
}

void quo_digest_free(struct quo_server *server)
{
    if (server->digesting != NULL)
        end(server->digesting);
}
