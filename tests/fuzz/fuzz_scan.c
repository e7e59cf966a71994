/* Pages of a scan as nodes may send them: what is taken for pages merges in order, to the newest of
 * each key, and no further than the shortest page.
 *
 *   u8: bit i for page i, "more follows" | be16 length of page 0 | be16 length of page 1 |
 *   page 0 | page 1 | page 2
 */
#include "tests/fuzz/fuzz.h"

#include "proxy/coordinator/scan.h"

#define PAGES 3u
#define HEAD 5u

static const struct quo_slice none = {NULL, 0};

/* Cuts the input into pages. Returns false unless each is one that a node may send. */
static bool cut(const uint8_t *data, size_t size, struct quo_slice items[PAGES], bool more[PAGES])
{
    struct quo_slice rest = quo_slice(data + HEAD, size - HEAD);

    for (uint32_t i = 0; i < PAGES; i++) {
        const size_t wanted = i + 1 < PAGES ? quo_get_u16(data + 1 + 2 * i) : rest.len;
        items[i] = quo_slice(rest.data, QUO_MIN(wanted, rest.len));
        rest = quo_slice(rest.data + items[i].len, rest.len - items[i].len);
        more[i] = (data[0] >> i & 1) != 0;
        if ((more[i] && items[i].len == 0) || !quo_scan_items_check(items[i], none, none))
            return false;
    }
    return true;
}

/* The version that a page has of a key; none: it has not. */
static struct quo_version find(struct quo_slice items, struct quo_slice key)
{
    struct quo_scan_item item;
    size_t at = 0;

    while (quo_scan_item_next(items, &at, &item)) {
        if (quo_slice_equal(item.key, key))
            return item.version;
    }
    return QUO_VERSION_NONE;
}

static void check_item(const struct quo_slice items[PAGES], const struct quo_scan_merge *merge,
                       const struct quo_scan_item *item)
{
    for (uint8_t i = 0; i < PAGES; i++) {
        const struct quo_version has = find(items[i], item->key);
        QUO_INVARIANT(quo_version_compare(has, item->version) <= 0);
        QUO_INVARIANT(quo_members_has(merge->behind, i) == !quo_version_equal(has, item->version));
    }
    QUO_INVARIANT(quo_members_count(merge->behind) < PAGES);
    QUO_INVARIANT(!merge->more || quo_scan_key_compare(item->key, merge->upto) <= 0);
}

/* Keys up to where the merge ends. */
static uint32_t count_keys(const struct quo_slice items[PAGES], const struct quo_scan_merge *merge)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < PAGES; i++) {
        struct quo_scan_item item;
        size_t at = 0;
        while (quo_scan_item_next(items[i], &at, &item)) {
            bool is_first = !merge->more || quo_scan_key_compare(item.key, merge->upto) <= 0;
            for (uint32_t j = 0; j < i && is_first; j++)
                is_first = quo_version_is_none(find(items[j], item.key));
            count += is_first;
        }
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quo_slice items[PAGES], last = none;
    bool more[PAGES];
    struct quo_scan_merge merge;
    struct quo_scan_item item;
    uint32_t count = 0;

    if (size < HEAD || size > 4096 || !cut(data, size, items, more))
        return 0;
    quo_scan_merge_begin(&merge, PAGES, items, more);
    QUO_INVARIANT(merge.more == (more[0] || more[1] || more[2]));
    while (quo_scan_merge_next(&merge, &item)) {
        QUO_INVARIANT(quo_scan_key_compare(item.key, last) > 0);
        check_item(items, &merge, &item);
        last = item.key;
        count++;
    }
    QUO_INVARIANT(count == count_keys(items, &merge));
    return 0;
}
