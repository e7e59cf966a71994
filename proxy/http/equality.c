#include "proxy/http/equality.h"

#include <inttypes.h>
#include <stdio.h>
#include <yajl/yajl_gen.h>

static bool has_namespaces(const struct quo_map *map, uint8_t replicas)
{
    for (uint32_t i = 0; i < map->namespace_count; i++) {
        if (map->namespaces[i].n == replicas)
            return true;
    }
    return false;
}

void quo_equality_init(struct quo_equality *equality, const struct quo_map *map, uint16_t partition,
                       const struct quo_entry *entry)
{
    *equality = (struct quo_equality){.partition = partition, .epoch = entry->epoch};
    for (uint8_t replicas = 1; replicas <= entry->n; replicas++) {
        if (!has_namespaces(map, replicas))
            continue;
        struct quo_equality_group *group = &equality->groups[equality->group_count++];
        group->replicas = replicas;
        for (uint8_t i = 0; i < replicas; i++)
            group->digests[i].node = (uint32_t)quo_map_node(map, entry->replicas[i]);
    }
}

struct quo_replica_digest quo_equality_read(uint32_t node, struct quo_slice body)
{
    struct quo_replica_digest digest = {.node = node};

    digest.is_known = body.len > 0 && quo_msg_digested_decode(body, &digest.says) == QUO_OK &&
                      digest.says.status == QUO_OK;
    return digest;
}

static bool is_same(const struct quo_msg_digested *a, const struct quo_msg_digested *b)
{
    return a->records == b->records && a->bytes == b->bytes && a->high == b->high &&
           a->low == b->low;
}

enum quo_equal quo_equality_of_group(const struct quo_equality_group *group)
{
    const struct quo_replica_digest *first = &group->digests[0];
    bool is_equal = true, is_steady = true, is_alike = true;

    for (uint8_t i = 0; i < group->replicas; i++) {
        const struct quo_replica_digest *digest = &group->digests[i];
        if (!digest->is_known)
            return QUO_EQUAL_UNKNOWN;
        is_equal = is_equal && is_same(&first->says, &digest->says);
        is_steady = is_steady && digest->says.steady != 0;
        is_alike = is_alike && quo_version_equal(first->says.sealed, digest->says.sealed);
    }
    if (is_equal)
        return QUO_EQUAL_YES;
    return is_steady && is_alike ? QUO_EQUAL_NO : QUO_EQUAL_UNKNOWN;
}

enum quo_equal quo_equality_of(const struct quo_equality *equality)
{
    enum quo_equal all = QUO_EQUAL_YES;

    for (uint32_t i = 0; i < equality->group_count; i++) {
        const enum quo_equal one = quo_equality_of_group(&equality->groups[i]);
        if (one == QUO_EQUAL_NO)
            return QUO_EQUAL_NO;
        if (one == QUO_EQUAL_UNKNOWN)
            all = QUO_EQUAL_UNKNOWN;
    }
    return all;
}

/* The document */

static void put_text(yajl_gen gen, const char *text)
{
    yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

static void put_number(yajl_gen gen, const char *name, uint64_t number)
{
    put_text(gen, name);
    yajl_gen_integer(gen, (long long)QUO_MIN(number, (uint64_t)INT64_MAX));
}

static void put_equal(yajl_gen gen, enum quo_equal equal)
{
    put_text(gen, "equal");
    if (equal == QUO_EQUAL_UNKNOWN)
        yajl_gen_null(gen);
    else
        yajl_gen_bool(gen, equal == QUO_EQUAL_YES);
}

static void put_digest(yajl_gen gen, const struct quo_map *map,
                       const struct quo_replica_digest *digest)
{
    char hex[33];

    yajl_gen_map_open(gen);
    put_text(gen, "node");
    put_text(gen, digest->node < map->node_count ? map->nodes[digest->node].name : "");
    put_text(gen, "answered");
    yajl_gen_bool(gen, digest->is_known);
    if (digest->is_known) {
        put_text(gen, "steady");
        yajl_gen_bool(gen, digest->says.steady != 0);
        put_number(gen, "records", digest->says.records);
        put_number(gen, "bytes", digest->says.bytes);
        snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, digest->says.high, digest->says.low);
        put_text(gen, "digest");
        put_text(gen, hex);
    }
    yajl_gen_map_close(gen);
}

static void put_group(yajl_gen gen, const struct quo_map *map,
                      const struct quo_equality_group *group)
{
    yajl_gen_map_open(gen);
    put_number(gen, "replicas", group->replicas);
    put_equal(gen, quo_equality_of_group(group));
    put_text(gen, "nodes");
    yajl_gen_array_open(gen);
    for (uint8_t i = 0; i < group->replicas; i++)
        put_digest(gen, map, &group->digests[i]);
    yajl_gen_array_close(gen);
    yajl_gen_map_close(gen);
}

static void print(void *context, const char *bytes, size_t len)
{
    quo_text_append(context, bytes, len);
}

void quo_equality_render(const struct quo_equality *equality, const struct quo_map *map,
                         struct quo_text *text)
{
    yajl_gen gen = yajl_gen_alloc(NULL);

    if (gen == NULL) {
        text->failed = true;
        return;
    }
    yajl_gen_config(gen, yajl_gen_print_callback, print, text);
    yajl_gen_map_open(gen);
    put_number(gen, "partition", equality->partition);
    put_number(gen, "partitions", map->partition_count);
    put_number(gen, "epoch", equality->epoch);
    put_equal(gen, quo_equality_of(equality));
    put_text(gen, "groups");
    yajl_gen_array_open(gen);
    for (uint32_t i = 0; i < equality->group_count; i++)
        put_group(gen, map, &equality->groups[i]);
    yajl_gen_array_close(gen);
    yajl_gen_map_close(gen);
    yajl_gen_free(gen);
    quo_text_add(text, "\n");
}
