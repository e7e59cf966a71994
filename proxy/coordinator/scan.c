#include "proxy/coordinator/scan.h"

#include "api/cluster/sentence.h"

static enum quo_status reject_level(const struct quo_namespace *ns, enum quo_level level, char *why,
                                    size_t why_size)
{
    struct quo_sentence sentence = quo_sentence(why, why_size);

    quo_sentence_text(&sentence, "level=");
    quo_sentence_text(&sentence, quo_level_name(level));
    quo_sentence_text(&sentence,
                      " speaks of one key, and a page of many is no single moment: ask for "
                      "eventual, quorum (");
    quo_sentence_number(&sentence, ns->rs);
    quo_sentence_text(&sentence, " of ");
    quo_sentence_number(&sentence, ns->n);
    quo_sentence_text(&sentence, " replicas here) or all, or read the keys that matter one by one");
    return QUO_INVALID;
}

static bool has_meaning(enum quo_level level)
{
    return level == QUO_LEVEL_EVENTUAL || level == QUO_LEVEL_QUORUM || level == QUO_LEVEL_ALL;
}

/* The level that counts where none is named. */
static enum quo_level level_for(const struct quo_namespace *ns, const struct quo_ask *ask)
{
    if (ask->r >= 0)
        return ask->r >= ns->rs ? QUO_LEVEL_QUORUM : QUO_LEVEL_EVENTUAL;
    return has_meaning(ns->read_level) ? ns->read_level : QUO_LEVEL_QUORUM;
}

enum quo_status quo_scan_resolve(const struct quo_namespace *ns, const struct quo_ask *ask,
                                 struct quo_consistency *ret, char *why, size_t why_size)
{
    struct quo_ask meant = *ask;
    struct quo_consistency c;

    if (!ask->has_level)
        meant.level = level_for(ns, ask);
    else if (!has_meaning(ask->level))
        return reject_level(ns, ask->level, why, why_size);
    meant.has_level = true;
    enum quo_status status = quo_consistency_resolve(ns, &meant, false, &c, why, why_size);
    if (status != QUO_OK)
        return status;
    c.strong = false;
    c.w = c.dw = 0;
    *ret = c;
    return QUO_OK;
}

/* Those whose word is still awaited, and could be of use. */
static quo_members waiting(const struct quo_scan *scan)
{
    return scan->asked & (quo_members)~quo_tally_voted(&scan->replies);
}

/* As few more as make the quorum possible, in order of contact. */
static quo_members ask_enough(struct quo_scan *scan)
{
    quo_members more = 0;

    for (uint8_t i = 0; i < scan->plan.count; i++) {
        quo_members hoped = scan->replies.yes | waiting(scan);
        if (quo_tally_would_win(scan->replies.sets, hoped, scan->need) == QUO_VOTE_WON)
            break;
        quo_members next = QUO_MEMBER(scan->plan.order[i]) & (quo_members)~scan->asked;
        scan->asked |= next;
        more |= next;
    }
    return more;
}

quo_members quo_scan_begin(struct quo_scan *scan, const struct quo_plan *plan, uint8_t need,
                           uint64_t now_us, uint64_t patience_us)
{
    QUO_REQUIRE(need >= 1);
    *scan = (struct quo_scan){
        .plan = *plan,
        .need = need,
        .patience_at = now_us + patience_us,
    };
    quo_tally_init(&scan->replies, plan->sets, need);
    return ask_enough(scan);
}

bool quo_scan_answered(struct quo_scan *scan, uint8_t member)
{
    return quo_members_has(scan->asked, member) && quo_tally_yes(&scan->replies, member);
}

quo_members quo_scan_failed(struct quo_scan *scan, uint8_t member, enum quo_status why)
{
    if (!quo_members_has(scan->asked, member))
        return 0;
    if (why == QUO_UNAVAILABLE)
        quo_tally_unreachable(&scan->replies, member);
    else
        quo_tally_refused(&scan->replies, member, why);
    return ask_enough(scan);
}

quo_members quo_scan_timer(struct quo_scan *scan, uint64_t now_us)
{
    if (now_us < scan->patience_at)
        return 0;
    scan->patience_at = UINT64_MAX;
    quo_members more = quo_plan_all(&scan->plan) & scan->plan.up & (quo_members)~scan->asked;
    scan->asked |= more;
    scan->extra = quo_members_count(more);
    return more;
}
