#include "storage-node/server/overlay.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FIRST_BUCKETS 1024u

uint64_t quo_overlay_digest(struct quo_slice bytes)
{
    return XXH3_64bits(bytes.data, bytes.len);
}

enum quo_status quo_overlay_init(struct quo_overlay *overlay)
{
    overlay->buckets = calloc(FIRST_BUCKETS, sizeof(struct quo_overlay_entry *));
    if (overlay->buckets == NULL)
        return QUO_NO_MEMORY;
    overlay->bucket_count = FIRST_BUCKETS;
    overlay->count = 0;
    return QUO_OK;
}

void quo_overlay_free(struct quo_overlay *overlay)
{
    free(overlay->buckets);
    overlay->buckets = NULL;
    overlay->bucket_count = 0;
    overlay->count = 0;
}

static struct quo_overlay_entry **bucket_of(const struct quo_overlay *overlay, uint64_t hash)
{
    return &overlay->buckets[hash & (overlay->bucket_count - 1)];
}

struct quo_overlay_entry *quo_overlay_find(const struct quo_overlay *overlay, struct quo_slice key)
{
    if (overlay->count == 0)
        return NULL;
    uint64_t hash = quo_overlay_digest(key);
    struct quo_overlay_entry *entry = *bucket_of(overlay, hash);
    while (entry != NULL && !(entry->hash == hash && quo_slice_equal(entry->key, key)))
        entry = entry->next;
    return entry;
}

/* When there is no memory for more buckets the chains grow instead. */
static void grow(struct quo_overlay *overlay)
{
    struct quo_overlay old = *overlay;
    struct quo_overlay_entry **buckets = calloc(old.bucket_count * 2, sizeof *buckets);
    if (buckets == NULL)
        return;
    overlay->buckets = buckets;
    overlay->bucket_count = old.bucket_count * 2;
    for (size_t i = 0; i < old.bucket_count; i++) {
        while (old.buckets[i] != NULL) {
            struct quo_overlay_entry *entry = old.buckets[i];
            old.buckets[i] = entry->next;
            struct quo_overlay_entry **bucket = bucket_of(overlay, entry->hash);
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    free(old.buckets);
}

void quo_overlay_insert(struct quo_overlay *overlay, struct quo_overlay_entry *entry)
{
    if (overlay->count >= overlay->bucket_count)
        grow(overlay);
    entry->hash = quo_overlay_digest(entry->key);
    struct quo_overlay_entry **bucket = bucket_of(overlay, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    overlay->count++;
}

void quo_overlay_remove(struct quo_overlay *overlay, struct quo_overlay_entry *entry)
{
    struct quo_overlay_entry **at = bucket_of(overlay, entry->hash);
    while (*at != entry) {
        QUO_INVARIANT(*at != NULL);
        at = &(*at)->next;
    }
    *at = entry->next;
    entry->next = NULL;
    overlay->count--;
}
