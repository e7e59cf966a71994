#include <stdlib.h>

#include "sim.h"

#define DIGITS 6u

/* The last one lives in a namespace of which proxies do not know that it takes no blind writes. */
const char *const sim_key_names[SIM_KEYS_MAX] = {"apple", "banana/1", "c",   "\xc3\xa9t\xc3\xa9",
                                                 "hits",  "coins",    "gold"};

static const uint32_t namespace_ids[SIM_KEYS_MAX] = {1, 1, 1, 1, 1, 1, 2};

struct quo_slice sim_key(uint32_t key)
{
    return quo_slice_of(sim_key_names[key]);
}

uint32_t sim_key_namespace(uint32_t key)
{
    return namespace_ids[key];
}

uint32_t sim_key_partition(const struct sim *sim, uint32_t key)
{
    return quo_map_partition(sim->maps[0], namespace_ids[key], sim_key(key));
}

bool sim_key_in_use(const struct sim *sim, uint32_t key)
{
    if (key < SIM_KEYS_USER)
        return key < sim->swarm.keys;
    return key < SIM_KEY_COUNTER + sim->swarm.counters;
}

enum quo_history_model sim_key_model(uint32_t key)
{
    bool counter = key >= SIM_KEY_COUNTER && key < SIM_KEY_COUNTER + SIM_COUNTERS_MAX;
    return counter ? QUO_HISTORY_COUNTER : QUO_HISTORY_REGISTER;
}

uint32_t sim_key_index(uint32_t ns, struct quo_slice key)
{
    for (uint32_t i = 0; i < SIM_KEYS_MAX; i++)
        if (namespace_ids[i] == ns && quo_slice_equal(key, sim_key(i)))
            return i;
    return SIM_KEYS_MAX;
}

uint32_t sim_key_of_data(struct quo_slice data_key)
{
    if (data_key.len < 6)
        return SIM_KEYS_MAX;
    return sim_key_index(quo_get_u32(data_key.data + 2),
                         quo_slice(data_key.data + 6, data_key.len - 6));
}

/* "v000042" and a filling that depends on it: a mix-up of bytes shows. */
struct quo_slice sim_value(uint32_t value, uint32_t len)
{
    static uint8_t bytes[SIM_VALUE_LEN_MAX];
    QUO_REQUIRE(len >= SIM_VALUE_LEN_MIN && len <= sizeof bytes);
    bytes[0] = 'v';
    uint32_t rest = value;
    for (uint32_t i = DIGITS; i > 0; i--, rest /= 10)
        bytes[i] = (uint8_t)('0' + rest % 10);
    memset(bytes + 1 + DIGITS, (int)('a' + value % 26), len - 1 - DIGITS);
    return quo_slice(bytes, len);
}

uint32_t sim_value_of(const struct sim *sim, struct quo_slice bytes)
{
    if (bytes.len < SIM_VALUE_LEN_MIN || bytes.data[0] != 'v')
        return 0;
    uint32_t value = 0;
    for (uint32_t i = 1; i <= DIGITS; i++)
        value = value * 10 + (uint32_t)(bytes.data[i] - '0');
    if (value == 0 || value > sim->op_count)
        return 0;
    const struct sim_op *op = &sim->ops[value - 1];
    bool writes = op->seen.type == QUO_HISTORY_PUT || op->seen.type == QUO_HISTORY_CAS;
    if (!sim_op_is_first(op) || !writes || op->seen.value != value)
        return 0;
    return quo_slice_equal(bytes, sim_value(value, op->value_len)) ? value : 0;
}

bool sim_number_of(struct quo_slice bytes, int64_t *ret)
{
    char text[24], *end;
    if (bytes.len == 0 || bytes.len >= sizeof text)
        return false;
    memcpy(text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
    *ret = strtoll(text, &end, 10);
    return *end == '\0';
}

void sim_sight_add(struct sim *sim, uint32_t key, const struct sim_sight *sight)
{
    sim->sights[key][sim->sight_count[key]++ % SIM_SIGHTS] = *sight;
}
