#include "quorate/cluster.h"
#include "quorate/collection.h"

#include "api/cluster/names.h"
#include "api/cluster/sentence.h"

static bool is_power_of_two(uint32_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

static const char *check_counts(const struct quo_map *map)
{
    if (map->cluster == 0)
        return "cluster must not be 0";
    if (map->epoch == 0)
        return "epoch must be at least 1";
    if (map->replicas < 1 || map->replicas > QUO_REPLICAS_MAX)
        return "replicas must be from 1 to 7";
    if (!is_power_of_two(map->partition_count) || map->partition_count > QUO_PARTITIONS_MAX)
        return "partitions must be a power of two, at most 65536";
    if (map->node_count > QUO_NODES_MAX)
        return "there must be at most 256 nodes";
    if (map->node_count < map->replicas)
        return "there must be at least as many nodes as replicas";
    if (map->proxy_count > QUO_PROXIES_MAX)
        return "there must be at most 64 proxies";
    if (map->namespace_count > QUO_NAMESPACES_MAX)
        return "there must be at most 256 namespaces";
    return NULL;
}

_Static_assert(QUO_REPLICAS_MAX == 7 && QUO_PARTITIONS_MAX == 65536 && QUO_NODES_MAX == 256 &&
                   QUO_PROXIES_MAX == 64 && QUO_NAMESPACES_MAX == 256 && QUO_WEIGHT_MAX == 1000000,
               "the sentences of this file name these limits");

static const char *check_node(const struct quo_map *map, uint32_t at)
{
    const struct quo_node_info *node = &map->nodes[at];

    if (node->replica == 0)
        return "replica must not be 0";
    if (!quo_name_valid(node->name))
        return "name must be a lower-case letter, then at most 62 of a-z, 0-9, _ and -";
    if (!quo_host_valid(node->host))
        return "host must be a host name or an address";
    if (node->port == 0)
        return "port must not be 0";
    if (node->weight < 1 || node->weight > QUO_WEIGHT_MAX)
        return "weight must be from 1 to 1000000";
    for (uint32_t i = 0; i < at; i++) {
        const struct quo_node_info *other = &map->nodes[i];
        if (other->replica == node->replica)
            return "replica is the id of an earlier node";
        if (strcmp(other->name, node->name) == 0)
            return "name is that of an earlier node";
        if (other->port == node->port && strcmp(other->host, node->host) == 0)
            return "host and port are those of an earlier node";
    }
    return NULL;
}

static bool is_node_address(const struct quo_map *map, const struct quo_proxy_info *proxy)
{
    for (uint32_t i = 0; i < map->node_count; i++) {
        const struct quo_node_info *node = &map->nodes[i];
        if (node->port == proxy->port && strcmp(node->host, proxy->host) == 0)
            return true;
    }
    return false;
}

static const char *check_proxy(const struct quo_map *map, uint32_t at)
{
    const struct quo_proxy_info *proxy = &map->proxies[at];

    if (!quo_name_valid(proxy->name))
        return "name must be a lower-case letter, then at most 62 of a-z, 0-9, _ and -";
    if (!quo_host_valid(proxy->host))
        return "host must be a host name or an address";
    if (proxy->port == 0)
        return "port must not be 0";
    if (is_node_address(map, proxy))
        return "host and port are those of a node";
    for (uint32_t i = 0; i < at; i++) {
        const struct quo_proxy_info *other = &map->proxies[i];
        if (strcmp(other->name, proxy->name) == 0)
            return "name is that of an earlier proxy";
        if (other->port == proxy->port && strcmp(other->host, proxy->host) == 0)
            return "host and port are those of an earlier proxy";
    }
    return NULL;
}

static const char *check_namespace(const struct quo_map *map, uint32_t at)
{
    const struct quo_namespace *ns = &map->namespaces[at];
    const char *why = NULL;

    if (quo_namespace_check(ns, &why) != QUO_OK)
        return why;
    if (ns->n > map->replicas)
        return "n must be at most the replicas of the map";
    for (uint32_t i = 0; i < at; i++) {
        if (map->namespaces[i].id == ns->id)
            return "id is that of an earlier namespace";
        if (strcmp(map->namespaces[i].name, ns->name) == 0)
            return "name is that of an earlier namespace";
    }
    return NULL;
}

/* Writes "list[at]: why". */
static enum quo_status refuse(const char *list, uint32_t at, const char *why, char *out,
                              size_t size)
{
    struct quo_sentence sentence = quo_sentence(out, size);
    quo_sentence_text(&sentence, list);
    quo_sentence_text(&sentence, "[");
    quo_sentence_number(&sentence, at);
    quo_sentence_text(&sentence, "]: ");
    quo_sentence_text(&sentence, why);
    return QUO_INVALID;
}

enum quo_status quo_map_check(const struct quo_map *map, char *why, size_t why_size)
{
    const char *trouble = check_counts(map);
    if (trouble != NULL) {
        struct quo_sentence sentence = quo_sentence(why, why_size);
        quo_sentence_text(&sentence, trouble);
        return QUO_INVALID;
    }
    for (uint32_t i = 0; i < map->node_count; i++) {
        trouble = check_node(map, i);
        if (trouble != NULL)
            return refuse("nodes", i, trouble, why, why_size);
    }
    for (uint32_t i = 0; i < map->proxy_count; i++) {
        trouble = check_proxy(map, i);
        if (trouble != NULL)
            return refuse("proxies", i, trouble, why, why_size);
    }
    for (uint32_t i = 0; i < map->namespace_count; i++) {
        trouble = check_namespace(map, i);
        if (trouble != NULL)
            return refuse("namespaces", i, trouble, why, why_size);
    }
    return QUO_OK;
}

const struct quo_namespace *quo_map_namespace(const struct quo_map *map, struct quo_slice name)
{
    for (uint32_t i = 0; i < map->namespace_count; i++) {
        if (quo_slice_equal(name, quo_slice_of(map->namespaces[i].name)))
            return &map->namespaces[i];
    }
    return NULL;
}

const struct quo_namespace *quo_map_namespace_by_id(const struct quo_map *map, uint32_t id)
{
    const uint32_t base = quo_collection_base(id);

    for (uint32_t i = 0; i < map->namespace_count; i++) {
        if (map->namespaces[i].id == base)
            return quo_collection_fits(id, map->namespaces[i].kind) ? &map->namespaces[i] : NULL;
    }
    return NULL;
}

int quo_map_node(const struct quo_map *map, uint64_t replica)
{
    for (uint32_t i = 0; i < map->node_count; i++) {
        if (map->nodes[i].replica == replica)
            return (int)i;
    }
    return -1;
}
