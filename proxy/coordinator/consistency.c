#include "proxy/coordinator/consistency.h"

#include "api/cluster/sentence.h"

/* Everything the rules below look at. */
struct resolver {
    const struct quo_namespace *ns;
    const struct quo_ask *ask;
    struct quo_sentence why;
};

static enum quo_status too_low(struct resolver *r, const char *name, int32_t value, uint32_t least)
{
    quo_sentence_text(&r->why, name);
    quo_sentence_text(&r->why, "=");
    quo_sentence_number(&r->why, (uint64_t)value);
    quo_sentence_text(&r->why, " is less than ");
    quo_sentence_number(&r->why, least);
    return QUO_INVALID;
}

static enum quo_status too_high(struct resolver *r, const char *name, int32_t value)
{
    quo_sentence_text(&r->why, name);
    quo_sentence_text(&r->why, "=");
    quo_sentence_number(&r->why, (uint64_t)value);
    quo_sentence_text(&r->why, " is more than the ");
    quo_sentence_number(&r->why, r->ns->n);
    quo_sentence_text(&r->why, " replicas of namespace ");
    quo_sentence_text(&r->why, r->ns->name);
    return QUO_INVALID;
}

/* "w=1 is less than the 2 replicas that level=strong means in namespace default" */
static enum quo_status contradicts(struct resolver *r, const char *name, int32_t value,
                                   const char *relation, uint32_t bound)
{
    quo_sentence_text(&r->why, name);
    quo_sentence_text(&r->why, "=");
    quo_sentence_number(&r->why, (uint64_t)value);
    quo_sentence_text(&r->why, relation);
    quo_sentence_number(&r->why, bound);
    quo_sentence_text(&r->why, " of ");
    quo_sentence_number(&r->why, r->ns->n);
    quo_sentence_text(&r->why, " replicas that level=");
    quo_sentence_text(&r->why, quo_level_name(r->ask->level));
    quo_sentence_text(&r->why, " means in namespace ");
    quo_sentence_text(&r->why, r->ns->name);
    return QUO_INVALID;
}

static enum quo_status disk_over_acks(struct resolver *r, int32_t dw, int32_t w)
{
    quo_sentence_text(&r->why, "dw=");
    quo_sentence_number(&r->why, (uint64_t)dw);
    quo_sentence_text(&r->why, " is more than w=");
    quo_sentence_number(&r->why, (uint64_t)w);
    quo_sentence_text(&r->why, ": an ack on disk is one of the acks");
    return QUO_INVALID;
}

/* Ranges, whether or not the number concerns this request. */
static enum quo_status check_ranges(struct resolver *r)
{
    const struct quo_ask *ask = r->ask;

    if (ask->r >= 0 && ask->r < 1)
        return too_low(r, "r", ask->r, 1);
    if (ask->r > r->ns->n)
        return too_high(r, "r", ask->r);
    if (ask->w >= 0 && ask->w < 1)
        return too_low(r, "w", ask->w, 1);
    if (ask->w > r->ns->n)
        return too_high(r, "w", ask->w);
    if (ask->dw > r->ns->n)
        return too_high(r, "dw", ask->dw);
    if (ask->w >= 0 && ask->dw > ask->w)
        return disk_over_acks(r, ask->dw, ask->w);
    return QUO_OK;
}

static enum quo_status check_timeout(struct resolver *r)
{
    uint32_t ms = r->ask->timeout_ms;

    if (ms == 0 || (ms >= QUO_TIMEOUT_MIN_MS && ms <= QUO_TIMEOUT_MAX_MS))
        return QUO_OK;
    quo_sentence_text(&r->why, "timeout=");
    quo_sentence_number(&r->why, ms);
    quo_sentence_text(&r->why, "ms is outside ");
    quo_sentence_number(&r->why, QUO_TIMEOUT_MIN_MS);
    quo_sentence_text(&r->why, "ms to ");
    quo_sentence_number(&r->why, QUO_TIMEOUT_MAX_MS);
    quo_sentence_text(&r->why, "ms");
    return QUO_INVALID;
}

static enum quo_status check_stale(struct resolver *r)
{
    uint32_t ms = r->ask->stale_ms;

    if (ms <= QUO_STALE_MAX_MS)
        return QUO_OK;
    quo_sentence_text(&r->why, "max-stale=");
    quo_sentence_number(&r->why, ms);
    quo_sentence_text(&r->why, "ms is more than ");
    quo_sentence_number(&r->why, QUO_STALE_MAX_MS);
    quo_sentence_text(&r->why, "ms");
    return QUO_INVALID;
}

/* "max-stale says nothing at level=strong: it belongs to level=bounded" */
static enum quo_status stale_elsewhere(struct resolver *r, enum quo_level level)
{
    quo_sentence_text(&r->why, "max-stale says nothing at level=");
    quo_sentence_text(&r->why, quo_level_name(level));
    quo_sentence_text(&r->why, ": it belongs to level=bounded");
    return QUO_INVALID;
}

/* How stale a read at this level may be. */
static enum quo_status resolve_stale(struct resolver *r, enum quo_level level, uint32_t *ret)
{
    const uint32_t asked = r->ask->stale_ms;

    *ret = 0;
    if (level != QUO_LEVEL_BOUNDED)
        return asked != 0 ? stale_elsewhere(r, level) : QUO_OK;
    *ret = asked != 0 ? asked : r->ns->stale_ms;
    if (*ret != 0)
        return QUO_OK;
    quo_sentence_text(&r->why, "level=bounded needs a bound, as in max-stale=500ms: namespace ");
    quo_sentence_text(&r->why, r->ns->name);
    quo_sentence_text(&r->why, " has none of its own");
    return QUO_INVALID;
}

/* Replies that a level means for a read. */
static uint8_t level_reads(const struct quo_namespace *ns, enum quo_level level)
{
    switch (level) {
    case QUO_LEVEL_EVENTUAL:
    case QUO_LEVEL_SESSION:
    case QUO_LEVEL_BOUNDED:
        return 1;
    case QUO_LEVEL_QUORUM:
    case QUO_LEVEL_STRONG:
        return ns->rs;
    case QUO_LEVEL_ALL:
        return ns->n;
    }
    QUO_UNREACHABLE();
}

/* Acks, all on disk, that a level means for a write. */
static uint8_t level_writes(const struct quo_namespace *ns, enum quo_level level)
{
    switch (level) {
    case QUO_LEVEL_EVENTUAL:
    case QUO_LEVEL_SESSION:
        return 1;
    case QUO_LEVEL_QUORUM:
    case QUO_LEVEL_STRONG:
        return ns->ws;
    case QUO_LEVEL_ALL:
        return ns->n;
    case QUO_LEVEL_BOUNDED:
        break;
    }
    QUO_UNREACHABLE();
}

static enum quo_status read_by_level(struct resolver *r, struct quo_consistency *c)
{
    const struct quo_ask *ask = r->ask;

    if (ask->r < 0)
        return QUO_OK;
    if (ask->r < c->r)
        return contradicts(r, "r", ask->r, " is less than the ", c->r);
    /* Without this, "eventual" would be claimed of what the namespace calls strong. One reply is
     * what the level itself means, even where one is a quorum. */
    if (c->level == QUO_LEVEL_EVENTUAL && ask->r > 1 && ask->r >= r->ns->rs)
        return contradicts(r, "r", ask->r, " reaches the strong quorum and is more than the ", 1);
    c->r = (uint8_t)ask->r;
    return QUO_OK;
}

static enum quo_status resolve_read(struct resolver *r, struct quo_consistency *c)
{
    const struct quo_ask *ask = r->ask;

    if (ask->sloppy) {
        quo_sentence_text(&r->why, "sloppy is for writes: hints are not read");
        return QUO_INVALID;
    }
    c->level = ask->has_level ? ask->level : r->ns->read_level;
    c->r = level_reads(r->ns, c->level);
    if (ask->has_level) {
        enum quo_status status = read_by_level(r, c);
        if (status != QUO_OK)
            return status;
    } else if (ask->r >= 0) {
        c->r = (uint8_t)ask->r;
        c->level = c->r >= r->ns->rs ? QUO_LEVEL_STRONG : QUO_LEVEL_EVENTUAL;
    }
    c->strong = c->level == QUO_LEVEL_STRONG || c->level == QUO_LEVEL_ALL;
    c->w = c->dw = c->strong ? level_writes(r->ns, c->level) : 0;
    return resolve_stale(r, c->level, &c->stale_ms);
}

/* Fills in what was not said: dw follows w, w rises to dw. */
static void take_numbers(const struct quo_ask *ask, struct quo_consistency *c)
{
    if (ask->w >= 0)
        c->w = c->dw = (uint8_t)ask->w;
    if (ask->dw >= 0)
        c->dw = (uint8_t)ask->dw;
    c->w = QUO_MAX(c->w, c->dw);
}

static enum quo_status write_by_level(struct resolver *r, struct quo_consistency *c)
{
    const struct quo_ask *ask = r->ask;
    const uint8_t least = c->w;

    take_numbers(ask, c);
    if (c->level == QUO_LEVEL_EVENTUAL) {
        bool is_strong = c->w > 1 && c->w >= r->ns->ws && c->dw >= r->ns->ws;
        if (!is_strong)
            return QUO_OK;
        return contradicts(r, ask->w >= 0 ? "w" : "dw", ask->w >= 0 ? ask->w : ask->dw,
                           " reaches the strong quorum and is more than the ", 1);
    }
    if (c->w < least)
        return contradicts(r, "w", ask->w, " is less than the ", least);
    if (c->dw < least)
        return contradicts(r, "dw", ask->dw, " is less than the ", least);
    return QUO_OK;
}

/* What stands in for a replica is on no quorum of them: such a write claims to be eventual only,
 * however many acks it waits for. */
static enum quo_status resolve_sloppy(struct resolver *r, struct quo_consistency *c)
{
    const struct quo_ask *ask = r->ask;
    bool has_number = ask->w >= 0 || ask->dw >= 0;

    c->level = ask->has_level ? ask->level : has_number ? QUO_LEVEL_EVENTUAL : r->ns->write_level;
    if (r->ns->kind == QUO_KIND_CAS) {
        quo_sentence_text(&r->why, "sloppy is for blind writes: in namespace ");
        quo_sentence_text(&r->why, r->ns->name);
        quo_sentence_text(&r->why, ", of kind cas, there are none");
        return QUO_INVALID;
    }
    if (c->level != QUO_LEVEL_EVENTUAL) {
        quo_sentence_text(&r->why, "sloppy belongs to level=eventual: at level=");
        quo_sentence_text(&r->why, quo_level_name(c->level));
        quo_sentence_text(&r->why, " only replicas count");
        return QUO_INVALID;
    }
    c->sloppy = true;
    c->w = c->dw = 1;
    take_numbers(ask, c);
    return QUO_OK;
}

static enum quo_status resolve_write(struct resolver *r, struct quo_consistency *c)
{
    const struct quo_ask *ask = r->ask;
    bool has_number = ask->w >= 0 || ask->dw >= 0;

    if (ask->sloppy)
        return resolve_sloppy(r, c);
    c->level = ask->has_level ? ask->level : r->ns->write_level;
    if (c->level == QUO_LEVEL_BOUNDED) {
        quo_sentence_text(&r->why, "level=bounded is for reads: a write has no bound");
        return QUO_INVALID;
    }
    c->w = c->dw = level_writes(r->ns, c->level);
    if (ask->has_level && has_number) {
        enum quo_status status = write_by_level(r, c);
        if (status != QUO_OK)
            return status;
    } else if (has_number) {
        take_numbers(ask, c);
        bool is_strong = c->w >= r->ns->ws && c->dw >= r->ns->ws;
        c->level = is_strong ? QUO_LEVEL_STRONG : QUO_LEVEL_EVENTUAL;
    }
    c->strong = c->level >= QUO_LEVEL_QUORUM;
    c->r = c->strong ? r->ns->rs : 0;
    return QUO_OK;
}

enum quo_status quo_consistency_resolve(const struct quo_namespace *ns, const struct quo_ask *ask,
                                        bool is_write, struct quo_consistency *ret, char *why,
                                        size_t why_size)
{
    struct resolver r = {.ns = ns, .ask = ask, .why = quo_sentence(why, why_size)};
    struct quo_consistency c = {.n = ns->n,
                                .timeout_ms = ask->timeout_ms ? ask->timeout_ms : ns->timeout_ms};

    enum quo_status status = check_ranges(&r);
    if (status == QUO_OK)
        status = check_timeout(&r);
    if (status == QUO_OK)
        status = check_stale(&r);
    if (status == QUO_OK)
        status = is_write ? resolve_write(&r, &c) : resolve_read(&r, &c);
    if (status == QUO_OK)
        *ret = c;
    return status;
}
