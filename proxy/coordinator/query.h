/* The phase in which replicas show what they hold. Of reads and blind strong writes: ask as few as
 * can answer, replace at once whoever fails, hedge whoever is slow. Of read-modify-writes, where it
 * gathers promises: ask all at once, since who has not promised is no obstacle to anybody else.
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
    /* None: QUERY. Otherwise PREP of this ballot, to everybody. */
    struct quo_version ballot;
};

struct quo_query {
    struct quo_query_options options;
    struct quo_tally replies;
    quo_members asked;
    quo_members in_full; /* asked with value_max_first */
    quo_members durable; /* replied, and what they hold is on their disk */
    uint64_t hedge_at;
    uint64_t patience_at;        /* when to ask everybody, whatever the budget: somebody is stuck */
    struct quo_version newest;   /* of the records */
    struct quo_version promised; /* the highest promise shown; none: nobody showed one */
    struct quo_version floor;
    uint64_t earliest_ms;    /* of the clocks of all who answered; 0: nobody did */
    struct quo_version seen; /* the highest of everything, of refusals by NACK too */
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

/* Asks as many replicas more as make `need` replies of each set. Requires a need that is not below
 * the one so far. Returns how many requests that were. */
uint8_t quo_query_raise(struct quo_query *query, const struct quo_plan *plan, uint8_t need,
                        struct quo_effects *effects);

/* Asks one replica more for its version, without the bytes: any of those that were not asked and
 * can be reached, as the upper half of `seed` has it. Nobody to ask changes nothing. */
void quo_query_look(struct quo_query *query, const struct quo_plan *plan, uint64_t seed,
                    struct quo_effects *effects);

/* Members whose reply is still awaited. */
quo_members quo_query_waiting(const struct quo_query *query);
/* Members that replied with this version. */
quo_members quo_query_holders(const struct quo_query *query, struct quo_version version);
/* Members that replied with less than the newest version. */
quo_members quo_query_behind(const struct quo_query *query);
/* The next moment at which quo_query_timer wants to be called; UINT64_MAX: none. */
uint64_t quo_query_deadline(const struct quo_query *query, const struct quo_plan *plan);

/* QUO_OK if the reply is an answer; its status if it is a refusal; QUO_MALFORMED or QUO_CORRUPT if
 * no replica may send it: these are bytes from outside. */
enum quo_status quo_query_judge(const struct quo_msg_reply *reply);
/* As quo_query_judge, and if it answers a PREP that it is a promise: QUO_NACK if a record of the
 * ballot or above is there already, QUO_MALFORMED if no promise is shown. */
enum quo_status quo_query_status(const struct quo_query *query, const struct quo_msg_reply *reply);
/* The highest version that a reply shows: what was accepted, promised or floored. What no clock
 * makes is passed over. */
struct quo_version quo_query_highest(const struct quo_msg_reply *reply);

#endif
