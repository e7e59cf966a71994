/* Drops what is cleared: goes through a partition part by part in key order, and asks for each
 * delete to be dropped as a write of our own, so that it meets whatever else is written. */
#include "storage-node/server/internal.h"

/* What can be dropped */

static bool is_ours(const struct quo_server *server, uint32_t partition,
                    const struct quo_namespace *ns)
{
    const struct quo_entry *entry = &server->partitions[partition].entry;
    for (uint8_t i = 0; i < entry->n && i < ns->n; i++)
        if (entry->replicas[i] == server->replica)
            return true;
    return false;
}

bool quo_sweep_wanted(const struct quo_server *server, uint32_t partition)
{
    const struct quo_partition *ours = &server->partitions[partition];
    return quo_trees_ready(server, partition) && ours->entry.state == QUO_ENTRY_NORMAL &&
           (server->trees->partitions[partition].gone_ms < quo_version_ms(ours->floors.cleared) ||
            (QUO_MUTANT(DROP_UNSEALED) &&
             server->trees->partitions[partition].gone_ms != UINT64_MAX));
}

/* Of a namespace that is unknown here nothing was compared. */
static bool may_drop(const struct quo_server *server, const struct quo_range_entry *entry)
{
    uint32_t partition = server->collector->sweep.partition;
    const struct quo_namespace *ns =
        quo_request_namespace(server, quo_get_u32(entry->key.data + 2));
    return ns != NULL && is_ours(server, partition, ns) &&
           (quo_floors_cover(server->partitions[partition].floors.cleared, entry->value) ||
            QUO_MUTANT(DROP_UNSEALED));
}

static void drop(struct quo_server *server, const struct quo_range_entry *entry,
                 struct quo_version version)
{
    struct quo_sweep *sweep = &server->collector->sweep;
    const struct quo_namespace *ns =
        quo_request_namespace(server, quo_get_u32(entry->key.data + 2));
    struct quo_request request = {
        .peer = QUO_PEER_SELF,
        .id = quo_mesh_id(server, QUO_MESH_SWEEP),
        .op = QUO_OP_DROP,
        .partition = (uint16_t)sweep->partition,
        .kind = (uint8_t)ns->kind,
        .ns_id = quo_get_u32(entry->key.data + 2),
        .entry = server->partitions[sweep->partition].entry,
        .key = entry->key,
        .version = version,
        .sync = true,
    };
    sweep->dropping++;
    quo_write_start(server, &request, 0);
}

static void take_entry(struct quo_server *server, const struct quo_range_entry *entry)
{
    struct quo_sweep *sweep = &server->collector->sweep;
    struct quo_version version;
    uint8_t flags;
    uint64_t gone_ms = quo_floors_gone_ms(entry->value);
    if (gone_ms == UINT64_MAX || quo_record_peek(entry->value, &version, &flags) != QUO_OK)
        return;
    if (!may_drop(server, entry)) {
        sweep->gone_ms = QUO_MIN(sweep->gone_ms, gone_ms);
        return;
    }
    sweep->page_ms = QUO_MIN(sweep->page_ms, gone_ms);
    drop(server, entry, version);
}

void quo_sweep_on_reply(struct quo_server *server, const struct quo_msg_reply *reply)
{
    struct quo_sweep *sweep = &server->collector->sweep;
    QUO_INVARIANT(sweep->dropping > 0);
    sweep->dropping--;
    if (reply->status == QUO_OK)
        quo_count(&server->stats.collected, 1);
    else if (reply->status != QUO_SUPERSEDED)
        sweep->gone_ms = QUO_MIN(sweep->gone_ms, sweep->page_ms);
}

/* Course */

/* `whole`: all was gone through, so that what is left is known. */
static void end(struct quo_server *server, bool whole)
{
    struct quo_collector *collector = server->collector;
    struct quo_sweep *sweep = &collector->sweep;
    struct quo_forest *forest = &server->trees->partitions[sweep->partition];
    uint64_t gone_ms = whole ? sweep->gone_ms : sweep->before_ms;
    forest->gone_ms = QUO_MIN(forest->gone_ms, gone_ms);
    sweep->active = sweep->abandoned = false;
    collector->sweep_us[sweep->partition] = quo_mono_us(server->env) + collector->every_us;
    quo_collector_wake(server);
}

static void part_read(struct quo_load *load)
{
    struct quo_server *server = load->context;
    struct quo_sweep *sweep = &server->collector->sweep;
    struct quo_range_entry entry = {.key = {.len = 0}};
    bool read = load->status == QUO_OK;
    size_t at = 0;
    sweep->ranging = false;
    if (load->status == QUO_IO_ERROR)
        quo_count(&server->stats.io_errors, 1);
    sweep->page_ms = UINT64_MAX;
    while (read && !sweep->abandoned && quo_range_next(&sweep->range, &at, &entry))
        if (entry.key.len >= QUO_STORAGE_KEY_PREFIX && entry.key.len <= QUO_STORAGE_KEY_MAX)
            take_entry(server, &entry);
    sweep->lo_len = 0;
    if (read && sweep->range.more) {
        memcpy(sweep->lo, entry.key.data, entry.key.len);
        sweep->lo[entry.key.len] = 0;
        sweep->lo_len = entry.key.len + 1;
    }
    server->store->ops->range_release(server->store, &sweep->range);
    sweep->wake_us = quo_mono_us(server->env) + QUO_SWEEP_PAUSE_US;
    sweep->abandoned = sweep->abandoned || !read;
}

static void read_part(struct quo_server *server)
{
    struct quo_sweep *sweep = &server->collector->sweep;
    sweep->range = (struct quo_range){
        .load = {.family = QUO_FAMILY_DATA, .done = part_read, .context = server},
        .lo = quo_slice(sweep->lo, sweep->lo_len),
        .hi = quo_slice(sweep->hi, sweep->hi_len),
        .count_max = QUO_SWEEP_ENTRIES_MAX,
        .bytes_max = QUO_SWEEP_BYTES_MAX,
        .value_max = QUO_RECORD_EXPIRY_HEAD,
    };
    sweep->ranging = true;
    server->store->ops->range(server->store, &sweep->range);
}

/* While it lasts the partition is taken to have nothing more: all that it has is met again, and
 * what is written meanwhile counts by itself. */
void quo_sweep_start(struct quo_server *server, uint32_t partition)
{
    struct quo_sweep *sweep = &server->collector->sweep;
    struct quo_forest *forest = &server->trees->partitions[partition];
    QUO_REQUIRE(!sweep->active && !sweep->ranging && sweep->dropping == 0);
    sweep->active = true;
    sweep->abandoned = false;
    sweep->partition = partition;
    sweep->before_ms = forest->gone_ms;
    sweep->gone_ms = UINT64_MAX;
    forest->gone_ms = UINT64_MAX;
    quo_put_u16(sweep->lo, (uint16_t)partition);
    sweep->lo_len = 2;
    sweep->hi_len = quo_partition_end(partition, sweep->hi);
    sweep->wake_us = 0;
}

void quo_sweep_abandon(struct quo_server *server)
{
    struct quo_sweep *sweep = &server->collector->sweep;
    sweep->abandoned = sweep->active;
    if (sweep->active && !sweep->ranging && sweep->dropping == 0)
        end(server, false);
}

static bool may_read(const struct quo_server *server)
{
    const struct quo_sweep *sweep = &server->collector->sweep;
    return sweep->active && !sweep->ranging && sweep->dropping == 0;
}

void quo_sweep_go_on(struct quo_server *server)
{
    struct quo_sweep *sweep = &server->collector->sweep;
    uint64_t now_us = quo_mono_us(server->env);
    if (!may_read(server) || now_us < sweep->wake_us)
        return;
    if (sweep->abandoned || !quo_trees_ready(server, sweep->partition))
        end(server, false);
    else if (sweep->lo_len == 0)
        end(server, true);
    else if (server->memory > server->memory_max / 8)
        sweep->wake_us = now_us + QUO_EXCHANGE_REST_US;
    else
        read_part(server);
}

uint64_t quo_sweep_deadline(const struct quo_server *server)
{
    return may_read(server) ? server->collector->sweep.wake_us : UINT64_MAX;
}
