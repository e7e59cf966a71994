/* Hints on a server: takes and counts them (hints.c), and delivers them (hint_delivery.c), as
 * storage-node/handoff decides.
 *
 * What the counts say is exact once the store was counted at the start, in the background; until
 * then no hint is taken, and none delivered. A hint is deleted when its target's answer is there,
 * and not before: a crash in between delivers it twice, which is the same as once.
 */
#ifndef QUORATE_NODE_SERVER_HINTS_H
#define QUORATE_NODE_SERVER_HINTS_H

#include "quorate/rpc.h"
#include "quorate/store.h"
#include "storage-node/handoff/handoff.h"
#include "storage-node/server/server.h"

struct quo_group;

/* A hint that a group brings or takes away. Lives in its arena. */
struct quo_hint_note {
    struct quo_hint_note *next;
    struct quo_handoff_target *target;
    size_t bytes;
    bool removed;
};

/* A hint on its way to the target. */
struct quo_hint_sent {
    uint64_t id;          /* of the STORE; 0: the slot is free */
    struct quo_slice key; /* in the lane's range */
    size_t bytes;         /* of key and record */
};

/* A batch of one target's hints. */
struct quo_hint_lane {
    struct quo_server *server;
    struct quo_handoff_target *target; /* NULL: the lane is free */
    bool reading;                      /* `range` is under way */
    bool lost;                         /* then: of no use any more */
    bool whole;                        /* the range is of all the target's hints */
    uint64_t kept_before;              /* hints taken for the target before it was read */
    struct quo_range range;
    size_t at;               /* in the range: what comes next */
    struct quo_version upto; /* gone through */
    bool stopped, kept;      /* the target takes nothing now; it did not take some */
    uint64_t expires_us;     /* of what is under way */
    uint32_t sent_count;
    struct quo_hint_sent sent[QUO_HINT_WINDOW];
    uint8_t lo[QUO_HINT_KEY_PREFIX], hi[QUO_HINT_KEY_PREFIX];
};

struct quo_hints {
    struct quo_handoff handoff;
    uint32_t arriving; /* in groups that are not on disk */
    uint64_t rest_us;  /* nothing is sent before */
    struct quo_hint_lane lanes[QUO_HINT_LANES];

    bool counted;  /* all that the store holds is in the counts */
    bool counting; /* `count` is under way */
    uint64_t count_at_us;
    struct quo_range count;
    uint8_t lo[QUO_HINT_KEY_MAX + 1];
    size_t lo_len;
};

/* hints.c */

/* QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_hints_open(struct quo_server *server, const struct quo_map *map);
/* Requires that no range is under way, or never calls back. */
void quo_hints_free(struct quo_server *server);
void quo_handle_hint(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body);
/* Deletes a hint with the group that gathers. Returns false when out of memory. */
bool quo_hints_remove(struct quo_server *server, struct quo_handoff_target *target,
                      struct quo_slice key, size_t bytes);
/* The group is on disk; or lost. */
void quo_hints_settle(struct quo_group *group);
void quo_hints_revert(struct quo_group *group);
/* Counts what the store holds, and starts deliveries. */
void quo_hints_end_turn(struct quo_server *server);
uint64_t quo_hints_deadline(const struct quo_server *server);
bool quo_hints_idle(const struct quo_server *server);

/* hint_delivery.c */

/* Events of the mesh. */
void quo_hints_on_frame(struct quo_server *server, const struct quo_frame *frame);
void quo_hints_on_up(struct quo_server *server, uint32_t peer);
void quo_hints_on_down(struct quo_server *server, uint32_t peer);
void quo_hints_deliver(struct quo_server *server);
uint64_t quo_hints_delivery_deadline(const struct quo_server *server);

#endif
