#include "proxy/http/answer_parts.h"

#include <yajl/yajl_gen.h>

#include "proxy/http/etag.h"

/* What is told of a write. */
struct story {
    enum quo_operation_state state;
    bool has_code; /* it was decided, by consensus */
    enum quo_change_code code;
    struct quo_version changed; /* of an applied one: its ETag */
    bool has_value;
    int64_t value; /* of a counter that refused */
};

/* A blind write is seen by its version. Below the version that is there it can never be seen any
 * more: whether it ever was is not known. */
static struct story tell_blind(const struct quo_record *record, struct quo_version version)
{
    struct story ret = {.state = QUO_OPERATION_IN_FLIGHT, .changed = version};

    if (record != NULL && quo_version_equal(record->changed, version))
        ret.state = QUO_OPERATION_APPLIED;
    else if (record != NULL && quo_version_compare(record->version, version) > 0)
        ret.state = QUO_OPERATION_EXPIRED;
    return ret;
}

static struct story tell_read(const struct quo_answer_case *of)
{
    const struct quo_operation *operation = of->operation;
    const struct quo_record *record = quo_response_record(of->response);
    struct quo_ring_entry entry = {0};
    struct story ret = {0};

    if (operation->id.is_blind)
        return tell_blind(record, operation->id.version);
    ret.state = quo_change_state(record, &operation->id.opid, operation->id.since,
                                 operation->ns->retention_s, &entry);
    ret.has_code = ret.state == QUO_OPERATION_APPLIED || ret.state == QUO_OPERATION_NOT_APPLIED;
    ret.code = entry.code;
    ret.changed = entry.at;
    ret.has_value = ret.has_code && entry.code == QUO_CHANGE_BOUND;
    ret.value = entry.result;
    return ret;
}

/* Whether a resolution decided nothing: the one who asked must do something else first. */
static bool is_undecided(enum quo_change_code code)
{
    return code == QUO_CHANGE_RING_FULL || code == QUO_CHANGE_NO_MEMORY ||
           code == QUO_CHANGE_KEY_REUSED;
}

static struct story tell_resolved(const struct quo_change_result *change)
{
    if (change->code == QUO_CHANGE_HISTORY_LOST)
        return (struct story){.state = QUO_OPERATION_EXPIRED};
    return (struct story){
        .state =
            change->code == QUO_CHANGE_DONE ? QUO_OPERATION_APPLIED : QUO_OPERATION_NOT_APPLIED,
        .has_code = true,
        .code = change->code,
        .changed = change->changed,
        .has_value = change->has_counter && change->code == QUO_CHANGE_BOUND,
        .value = change->counter,
    };
}

static const char *state_name(enum quo_operation_state state)
{
    switch (state) {
    case QUO_OPERATION_APPLIED:
        return "applied";
    case QUO_OPERATION_NOT_APPLIED:
        return "not-applied";
    case QUO_OPERATION_IN_FLIGHT:
        return "in-flight";
    case QUO_OPERATION_EXPIRED:
        break;
    }
    return "unknown";
}

static const char *code_name(enum quo_change_code code)
{
    return code == QUO_CHANGE_DONE ? "done" : quo_problem_info(quo_declined_problem(code))->slug;
}

static void member(yajl_gen gen, const char *name, const char *text, size_t len)
{
    yajl_gen_string(gen, (const unsigned char *)name, strlen(name));
    yajl_gen_string(gen, (const unsigned char *)text, len);
}

static void generate(yajl_gen gen, const struct quo_operation *operation, const struct story *story)
{
    char path[QUO_OPERATION_PATH_MAX], etag[QUO_ETAG_SIZE + 1];
    const char *state = state_name(story->state);

    yajl_gen_map_open(gen);
    member(gen, "operation", path,
           quo_operation_path(operation->ns->name, operation->key, &operation->id, path));
    member(gen, "state", state, strlen(state));
    if (story->has_code)
        member(gen, "code", code_name(story->code), strlen(code_name(story->code)));
    if (story->state == QUO_OPERATION_APPLIED && !quo_version_is_none(story->changed)) {
        quo_etag_format(story->changed, etag);
        member(gen, "etag", etag, QUO_ETAG_SIZE);
    }
    if (story->has_value) {
        yajl_gen_string(gen, (const unsigned char *)"value", 5);
        yajl_gen_integer(gen, story->value);
    }
    yajl_gen_map_close(gen);
}

/* Returns false when out of memory. */
static bool render(const struct quo_operation *operation, const struct story *story,
                   struct quo_answer *ret)
{
    yajl_gen gen = yajl_gen_alloc(NULL);
    const unsigned char *text;
    bool done = false;
    size_t len;

    if (gen == NULL)
        return false;
    generate(gen, operation, story);
    if (yajl_gen_get_buf(gen, &text, &len) == yajl_gen_status_ok) {
        QUO_INVARIANT(len + 1 <= sizeof ret->document);
        memcpy(ret->document, text, len);
        ret->document[len] = '\n';
        ret->body = quo_slice(ret->document, len + 1);
        done = true;
    }
    yajl_gen_free(gen);
    return done;
}

void quo_answer_operation(const struct quo_answer_case *of, struct quo_answer *ret)
{
    const struct quo_response *response = of->response;
    bool is_read = of->operation->route == QUO_ROUTE_OPERATION;
    struct quo_problem problem;
    struct story story;

    if (!is_read && is_undecided(response->change.code)) {
        quo_answer_declined(of, ret);
        return;
    }
    story = is_read ? tell_read(of) : tell_resolved(&response->change);
    quo_answer_begin_data(ret, 200, of);
    quo_answer_add(ret, "cache-control", quo_slice_of("no-cache"));
    if (render(of->operation, &story, ret)) {
        quo_answer_add(ret, "content-type", quo_slice_of("application/json"));
        return;
    }
    ret->status = 500;
    quo_problem_set(&problem, QUO_PROBLEM_INTERNAL, "Out of memory.");
    quo_answer_add_document(ret, &problem, of->facts);
}
