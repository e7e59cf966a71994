#include "proxy/session/token.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define NODE_BITS (UINT64_C(0xffff) << 48)

uint64_t quo_token_key(uint32_t namespace_id, struct quo_slice key)
{
    return XXH3_64bits_withSeed(key.data, key.len, namespace_id);
}

bool quo_token_find(const struct quo_token *token, uint64_t key, struct quo_version *ret)
{
    for (uint8_t i = 0; i < token->count; i++) {
        if (token->entries[i].key != key)
            continue;
        *ret = token->entries[i].seen;
        return true;
    }
    return false;
}

void quo_token_raise(struct quo_token *token, uint64_t hlc)
{
    token->max_hlc = QUO_MAX(token->max_hlc, hlc);
}

static uint64_t low_of(const struct quo_token *token)
{
    return QUO_MAX(token->low_firm, token->low_weak);
}

/* From now on the watermark speaks for it. */
static void evict(struct quo_token *token, const struct quo_token_entry *entry)
{
    uint64_t *low = entry->is_firm ? &token->low_firm : &token->low_weak;

    *low = QUO_MAX(*low, entry->seen.hlc);
}

/* Entries of up to two tokens, before it is decided which are listed. */
struct pool {
    uint8_t count;
    struct quo_token_entry entries[2 * QUO_TOKEN_ENTRIES_MAX];
};

/* Newest first; the key only makes the order total. */
static bool is_before(const struct quo_token_entry *a, const struct quo_token_entry *b)
{
    int order = quo_version_compare(a->seen, b->seen);

    return order != 0 ? order > 0 : a->key < b->key;
}

static void remove_at(struct pool *pool, uint8_t at)
{
    pool->count--;
    memmove(&pool->entries[at], &pool->entries[at + 1],
            (size_t)(pool->count - at) * sizeof pool->entries[0]);
}

static void insert(struct pool *pool, const struct quo_token_entry *entry)
{
    uint8_t at = pool->count;

    while (at > 0 && is_before(entry, &pool->entries[at - 1]))
        at--;
    memmove(&pool->entries[at + 1], &pool->entries[at],
            (size_t)(pool->count - at) * sizeof pool->entries[0]);
    pool->entries[at] = *entry;
    pool->count++;
}

/* Of each key the newest; of that, what is known best. */
static void put(struct pool *pool, const struct quo_token_entry *entry)
{
    for (uint8_t i = 0; i < pool->count; i++) {
        struct quo_token_entry *listed = &pool->entries[i];

        if (listed->key != entry->key)
            continue;
        int order = quo_version_compare(entry->seen, listed->seen);
        if (order == 0)
            listed->is_firm |= entry->is_firm;
        if (order <= 0)
            return;
        remove_at(pool, i);
        break;
    }
    insert(pool, entry);
}

/* Lists what fits. What is at or below a watermark could as well be what another token has evicted
 * of that very key: it is not listed either. */
static void list(struct quo_token *token, struct pool *pool)
{
    while (pool->count > QUO_TOKEN_ENTRIES_MAX ||
           (pool->count > 0 && pool->entries[pool->count - 1].seen.hlc <= low_of(token)))
        evict(token, &pool->entries[--pool->count]);
    token->count = pool->count;
    memcpy(token->entries, pool->entries, pool->count * sizeof pool->entries[0]);
}

static struct pool pool_of(const struct quo_token *token)
{
    struct pool pool = {.count = token->count};

    memcpy(pool.entries, token->entries, token->count * sizeof token->entries[0]);
    return pool;
}

void quo_token_add(struct quo_token *token, uint64_t key, struct quo_version version, bool is_firm)
{
    const struct quo_token_entry entry = {key, {version.hlc, version.node & NODE_BITS}, is_firm};
    struct pool pool = pool_of(token);

    if (version.hlc == 0)
        return;
    quo_token_raise(token, version.hlc);
    put(&pool, &entry);
    list(token, &pool);
}

void quo_token_merge(struct quo_token *token, const struct quo_token *other)
{
    struct pool pool = pool_of(token);

    for (uint8_t i = 0; i < other->count; i++)
        put(&pool, &other->entries[i]);
    quo_token_raise(token, other->max_hlc);
    token->low_firm = QUO_MAX(token->low_firm, other->low_firm);
    token->low_weak = QUO_MAX(token->low_weak, other->low_weak);
    list(token, &pool);
}
