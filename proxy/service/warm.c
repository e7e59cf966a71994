#include "proxy/service/warm.h"

#include <stdlib.h>

#define BUCKETS (2u * QUO_WARM_MAX)
/* Rooms have a multiple of this, so that a record that grows a little stays where it is. */
#define ROOM_STEP 256u

_Static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a mask finds the bucket");
_Static_assert(QUO_KEY_MAX + QUO_WARM_RECORD_MAX + ROOM_STEP < QUO_WARM_BYTES_MAX,
               "the largest entry fits");

struct quo_warm_entry {
    uint64_t hash;
    uint32_t ns;
    uint32_t epoch;
    bool is_taken; /* it only keeps the room for when the promise comes back */
    struct quo_version ballot;
    uint64_t given_us;
    struct quo_warm_entry *in_bucket;
    struct quo_warm_entry *newer, *older;
    uint32_t key_len, record_len;
    uint32_t room;
    uint8_t bytes[]; /* key, then record */
};

enum quo_status quo_warm_init(struct quo_warm *warm)
{
    *warm = (struct quo_warm){0};
    warm->buckets = calloc(BUCKETS, sizeof(struct quo_warm_entry *));
    return warm->buckets != NULL ? QUO_OK : QUO_NO_MEMORY;
}

static struct quo_warm_entry **bucket_of(struct quo_warm *warm, uint64_t hash)
{
    return &warm->buckets[hash & (BUCKETS - 1)];
}

static struct quo_warm_entry *find(struct quo_warm *warm, const struct quo_name *name)
{
    struct quo_warm_entry *entry = *bucket_of(warm, name->hash);

    while (entry != NULL) {
        struct quo_name its = {entry->hash, entry->ns, quo_slice(entry->bytes, entry->key_len)};
        if (quo_name_equal(&its, name))
            break;
        entry = entry->in_bucket;
    }
    return entry;
}

static void leave_order(struct quo_warm *warm, struct quo_warm_entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &warm->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &warm->oldest) = entry->newer;
}

static void enter_order(struct quo_warm *warm, struct quo_warm_entry *entry)
{
    entry->newer = NULL;
    entry->older = warm->newest;
    *(warm->newest != NULL ? &warm->newest->newer : &warm->oldest) = entry;
    warm->newest = entry;
}

static void evict(struct quo_warm *warm, struct quo_warm_entry *entry)
{
    struct quo_warm_entry **link = bucket_of(warm, entry->hash);

    while (*link != entry)
        link = &(*link)->in_bucket;
    *link = entry->in_bucket;
    leave_order(warm, entry);
    warm->count--;
    warm->bytes -= entry->room;
    free(entry);
}

void quo_warm_free(struct quo_warm *warm)
{
    while (warm->oldest != NULL)
        evict(warm, warm->oldest);
    free(warm->buckets);
    *warm = (struct quo_warm){0};
}

/* A new entry with so much room; NULL without memory. */
static struct quo_warm_entry *add(struct quo_warm *warm, const struct quo_name *name, size_t size)
{
    size_t room = (size + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;

    while (warm->count == QUO_WARM_MAX || warm->bytes + room > QUO_WARM_BYTES_MAX)
        evict(warm, warm->oldest);
    struct quo_warm_entry *entry = malloc(sizeof *entry + room);
    if (entry == NULL)
        return NULL;
    *entry = (struct quo_warm_entry){
        .hash = name->hash,
        .ns = name->ns,
        .key_len = (uint32_t)name->key.len,
        .room = (uint32_t)room,
        .in_bucket = *bucket_of(warm, name->hash),
    };
    memcpy(entry->bytes, name->key.data, name->key.len);
    *bucket_of(warm, name->hash) = entry;
    enter_order(warm, entry);
    warm->count++;
    warm->bytes += room;
    return entry;
}

void quo_warm_put(struct quo_warm *warm, const struct quo_name *name, uint32_t epoch,
                  const struct quo_warm_start *start, uint64_t now_us)
{
    struct quo_warm_entry *entry = find(warm, name);
    size_t size = name->key.len + start->record.len;
    bool is_small = start->record.len <= QUO_WARM_RECORD_MAX;

    if (entry != NULL && (!is_small || size > entry->room)) {
        evict(warm, entry);
        entry = NULL;
    }
    if (!is_small)
        return;
    if (entry == NULL)
        entry = add(warm, name, size);
    if (entry == NULL)
        return;
    entry->epoch = epoch;
    entry->is_taken = false;
    entry->ballot = start->ballot;
    entry->given_us = now_us;
    entry->record_len = (uint32_t)start->record.len;
    memcpy(entry->bytes + entry->key_len, start->record.data, start->record.len);
    leave_order(warm, entry);
    enter_order(warm, entry);
}

bool quo_warm_take(struct quo_warm *warm, const struct quo_name *name, uint32_t epoch,
                   uint64_t now_us, struct quo_warm_start *ret)
{
    struct quo_warm_entry *entry = find(warm, name);

    if (entry == NULL || entry->is_taken)
        return false;
    entry->is_taken = true;
    if (entry->epoch != epoch || now_us - entry->given_us > QUO_WARM_IDLE_MS * UINT64_C(1000))
        return false;
    ret->ballot = entry->ballot;
    ret->record = quo_slice(entry->bytes + entry->key_len, entry->record_len);
    return true;
}
