/* The keys of the leaves that differ: the peer's and ours, page by page in key order, side by side.
 */
#include <stdlib.h>

#include "storage-node/server/internal.h"

#define RECORD_HEAD (2u + QUO_VERSION_SIZE)
#define OURS_BYTES_MAX (1024u * 1024)

void quo_keys_start(struct quo_server *server, struct quo_comparison *comparison)
{
    struct quo_keys *keys = &server->exchanges->keys;
    keys->of = comparison;
    quo_put_u16(keys->lo, (uint16_t)comparison->partition);
    keys->lo_len = 2;
    keys->step = QUO_KEYS_ASK;
}

/* A range under way goes on; its end finds that nobody waits. */
void quo_keys_stop(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    quo_mend_stop(server);
    while (keys->differences != NULL) {
        struct quo_difference *difference = keys->differences;
        keys->differences = difference->next;
        free(difference);
    }
    free(keys->theirs);
    keys->theirs = NULL;
    keys->step = QUO_KEYS_NONE;
    keys->of = NULL;
}

/* Asking */

static void ask(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    struct quo_comparison *of = keys->of;
    uint8_t entry[QUO_ENTRY_SIZE_MAX], leaves[QUO_LEAF_BITS_MAX];
    struct quo_msg_leaf message = {
        .partition = (uint16_t)of->partition,
        .entry = quo_exchanges_entry(of, entry),
        .replicas = of->replicas,
        .leaves = quo_slice(leaves, sizeof leaves),
    };
    for (size_t i = 0; i < QUO_TREE_BRANCHES; i++)
        quo_put_u64(leaves + 8 * i, of->machine.leaves[i]);
    /* All but the first page begin just after a key. */
    if (keys->lo_len > 2)
        message.after = quo_slice(keys->lo, keys->lo_len - 1);
    uint8_t *body = quo_exchanges_reserve(server, of->peer, quo_msg_leaf_size(&message));
    if (body == NULL) {
        quo_exchanges_give_up(server, of);
        return;
    }
    quo_msg_leaf_encode(&message, body);
    of->waits_for = quo_exchanges_id(server);
    of->expires_us = quo_mono_us(server->env) + QUO_EXCHANGE_TIMEOUT_MS * UINT64_C(1000);
    keys->step = QUO_KEYS_WAIT;
    quo_exchanges_seal(server, of->peer, QUO_MESSAGE_LEAF, of->waits_for);
}

/* Comparing */

static void note(struct quo_server *server, struct quo_slice key, enum quo_mend mend)
{
    struct quo_keys *keys = &server->exchanges->keys;
    if (mend == QUO_MEND_NOTHING)
        return;
    struct quo_difference *difference = malloc(sizeof *difference + key.len);
    if (difference == NULL) {
        keys->of->failed++;
        return;
    }
    difference->next = NULL;
    difference->mend = mend;
    difference->key_len = key.len;
    memcpy(difference->key, key.data, key.len);
    *keys->differences_end = difference;
    keys->differences_end = &difference->next;
    quo_count(&server->stats.differences, 1);
}

/* The page ends with the last key that was read here, if that is before the end of theirs. */
static void cut(struct quo_keys *keys, struct quo_slice last)
{
    memcpy(keys->hi, last.data, last.len);
    keys->hi[last.len] = 0;
    keys->hi_len = last.len + 1;
    keys->last = false;
}

/* Both sides are in order. */
static void compare(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    const struct quo_comparison *of = keys->of;
    struct quo_slice page = quo_slice(keys->theirs, keys->theirs_len);
    struct quo_range_entry entry = {.key = {.len = 0}};
    struct quo_listed ours, theirs;
    size_t at = 0, their_at = 0;
    bool more = quo_listed_next(page, &their_at, &theirs);
    while (quo_range_next(&keys->range, &at, &entry)) {
        if (!quo_listed_parse(server, &entry, of->replicas, of->machine.leaves, &ours))
            continue;
        while (more && quo_storage_key_compare(theirs.key, ours.key) < 0) {
            note(server, theirs.key, QUO_MEND_PULL);
            more = quo_listed_next(page, &their_at, &theirs);
        }
        bool both = more && quo_slice_equal(theirs.key, ours.key);
        note(server, ours.key,
             quo_exchange_mend(ours.version, both ? theirs.version : QUO_VERSION_NONE));
        if (both)
            more = quo_listed_next(page, &their_at, &theirs);
    }
    if (keys->range.more)
        cut(keys, entry.key);
    struct quo_slice hi = quo_slice(keys->hi, keys->hi_len);
    while (more && quo_storage_key_compare(theirs.key, hi) < 0) {
        note(server, theirs.key, QUO_MEND_PULL);
        more = quo_listed_next(page, &their_at, &theirs);
    }
}

static void read_ours(struct quo_load *load)
{
    struct quo_server *server = load->context;
    struct quo_keys *keys = &server->exchanges->keys;
    keys->ranging = false;
    if (load->status == QUO_IO_ERROR)
        quo_count(&server->stats.io_errors, 1);
    bool fits = keys->step == QUO_KEYS_READ;
    if (fits && load->status == QUO_OK) {
        compare(server);
        keys->step = QUO_KEYS_MEND;
    }
    enum quo_status status = load->status;
    server->store->ops->range_release(server->store, &keys->range);
    if (fits && status != QUO_OK)
        quo_exchanges_give_up(server, keys->of);
}

/* The peer's page */

/* Everything is of this partition, and the page gets on. */
static bool is_proper(const struct quo_server *server, const struct quo_msg_leaf_keys *page)
{
    const struct quo_keys *keys = &server->exchanges->keys;
    struct quo_listed listed;
    size_t at = 0;
    while (quo_listed_next(page->keys, &at, &listed))
        if (quo_get_u16(listed.key.data) != keys->of->partition)
            return false;
    return at == page->keys.len &&
           (page->upto.len == 0 ||
            quo_storage_key_compare(page->upto, quo_slice(keys->lo, keys->lo_len)) >= 0);
}

void quo_keys_on_page(struct quo_server *server, const struct quo_msg_leaf_keys *page)
{
    struct quo_keys *keys = &server->exchanges->keys;
    if (page->status == QUO_WRONG_EPOCH)
        quo_exchanges_learn(server, keys->of, page->entry);
    if (keys->step != QUO_KEYS_WAIT || page->status != QUO_OK || !is_proper(server, page) ||
        (keys->theirs = malloc(page->keys.len + 1)) == NULL) {
        quo_exchanges_give_up(server, keys->of);
        return;
    }
    if (page->keys.len > 0)
        memcpy(keys->theirs, page->keys.data, page->keys.len);
    keys->theirs_len = page->keys.len;
    keys->last = page->upto.len == 0;
    if (keys->last)
        keys->hi_len = quo_partition_end(keys->of->partition, keys->hi);
    else
        cut(keys, page->upto);
    keys->differences_end = &keys->differences;
    keys->range = (struct quo_range){
        .load = {.family = QUO_FAMILY_DATA, .done = read_ours, .context = server},
        .lo = quo_slice(keys->lo, keys->lo_len),
        .hi = quo_slice(keys->hi, keys->hi_len),
        .count_max = QUO_LEAF_SCAN_MAX,
        .bytes_max = OURS_BYTES_MAX,
        .value_max = RECORD_HEAD,
    };
    keys->step = QUO_KEYS_READ;
    keys->ranging = true;
    server->store->ops->range(server->store, &keys->range);
}

static void turn_page(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    bool last = keys->last;
    free(keys->theirs);
    keys->theirs = NULL;
    memcpy(keys->lo, keys->hi, keys->hi_len);
    keys->lo_len = keys->hi_len;
    keys->step = QUO_KEYS_ASK;
    if (last)
        quo_exchanges_listed(server, keys->of);
}

void quo_keys_go_on(struct quo_server *server)
{
    struct quo_keys *keys = &server->exchanges->keys;
    if (keys->step == QUO_KEYS_ASK && quo_exchanges_may_work(server))
        ask(server);
    if (keys->step == QUO_KEYS_MEND)
        quo_mend_go_on(server);
    if (keys->step == QUO_KEYS_MEND && keys->differences == NULL && keys->mending_count == 0)
        turn_page(server);
}
