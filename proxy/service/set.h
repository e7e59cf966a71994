/* Sets: adding elements to them, removing elements, and listing them (api/PROTOCOLS.md, "Sets").
 */
#ifndef QUORATE_PROXY_SERVICE_SET_H
#define QUORATE_PROXY_SERVICE_SET_H

#include "proxy/collections/set.h"
#include "proxy/service/jobs.h"

struct quo_set_change_request {
    bool is_remove;
    const struct quo_namespace *ns;     /* of kind crdt, of the service's map */
    struct quo_slice name;              /* 1 to QUO_COLLECTION_NAME_MAX bytes; copied, as are all */
    struct quo_slice elements;          /* each be16 length (1 to QUO_ELEMENT_MAX) | element */
    uint32_t count;                     /* of them, 1 to QUO_ELEMENTS_MAX */
    struct quo_consistency consistency; /* of a write; a removal sees as much as it writes */
    uint64_t above;                     /* hlc: as of struct quo_request */
};

struct quo_set_changed {
    /* As of one blind write: WRITTEN if all were; the receipt counts what is true of each. */
    const struct quo_response *response;
    uint32_t count; /* elements added, or removed that were there */
};
typedef void quo_set_changed_fn(void *context, const struct quo_set_changed *answer);

/* As quo_service_submit, of a job. */
enum quo_status quo_service_set_change(struct quo_service *service,
                                       const struct quo_set_change_request *request,
                                       quo_set_changed_fn *answer, void *context,
                                       struct quo_job **ret_job);

struct quo_set_list_request {
    const struct quo_namespace *ns;
    struct quo_slice name;
    struct quo_slice element; /* not empty: whether this one is there */
    struct quo_slice after;   /* else: those behind a key with this tail; empty: from the first */
    uint32_t limit;           /* 1 to QUO_SCAN_COUNT_MAX */
    struct quo_consistency consistency; /* of quo_scan_resolve */
};

struct quo_set_list {
    /* FOUND; else UNAVAILABLE, TIMEOUT or REFUSED, and nothing below `receipt` says anything. */
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt;
    uint64_t elapsed_us;
    /* Each be16 length | element, in that order. Fewer than `limit` may come although there are
     * more. Borrowed until the callback returns. */
    struct quo_slice elements;
    uint32_t count;
    struct quo_slice after; /* there may be more behind the key with this tail; empty: no more */
};
typedef void quo_set_list_fn(void *context, const struct quo_set_list *answer);

enum quo_status quo_service_set_list(struct quo_service *service,
                                     const struct quo_set_list_request *request,
                                     quo_set_list_fn *answer, void *context,
                                     struct quo_job **ret_job);

#endif
