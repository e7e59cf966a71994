#include "proxy/coordinator/scan.h"
#include "quorate/testpoints.h"

static void advance(struct quo_scan_page *page)
{
    do {
        page->has_item = quo_scan_item_next(page->items, &page->at, &page->item);
    } while (QUO_MUTANT(SCAN_DROPS_TOMBSTONES) && page->has_item &&
             (page->item.flags & QUO_RECORD_TOMBSTONE) != 0);
}

static struct quo_slice last_key(const struct quo_scan_page *page)
{
    struct quo_scan_item item = {.key = {.len = 0}};
    size_t at = 0;

    while (quo_scan_item_next(page->items, &at, &item))
        continue;
    return item.key;
}

static void limit_to(struct quo_scan_merge *merge, struct quo_slice last)
{
    const bool is_smaller = quo_scan_key_compare(last, merge->upto) < 0;

    if (!merge->more || is_smaller != QUO_MUTANT(SCAN_PAST_A_PAGE))
        merge->upto = last;
    merge->more = true;
}

void quo_scan_merge_begin(struct quo_scan_merge *merge, uint8_t count,
                          const struct quo_slice items[], const bool more[])
{
    QUO_REQUIRE(count >= 1 && count <= QUO_MEMBERS_MAX);
    *merge = (struct quo_scan_merge){.count = count};
    for (uint8_t i = 0; i < count; i++) {
        struct quo_scan_page *page = &merge->pages[i];
        *page = (struct quo_scan_page){.items = items[i], .more = more[i]};
        advance(page);
        if (more[i])
            limit_to(merge, last_key(page));
    }
}

/* The page with the smallest key, of equal ones with the newest version; NULL: none is left. */
static const struct quo_scan_page *choose(const struct quo_scan_merge *merge)
{
    const struct quo_scan_page *best = NULL;

    for (uint8_t i = 0; i < merge->count; i++) {
        const struct quo_scan_page *page = &merge->pages[i];
        if (!page->has_item)
            continue;
        int order = best != NULL ? quo_scan_key_compare(page->item.key, best->item.key) : -1;
        if (order == 0)
            order = quo_version_compare(best->item.version, page->item.version);
        if (order < 0)
            best = page;
    }
    return best;
}

bool quo_scan_merge_next(struct quo_scan_merge *merge, struct quo_scan_item *ret)
{
    const struct quo_scan_page *best = choose(merge);

    if (best == NULL || (merge->more && quo_scan_key_compare(best->item.key, merge->upto) > 0))
        return false;
    struct quo_scan_item chosen = best->item;
    merge->behind = 0;
    for (uint8_t i = 0; i < merge->count; i++) {
        struct quo_scan_page *page = &merge->pages[i];
        const bool has_key = page->has_item && quo_slice_equal(page->item.key, chosen.key);
        if (!has_key || !quo_version_equal(page->item.version, chosen.version))
            merge->behind |= QUO_MEMBER(i);
        else if (chosen.record.len == 0)
            chosen.record = page->item.record;
        if (has_key)
            advance(page);
    }
    *ret = chosen;
    return true;
}
