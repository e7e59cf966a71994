/* Listing the keys of a namespace, partition after partition, each in the order of its keys.
 */
#ifndef QUORATE_PROXY_SERVICE_LIST_H
#define QUORATE_PROXY_SERVICE_LIST_H

#include "proxy/service/jobs.h"

struct quo_list_request {
    const struct quo_namespace *ns; /* of the service's map */
    struct quo_slice prefix;        /* of the keys; at most QUO_KEY_MAX bytes; copied */
    uint16_t partition;             /* the first one */
    struct quo_slice after;         /* in it, keys after this one; empty: from the first; copied;
                                       else it begins with the prefix */
    uint32_t limit;                 /* 1 to QUO_SCAN_COUNT_MAX */
    struct quo_consistency consistency; /* of quo_scan_resolve */
};

struct quo_listed_key {
    struct quo_slice key;
    struct quo_version changed; /* its ETag */
    uint32_t value_len;
};

struct quo_list_answer {
    /* FOUND; else UNAVAILABLE, TIMEOUT or REFUSED, and nothing below `receipt` says anything. */
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt; /* what is true of each partition that was walked */
    uint64_t elapsed_us;
    /* Fewer than `limit`, even none, may come although there are more: a request does only so much
     * work. Borrowed until the callback returns, as is `after`. */
    const struct quo_listed_key *keys;
    uint32_t count;
    struct quo_version newest; /* of the keys' versions */
    bool more;                 /* go on with `partition` and `after` */
    uint16_t partition;
    struct quo_slice after;
};
typedef void quo_list_fn(void *context, const struct quo_list_answer *answer);

/* As quo_service_submit, of a job. */
enum quo_status quo_service_list(struct quo_service *service,
                                 const struct quo_list_request *request, quo_list_fn *answer,
                                 void *context, struct quo_job **ret_job);

#endif
