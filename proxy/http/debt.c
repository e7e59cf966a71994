#include "proxy/http/debt.h"

#include <inttypes.h>
#include <stdio.h>
#include <yajl/yajl_gen.h>

#define TARGET_SIZE 32u /* see DEBTS in messages.def */

/* Hints for one node, or for all. */
struct hints {
    uint64_t target;
    uint64_t count, bytes;
    uint64_t age_s; /* of the oldest one */
};

struct quo_node_debt quo_debt_read(uint32_t node, struct quo_slice body)
{
    struct quo_node_debt debt = {.node = node};

    debt.is_known = body.len > 0 && quo_msg_debts_decode(body, &debt.says) == QUO_OK &&
                    debt.says.status == QUO_OK && debt.says.hints.len % TARGET_SIZE == 0;
    return debt;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static struct hints target_at(const struct quo_msg_debts *says, size_t at)
{
    const uint8_t *bytes = says->hints.data + at;
    const uint64_t oldest_ms = quo_get_u64(bytes + 24);

    return (struct hints){
        .target = quo_get_u64(bytes),
        .count = quo_get_u64(bytes + 8),
        .bytes = quo_get_u64(bytes + 16),
        .age_s = oldest_ms != 0 && oldest_ms < says->now_ms ? (says->now_ms - oldest_ms) / 1000 : 0,
    };
}

static struct hints all_hints(const struct quo_msg_debts *says)
{
    struct hints sum = {.count = 0};

    for (size_t at = 0; at < says->hints.len; at += TARGET_SIZE) {
        const struct hints one = target_at(says, at);
        sum.count = add(sum.count, one.count);
        sum.bytes = add(sum.bytes, one.bytes);
        sum.age_s = QUO_MAX(sum.age_s, one.age_s);
    }
    return sum;
}

bool quo_debt_converges(const struct quo_node_debt *debts, uint32_t count, uint64_t *ret_s)
{
    uint64_t seconds = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct quo_msg_debts *says = &debts[i].says;
        if (!debts[i].is_known)
            return false;
        const uint64_t hints = all_hints(says).count;
        if (hints > 0 && says->drained == 0)
            return false;
        if (hints > 0)
            seconds = QUO_MAX(seconds, QUO_MIN(hints, UINT64_MAX / 60) * 60 / says->drained + 1);
        /* What differs is gone through at once, and once more to be sure; what waits for its hash
         * trees has its turn a round later. */
        if (says->differing > 0 || says->trees > 0)
            seconds = QUO_MAX(seconds, says->round_ms / 1000 + 1);
    }
    *ret_s = seconds;
    return true;
}

/* The document */

static void put_name(yajl_gen gen, const char *name)
{
    yajl_gen_string(gen, (const unsigned char *)name, strlen(name));
}

/* JSON numbers of other programs are no better than 2^53; ours are not larger than 2^63. */
static void put_number(yajl_gen gen, const char *name, uint64_t number)
{
    put_name(gen, name);
    yajl_gen_integer(gen, (long long)QUO_MIN(number, (uint64_t)INT64_MAX));
}

static void put_signed(yajl_gen gen, const char *name, int64_t number)
{
    put_name(gen, name);
    yajl_gen_integer(gen, number);
}

static void put_text(yajl_gen gen, const char *name, const char *text)
{
    put_name(gen, name);
    put_name(gen, text);
}

static void put_node(yajl_gen gen, const struct quo_map *map, uint64_t replica)
{
    const int node = quo_map_node(map, replica);
    char id[17];

    snprintf(id, sizeof id, "%016" PRIx64, replica);
    put_text(gen, "node", node >= 0 ? map->nodes[node].name : id);
}

static void put_hints(yajl_gen gen, const struct hints *hints)
{
    put_number(gen, "hints", hints->count);
    put_number(gen, "hint_bytes", hints->bytes);
    put_number(gen, "oldest_hint_seconds", hints->age_s);
}

static void put_comparisons(yajl_gen gen, const struct quo_msg_debts *says)
{
    put_number(gen, "hints_delivered_last_minute", says->drained);
    put_number(gen, "pairs", says->pairs);
    put_number(gen, "pairs_differing", says->differing);
    put_number(gen, "unequal_seconds", says->unequal_ms / 1000);
    put_number(gen, "trees_not_ready", says->trees);
    put_number(gen, "tombstones", says->tombstones);
}

static void put_targets(yajl_gen gen, const struct quo_map *map, const struct quo_msg_debts *says)
{
    put_name(gen, "hints_for");
    yajl_gen_array_open(gen);
    for (size_t at = 0; at < says->hints.len; at += TARGET_SIZE) {
        const struct hints one = target_at(says, at);
        yajl_gen_map_open(gen);
        put_node(gen, map, one.target);
        put_hints(gen, &one);
        yajl_gen_map_close(gen);
    }
    yajl_gen_array_close(gen);
}

static void put_debt(yajl_gen gen, const struct quo_map *map, const struct quo_node_debt *debt)
{
    yajl_gen_map_open(gen);
    put_text(gen, "node", map->nodes[debt->node].name);
    put_name(gen, "reachable");
    yajl_gen_bool(gen, debt->is_known);
    if (debt->is_known) {
        const struct hints sum = all_hints(&debt->says);
        put_hints(gen, &sum);
        put_targets(gen, map, &debt->says);
        put_comparisons(gen, &debt->says);
        put_signed(gen, "clock_ahead_ms", (int64_t)debt->says.ahead_ms);
    }
    yajl_gen_map_close(gen);
}

static void put_total(yajl_gen gen, const struct quo_node_debt *debts, uint32_t count)
{
    struct quo_msg_debts total = {.status = QUO_OK};
    struct hints hints = {.count = 0};
    uint32_t away = 0;
    uint64_t seconds;

    for (uint32_t i = 0; i < count; i++) {
        const struct quo_msg_debts *says = &debts[i].says;
        away += !debts[i].is_known;
        if (!debts[i].is_known)
            continue;
        const struct hints one = all_hints(says);
        hints.count = add(hints.count, one.count);
        hints.bytes = add(hints.bytes, one.bytes);
        hints.age_s = QUO_MAX(hints.age_s, one.age_s);
        total.drained = add(total.drained, says->drained);
        total.pairs += says->pairs;
        total.differing += says->differing;
        total.unequal_ms = QUO_MAX(total.unequal_ms, says->unequal_ms);
        total.trees += says->trees;
        total.tombstones = add(total.tombstones, says->tombstones);
    }
    put_number(gen, "unreachable", away);
    put_hints(gen, &hints);
    put_comparisons(gen, &total);
    put_name(gen, "converged_in_seconds");
    if (quo_debt_converges(debts, count, &seconds))
        yajl_gen_integer(gen, (long long)QUO_MIN(seconds, (uint64_t)INT64_MAX));
    else
        yajl_gen_null(gen);
}

static void print(void *context, const char *bytes, size_t len)
{
    quo_text_append(context, bytes, len);
}

void quo_debt_render(const struct quo_node_debt *debts, uint32_t count, const struct quo_map *map,
                     struct quo_text *text)
{
    yajl_gen gen = yajl_gen_alloc(NULL);

    if (gen == NULL) {
        text->failed = true;
        return;
    }
    yajl_gen_config(gen, yajl_gen_print_callback, print, text);
    yajl_gen_map_open(gen);
    put_number(gen, "partitions", map->partition_count);
    put_number(gen, "nodes_asked", count);
    put_total(gen, debts, count);
    put_name(gen, "nodes");
    yajl_gen_array_open(gen);
    for (uint32_t i = 0; i < count; i++)
        put_debt(gen, map, &debts[i]);
    yajl_gen_array_close(gen);
    yajl_gen_map_close(gen);
    yajl_gen_free(gen);
    quo_text_add(text, "\n");
}
