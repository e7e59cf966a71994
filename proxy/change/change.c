#include "proxy/change/change.h"

#include <stdlib.h>

#include "proxy/change/condition.h"
#include "proxy/change/counter.h"
#include "proxy/change/lineage.h"
#include "proxy/change/merge_patch.h"
#include "quorate/testpoints.h"

struct quo_changer {
    uint8_t ring[QUO_RING_BYTES_MAX]; /* of the record made last */
    char counter[QUO_COUNTER_TEXT];   /* likewise, its value if that is a counter */
    char *document;                   /* likewise, if it is a patched document */
};

/* One call of quo_change_apply. */
struct apply {
    struct quo_changer *changer;
    const struct quo_change *change;
    const struct quo_change_context *context;
    const struct quo_record *identity; /* what was found, under the new ballot */
    bool is_expired;                   /* and what it holds is no longer there */
    struct quo_change_result *result;
};

struct quo_changer *quo_changer_new(void)
{
    return calloc(1, sizeof(struct quo_changer));
}

void quo_changer_free(struct quo_changer *changer)
{
    if (changer == NULL)
        return;
    free(changer->document);
    free(changer);
}

void quo_change_identity(const struct quo_record *base, struct quo_version ballot,
                         struct quo_record *ret_record)
{
    *ret_record = base != NULL ? *base : (struct quo_record){.flags = QUO_RECORD_TOMBSTONE};
    ret_record->flags &= (uint8_t)~QUO_RECORD_BLIND;
    ret_record->version = ballot;
}

/* The record found is what it is; the result says why nothing came of the change. */
static enum quo_decision decline(const struct apply *a, enum quo_change_code code)
{
    a->result->code = code;
    return QUO_DECISION_KEEP;
}

static bool find_entry(const struct apply *a, struct quo_ring_entry *ret)
{
    return !QUO_MUTANT(NO_RING) && quo_ring_find(a->identity->ring, &a->change->opid, ret);
}

/* Who fences an operation does not know what it asked for. */
static bool is_another_request(const struct quo_change *change, const struct quo_ring_entry *entry)
{
    return change->type != QUO_CHANGE_RESOLVE && entry->code != QUO_CHANGE_FENCED &&
           entry->digest != change->digest;
}

/* The ring knows the operation: what was decided then is the answer. */
static enum quo_decision replay(const struct apply *a, const struct quo_ring_entry *entry)
{
    if (is_another_request(a->change, entry))
        return decline(a, QUO_CHANGE_KEY_REUSED);
    if (a->change->type != QUO_CHANGE_RESOLVE)
        QUO_PROBE(RMW_FOUND_ITSELF);
    a->result->code = entry->code;
    if (entry->code == QUO_CHANGE_DONE)
        a->result->changed = entry->at;
    /* What found itself without a key is no second request; but what refused it then need not be
     * there any more. */
    a->result->replayed = a->change->type == QUO_CHANGE_RESOLVE ||
                          quo_opid_is_keyed(&a->change->opid) || entry->code != QUO_CHANGE_DONE;
    /* Who resolves does not know what the operation was; but only a counter has bounds. */
    a->result->has_counter = entry->code == QUO_CHANGE_BOUND ||
                             (a->change->type == QUO_CHANGE_ADD && entry->code == QUO_CHANGE_DONE);
    a->result->counter = a->result->has_counter ? entry->result : 0;
    /* The counter that refused then need not be the one that is there now. */
    if (entry->code == QUO_CHANGE_BOUND)
        a->result->changed = QUO_VERSION_NONE;
    return QUO_DECISION_FOUND;
}

static enum quo_decision admit_ignorance(const struct apply *a)
{
    QUO_PROBE(RMW_UNPROVABLE);
    a->result->code = QUO_CHANGE_HISTORY_LOST;
    return QUO_DECISION_UNPROVABLE;
}

/* Without a key there is one proposer at a time. */
static bool may_be_elsewhere(const struct apply *a)
{
    return a->context->shared && quo_opid_is_keyed(&a->change->opid);
}

/* Whether this attempt itself may have taken effect unseen. */
static bool may_be_hidden(const struct apply *a)
{
    const struct quo_version from =
        quo_lineage_from(a->identity, &a->change->opid, a->context->floor);
    return (a->context->sent || may_be_elsewhere(a)) &&
           quo_version_compare(from, a->context->first) >= 0;
}

/* Whether it may have been fenced unseen while it was under way from one proposer to another. */
static bool may_be_fenced(const struct apply *a)
{
    const struct quo_change_context *context = a->context;

    if (!context->shared || quo_opid_is_keyed(&a->change->opid) || QUO_MUTANT(FENCE_FORGOTTEN))
        return false;
    return !quo_ring_shows_fence(quo_version_max(a->identity->keyed_from, context->floor),
                                 context->ballot, a->change->since);
}

/* Whether earlier requests with the same key would be seen. What was submitted long ago, and waited
 * since, must be judged by then; a clock that runs ahead must not make history look old. */
static bool sees_earlier_requests(const struct apply *a)
{
    const struct quo_change_context *context = a->context;
    const uint64_t since = QUO_MIN(a->change->since, context->ballot.hlc);

    return !quo_opid_is_keyed(&a->change->opid) ||
           quo_lineage_shows(a->identity, &a->change->opid, context->floor, since,
                             context->retention_s);
}

static struct quo_ring_entry make_entry(const struct apply *a, enum quo_change_code code)
{
    return (struct quo_ring_entry){
        .opid = a->change->opid,
        .at = a->context->ballot,
        .code = code,
        .digest = a->change->digest,
        .result = a->result->has_counter ? a->result->counter : 0,
    };
}

/* Puts the decision into the lineage of the record made. Returns false: the ring is full. */
static bool remember(const struct apply *a, enum quo_change_code code, struct quo_record *made)
{
    const struct quo_ring_entry entry = make_entry(a, code);
    const struct quo_ring_past past = {made->ring, made->hist_from, made->keyed_from};
    struct quo_ring_past with;

    if (quo_ring_append(&past, &entry, a->context->retention_s, a->changer->ring, &with) != QUO_OK)
        return false;
    made->ring = with.ring;
    made->hist_from = with.hist_from;
    made->keyed_from = with.keyed_from;
    return true;
}

/* The operation was not decided: from this ballot on it is. */
static enum quo_decision fence(const struct apply *a, struct quo_record *made)
{
    if (QUO_MUTANT(FENCE_NOT_WRITTEN))
        return decline(a, QUO_CHANGE_FENCED);
    if (!remember(a, QUO_CHANGE_FENCED, made))
        return decline(a, QUO_CHANGE_RING_FULL);
    QUO_PROBE(FENCED);
    a->result->code = QUO_CHANGE_FENCED;
    return QUO_DECISION_WRITE;
}

static enum quo_decision resolve(const struct apply *a, struct quo_record *made)
{
    if (!quo_lineage_shows(a->identity, &a->change->opid, a->context->floor, a->change->since,
                           a->context->retention_s))
        return admit_ignorance(a);
    return fence(a, made);
}

/* A ballot may be older than the operation, and a value that its reservation had outlived would be
 * gone at once: the time counts from the operation. */
static void limit_life(const struct apply *a, struct quo_record *made)
{
    const struct quo_change *change = a->change;
    const uint64_t ballot_ms = quo_version_ms(a->context->ballot);
    const uint64_t from_ms =
        QUO_MUTANT(TTL_OF_BALLOT) ? ballot_ms : QUO_MAX(a->context->now_ms, ballot_ms);
    uint64_t until_ms = UINT64_MAX;

    if (change->ttl_ms != 0)
        until_ms = from_ms + change->ttl_ms;
    else if (change->type != QUO_CHANGE_PUT && !a->is_expired)
        until_ms = quo_record_expires_ms(a->identity);
    made->flags &= (uint8_t)~QUO_RECORD_EXPIRES;
    made->ttl_ms = 0;
    if (until_ms == UINT64_MAX || (made->flags & QUO_RECORD_TOMBSTONE) != 0)
        return;
    made->flags |= QUO_RECORD_EXPIRES;
    made->ttl_ms = QUO_MIN(until_ms - ballot_ms, QUO_RECORD_TTL_MAX);
}

static enum quo_change_code put(const struct apply *a, struct quo_record *made)
{
    made->flags = 0;
    made->content_type = a->change->content_type;
    made->value = a->change->value;
    return QUO_CHANGE_DONE;
}

static enum quo_change_code bury(struct quo_record *made)
{
    quo_record_bury(made);
    return QUO_CHANGE_DONE;
}

static enum quo_change_code patch(const struct apply *a, struct quo_record *made)
{
    const bool is_present = (made->flags & QUO_RECORD_TOMBSTONE) == 0;
    size_t len;

    /* To quo_merge_patch no bytes are the document null, but a value of no bytes is no document. */
    if (is_present && made->value.len == 0)
        return QUO_CHANGE_NOT_JSON;
    switch (quo_merge_patch(made->value, a->change->value, a->context->value_max,
                            &a->changer->document, &len)) {
    case QUO_OK:
        break;
    case QUO_TOO_LARGE:
        return QUO_CHANGE_TOO_LARGE;
    case QUO_NO_MEMORY:
        return QUO_CHANGE_NO_MEMORY;
    default:
        return QUO_CHANGE_NOT_JSON;
    }
    if (!is_present || made->content_type.len == 0)
        made->content_type = quo_slice_of("application/json");
    made->flags = 0;
    made->value = quo_slice(a->changer->document, len);
    return QUO_CHANGE_DONE;
}

static enum quo_change_code add(const struct apply *a, struct quo_record *made)
{
    const struct quo_change *change = a->change;
    int64_t old = 0, sum;

    if ((made->flags & QUO_RECORD_TOMBSTONE) == 0 && !quo_counter_parse(made->value, &old))
        return QUO_CHANGE_NOT_A_COUNTER;
    a->result->has_counter = true;
    a->result->counter = old;
    if (__builtin_add_overflow(old, change->by, &sum) || (change->has_min && sum < change->min) ||
        (change->has_max && sum > change->max))
        return QUO_CHANGE_BOUND;
    a->result->counter = sum;
    made->flags = 0;
    made->content_type = quo_slice_of("application/json");
    made->value = quo_slice(a->changer->counter, quo_counter_format(sum, a->changer->counter));
    return QUO_CHANGE_DONE;
}

static enum quo_change_code change_value(const struct apply *a, struct quo_record *made)
{
    switch (a->change->type) {
    case QUO_CHANGE_PUT:
        return put(a, made);
    case QUO_CHANGE_DELETE:
        return bury(made);
    case QUO_CHANGE_PATCH:
        return patch(a, made);
    case QUO_CHANGE_ADD:
        return add(a, made);
    case QUO_CHANGE_RESOLVE:
        break;
    }
    QUO_UNREACHABLE();
}

/* Makes the record that the change leads to. With any code but DONE its value is the one found. */
static enum quo_change_code make_value(const struct apply *a, struct quo_record *made)
{
    enum quo_change_code code = QUO_CHANGE_CONDITION;

    if (a->is_expired && !QUO_MUTANT(EXPIRED_IS_THERE))
        quo_record_bury(made);
    if (quo_condition_holds(a->change, made))
        code = change_value(a, made);
    if (code == QUO_CHANGE_DONE && made->value.len > a->context->value_max)
        code = QUO_CHANGE_TOO_LARGE;
    if (code != QUO_CHANGE_DONE) {
        *made = *a->identity;
        return code;
    }
    made->changed = a->context->ballot;
    limit_life(a, made);
    return code;
}

static void forget_counter(const struct apply *a)
{
    a->result->has_counter = false;
    a->result->counter = 0;
}

/* Nothing is decided by this; another proposer may yet decide otherwise. */
static enum quo_decision give_up(const struct apply *a, enum quo_change_code code)
{
    return may_be_elsewhere(a) ? admit_ignorance(a) : decline(a, code);
}

/* Every rule of an operation that the ring does not know, in the order in which they count. */
static enum quo_decision decide(const struct apply *a, struct quo_record *made)
{
    if (a->change->type == QUO_CHANGE_RESOLVE)
        return resolve(a, made);
    if (!QUO_MUTANT(HIST_IGNORED) && (may_be_hidden(a) || may_be_fenced(a)))
        return admit_ignorance(a);
    if (!QUO_MUTANT(HIST_IGNORED) && !sees_earlier_requests(a))
        return a->context->sent ? admit_ignorance(a) : give_up(a, QUO_CHANGE_HISTORY_LOST);

    const bool is_found_again = quo_opid_is_keyed(&a->change->opid);
    const enum quo_change_code code = make_value(a, made);
    if (code == QUO_CHANGE_TOO_LARGE)
        forget_counter(a);
    if (code == QUO_CHANGE_NO_MEMORY)
        return give_up(a, code);
    if (code != QUO_CHANGE_DONE && (!is_found_again || QUO_MUTANT(FAILURE_NOT_RECORDED)))
        return decline(a, code);
    if (!remember(a, code, made)) {
        forget_counter(a);
        return give_up(a, QUO_CHANGE_RING_FULL);
    }
    if (code != QUO_CHANGE_DONE)
        QUO_PROBE(FAILURE_RECORDED);
    a->result->code = code;
    a->result->changed = made->changed;
    return QUO_DECISION_WRITE;
}

enum quo_decision quo_change_apply(struct quo_changer *changer, const struct quo_change *change,
                                   const struct quo_record *base,
                                   const struct quo_change_context *context,
                                   struct quo_record *ret_record, struct quo_change_result *ret)
{
    struct quo_record identity;
    struct quo_ring_entry entry;

    QUO_REQUIRE(base == NULL || quo_version_compare(context->ballot, base->version) > 0);
    free(changer->document);
    changer->document = NULL;
    quo_change_identity(base, context->ballot, &identity);
    *ret_record = identity;
    *ret = (struct quo_change_result){.changed = identity.changed};

    const struct apply a = {
        .changer = changer,
        .change = change,
        .context = context,
        .identity = &identity,
        .is_expired = quo_record_expired(&identity, context->now_ms),
        .result = ret,
    };
    if (find_entry(&a, &entry))
        return replay(&a, &entry);
    struct quo_record made = identity;
    const enum quo_decision decision = decide(&a, &made);
    if (decision == QUO_DECISION_WRITE)
        *ret_record = made;
    return decision;
}
