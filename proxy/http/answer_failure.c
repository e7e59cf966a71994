#include "proxy/http/answer_parts.h"
#include "proxy/http/counter.h"

#include <inttypes.h>

static enum quo_problem_type refusal_problem(enum quo_status refusal)
{
    switch (refusal) {
    case QUO_BUSY:
    case QUO_NO_MEMORY:
        return QUO_PROBLEM_OVERLOADED;
    case QUO_DISK_FULL:
        return QUO_PROBLEM_STORAGE_FULL;
    case QUO_READ_ONLY:
        return QUO_PROBLEM_READ_ONLY;
    case QUO_IO_ERROR:
    case QUO_CORRUPT:
        return QUO_PROBLEM_STORAGE_FAILED;
    case QUO_WRONG_EPOCH:
    case QUO_NOT_REPLICA:
    case QUO_WRONG_CLUSTER:
        return QUO_PROBLEM_MAP_OUTDATED;
    case QUO_BAD_KIND:
        return QUO_PROBLEM_KIND_MISMATCH;
    case QUO_SKEW:
        return QUO_PROBLEM_CLOCK_SKEW;
    case QUO_NACK:
    case QUO_SUPERSEDED:
        return QUO_PROBLEM_CONTENTION;
    case QUO_OUT_OF_BOUNDS:
        return QUO_PROBLEM_COUNTER_BOUND;
    case QUO_KEY_REUSED:
        return QUO_PROBLEM_IDEMPOTENCY_KEY_REUSED;
    case QUO_RING_FULL:
        return QUO_PROBLEM_TOO_MANY_KEYS;
    case QUO_HISTORY_LOST:
        return QUO_PROBLEM_HISTORY_LOST;
    default:
        return QUO_PROBLEM_INTERNAL;
    }
}

/* "2 of 3 replicas were needed, 1 answered", for reads and writes. */
static void set_shortage(struct quo_problem *problem, enum quo_problem_type type,
                         const struct quo_answer_case *of, const char *because)
{
    const struct quo_consistency *want = &of->operation->consistency;
    const struct quo_receipt *receipt = &of->response->receipt;
    bool write = quo_method_is_write(of->operation->method);
    unsigned n = receipt->n != 0 ? receipt->n : want->n;
    unsigned need = receipt->need;
    unsigned got = write && receipt->replies == 0 ? receipt->acks : receipt->replies;

    quo_problem_set(problem, type,
                    "Level %s needs %u of %u replicas; %u answered within %" PRIu64 " ms%s%s.",
                    quo_level_name(want->level), need, n, got, of->response->elapsed_us / 1000,
                    because[0] ? ": " : "", because);
    problem->need = need;
    problem->got = got;
}

/* Enough answered for anybody who had seen nothing. */
static void set_unsatisfied(struct quo_problem *problem, const struct quo_answer_case *of)
{
    const struct quo_receipt *receipt = &of->response->receipt;

    quo_problem_set(problem, QUO_PROBLEM_SESSION_UNSATISFIED,
                    "%u of %u replicas answered within %" PRIu64 " ms, and they do not show all "
                    "that the session may have seen of this key.",
                    receipt->replies, receipt->n, of->response->elapsed_us / 1000);
}

static bool is_slots(const struct quo_operation *operation)
{
    return quo_counter_has_slots(operation->ns, operation->route);
}

/* Refused by the one replica whose word counts, for what it holds. */
static bool is_slots_own(enum quo_status refusal)
{
    return refusal == QUO_OUT_OF_BOUNDS || refusal == QUO_KEY_REUSED || refusal == QUO_RING_FULL ||
           refusal == QUO_HISTORY_LOST;
}

static void set_declined(struct quo_problem *problem, const struct quo_response *response)
{
    const enum quo_problem_type type = refusal_problem(response->refusal);

    quo_problem_set(problem, type, "The replica that was to add it says: %s.",
                    quo_status_text(response->refusal));
    problem->outcome = response->outcome;
    /* This attempt did nothing; an earlier one of the same operation may have. */
    if (response->refusal == QUO_HISTORY_LOST)
        problem->outcome = QUO_UNKNOWN;
}

/* Why a write is not decided although enough replicas answered. */
static const char *obstacle(const struct quo_response *response)
{
    if (response->change.code == QUO_CHANGE_HISTORY_LOST)
        return "what earlier attempts did cannot be told any more";
    return "other operations on the key were in the way";
}

void quo_failure_problem(const struct quo_answer_case *of, struct quo_problem *problem)
{
    const struct quo_response *response = of->response;
    bool unknown = quo_method_is_write(of->operation->method) && response->outcome == QUO_UNKNOWN;
    const char *refusal = response->refusal != QUO_OK ? quo_status_text(response->refusal) : "";

    if (refusal[0] == 0 && response->is_consensus &&
        response->receipt.replies >= response->receipt.need)
        refusal = obstacle(response);
    if (unknown && refusal[0] == 0 && is_slots(of->operation))
        refusal = "sent again with its Idempotency-Key it counts once, and without one there is "
                  "no telling";
    if (unknown) {
        /* A status of "nothing happened" would be a lie when something may have. */
        set_shortage(problem, QUO_PROBLEM_OUTCOME_UNKNOWN, of, refusal);
        problem->outcome = QUO_UNKNOWN;
        return;
    }
    if (response->verdict == QUO_VERDICT_REFUSED && is_slots_own(response->refusal)) {
        set_declined(problem, response);
        return;
    }
    switch (response->verdict) {
    case QUO_VERDICT_UNAVAILABLE:
        set_shortage(problem, QUO_PROBLEM_QUORUM_UNAVAILABLE, of, "the others cannot be reached");
        break;
    case QUO_VERDICT_TIMEOUT:
        set_shortage(problem, QUO_PROBLEM_TIMEOUT, of, refusal);
        break;
    case QUO_VERDICT_UNSATISFIED:
        set_unsatisfied(problem, of);
        break;
    case QUO_VERDICT_REFUSED:
        set_shortage(problem, refusal_problem(response->refusal), of, refusal);
        break;
    default:
        QUO_UNREACHABLE();
    }
    problem->outcome = response->outcome;
}

/* Where to ask what becomes of a write that was not answered in time. */
static void add_operation(struct quo_problem *problem, const struct quo_answer_case *of,
                          struct quo_answer *ret)
{
    struct quo_operation_id id;

    /* An addition to a slot is known by its Idempotency-Key alone. */
    if (quo_problem_info(problem->type)->status != 504 || is_slots(of->operation) ||
        !quo_method_is_write(of->operation->method) || !quo_operation_id_of(of->response, &id))
        return;
    problem->operation = quo_answer_add_operation_link(ret, of->operation, &id);
}

void quo_answer_failure(const struct quo_answer_case *of, struct quo_answer *ret)
{
    struct quo_problem problem;

    quo_failure_problem(of, &problem);
    quo_answer_begin_data(ret, quo_problem_info(problem.type)->status, of);
    add_operation(&problem, of, ret);
    quo_answer_add_document(ret, &problem, of->facts);
}
