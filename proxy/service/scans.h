/* The scans under way on one loop.
 *
 * A scan asks in rounds: as many replicas as its level needs for a page each, merges them, and goes
 * on after the last key until it has found what was wanted, there is nothing left, or it has done
 * enough work for one request.
 */
#ifndef QUORATE_SERVICE_SCANS_H
#define QUORATE_SERVICE_SCANS_H

#include "proxy/service/scan.h"
#include "quorate/rpc.h"

/* A replica's page, as it came. */
struct quo_scan_reply {
    uint8_t *bytes; /* NULL: there is none */
    struct quo_slice items;
    bool more;
    struct quo_version sealed;
};

/* Bytes that stay where they are. */
struct quo_scan_chunk {
    struct quo_scan_chunk *next;
    size_t len, room;
    uint8_t bytes[];
};

struct quo_scanning {
    struct quo_scanning *next, *previous; /* among those under way */
    uint32_t slot, generation;
    quo_scan_answer_fn *answer;
    void *context;

    const struct quo_namespace *ns;
    enum quo_collection collection;
    uint16_t partition;
    uint32_t limit, value_max;
    struct quo_consistency want;
    uint64_t started_us, deadline_us;
    size_t memory; /* bytes held, of those that count */

    uint16_t round; /* from 1 */
    uint16_t pages; /* rounds that ended well */
    bool has_moved; /* `after` is not the request's any more */
    struct quo_scan scan;
    struct quo_scan_reply replies[QUO_MEMBERS_MAX];

    /* What was found. */
    struct quo_scan_item *items;
    uint32_t count, capacity;
    struct quo_scan_chunk *chunks; /* what they point to, and keys that differ */
    struct quo_slice differing[QUO_SCAN_REPAIRS_MAX];
    uint8_t differing_count;
    struct quo_receipt receipt;
    struct quo_version sealed;
    uint64_t now_ms;

    size_t prefix_len, after_len;
    uint8_t prefix[QUO_KEY_MAX], after[QUO_KEY_MAX];
};

struct quo_scans {
    struct quo_scanning *first;                /* under way */
    struct quo_scanning *slots[QUO_SCANS_MAX]; /* NULL: free */
    uint32_t generations[QUO_SCANS_MAX];
    uint32_t count;
    uint32_t repairs; /* under way */
    size_t memory;
};

struct quo_service;

void quo_scans_free(struct quo_service *service);

/* Whether the id of a frame is a scan's. */
static inline bool quo_scans_own(uint64_t id)
{
    return id >> 63 != 0;
}
/* A frame of a scan's id came; its body is borrowed until the return. */
void quo_scans_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame);
void quo_scans_on_down(struct quo_service *service, uint64_t peer);

uint64_t quo_scans_deadline(const struct quo_service *service);
void quo_scans_expire(struct quo_service *service, uint64_t mono_us);

/* scan_collect.c: what the replies of a round come to. */

/* Keeps a member's page. QUO_OK; QUO_MALFORMED; QUO_BUSY: too much is held; QUO_NO_MEMORY. */
enum quo_status quo_scan_keep(struct quo_service *service, struct quo_scanning *scanning,
                              uint8_t member, const struct quo_msg_scanned *message);
/* Forgets the pages of the round. */
void quo_scan_forget(struct quo_service *service, struct quo_scanning *scanning);
/* Merges the pages of the round into what was found, and forgets them. QUO_OK: go on after `after`;
 * QUO_MORE: likewise, but as much as was wanted is there; QUO_NOT_FOUND: there is nothing after
 * this; QUO_BUSY; QUO_NO_MEMORY. */
enum quo_status quo_scan_collect(struct quo_service *service, struct quo_scanning *scanning);
/* Frees all it holds, and itself. */
void quo_scan_free(struct quo_service *service, struct quo_scanning *scanning);

/* scan_repair.c */

/* Has the keys that replicas hold differently read by themselves, which repairs them: as many as
 * nobody notices. */
void quo_scan_repair(struct quo_service *service, const struct quo_scanning *scanning);

#endif
