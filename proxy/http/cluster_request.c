#include "proxy/http/cluster_request.h"

#include "proxy/http/ask.h"

#define TIMEOUT_DEFAULT_MS 5000u
#define PARTITION "partition="

/* Cuts the first name=value off a query string. */
static struct quo_slice take_pair(struct quo_slice *query)
{
    const uint8_t *amp = memchr(query->data, '&', query->len);
    const size_t len = amp != NULL ? (size_t)(amp - query->data) : query->len;
    const struct quo_slice pair = quo_slice(query->data, len);

    *query = quo_slice(query->data + len + (amp != NULL), query->len - len - (amp != NULL));
    return pair;
}

static bool parse_timeout(struct quo_slice pair, struct quo_wish *ret, struct quo_problem *problem)
{
    const bool is_second = ret->ask.timeout_ms != 0;
    char quoted[QUO_PROBLEM_QUOTE_MAX];

    if (!quo_ask_parse_query(pair, &ret->ask, problem))
        return false;
    const uint32_t timeout_ms = ret->ask.timeout_ms;
    ret->ask.timeout_ms = 0;
    if (timeout_ms == 0 || is_second) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                        "%s is not wanted here; there are timeout and, of equality, partition, "
                        "each once.",
                        quo_problem_quote(pair, quoted));
        return false;
    }
    ret->ask = QUO_ASK_NOTHING;
    ret->ask.timeout_ms = timeout_ms;
    return true;
}

static bool parse_partition(struct quo_slice text, const struct quo_map *map, struct quo_wish *ret,
                            struct quo_problem *problem)
{
    char quoted[QUO_PROBLEM_QUOTE_MAX];
    uint32_t number = 0;
    size_t digits = 0;

    while (digits < text.len && digits < 6 && text.data[digits] >= '0' && text.data[digits] <= '9')
        number = number * 10 + (uint32_t)(text.data[digits++] - '0');
    if (digits == 0 || digits < text.len || number >= map->partition_count) {
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY, "partition=%s is none of 0 to %u.",
                        quo_problem_quote(text, quoted), map->partition_count - 1);
        return false;
    }
    ret->partition = (uint16_t)number;
    return true;
}

bool quo_cluster_parse(struct quo_slice query, const struct quo_map *map, struct quo_wish *ret,
                       struct quo_problem *problem)
{
    const size_t name_len = sizeof PARTITION - 1;
    const bool wants_partition = ret->route == QUO_ROUTE_EQUALITY;
    bool has_partition = false;

    ret->ask = QUO_ASK_NOTHING;
    while (query.len > 0) {
        const struct quo_slice pair = take_pair(&query);
        const bool is_partition =
            pair.len >= name_len && memcmp(pair.data, PARTITION, name_len) == 0;
        if (wants_partition && !has_partition && is_partition) {
            has_partition = true;
            if (!parse_partition(quo_slice(pair.data + name_len, pair.len - name_len), map, ret,
                                 problem))
                return false;
        } else if (pair.len > 0 && !parse_timeout(pair, ret, problem)) {
            return false;
        }
    }
    if (ret->ask.timeout_ms == 0)
        ret->ask.timeout_ms = TIMEOUT_DEFAULT_MS;
    if (wants_partition && !has_partition)
        quo_problem_set(problem, QUO_PROBLEM_BAD_QUERY,
                        "The partition is missing, as in partition=0; there are %u.",
                        map->partition_count);
    return has_partition || !wants_partition;
}
