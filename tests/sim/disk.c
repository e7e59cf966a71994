#include <stdlib.h>

#include "sim.h"
#include "storage-node/engine/range.h"
#include "storage-node/gc/floors.h"

struct quo_batch {
    struct sim_writes writes;
};

enum { DISK_COMMIT = 0, DISK_LOAD = 1 };

static struct sim_disk *disk_of(struct quo_store *s)
{
    return (struct sim_disk *)(void *)s;
}
_Static_assert(offsetof(struct sim_disk, store) == 0, "the port leads back to its disk");

/* ---- shared bytes ---- */

static struct sim_blob *blob_new(struct quo_slice bytes)
{
    struct sim_blob *blob = malloc(sizeof *blob + bytes.len);
    QUO_REQUIRE(blob != NULL);
    blob->refs = 1;
    blob->len = (uint32_t)bytes.len;
    if (bytes.len > 0)
        memcpy(blob->bytes, bytes.data, bytes.len);
    sim_world->blobs++;
    return blob;
}

static struct sim_blob *blob_ref(struct sim_blob *blob)
{
    if (blob != NULL)
        blob->refs++;
    return blob;
}

static void blob_drop(struct sim_blob *blob)
{
    if (blob == NULL || --blob->refs > 0)
        return;
    free(blob);
    sim_world->blobs--;
}

static struct quo_slice blob_slice(const struct sim_blob *blob)
{
    return blob == NULL ? quo_slice(NULL, 0) : quo_slice(blob->bytes, blob->len);
}

/* ---- cells ---- */

static const struct sim_cell *find(const struct sim_disk *disk, enum quo_family family,
                                   struct quo_slice key)
{
    for (uint32_t i = 0; i < disk->cell_count; i++) {
        const struct sim_cell *cell = &disk->cells[i];
        if (cell->family == family && quo_slice_equal(blob_slice(cell->key), key))
            return cell;
    }
    return NULL;
}

/* Of hints, which are many and soon gone, the cells are used again. */
static struct sim_cell *fresh_cell(struct sim_disk *disk, enum quo_family family)
{
    for (uint32_t i = 0; family == QUO_FAMILY_HINTS && i < disk->cell_count; i++) {
        struct sim_cell *cell = &disk->cells[i];
        if (cell->family == family && cell->visible == NULL && cell->durable == NULL) {
            blob_drop(cell->key);
            return cell;
        }
    }
    QUO_REQUIRE(disk->cell_count < SIM_CELLS_MAX);
    return &disk->cells[disk->cell_count++];
}

static struct sim_cell *make(struct sim_disk *disk, const struct sim_write *write)
{
    const struct sim_cell *found = find(disk, write->family, blob_slice(write->key));
    if (found != NULL)
        return &disk->cells[found - disk->cells];
    struct sim_cell *cell = fresh_cell(disk, write->family);
    *cell = (struct sim_cell){.family = write->family,
                              .index = sim_key_of_data(blob_slice(write->key)),
                              .key = blob_ref(write->key)};
    return cell;
}

static void apply_visible(struct sim_disk *disk, const struct sim_writes *writes)
{
    for (uint32_t i = 0; i < writes->count; i++) {
        struct sim_cell *cell = make(disk, &writes->list[i]);
        blob_drop(cell->visible);
        cell->visible = blob_ref(writes->list[i].value);
    }
}

static void apply_durable(struct sim_disk *disk, const struct sim_writes *writes)
{
    for (uint32_t i = 0; i < writes->count; i++) {
        struct sim_cell *cell = make(disk, &writes->list[i]);
        struct sim_blob *before = cell->durable;
        cell->durable = blob_ref(writes->list[i].value);
        sim_oracle_applied(disk, cell, before, cell->durable);
        blob_drop(before);
    }
    sim_oracle_committed(disk);
}

static void writes_clear(struct sim_writes *writes)
{
    for (uint32_t i = 0; i < writes->count; i++) {
        blob_drop(writes->list[i].key);
        blob_drop(writes->list[i].value);
    }
    writes->count = 0;
}

static void writes_free(struct sim_writes *writes)
{
    writes_clear(writes);
    free(writes->list);
    *writes = (struct sim_writes){0};
}

static void writes_add(struct sim_writes *writes, enum quo_family family, struct quo_slice key,
                       struct sim_blob *value)
{
    if (writes->count == writes->room) {
        writes->room = 2 * writes->room + 8;
        writes->list = realloc(writes->list, writes->room * sizeof *writes->list);
        QUO_REQUIRE(writes->list != NULL);
    }
    writes->list[writes->count++] =
        (struct sim_write){.family = family, .key = blob_new(key), .value = value};
}

/* ---- reading ---- */

static enum quo_status read_fault(const struct sim_disk *disk, enum quo_family family)
{
    struct sim *sim = sim_world;
    if (disk->error_permille == 0 || family == QUO_FAMILY_META ||
        !sim_chance(&sim->rng, disk->error_permille))
        return QUO_OK;
    return sim_chance(&sim->rng, 500) ? QUO_IO_ERROR : QUO_CORRUPT;
}

static enum quo_status pin(struct sim_blob *blob, struct quo_pinned *ret)
{
    if (blob == NULL)
        return QUO_NOT_FOUND;
    ret->bytes = blob_slice(blob);
    ret->handle = blob_ref(blob);
    return QUO_OK;
}

static enum quo_status store_get(struct quo_store *s, enum quo_family family, struct quo_slice key,
                                 struct quo_pinned *ret)
{
    struct sim_disk *disk = disk_of(s);
    struct sim *sim = sim_world;
    enum quo_status status = read_fault(disk, family);
    if (status != QUO_OK)
        return status;
    if (family != QUO_FAMILY_META && sim->swarm.miss_permille > 0 &&
        sim_chance(&sim->rng, sim->swarm.miss_permille))
        return QUO_WOULD_BLOCK;
    const struct sim_cell *cell = find(disk, family, key);
    return pin(cell == NULL ? NULL : cell->visible, ret);
}

static void store_release(struct quo_store *s, struct quo_pinned *pinned)
{
    (void)s;
    blob_drop(pinned->handle);
    *pinned = (struct quo_pinned){0};
}

static int by_key(const void *a, const void *b)
{
    struct quo_slice x = blob_slice((*(struct sim_cell *const *)a)->key);
    struct quo_slice y = blob_slice((*(struct sim_cell *const *)b)->key);
    int order = memcmp(x.data, y.data, QUO_MIN(x.len, y.len));
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static bool key_below(struct quo_slice a, struct quo_slice b)
{
    size_t n = QUO_MIN(a.len, b.len);
    int order = n == 0 ? 0 : memcmp(a.data, b.data, n);
    return order != 0 ? order < 0 : a.len < b.len;
}

/* What is visible of lo <= key < hi, in order. */
static size_t collect(struct sim_disk *disk, enum quo_family family, struct quo_slice lo,
                      struct quo_slice hi, struct sim_cell *hits[SIM_CELLS_MAX])
{
    size_t count = 0;
    for (uint32_t i = 0; i < disk->cell_count; i++) {
        struct sim_cell *cell = &disk->cells[i];
        struct quo_slice key = blob_slice(cell->key);
        if (cell->family == family && cell->visible != NULL && !key_below(key, lo) &&
            key_below(key, hi))
            hits[count++] = cell;
    }
    qsort(hits, count, sizeof hits[0], by_key);
    return count;
}

static void fill(struct sim_disk *disk, struct quo_range *range)
{
    struct sim_cell *hits[SIM_CELLS_MAX];
    size_t count = collect(disk, range->load.family, range->lo, range->hi, hits);
    quo_range_begin(range);
    for (size_t i = 0; i < count; i++)
        if (!quo_range_add(range, blob_slice(hits[i]->key), blob_slice(hits[i]->visible)))
            break;
    sim_world->blobs += range->bytes != NULL;
}

static void store_range_release(struct quo_store *s, struct quo_range *range)
{
    (void)s;
    sim_world->blobs -= range->bytes != NULL;
    quo_range_free(range);
}

/* Reads off the loop look at some moment before the completion: at once, or at the last. */
static void look(struct sim_disk *disk, uint32_t i)
{
    struct quo_load *load = disk->loads[i];
    if (load->range != NULL) {
        fill(disk, load->range);
        return;
    }
    const struct sim_cell *cell = find(disk, load->family, load->key);
    disk->load_values[i] = blob_ref(cell == NULL ? NULL : cell->visible);
}

static void start_load(struct sim_disk *disk, struct quo_load *load)
{
    struct sim *sim = sim_world;
    QUO_REQUIRE(disk->load_count < SIM_LOADS_MAX);
    uint32_t i = disk->load_count++;
    disk->loads[i] = load;
    disk->load_early[i] = sim_chance(&sim->rng, 500);
    disk->load_values[i] = NULL;
    if (disk->load_early[i])
        look(disk, i);
    uint64_t us = sim_between(&sim->rng, 20, sim->swarm.load_max_us) * (disk->slow ? 50 : 1);
    sim_at(sim, sim->now + us, SIM_EVENT_DISK, sim_node(sim, disk->node), DISK_LOAD, load);
}

static void store_load(struct quo_store *s, struct quo_load *load)
{
    load->range = NULL;
    start_load(disk_of(s), load);
}

static void store_range(struct quo_store *s, struct quo_range *range)
{
    range->load.range = range;
    range->bytes = NULL;
    range->len = range->room = 0;
    start_load(disk_of(s), &range->load);
}

/* Takes a load off the list; *ret_value is what it saw, owned by the caller. */
static void take_load(struct sim_disk *disk, struct quo_load *load, struct sim_blob **ret_value)
{
    uint32_t i = 0;
    while (i < disk->load_count && disk->loads[i] != load)
        i++;
    QUO_REQUIRE(i < disk->load_count);
    if (!disk->load_early[i])
        look(disk, i);
    *ret_value = disk->load_values[i];
    uint32_t last = --disk->load_count;
    disk->loads[i] = disk->loads[last];
    disk->load_values[i] = disk->load_values[last];
    disk->load_early[i] = disk->load_early[last];
}

static void complete_load(struct sim_disk *disk, struct quo_load *load, bool abort)
{
    struct sim_blob *value;
    take_load(disk, load, &value);
    load->status = abort ? QUO_IO_ERROR : read_fault(disk, load->family);
    load->value = (struct quo_pinned){0};
    if (load->status == QUO_OK && load->range == NULL)
        load->status = pin(value, &load->value);
    if (load->status != QUO_OK && load->range != NULL)
        store_range_release(&disk->store, load->range);
    blob_drop(value);
    load->done(load);
}

/* ---- writing ---- */

static struct quo_batch *batch_new(struct quo_store *s)
{
    (void)s;
    struct quo_batch *batch = calloc(1, sizeof *batch);
    QUO_REQUIRE(batch != NULL);
    return batch;
}

static void batch_free(struct quo_store *s, struct quo_batch *batch)
{
    QUO_REQUIRE(disk_of(s)->commit == NULL || disk_of(s)->commit->batch != batch);
    if (batch == NULL)
        return;
    writes_free(&batch->writes);
    free(batch);
}

static void batch_clear(struct quo_store *s, struct quo_batch *batch)
{
    QUO_REQUIRE(disk_of(s)->commit == NULL || disk_of(s)->commit->batch != batch);
    writes_clear(&batch->writes);
}

static void batch_put(struct quo_store *s, struct quo_batch *batch, enum quo_family family,
                      struct quo_slice key, struct quo_slice value)
{
    QUO_REQUIRE(disk_of(s)->commit == NULL || disk_of(s)->commit->batch != batch);
    writes_add(&batch->writes, family, key, blob_new(value));
}

static void batch_delete(struct quo_store *s, struct quo_batch *batch, enum quo_family family,
                         struct quo_slice key)
{
    QUO_REQUIRE(disk_of(s)->commit == NULL || disk_of(s)->commit->batch != batch);
    writes_add(&batch->writes, family, key, NULL);
}

static void store_commit(struct quo_store *s, struct quo_commit *commit)
{
    struct sim_disk *disk = disk_of(s);
    struct sim *sim = sim_world;
    QUO_REQUIRE(disk->commit == NULL);
    disk->commit = commit;
    uint64_t us = commit->sync
                      ? sim_between(&sim->rng, sim->swarm.sync_min_us, sim->swarm.sync_max_us)
                      : sim_between(&sim->rng, 5, 50);
    if (disk->slow)
        us *= 50;
    sim_at(sim, sim->now + us, SIM_EVENT_DISK, sim_node(sim, disk->node), DISK_COMMIT, commit);
}

static void sync_up_to(struct sim_disk *disk, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        apply_durable(disk, &disk->unsynced[i]);
        writes_free(&disk->unsynced[i]);
    }
    disk->unsynced_count -= count;
    memmove(disk->unsynced, disk->unsynced + count, disk->unsynced_count * sizeof *disk->unsynced);
}

static void keep_unsynced(struct sim_disk *disk, const struct sim_writes *writes)
{
    if (disk->unsynced_count == SIM_UNSYNCED_MAX)
        sync_up_to(disk, 1);
    struct sim_writes *kept = &disk->unsynced[disk->unsynced_count++];
    *kept = (struct sim_writes){0};
    for (uint32_t i = 0; i < writes->count; i++)
        writes_add(kept, writes->list[i].family, blob_slice(writes->list[i].key),
                   blob_ref(writes->list[i].value));
}

static enum quo_status commit_outcome(struct sim_disk *disk, const struct quo_commit *commit)
{
    struct sim *sim = sim_world;
    if (disk->broken)
        return QUO_IO_ERROR;
    if (disk->full)
        return QUO_DISK_FULL;
    if (disk->error_permille > 0 && sim_chance(&sim->rng, disk->error_permille)) {
        /* Unknown: sometimes it is found after the next start. */
        disk->broken = true;
        if (sim_chance(&sim->rng, 300)) {
            sync_up_to(disk, disk->unsynced_count);
            apply_durable(disk, &commit->batch->writes);
        }
        return QUO_IO_ERROR;
    }
    return QUO_OK;
}

static void complete_commit(struct sim_disk *disk, struct quo_commit *commit)
{
    QUO_REQUIRE(disk->commit == commit);
    commit->status = commit_outcome(disk, commit);
    if (commit->status == QUO_OK) {
        apply_visible(disk, &commit->batch->writes);
        if (commit->sync && !disk->lying) {
            sync_up_to(disk, disk->unsynced_count);
            apply_durable(disk, &commit->batch->writes);
        } else {
            keep_unsynced(disk, &commit->batch->writes);
        }
    }
    disk->commit = NULL;
    commit->done(commit);
}

void sim_disk_complete(struct sim_disk *disk, const struct sim_event *event)
{
    if (event->arg == DISK_COMMIT)
        complete_commit(disk, event->pointer);
    else
        complete_load(disk, event->pointer, false);
}

static enum quo_status
store_scan(struct quo_store *s, enum quo_family family, struct quo_slice lo, struct quo_slice hi,
           bool (*visit)(void *context, struct quo_slice key, struct quo_slice value),
           void *context)
{
    struct sim_cell *hits[SIM_CELLS_MAX];
    size_t count = collect(disk_of(s), family, lo, hi, hits);
    for (size_t i = 0; i < count; i++)
        if (!visit(context, blob_slice(hits[i]->key), blob_slice(hits[i]->visible)))
            break;
    return QUO_OK;
}

static void store_close(struct quo_store *s)
{
    (void)s; /* the world owns its disks */
}

static const struct quo_store_ops store_ops = {
    .get = store_get,
    .release = store_release,
    .load = store_load,
    .range = store_range,
    .range_release = store_range_release,
    .batch_new = batch_new,
    .batch_free = batch_free,
    .batch_clear = batch_clear,
    .batch_put = batch_put,
    .batch_delete = batch_delete,
    .commit = store_commit,
    .scan = store_scan,
    .close = store_close,
};

/* ---- life and death ---- */

void sim_disk_init(struct sim_disk *disk, uint32_t node)
{
    disk->store.ops = &store_ops;
    disk->node = node;
    disk->cell_count = 0;
    disk->unsynced_count = 0;
    disk->commit = NULL;
    disk->load_count = 0;
    disk->touched = disk->replaced = 0;
    disk->broken = disk->full = disk->slow = disk->wiped = false;
    disk->lying = sim_world->unsafe_disk;
    disk->error_permille = 0;
    memset(disk->dropped, 0, sizeof disk->dropped);
}

void sim_disk_crash(struct sim_disk *disk)
{
    struct sim *sim = sim_world;
    uint32_t kept = (uint32_t)sim_below(&sim->rng, disk->unsynced_count + 1);
    bool all = kept == disk->unsynced_count;
    sync_up_to(disk, kept);
    /* A crash inside a group commit: all of it is there, or nothing; nobody was told. */
    if (all && disk->commit != NULL && !disk->broken && !disk->full && sim_chance(&sim->rng, 500))
        apply_durable(disk, &disk->commit->batch->writes);
    for (uint32_t i = 0; i < disk->unsynced_count; i++)
        writes_free(&disk->unsynced[i]);
    disk->unsynced_count = 0;
    for (uint32_t i = 0; i < disk->cell_count; i++) {
        struct sim_cell *cell = &disk->cells[i];
        blob_drop(cell->visible);
        cell->visible = blob_ref(cell->durable);
    }
    disk->broken = false;
}

bool sim_disk_abort(struct sim_disk *disk)
{
    bool any = disk->load_count > 0 || disk->commit != NULL;
    while (disk->load_count > 0)
        complete_load(disk, disk->loads[0], true);
    struct quo_commit *commit = disk->commit;
    if (commit != NULL) {
        commit->status = QUO_IO_ERROR;
        disk->commit = NULL;
        commit->done(commit);
    }
    return any;
}

static void drop_cells(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->cell_count; i++) {
        blob_drop(disk->cells[i].key);
        blob_drop(disk->cells[i].visible);
        blob_drop(disk->cells[i].durable);
    }
    disk->cell_count = 0;
}

void sim_disk_wipe(struct sim_disk *disk)
{
    drop_cells(disk);
    memset(sim_world->promised[disk->node], 0, sizeof sim_world->promised[0]);
    memset(disk->dropped, 0, sizeof disk->dropped);
    disk->wiped = true;
}

void sim_disk_free(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->unsynced_count; i++)
        writes_free(&disk->unsynced[i]);
    disk->unsynced_count = 0;
    drop_cells(disk);
}

static struct quo_version version_of(const struct sim_blob *blob)
{
    struct quo_version version = QUO_VERSION_NONE;
    uint8_t flags;
    if (blob != NULL)
        (void)quo_record_peek(blob_slice(blob), &version, &flags);
    return version;
}

static const struct sim_cell *find_key(const struct sim_disk *disk, enum quo_family family,
                                       uint32_t key)
{
    for (uint32_t i = 0; i < disk->cell_count; i++)
        if (disk->cells[i].family == family && disk->cells[i].index == key)
            return &disk->cells[i];
    return NULL;
}

struct quo_slice sim_disk_durable(const struct sim_disk *disk, uint32_t key)
{
    const struct sim_cell *cell = find_key(disk, QUO_FAMILY_DATA, key);
    return blob_slice(cell == NULL ? NULL : cell->durable);
}

struct quo_version sim_disk_version(const struct sim_disk *disk, uint32_t key)
{
    const struct sim_cell *cell = find_key(disk, QUO_FAMILY_DATA, key);
    return quo_version_max(version_of(cell == NULL ? NULL : cell->durable), disk->dropped[key]);
}

struct quo_version sim_disk_sealed(const struct sim_disk *disk, uint32_t partition)
{
    uint8_t key[] = {'f', 'l', 'o', 'o', 'r', 0, 0};
    struct quo_floors floors;
    uint64_t namespaces;
    quo_put_u16(key + 5, (uint16_t)partition);
    const struct sim_cell *cell = find(disk, QUO_FAMILY_META, quo_slice(key, sizeof key));
    if (cell == NULL || cell->durable == NULL ||
        quo_floors_decode(blob_slice(cell->durable), &floors, &namespaces) != QUO_OK)
        return QUO_VERSION_NONE;
    return floors.sealed;
}

struct quo_version sim_disk_changed(const struct sim_disk *disk, uint32_t key)
{
    struct quo_slice bytes = sim_disk_durable(disk, key);
    struct quo_record record;
    if (bytes.len == 0 || quo_record_decode(bytes, &record) != QUO_OK)
        return QUO_VERSION_NONE;
    return record.changed;
}

struct quo_version sim_disk_promised(const struct sim_disk *disk, uint32_t key)
{
    const struct sim_cell *cell = find_key(disk, QUO_FAMILY_PROMISE, key);
    if (cell == NULL || cell->durable == NULL)
        return QUO_VERSION_NONE;
    QUO_REQUIRE(cell->durable->len == QUO_VERSION_SIZE);
    return quo_version_decode(cell->durable->bytes);
}

struct quo_slice sim_disk_settled(const struct sim_disk *disk, uint32_t key)
{
    const struct sim_cell *cell = find_key(disk, QUO_FAMILY_DATA, key);
    if (cell == NULL)
        return quo_slice(NULL, 0);
    bool ahead = cell->visible != cell->durable &&
                 quo_version_compare(version_of(cell->durable), version_of(cell->visible)) > 0;
    return blob_slice(ahead ? cell->visible : cell->durable);
}

/* Whether what `a` shows of the partition is on `b`, too. */
static bool is_within(const struct sim_disk *a, const struct sim_disk *b, uint32_t partition,
                      uint32_t *ret_key)
{
    for (uint32_t i = 0; i < a->cell_count; i++) {
        const struct sim_cell *cell = &a->cells[i];
        if (cell->family != QUO_FAMILY_DATA || cell->visible == NULL ||
            quo_get_u16(cell->key->bytes) != partition)
            continue;
        const struct sim_cell *other = find(b, QUO_FAMILY_DATA, blob_slice(cell->key));
        if (other == NULL || other->visible == NULL ||
            !quo_slice_equal(blob_slice(cell->visible), blob_slice(other->visible))) {
            *ret_key = cell->index;
            return false;
        }
    }
    return true;
}

bool sim_disk_same(const struct sim_disk *a, const struct sim_disk *b, uint32_t partition,
                   uint32_t *ret_key)
{
    return is_within(a, b, partition, ret_key) && is_within(b, a, partition, ret_key);
}
