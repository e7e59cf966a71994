/* Bytes as a client may send them: request line and headers, and the same bytes as HTTP/2 frames.
 *
 *   METHOD target\n
 *   name: value\n ...
 *   \n
 *   body
 */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "proxy/http/ask.h"
#include "proxy/http/etag.h"
#include "proxy/http/guard.h"
#include "proxy/http/request.h"
#include "proxy/http/sf.h"

#define HEADERS_MAX 20u

static const struct quo_map *the_map(void)
{
    static struct quo_map *map;

    if (map == NULL) {
        map = calloc(1, sizeof *map);
        QUO_REQUIRE(map != NULL);
        map->partition_count = 8;
        map->namespace_count = 2;
        map->namespaces[0] = (struct quo_namespace){
            .id = 1,
            .name = "default",
            .kind = QUO_KIND_LWW,
            .n = 3,
            .rs = 2,
            .ws = 2,
            .read_level = QUO_LEVEL_STRONG,
            .write_level = QUO_LEVEL_STRONG,
            .timeout_ms = 1000,
            .value_max = 1000,
        };
        map->namespaces[1] = map->namespaces[0];
        map->namespaces[1].id = 2;
        memcpy(map->namespaces[1].name, "mixed", sizeof "mixed");
        map->namespaces[1].kind = QUO_KIND_MIXED;
    }
    return map;
}

/* Takes what stands before `end`, which is dropped, or everything. */
static struct quo_slice take(struct quo_slice *rest, uint8_t end)
{
    const uint8_t *at = rest->len > 0 ? memchr(rest->data, end, rest->len) : NULL;
    struct quo_slice taken = *rest;

    if (at == NULL) {
        *rest = quo_slice(NULL, 0);
        return taken;
    }
    taken.len = (size_t)(at - rest->data);
    *rest = quo_slice(at + 1, rest->len - taken.len - 1);
    return taken;
}

/* What is submitted is something that the service takes. */
static void check_submission(const struct quo_wish *wish, struct quo_slice body)
{
    struct quo_request request = quo_wish_submission(wish, body);
    bool is_consensus = quo_request_is_consensus(&request);
    bool is_plain = request.type == QUO_REQUEST_PUT || request.type == QUO_REQUEST_DELETE;

    QUO_INVARIANT(wish->key_len >= 1 && wish->key_len <= QUO_KEY_MAX && wish->ns != NULL);
    QUO_INVARIANT(request.tag_count <= QUO_CONDITIONS_MAX);
    QUO_INVARIANT(request.type == QUO_REQUEST_GET || is_plain || is_consensus);
    QUO_INVARIANT(!is_consensus || (request.consistency.strong && wish->ns->id == 2));
}

static void parse_request(struct quo_slice bytes)
{
    struct quo_http_header headers[HEADERS_MAX];
    struct quo_slice line = take(&bytes, '\n');
    struct quo_http_request request = {.headers = headers};
    static struct quo_wish wish;
    struct quo_problem problem;
    char document[QUO_PROBLEM_DOCUMENT_MAX];

    request.method = take(&line, ' ');
    request.target = line;
    while (bytes.len > 0 && request.header_count < HEADERS_MAX) {
        struct quo_slice header = take(&bytes, '\n');

        if (header.len == 0)
            break;
        headers[request.header_count].name = take(&header, ':');
        headers[request.header_count++].value = header;
    }
    request.body = bytes;
    problem.type = QUO_PROBLEM_NONE;
    if (quo_request_parse(&request, the_map(), &wish, &problem)) {
        QUO_INVARIANT(problem.type == QUO_PROBLEM_NONE);
        if (quo_route_is_data(wish.route) && wish.method != QUO_METHOD_OPTIONS)
            check_submission(&wish, bytes);
        return;
    }
    QUO_INVARIANT(problem.type != QUO_PROBLEM_NONE && problem.outcome == QUO_NOT_APPLIED);
    for (const char *c = problem.detail; *c != 0; c++)
        QUO_INVARIANT(*c >= 0x20 && *c <= 0x7e);
    QUO_INVARIANT(quo_problem_render(&problem, "id", document) > 0);
}

static void parse_cursor(struct quo_slice bytes)
{
    const struct quo_list_scope scope = {the_map(), 1, quo_slice_of("a/b")};
    static struct quo_list_place place;
    char text[QUO_LIST_CURSOR_MAX];

    if (!quo_list_cursor_parse(&scope, bytes, &place))
        return;
    size_t len = quo_list_cursor_format(&scope, place.partition,
                                        quo_slice(place.after, place.after_len), text);
    QUO_INVARIANT(quo_slice_equal(bytes, quo_slice(text, len)));
}

/* What is taken for a name is the one way to write it. */
static void parse_names(struct quo_slice bytes)
{
    char etag[QUO_ETAG_SIZE + 1], text[QUO_OPERATION_ID_MAX + 1];
    struct quo_counter_body counter;
    struct quo_operation_id id;
    struct quo_version version;
    struct quo_problem problem;

    if (quo_etag_parse(bytes, &version)) {
        quo_etag_format(version, etag);
        QUO_INVARIANT(quo_slice_equal(bytes, quo_slice_of(etag)));
    }
    if (quo_operation_id_parse(bytes, &id))
        QUO_INVARIANT(quo_slice_equal(bytes, quo_slice(text, quo_operation_id_format(&id, text))));
    if (quo_counter_body_parse(bytes, &counter, &problem))
        QUO_INVARIANT(counter.has_by);
}

static void parse_fields(struct quo_slice bytes)
{
    struct quo_sf_item item;
    struct quo_problem problem;
    struct quo_ask ask;
    const char *why = NULL;
    size_t at = 0;
    bool is_item = quo_sf_parse_item(bytes, &item, &at, &why);

    QUO_INVARIANT(is_item || (why != NULL && at <= bytes.len));
    /* Whatever our header accepts is an item. */
    QUO_INVARIANT(!quo_ask_parse_header(bytes, &ask, &problem) || is_item);
    quo_ask_parse_query(bytes, &ask, &problem);
    /* A weak match is at least as easy as a strong one. */
    QUO_INVARIANT(!quo_etag_listed(bytes, "\"0\"", false) || quo_etag_listed(bytes, "\"0\"", true));
    quo_request_id_usable(bytes);
    parse_names(bytes);
    parse_cursor(bytes);
}

/* However the bytes are cut, the guard sees the same frames. */
static void watch(struct quo_slice bytes)
{
    static struct quo_guard whole, pieces;
    enum quo_flood expected, flood = QUO_FLOOD_NONE;

    quo_guard_init(&whole);
    quo_guard_init(&pieces);
    expected = quo_guard_feed(&whole, bytes, false, 0);
    for (size_t i = 0; i < bytes.len && flood == QUO_FLOOD_NONE; i++)
        flood = quo_guard_feed(&pieces, quo_slice(bytes.data + i, 1), false, 0);
    QUO_INVARIANT(flood == expected);
    QUO_INVARIANT(memcmp(&whole, &pieces, offsetof(struct quo_guard, streams)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quo_slice bytes = quo_slice(data, size);

    parse_request(bytes);
    parse_fields(bytes);
    watch(bytes);
    return 0;
}
