#include "api/cluster/names.h"
#include "quorate/cluster.h"
#include "quorate/collection.h"

static const char *check_identity(const struct quo_namespace *ns)
{
    if (ns->id == 0)
        return "id must not be 0";
    if (ns->id > QUO_NAMESPACE_ID_MAX)
        return "id must be below 16777216";
    if (!quo_name_valid(ns->name))
        return "name must be a lower-case letter, then at most 62 of a-z, 0-9, _ and -";
    if (ns->kind < QUO_KIND_LWW || ns->kind > QUO_KIND_CRDT)
        return "kind must be lww, cas, mixed or crdt";
    return NULL;
}

/* Two quorums that meet in no replica may both succeed without seeing each other. */
static const char *check_quorums(const struct quo_namespace *ns)
{
    if (ns->n < 1 || ns->n > QUO_REPLICAS_MAX)
        return "n must be from 1 to 7";
    if (ns->rs < 1 || ns->rs > ns->n)
        return "rs must be from 1 to n";
    if (ns->ws < 1 || ns->ws > ns->n)
        return "ws must be from 1 to n";
    if (ns->rs + ns->ws <= ns->n)
        return "rs + ws must be above n, or a read could miss a completed write";
    if (2 * ns->ws <= ns->n)
        return "2 * ws must be above n, or two writes could miss each other";
    return NULL;
}

static bool level_valid(enum quo_level level)
{
    return level >= QUO_LEVEL_EVENTUAL && level <= QUO_LEVEL_ALL;
}

static const char *check_defaults(const struct quo_namespace *ns)
{
    if (!level_valid(ns->read_level))
        return "read must be eventual, session, bounded, quorum, strong or all";
    if (!level_valid(ns->write_level) || ns->write_level == QUO_LEVEL_BOUNDED)
        return "write must be eventual, session, quorum, strong or all";
    if (ns->stale_ms > QUO_STALE_MAX_MS)
        return "max_stale_ms must be from 1 to 86400000";
    if (ns->read_level == QUO_LEVEL_BOUNDED && ns->stale_ms == 0)
        return "read must not be bounded without max_stale_ms";
    if (ns->kind == QUO_KIND_CAS && ns->write_level == QUO_LEVEL_EVENTUAL)
        return "write must not be eventual in a cas namespace";
    if (ns->timeout_ms < QUO_TIMEOUT_MIN_MS || ns->timeout_ms > QUO_TIMEOUT_MAX_MS)
        return "timeout_ms must be from 1 to 60000";
    if (ns->value_max < 1 || ns->value_max > QUO_VALUE_MAX)
        return "value_max must be from 1 to 16777216";
    return NULL;
}

/* Only the lineage of a consensus write remembers which operations it holds. */
static const char *check_idempotency(const struct quo_namespace *ns)
{
    if (ns->kind != QUO_KIND_CAS && ns->kind != QUO_KIND_MIXED)
        return ns->require_idempotency_key
                   ? "require_idempotency_key must be false unless kind is cas or mixed"
                   : NULL;
    if (ns->retention_s < QUO_RETENTION_MIN_S || ns->retention_s > QUO_RETENTION_MAX_S)
        return "idempotency_retention must be from 1 to 604800";
    return NULL;
}

_Static_assert(QUO_REPLICAS_MAX == 7 && QUO_NAME_MAX == 63 && QUO_TIMEOUT_MIN_MS == 1 &&
                   QUO_TIMEOUT_MAX_MS == 60000 && QUO_VALUE_MAX == 16777216 &&
                   QUO_STALE_MAX_MS == 86400000 && QUO_RETENTION_MIN_S == 1 &&
                   QUO_RETENTION_MAX_S == 604800,
               "the sentences above name these limits");

enum quo_status quo_namespace_check(const struct quo_namespace *ns, const char **ret_why)
{
    const char *why = check_identity(ns);
    if (why == NULL)
        why = check_quorums(ns);
    if (why == NULL)
        why = check_defaults(ns);
    if (why == NULL)
        why = check_idempotency(ns);
    if (why == NULL)
        return QUO_OK;
    *ret_why = why;
    return QUO_INVALID;
}
