/* The query phase, shared by reads and strong writes: ask as few replicas as can answer, replace at
 * once whoever fails, hedge whoever is slow, and remember what each one said.
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_QUERY_H
#define QUORATE_COORDINATOR_QUERY_H

#include "proxy/coordinator/step.h"

struct quo_query_options {
    uint8_t need;             /* replies, of each set */
    uint32_t value_max_first; /* asked of one replica */
    uint32_t value_max;       /* asked of the others */
    uint64_t now_us;
    uint64_t deadline_us; /* of the operation */
    uint64_t hedge_us;    /* wait before a hedge; UINT64_MAX: never */
};

struct quo_query {
    struct quo_query_options options;
    struct quo_tally replies;
    quo_members asked;
    quo_members in_full; /* asked with value_max_first */
    quo_members durable; /* replied, and what they hold is on their disk */
    bool promised;       /* somebody showed a promise */
    uint64_t hedge_at;
    uint64_t patience_at;      /* when to ask everybody, whatever the budget: somebody is stuck */
    struct quo_version newest; /* of the records */
    struct quo_version seen;   /* the highest of everything: records, promises, floors */
    struct quo_version versions[QUO_MEMBERS_MAX];
};

/* Starts and asks the first replicas. */
void quo_query_begin(struct quo_query *query, const struct quo_plan *plan,
                     const struct quo_query_options *options, struct quo_effects *effects);

/* Takes in a reply (or a newer one of the same member, to a second question). Returns false if it
 * is no answer: refused, malformed or older than what is known. Whoever refuses or fails is
 * replaced. */
bool quo_query_reply(struct quo_query *query, const struct quo_plan *plan, uint8_t member,
                     const struct quo_msg_reply *reply, struct quo_effects *effects);
void quo_query_failed(struct quo_query *query, const struct quo_plan *plan, uint8_t member,
                      struct quo_effects *effects);

/* Asks for a hedge when its time has come, and everybody when patience is at its end. Returns how
 * many requests that were. */
uint8_t quo_query_timer(struct quo_query *query, const struct quo_plan *plan, uint64_t now_us,
                        struct quo_effects *effects);
/* The hedge was granted. Returns whether there was somebody left to ask. */
bool quo_query_hedge(struct quo_query *query, const struct quo_plan *plan, uint64_t now_us,
                     struct quo_effects *effects);
/* Asks every replica that was not asked. Returns how many that were. */
uint8_t quo_query_rest(struct quo_query *query, const struct quo_plan *plan,
                       struct quo_effects *effects);

/* Members whose reply is still awaited. */
quo_members quo_query_waiting(const struct quo_query *query);
/* Members that replied with this version. */
quo_members quo_query_holders(const struct quo_query *query, struct quo_version version);
/* The next moment at which quo_query_timer wants to be called; UINT64_MAX: none. */
uint64_t quo_query_deadline(const struct quo_query *query, const struct quo_plan *plan);

/* QUO_OK if the reply is an answer; its status if it is a refusal; QUO_MALFORMED or QUO_CORRUPT if
 * no replica may send it: these are bytes from outside. */
enum quo_status quo_query_judge(const struct quo_msg_reply *reply);

#endif
