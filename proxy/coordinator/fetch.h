/* The bytes of the newest record: kept as soon as a reply brings them, asked of a replica that
 * holds them when every reply left them out.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_FETCH_H
#define QUORATE_COORDINATOR_FETCH_H

#include "proxy/coordinator/query.h"

struct quo_fetch {
    struct quo_version kept; /* the version whose record the driver keeps */
    uint8_t kept_flags;      /* enum quo_record_flag, of that record */
    uint8_t from;            /* member that was asked for the bytes; QUO_MEMBER_NONE */
    uint64_t until;          /* how long it has time */
    quo_members failed;      /* members that failed to hand them out */
};

/* Nobody is asked any more, and everybody may be asked again. What is kept stays. */
void quo_fetch_reset(struct quo_fetch *fetch);

/* Whether the driver keeps the record of the newest version. */
bool quo_fetch_is_done(const struct quo_fetch *fetch, const struct quo_query *query);

/* Has the driver keep the record of a reply that quo_query_judge has passed, if it brings the bytes
 * of the newest version and they are not kept yet. */
void quo_fetch_keep(struct quo_fetch *fetch, const struct quo_query *query,
                    const struct quo_msg_reply *reply, struct quo_effects *effects);

enum quo_fetching {
    QUO_FETCH_IMPOSSIBLE, /* nobody is left to ask */
    QUO_FETCH_ASKED,
    QUO_FETCH_AWAITED, /* asked before */
};
/* Asks a holder of the newest version for its bytes; half the time until the deadline is its. */
enum quo_fetching quo_fetch_ask(struct quo_fetch *fetch, const struct quo_query *query,
                                const struct quo_plan *plan, uint64_t now_us, uint64_t deadline_us,
                                struct quo_effects *effects);

/* The member that was asked has answered, or never will. Who did not answer the question is not
 * asked again. */
void quo_fetch_end(struct quo_fetch *fetch, bool is_answer);
/* Gives up the member that was asked when its time is over. */
void quo_fetch_timer(struct quo_fetch *fetch, uint64_t now_us);

/* The member whose bytes are awaited. */
quo_members quo_fetch_waiting(const struct quo_fetch *fetch);
/* The next moment at which quo_fetch_timer wants to be called; UINT64_MAX: none. */
uint64_t quo_fetch_deadline(const struct quo_fetch *fetch);

#endif
