/* Scans: the keys of one partition and namespace that begin with a prefix, page by page; and the
 * listing of a namespace, partition after partition.
 *
 * Deleted and expired keys are left out. What was found to differ among the replicas asked is
 * repaired afterwards, as far as nobody notices.
 */
#ifndef QUORATE_PROXY_SERVICE_SCAN_H
#define QUORATE_PROXY_SERVICE_SCAN_H

#include "proxy/coordinator/scan.h"
#include "proxy/service/service.h"
#include "quorate/collection.h"

struct quo_scan_request {
    const struct quo_namespace *ns;     /* of the service's map */
    enum quo_collection collection;     /* of a kind that has it */
    uint16_t partition;                 /* quo_map_partition of a key of the collection */
    struct quo_slice prefix;            /* of the keys; at most QUO_KEY_MAX bytes; copied */
    struct quo_slice after;             /* keys after this one; empty: from the first; copied */
    uint32_t limit;                     /* items wanted, 1 to QUO_SCAN_COUNT_MAX */
    uint32_t value_max;                 /* records up to so many bytes are shown; 0: none */
    struct quo_consistency consistency; /* of quo_scan_resolve */
};

struct quo_scan_answer {
    /* FOUND: here is a page, maybe an empty one. Otherwise UNAVAILABLE, TIMEOUT or REFUSED, and
     * nothing below `receipt` says anything. */
    enum quo_verdict verdict;
    enum quo_status refusal; /* as of struct quo_response */
    /* Of the page: its version is none; `stable`: all replicas asked were equal, and they make a
     * write quorum. */
    struct quo_receipt receipt;
    uint64_t elapsed_us;

    /* Live items in key order. Fewer than `limit` may come although there are more: a request does
     * only so much work. Borrowed until the callback returns, as is `upto`. A record that is not
     * shown was longer than value_max or than a frame: read it by itself. */
    const struct quo_scan_item *items;
    uint32_t count;
    bool more;                 /* there may be keys after `upto`: go on with that as `after` */
    struct quo_slice upto;     /* with `more` */
    struct quo_version sealed; /* the smallest of the replicas': no key that is not here will yet
                                  turn up with a version at or below it */
    uint64_t now_ms;           /* the moment by which keys were judged expired */
};

typedef void quo_scan_answer_fn(void *context, const struct quo_scan_answer *answer);

/* Starts a scan. Requires what struct quo_scan_request says.
 * QUO_OK: `answer` will be called once, unless abandoned; or was (then *ret_ticket is 0).
 * QUO_BUSY: a limit is reached; QUO_NO_MEMORY. Nothing was sent, `answer` is not called. */
enum quo_status quo_service_scan(struct quo_service *service,
                                 const struct quo_scan_request *request, quo_scan_answer_fn *answer,
                                 void *context, quo_ticket *ret_ticket);

/* The requester is gone: `answer` will not be called, and the scan ends. Tickets of
 * quo_service_submit and of scans are never mixed up; one that is over changes nothing. */
void quo_service_scan_abandon(struct quo_service *service, quo_ticket ticket);

#endif
