#include "proxy/http/receipt.h"

#include "proxy/http/sf.h"

static bool reached(const struct quo_response *response)
{
    return response->verdict == QUO_VERDICT_FOUND || response->verdict == QUO_VERDICT_ABSENT ||
           response->verdict == QUO_VERDICT_WRITTEN;
}

static void put_levels(struct quo_sf_writer *w, const struct quo_response *response,
                       const struct quo_consistency *asked)
{
    if (reached(response))
        quo_sf_token(w, "level", quo_level_name(response->receipt.level));
    quo_sf_token(w, "asked", quo_level_name(asked->level));
    quo_sf_integer(w, "n", response->receipt.n != 0 ? response->receipt.n : asked->n);
}

static void put_counts(struct quo_sf_writer *w, const struct quo_receipt *receipt,
                       const struct quo_consistency *asked, bool is_write)
{
    if (is_write) {
        quo_sf_integer(w, "w", asked->w);
        quo_sf_integer(w, "dw", asked->dw);
    } else {
        quo_sf_integer(w, "r", asked->r);
    }
    quo_sf_integer(w, "replies", receipt->replies);
    quo_sf_integer(w, "acks", receipt->acks);
    quo_sf_integer(w, "disk", receipt->disk);
    if (asked->sloppy) {
        quo_sf_boolean(w, "sloppy", receipt->sloppy);
        quo_sf_integer(w, "hints", receipt->hints);
    }
    quo_sf_integer(w, "rtt", receipt->round_trips);
    if (receipt->hedges > 0)
        quo_sf_integer(w, "hedges", receipt->hedges);
}

static void put_version(struct quo_sf_writer *w, const struct quo_response *response)
{
    const struct quo_receipt *receipt = &response->receipt;
    char text[QUO_VERSION_TEXT + 1];

    if (quo_version_is_none(receipt->version)) {
        /* A page has none, but its replicas may be equal. */
        if (response->verdict == QUO_VERDICT_FOUND)
            quo_sf_boolean(w, "stable", receipt->stable);
        return;
    }
    quo_version_format(receipt->version, text);
    quo_sf_plain_string(w, "version", quo_slice(text, QUO_VERSION_TEXT));
    quo_sf_boolean(w, "stable", receipt->stable);
}

/* Where the replica stands in the map, or -1. The search is for receipts of other proxies: it takes
 * longer the more nodes there are. */
static int node_of(const struct quo_receipt *receipt, size_t i, const struct quo_map *map)
{
    uint16_t peer = receipt->peer[i];

    if (peer < map->node_count && map->nodes[peer].replica == receipt->answered[i])
        return peer;
    return quo_map_node(map, receipt->answered[i]);
}

static void put_replicas(struct quo_sf_writer *w, const struct quo_receipt *receipt,
                         const struct quo_map *map)
{
    size_t count = QUO_MIN(receipt->replies, QUO_COUNT(receipt->answered));
    char id[QUO_HEX_TEXT];

    quo_sf_list_begin(w, "replicas");
    for (size_t i = 0; i < count; i++) {
        int node = node_of(receipt, i, map);

        if (node >= 0) {
            quo_sf_list_string(w, quo_slice_of(map->nodes[node].name));
        } else {
            quo_put_hex(id, receipt->answered[i]);
            quo_sf_list_string(w, quo_slice(id, sizeof id));
        }
    }
    quo_sf_list_end(w);
}

size_t quo_receipt_format(const struct quo_response *response, const struct quo_consistency *asked,
                          bool is_write, const struct quo_map *map, char out[QUO_RECEIPT_MAX])
{
    const struct quo_receipt *receipt = &response->receipt;
    struct quo_sf_writer w;

    quo_sf_begin(&w, out, QUO_RECEIPT_MAX);
    put_levels(&w, response, asked);
    put_counts(&w, receipt, asked, is_write);
    put_version(&w, response);
    if (!is_write)
        quo_sf_boolean(&w, "repaired", receipt->repaired);
    if (receipt->superseded)
        quo_sf_boolean(&w, "superseded", true);
    if (receipt->is_bounded)
        quo_sf_integer(&w, "bound", receipt->bound_ms);
    if (receipt->epoch != 0)
        quo_sf_integer(&w, "epoch", receipt->epoch);
    put_replicas(&w, receipt, map);
    QUO_INVARIANT(!w.overflow);
    return w.len;
}
