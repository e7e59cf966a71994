/* One page of a scan: as many replicas as the level needs show what they hold of a run of keys, and
 * their pages are merged, the newest version of each key (api/PROTOCOLS.md, "Scans").
 *
 * Of a reply that stops before the end nothing is known past its last key. So the merge ends at the
 * smallest of those, whatever other replies show beyond.
 *
 * A page of many keys is no single moment, and nothing is written back before it is shown. Levels
 * are eventual, quorum and all; strong and session have no meaning here and are refused.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_SCAN_H
#define QUORATE_COORDINATOR_SCAN_H

#include "proxy/coordinator/consistency.h"
#include "proxy/coordinator/plan.h"
#include "quorate/scan.h"

/* As quo_consistency_resolve, for a scan: r is 1, rs or n, or what the numbers say; w and dw are 0,
 * `strong` is false. Without a wish the namespace's read level counts, where session and strong
 * become quorum. */
enum quo_status quo_scan_resolve(const struct quo_namespace *ns, const struct quo_ask *ask,
                                 struct quo_consistency *ret, char *why, size_t why_size);

/* Whom to ask */

struct quo_scan {
    struct quo_plan plan;
    uint8_t need; /* replies of each set */
    struct quo_tally replies;
    quo_members asked;
    uint64_t patience_at; /* then everybody is asked: somebody is stuck. UINT64_MAX: all were */
    uint8_t extra;        /* asked because of that */
};

/* Starts a page. Returns the members to be asked now, as does each function below. `patience_us`:
 * how long a reply may take before others are asked too. */
quo_members quo_scan_begin(struct quo_scan *scan, const struct quo_plan *plan, uint8_t need,
                           uint64_t now_us, uint64_t patience_us);
/* A page of this member is there. Returns whether it counts: false if it was not asked or had its
 * say. */
bool quo_scan_answered(struct quo_scan *scan, uint8_t member);
/* The member refuses; or, with QUO_UNAVAILABLE, will not answer. */
quo_members quo_scan_failed(struct quo_scan *scan, uint8_t member, enum quo_status why);
quo_members quo_scan_timer(struct quo_scan *scan, uint64_t now_us);

/* Merging */

/* A reply. */
struct quo_scan_page {
    struct quo_slice items; /* passed quo_scan_items_check */
    bool more;              /* keys follow that it does not show */
    size_t at;              /* of the next item */
    bool has_item;
    struct quo_scan_item item;
};

struct quo_scan_merge {
    uint8_t count;
    struct quo_scan_page pages[QUO_MEMBERS_MAX];
    bool more;             /* it ends before the last key there is... */
    struct quo_slice upto; /* ...with this one; borrowed from a page */
    quo_members behind;    /* pages that show less than the item returned last */
};

/* Borrows the items. Requires 1 <= count <= QUO_MEMBERS_MAX. */
void quo_scan_merge_begin(struct quo_scan_merge *merge, uint8_t count,
                          const struct quo_slice items[], const bool more[]);
/* The newest version of the next key, tombstones too; shown if any page shows it. Returns false at
 * the end. */
bool quo_scan_merge_next(struct quo_scan_merge *merge, struct quo_scan_item *ret);

#endif
