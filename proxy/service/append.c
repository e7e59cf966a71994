/* Appending to a timeline. Without a key it is a single write. With one:
 *
 *   look for a claim ──▶ store an entry ──▶ claim it
 *         └── found ──▶ see to it that the entry is where the level wants it
 */
#include <stdlib.h>

#include "proxy/service/state.h"
#include "proxy/service/timeline.h"
#include "quorate/testpoints.h"

struct append {
    struct quo_job job;
    quo_append_fn *answer;
    void *context;
    const struct quo_namespace *ns;
    struct quo_consistency want;
    uint64_t ttl_ms, above, digest;
    bool is_claimed; /* the claim is there already: it only remains to be confirmed */
    struct quo_entry_id id;
    uint8_t looked;             /* round trips until it was known that there is no claim */
    struct quo_receipt receipt; /* of the writes so far */
    size_t name_len, type_len, value_len;
    uint8_t bytes[]; /* name, content type, value */
};

static struct quo_slice name_of(const struct append *a)
{
    return quo_slice(a->bytes, a->name_len);
}

static void release(struct quo_job *job)
{
    free(job);
}

static void finish(struct append *a, struct quo_response *response, bool is_replayed)
{
    const struct quo_append_answer answer = {
        .response = response,
        .id =
            response->outcome == QUO_NOT_APPLIED ? (struct quo_entry_id){.is_keyed = false} : a->id,
        .is_replayed = is_replayed,
    };

    response->receipt.level = a->want.level;
    response->elapsed_us = quo_job_elapsed_us(&a->job);
    quo_count(&a->job.service->stats.appends, 1);
    quo_count(&a->job.service->stats.appends_replayed, is_replayed);
    if (quo_job_answers(&a->job))
        a->answer(a->context, &answer);
    quo_job_end(&a->job);
}

/* A step could not be begun. */
static void give_up(struct append *a, enum quo_effectuality outcome, enum quo_status status)
{
    struct quo_response response = {.receipt = a->receipt};

    quo_job_fail(&response, QUO_VERDICT_REFUSED, outcome, status);
    finish(a, &response, false);
}

/* A step went wrong, as its answer says. */
static void fail(struct append *a, const struct quo_response *step, enum quo_effectuality outcome)
{
    struct quo_response response = {.receipt = step->receipt};

    quo_job_fail(&response, step->verdict, outcome, step->refusal);
    finish(a, &response, false);
}

static void succeed(struct append *a, bool is_replayed)
{
    struct quo_response response = {
        .verdict = QUO_VERDICT_WRITTEN,
        .outcome = QUO_APPLIED,
        .receipt = a->receipt,
    };

    quo_receipt_count(&response.receipt.round_trips, a->looked);
    finish(a, &response, is_replayed);
}

/* Whether the write is content with what any one replica holds. */
static bool is_weak(const struct append *a)
{
    return !a->want.strong && a->want.w <= 1;
}

static void on_claim_read(void *context, const struct quo_response *response);

static enum quo_status submit(struct append *a, struct quo_request *request, quo_answer_fn *answer)
{
    quo_ticket ticket;

    request->ns = a->ns;
    request->collection = QUO_COLLECTION_TIMELINE;
    request->consistency.timeout_ms = quo_job_left_ms(&a->job);
    if (answer == on_claim_read && is_weak(a))
        request->consistency.timeout_ms = QUO_MAX(request->consistency.timeout_ms / 2, 1);
    return quo_service_submit(a->job.service, request, answer, a, &ticket);
}

/* A read that leaves what it finds where the write wants it; of a weak write, where it is. */
static struct quo_consistency read_want(const struct append *a)
{
    const struct quo_namespace *ns = a->ns;
    struct quo_consistency want = {.level = QUO_LEVEL_QUORUM, .n = a->want.n, .r = ns->rs};

    if (is_weak(a))
        return want;
    const bool is_all = a->want.level == QUO_LEVEL_ALL || a->want.w > ns->ws;
    want.level = is_all ? QUO_LEVEL_ALL : QUO_LEVEL_STRONG;
    want.strong = true;
    want.r = is_all ? want.n : ns->rs;
    want.w = want.dw = is_all ? want.n : ns->ws;
    return want;
}

static enum quo_status store_entry(struct append *a);

static void on_claim_stored(void *context, const struct quo_response *response)
{
    struct append *a = context;

    if (response->verdict != QUO_VERDICT_WRITTEN) {
        fail(a, response, a->is_claimed ? QUO_UNKNOWN : response->outcome);
        return;
    }
    quo_job_then(&a->receipt, &response->receipt);
    if (QUO_MUTANT(CLAIM_BEFORE_ENTRY) && !a->is_claimed) {
        a->is_claimed = true;
        store_entry(a);
        return;
    }
    succeed(a, a->is_claimed);
}

/* The claim has the entry's version: below what is sealed no claim, and so no entry, turns up. */
static enum quo_status store_claim(struct append *a)
{
    uint8_t key[QUO_TIMELINE_KEY_MAX], value[QUO_CLAIM_SIZE];
    struct quo_request request = {
        .type = QUO_REQUEST_PUT,
        .naming = QUO_NAMED_SO,
        .version = a->id.version,
        .key = quo_slice(key, quo_claim_key(name_of(a), &a->id.opid, key)),
        .value = quo_slice(value, sizeof value),
        .consistency = a->want,
        .ttl_ms = a->ttl_ms,
    };

    quo_claim_encode(a->digest, value);
    return submit(a, &request, on_claim_stored);
}

static void claim(struct append *a)
{
    enum quo_status status = store_claim(a);

    if (status != QUO_OK)
        give_up(a, QUO_NOT_APPLIED, status);
}

static void on_entry_stored(void *context, const struct quo_response *response)
{
    struct append *a = context;

    if (!a->is_claimed)
        a->id.version = response->receipt.version;
    if (response->verdict != QUO_VERDICT_WRITTEN) {
        /* Below the floor of collected deletes nothing is missing: it was deleted, long ago. */
        if (a->is_claimed && response->refusal == QUO_NACK) {
            succeed(a, true);
            return;
        }
        /* Nobody sees an entry that is not claimed. */
        fail(a, response,
             a->is_claimed    ? QUO_UNKNOWN
             : a->id.is_keyed ? QUO_NOT_APPLIED
                              : response->outcome);
        return;
    }
    quo_job_then(&a->receipt, &response->receipt);
    if (a->id.is_keyed && !a->is_claimed)
        claim(a);
    else
        succeed(a, a->is_claimed);
}

static enum quo_status store_entry(struct append *a)
{
    const uint8_t *type = a->bytes + a->name_len;
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    struct quo_request request = {
        .type = QUO_REQUEST_PUT,
        .naming = a->is_claimed ? QUO_NAMED_SO : QUO_NAMED_ENTRY,
        .version = a->id.version,
        .key = quo_slice(key, quo_entry_key(name_of(a), &a->id, key)),
        .content_type = quo_slice(type, a->type_len),
        .value = quo_slice(type + a->type_len, a->value_len),
        .consistency = a->want,
        .ttl_ms = a->ttl_ms,
        .above = a->above,
    };

    if (QUO_MUTANT(CLAIM_BEFORE_ENTRY) && a->id.is_keyed && !a->is_claimed) {
        a->id.version = quo_tick(a->job.service, QUO_VERSION_NONE);
        return store_claim(a);
    }
    return submit(a, &request, on_entry_stored);
}

/* The entry that the claim names, as strong as it was asked for. */
static void on_entry_read(void *context, const struct quo_response *response)
{
    struct append *a = context;
    enum quo_status status = QUO_OK;

    if (response->verdict != QUO_VERDICT_FOUND && response->verdict != QUO_VERDICT_ABSENT) {
        fail(a, response, QUO_UNKNOWN);
        return;
    }
    /* A tombstone is an entry, too: one that somebody has deleted since. */
    if (!quo_version_is_none(response->receipt.version)) {
        quo_job_then(&a->receipt, &response->receipt);
        succeed(a, true);
        return;
    }
    status = store_entry(a);
    if (status != QUO_OK)
        give_up(a, QUO_UNKNOWN, status);
}

static void confirm_entry(struct append *a)
{
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    struct quo_request request = {
        .type = QUO_REQUEST_GET,
        .key = quo_slice(key, quo_entry_key(name_of(a), &a->id, key)),
        .consistency = read_want(a),
    };
    enum quo_status status = submit(a, &request, on_entry_read);

    if (status != QUO_OK)
        give_up(a, QUO_UNKNOWN, status);
}

/* An earlier attempt has come so far. */
static void take_claim(struct append *a, const struct quo_response *response)
{
    struct quo_response reused = {
        .verdict = QUO_VERDICT_DECLINED,
        .outcome = QUO_NOT_APPLIED,
        .receipt = response->receipt,
        .change = {.code = QUO_CHANGE_KEY_REUSED},
    };
    uint64_t digest;

    if (!quo_claim_decode(response->record.value, &digest)) {
        give_up(a, QUO_UNKNOWN, QUO_CORRUPT);
    } else if (digest != a->digest) {
        finish(a, &reused, false);
    } else {
        a->is_claimed = true;
        a->id.version = response->record.version;
        /* It is on as many as showed it, at least; a strong read has seen to more. */
        a->receipt = response->receipt;
        a->receipt.acks = QUO_MAX(response->receipt.acks, 1);
        a->receipt.disk = QUO_MAX(response->receipt.disk, 1);
        if (is_weak(a))
            succeed(a, true);
        else
            confirm_entry(a);
    }
}

static void on_claim_read(void *context, const struct quo_response *response)
{
    struct append *a = context;
    enum quo_status status;

    if (response->verdict == QUO_VERDICT_FOUND && !QUO_MUTANT(CLAIM_NOT_SOUGHT)) {
        take_claim(a, response);
        return;
    }
    /* A weak write goes on alone if it has to: of two entries the claims leave one. */
    if (response->verdict != QUO_VERDICT_ABSENT && response->verdict != QUO_VERDICT_FOUND &&
        !is_weak(a)) {
        fail(a, response, QUO_NOT_APPLIED);
        return;
    }
    a->looked = response->receipt.round_trips;
    status = store_entry(a);
    if (status != QUO_OK)
        give_up(a, QUO_NOT_APPLIED, status);
}

static enum quo_status look_for_claim(struct append *a)
{
    uint8_t key[QUO_TIMELINE_KEY_MAX];
    struct quo_request request = {
        .type = QUO_REQUEST_GET,
        .key = quo_slice(key, quo_claim_key(name_of(a), &a->id.opid, key)),
        .consistency = read_want(a),
    };

    return submit(a, &request, on_claim_read);
}

static void copy(struct append *a, const struct quo_append_request *request)
{
    uint8_t *out = a->bytes;

    a->name_len = request->name.len;
    a->type_len = request->content_type.len;
    a->value_len = request->value.len;
    memcpy(out, request->name.data, a->name_len);
    if (a->type_len > 0)
        memcpy(out + a->name_len, request->content_type.data, a->type_len);
    if (a->value_len > 0)
        memcpy(out + a->name_len + a->type_len, request->value.data, a->value_len);
}

enum quo_status quo_service_append(struct quo_service *service,
                                   const struct quo_append_request *request, quo_append_fn *answer,
                                   void *context, struct quo_job **ret_job)
{
    const size_t bytes = request->name.len + request->content_type.len + request->value.len;
    struct quo_job *job = NULL;
    enum quo_status status = quo_job_new(service, sizeof(struct append) + bytes, bytes,
                                         request->consistency.timeout_ms, &job);

    if (status != QUO_OK)
        return status;
    struct append *a = QUO_CONTAINER_OF(job, struct append, job);
    job->release = release;
    a->answer = answer;
    a->context = context;
    a->ns = request->ns;
    a->want = request->consistency;
    a->ttl_ms = request->ttl_ms;
    a->above = request->above;
    a->id.is_keyed = request->has_opid;
    a->id.opid = request->opid;
    a->digest = request->digest;
    copy(a, request);
    quo_job_begin(job, ret_job);
    status = a->id.is_keyed ? look_for_claim(a) : store_entry(a);
    return quo_job_begun(ret_job, status);
}
