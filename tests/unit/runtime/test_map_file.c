#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quorate/map_file.h"

#define NODE(i)                                                                                    \
    "{\"name\": \"node-" #i "\", \"replica\": \"" #i                                               \
    "\", \"host\": \"127.0.0.1\", \"port\": 700" #i "}"
#define HEAD "{\"cluster\": \"c1\", \"epoch\": 4, \"replicas\": 3,\n"
#define NODES "\"nodes\": [" NODE(1) "," NODE(2) "," NODE(3) "],\n"
#define NAMESPACES "\"namespaces\": [{\"id\": 1, \"name\": \"default\", \"kind\": \"lww\"}]}"

static struct quo_map *map;
static char why[512];

static int fresh(void **state)
{
    (void)state;
    free(map);
    map = calloc(1, sizeof *map);
    why[0] = '\0';
    return map == NULL;
}

static int drop(void **state)
{
    (void)state;
    free(map);
    map = NULL;
    return 0;
}

static enum quo_status parse(const char *json)
{
    fresh(NULL);
    return quo_map_parse(quo_slice_of(json), map, why, sizeof why);
}

static void expect_refused(const char *json, const char *sentence)
{
    assert_int_equal(parse(json), QUO_INVALID);
    assert_string_equal(why, sentence);
}

static void whole_document_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"namespaces\": [{\"id\": 16777215, \"name\": \"bank\", \"kind\": \"cas\","
              " \"n\": 2, \"rs\": 1, \"ws\": 2, \"read\": \"eventual\", \"write\": \"all\","
              " \"max_stale_ms\": 86400000, \"timeout_ms\": 60000, \"value_max\": 16777216,"
              " \"idempotency_retention\": 604800, \"require_idempotency_key\": true}],"
              " \"proxies\": [{\"name\": \"p\", \"host\": \"p.example\", \"port\": 65535},"
              " {\"port\": 1, \"host\": \"::1\", \"name\": \"q\"}],"
              " \"nodes\": [{\"name\": \"a\", \"replica\": \"ffffffffFFFFFFFF\","
              " \"host\": \"h.example\", \"port\": 65535, \"weight\": 1000000}," NODE(
                  2) "],"
                     " \"partitions\": 65536, \"replicas\": 2, \"epoch\": 4294967295,"
                     " \"cluster\": \"0123456789abcdef\"}"),
        QUO_OK);
    assert_int_equal(map->cluster, 0x0123456789abcdef);
    assert_int_equal(map->epoch, UINT32_MAX);
    assert_int_equal(map->replicas, 2);
    assert_int_equal(map->partition_count, 65536);
    assert_int_equal(map->node_count, 2);
    assert_string_equal(map->nodes[0].name, "a");
    assert_int_equal(map->nodes[0].replica, UINT64_MAX);
    assert_string_equal(map->nodes[0].host, "h.example");
    assert_int_equal(map->nodes[0].port, 65535);
    assert_int_equal(map->nodes[0].weight, 1000000);
    assert_int_equal(map->namespace_count, 1);
    const struct quo_namespace *ns = &map->namespaces[0];
    assert_int_equal(ns->id, 16777215);
    assert_string_equal(ns->name, "bank");
    assert_int_equal(ns->kind, QUO_KIND_CAS);
    assert_int_equal(ns->n, 2);
    assert_int_equal(ns->rs, 1);
    assert_int_equal(ns->ws, 2);
    assert_int_equal(ns->read_level, QUO_LEVEL_EVENTUAL);
    assert_int_equal(ns->write_level, QUO_LEVEL_ALL);
    assert_int_equal(ns->stale_ms, QUO_STALE_MAX_MS);
    assert_int_equal(ns->timeout_ms, 60000);
    assert_int_equal(ns->value_max, 16777216);
    assert_int_equal(ns->retention_s, 604800);
    assert_true(ns->require_idempotency_key);
    assert_int_equal(map->proxy_count, 2);
    assert_string_equal(map->proxies[0].name, "p");
    assert_string_equal(map->proxies[0].host, "p.example");
    assert_int_equal(map->proxies[0].port, 65535);
    assert_string_equal(map->proxies[1].name, "q");
    assert_string_equal(map->proxies[1].host, "::1");
    assert_int_equal(map->proxies[1].port, 1);
    assert_int_equal(map->entries[65535].n, 2);
    assert_int_equal(map->entries[65535].epoch, UINT32_MAX);
}

static void defaults_are_filled_in(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD NODES NAMESPACES), QUO_OK);
    assert_int_equal(map->partition_count, QUO_PARTITIONS_DEFAULT);
    assert_int_equal(map->nodes[2].weight, 100);
    const struct quo_namespace *ns = &map->namespaces[0];
    assert_int_equal(ns->n, 3);
    assert_int_equal(ns->rs, 2);
    assert_int_equal(ns->ws, 2);
    assert_int_equal(ns->read_level, QUO_LEVEL_STRONG);
    assert_int_equal(ns->write_level, QUO_LEVEL_STRONG);
    assert_int_equal(ns->timeout_ms, QUO_TIMEOUT_DEFAULT_MS);
    assert_int_equal(ns->value_max, QUO_VALUE_MAX_DEFAULT);
    assert_int_equal(ns->retention_s, QUO_RETENTION_DEFAULT_S);
    assert_false(ns->require_idempotency_key);
    assert_int_equal(map->proxy_count, 0);
    assert_int_equal(map->entries[0].n, 3);
}

/* Even N: a majority is more than half. */
static void majorities_of_even_n(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD NODES "\"namespaces\": [{\"id\": 1, \"name\": \"d\","
                                      " \"kind\": \"lww\", \"n\": 2}]}"),
                     QUO_OK);
    assert_int_equal(map->namespaces[0].rs, 2);
    assert_int_equal(map->namespaces[0].ws, 2);
}

static void unknown_members_are_errors(void **state)
{
    (void)state;
    expect_refused("{\"clutser\": 1}", "line 1: unknown member 'clutser'");
    expect_refused("{\"nodes\": [" NODE(1) ",\n{\"prot\": 1}]}",
                   "line 2: nodes[1]: unknown member 'prot'");
    expect_refused("{\"proxies\": [{\"weight\": 1}]}",
                   "line 1: proxies[0]: unknown member 'weight'");
    expect_refused("{\"namespaces\": [\n{\"id\": 1,\n\"\": 1}]}",
                   "line 3: namespaces[0]: unknown member ''");
}

static void members_may_come_once(void **state)
{
    (void)state;
    expect_refused("{\"epoch\": 1,\n\"epoch\": 1}", "line 2: 'epoch' is there twice");
    expect_refused("{\"nodes\": [], \"nodes\": []}", "line 1: 'nodes' is there twice");
    expect_refused("{\"nodes\": [{\"port\": 1, \"port\": 2}]}",
                   "line 1: nodes[0]: 'port' is there twice");
}

static void missing_members_are_errors(void **state)
{
    (void)state;
    expect_refused("{}", "line 1: 'cluster' is missing");
    expect_refused(HEAD "\"namespaces\": []}", "line 2: 'nodes' is missing");
    expect_refused("{\"nodes\": [" NODE(1) ", {\"name\": \"x\"}]}",
                   "line 1: nodes[1]: 'replica' is missing");
    expect_refused("{\"proxies\": [{\"name\": \"x\", \"port\": 1}]}",
                   "line 1: proxies[0]: 'host' is missing");
    expect_refused("{\"namespaces\": [{\"id\": 1, \"name\": \"x\"}]}",
                   "line 1: namespaces[0]: 'kind' is missing");
}

/* Puts `value` where a node's port is expected. */
static void expect_port_refused(const char *value)
{
    char json[256];
    snprintf(json, sizeof json, "{\"nodes\": [" NODE(1) ", {\"port\": %s}]}", value);
    expect_refused(json, "line 1: nodes[1].port: must be a whole number from 1 to 65535");
}

static void numbers_are_whole_and_in_range(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "0",
        "65536",
        "-1",
        "-0",
        "1.0",
        "1e3",
        "null",
        "true",
        "\"1\"",
        "[1]",
        "{}",
        "18446744073709551617",
        "99999999999999999999999999999999",
        "1E0",
        "0.5",
    };
    for (size_t i = 0; i < QUO_COUNT(wrong); i++)
        expect_port_refused(wrong[i]);
}

static void retention_is_in_range(void **state)
{
    (void)state;
    static const char *const wrong[] = {"0", "604801", "1.5", "true", "\"600\"", "null"};
    for (size_t i = 0; i < QUO_COUNT(wrong); i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"namespaces\": [{\"idempotency_retention\": %s}]}",
                 wrong[i]);
        expect_refused(json, "line 1: namespaces[0].idempotency_retention: must be a whole number "
                             "from 1 to 604800");
    }
}

static void switches_are_true_or_false(void **state)
{
    (void)state;
    static const char *const wrong[] = {"0", "1", "\"true\"", "null", "[true]", "{}"};
    for (size_t i = 0; i < QUO_COUNT(wrong); i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"namespaces\": [{\"require_idempotency_key\": %s}]}",
                 wrong[i]);
        expect_refused(json,
                       "line 1: namespaces[0].require_idempotency_key: must be true or false");
    }
    expect_refused("true", "line 1: the document: must be an object");
    expect_refused("{\"nodes\": [true]}", "line 1: nodes[0]: must be an object");
    expect_refused("{\"proxies\": false}", "line 1: proxies: must be a list");
    static const char json[] = HEAD NODES "\"namespaces\": [{\"id\": 1, \"name\": \"d\","
                                          " \"require_idempotency_key\": %s, \"kind\": \"%s\"}]}";
    char text[1024];
    snprintf(text, sizeof text, json, "false", "lww");
    assert_int_equal(parse(text), QUO_OK);
    assert_false(map->namespaces[0].require_idempotency_key);
    snprintf(text, sizeof text, json, "true", "mixed");
    assert_int_equal(parse(text), QUO_OK);
    assert_true(map->namespaces[0].require_idempotency_key);
    snprintf(text, sizeof text, json, "true", "crdt");
    expect_refused(text, "namespaces[0]: require_idempotency_key must be false unless kind is cas "
                         "or mixed");
}

static void ids_are_hexadecimal_text(void **state)
{
    (void)state;
    static const char *const wrong[] = {"1",
                                        "\"\"",
                                        "\"0\"",
                                        "\"0x1\"",
                                        "\"g\"",
                                        "\"-1\"",
                                        "\" 1\"",
                                        "\"0000000000000000\"",
                                        "\"12345678901234567\"",
                                        "\"1\\u0000\"",
                                        "null"};
    for (size_t i = 0; i < QUO_COUNT(wrong); i++) {
        char json[128];
        snprintf(json, sizeof json, "{\"cluster\": %s}", wrong[i]);
        expect_refused(json,
                       "line 1: cluster: must be 1 to 16 hexadecimal digits in quotes, not all 0");
    }
}

static void texts_and_words_are_checked(void **state)
{
    (void)state;
    expect_refused("{\"nodes\": [{\"name\": \"\"}]}",
                   "line 1: nodes[0].name: must be text of 1 to 63 bytes");
    expect_refused("{\"nodes\": [{\"name\": \"a\\u0000b\"}]}",
                   "line 1: nodes[0].name: must be text of 1 to 63 bytes");
    expect_refused("{\"nodes\": [{\"name\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}",
                   "line 1: nodes[0].name: must be text of 1 to 63 bytes");
    expect_refused("{\"nodes\": [{\"host\": 1}]}",
                   "line 1: nodes[0].host: must be text of 1 to 255 bytes");
    expect_refused("{\"namespaces\": [{\"kind\": \"LWW\"}]}",
                   "line 1: namespaces[0].kind: must be \"lww\", \"cas\", \"mixed\" or \"crdt\"");
    expect_refused("{\"namespaces\": [{\"write\": \"one\"}]}",
                   "line 1: namespaces[0].write: must be \"eventual\", \"quorum\", \"strong\" or "
                   "\"all\"");
}

static void shapes_are_checked(void **state)
{
    (void)state;
    expect_refused("[]", "line 1: the document: must be an object");
    expect_refused("\n7", "line 2: the document: must be an object");
    expect_refused("null", "line 1: the document: must be an object");
    expect_refused("{\"nodes\": {}}", "line 1: nodes: must be a list");
    expect_refused("{\"nodes\": 3}", "line 1: nodes: must be a list");
    expect_refused("{\"nodes\": [[", "line 1: nodes[0]: must be an object");
    expect_refused("{\"nodes\": [3]}", "line 1: nodes[0]: must be an object");
    expect_refused("{\"proxies\": {}}", "line 1: proxies: must be a list");
    expect_refused("{\"proxies\": [[", "line 1: proxies[0]: must be an object");
    expect_refused("{\"proxies\": [{\"name\": {}}]}",
                   "line 1: proxies[0].name: must be text of 1 to 63 bytes");
    expect_refused("{\"proxies\": [{\"port\": 0}]}",
                   "line 1: proxies[0].port: must be a whole number from 1 to 65535");
    expect_refused("{\"nodes\": [\"x\"]}", "line 1: nodes[0]: must be an object");
    expect_refused("{\"cluster\": []}",
                   "line 1: cluster: must be 1 to 16 hexadecimal digits in quotes, not all 0");
}

static void syntax_errors_name_the_line(void **state)
{
    (void)state;
    assert_int_equal(parse("{\n\"cluster\": \"1\",\n,}"), QUO_INVALID);
    assert_memory_equal(why, "line 3: parse error: ", 21);
    assert_null(strchr(why, '\n'));
    assert_int_equal(parse(""), QUO_INVALID);
    assert_memory_equal(why, "line 1: parse error: premature EOF", 34);
    assert_int_equal(parse("{\"cluster\":\n\n"), QUO_INVALID);
    assert_memory_equal(why, "line 3: parse error: premature EOF", 34);
    assert_int_equal(parse(HEAD NODES NAMESPACES " {}"), QUO_INVALID);
    assert_memory_equal(why, "line 3: parse error: trailing garbage", 37);
    assert_int_equal(parse("{ // no comments\n}"), QUO_INVALID);
    assert_memory_equal(why, "line 1: lexical error: ", 23);
    assert_int_equal(parse("{\"clu\xffster\": 1}"), QUO_INVALID);
    assert_memory_equal(why, "line 1: lexical error: ", 23);
}

static void whole_map_is_checked(void **state)
{
    (void)state;
    expect_refused(HEAD "\"nodes\": [" NODE(1) "," NODE(2) "],\n" NAMESPACES,
                   "there must be at least as many nodes as replicas");
    expect_refused(HEAD "\"nodes\": [" NODE(1) "," NODE(2) "," NODE(2) "],\n" NAMESPACES,
                   "nodes[2]: replica is the id of an earlier node");
    expect_refused(
        HEAD NODES "\"namespaces\": [{\"id\": 1, \"name\": \"d\", \"kind\": \"lww\","
                   " \"rs\": 1}]}",
        "namespaces[0]: rs + ws must be above n, or a read could miss a completed write");
    expect_refused(HEAD "\"proxies\": [{\"name\": \"p\", \"host\": \"h\", \"port\": 1},"
                        " {\"name\": \"p\", \"host\": \"h\", \"port\": 2}],\n" NODES NAMESPACES,
                   "proxies[1]: name is that of an earlier proxy");
    expect_refused(HEAD NODES "\"namespaces\": [{\"id\": 1, \"name\": \"d\", \"kind\": \"cas\","
                              " \"write\": \"eventual\"}]}",
                   "namespaces[0]: write must not be eventual in a cas namespace");
    expect_refused(HEAD "\"partitions\": 1000,\n" NODES NAMESPACES,
                   "partitions must be a power of two, at most 65536");
}

static char *append(char *at, const char *text)
{
    memcpy(at, text, strlen(text));
    return at + strlen(text);
}

static void lists_are_limited(void **state)
{
    (void)state;
    char *json = malloc(64 * 1024), *at = append(json, "{\"namespaces\": [");
    assert_non_null(json);
    for (unsigned i = 0; i <= QUO_NAMESPACES_MAX; i++)
        at += snprintf(at, 128, "%s{\"id\": %u, \"name\": \"n%u\", \"kind\": \"lww\"}",
                       i == 0 ? "" : ",", i + 1, i);
    *append(at, "]}") = '\0';
    expect_refused(json, "line 1: namespaces[256]: there must be at most 256 namespaces");
    at = append(json, "{\"proxies\": [");
    for (unsigned i = 0; i <= QUO_PROXIES_MAX; i++)
        at += snprintf(at, 128, "%s{\"name\": \"p%u\", \"host\": \"h\", \"port\": %u}",
                       i == 0 ? "" : ",", i, i + 1);
    *append(at, "]}") = '\0';
    expect_refused(json, "line 1: proxies[64]: there must be at most 64 proxies");
    free(json);
}

static void large_documents_are_refused_unread(void **state)
{
    (void)state;
    char *json = malloc(QUO_MAP_FILE_MAX + 1);
    assert_non_null(json);
    memset(json, ' ', QUO_MAP_FILE_MAX + 1);
    assert_int_equal(quo_map_parse(quo_slice(json, QUO_MAP_FILE_MAX + 1), map, why, sizeof why),
                     QUO_TOO_LARGE);
    assert_string_equal(why, "larger than 4194304 bytes");
    /* Deep nesting ends at the first list that is none. */
    memset(json, '[', QUO_MAP_FILE_MAX);
    assert_int_equal(quo_map_parse(quo_slice(json, QUO_MAP_FILE_MAX), map, why, sizeof why),
                     QUO_INVALID);
    free(json);
}

static void every_beginning_is_refused(void **state)
{
    (void)state;
    static const char json[] = HEAD NODES NAMESPACES;
    for (size_t len = 0; len < sizeof json - 1; len++) {
        char *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, json, len);
        memset(map, 0, offsetof(struct quo_map, entries));
        assert_int_equal(quo_map_parse(quo_slice(exact, len), map, why, sizeof why), QUO_INVALID);
        free(exact);
    }
}

static void files_are_loaded(void **state)
{
    (void)state;
    static const char good[] = HEAD NODES NAMESPACES, bad[] = HEAD "\"x\": 1}";
    char path[64], expected[128];
    int fd = memfd_create("map", MFD_CLOEXEC);
    assert_int_equal(write(fd, good, strlen(good)), strlen(good));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(quo_map_load(path, map, why, sizeof why), QUO_OK);
    assert_int_equal(map->epoch, 4);

    fresh(NULL);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, bad, strlen(bad), 0), strlen(bad));
    assert_int_equal(quo_map_load(path, map, why, sizeof why), QUO_INVALID);
    snprintf(expected, sizeof expected, "%s: line 2: unknown member 'x'", path);
    assert_string_equal(why, expected);
    close(fd);
}

static void unreadable_files_are_errors(void **state)
{
    (void)state;
    assert_int_equal(quo_map_load("/nonexistent/map", map, why, sizeof why), QUO_NOT_FOUND);
    assert_string_equal(why, "/nonexistent/map: No such file or directory");
    assert_int_equal(quo_map_load("/tmp", map, why, sizeof why), QUO_IO_ERROR);
    assert_string_equal(why, "/tmp: Is a directory");
    assert_int_equal(quo_map_load("/dev/zero", map, why, sizeof why), QUO_TOO_LARGE);
    assert_string_equal(why, "/dev/zero: larger than 4194304 bytes");
}

#define MAP_TEST(name) cmocka_unit_test_setup_teardown(name, fresh, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAP_TEST(whole_document_is_read),
        MAP_TEST(defaults_are_filled_in),
        MAP_TEST(majorities_of_even_n),
        MAP_TEST(unknown_members_are_errors),
        MAP_TEST(members_may_come_once),
        MAP_TEST(missing_members_are_errors),
        MAP_TEST(numbers_are_whole_and_in_range),
        MAP_TEST(retention_is_in_range),
        MAP_TEST(switches_are_true_or_false),
        MAP_TEST(ids_are_hexadecimal_text),
        MAP_TEST(texts_and_words_are_checked),
        MAP_TEST(shapes_are_checked),
        MAP_TEST(syntax_errors_name_the_line),
        MAP_TEST(whole_map_is_checked),
        MAP_TEST(lists_are_limited),
        MAP_TEST(large_documents_are_refused_unread),
        MAP_TEST(every_beginning_is_refused),
        MAP_TEST(files_are_loaded),
        MAP_TEST(unreadable_files_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
