/* Timelines: appending to them, reading them page by page, and single entries of them
 * (api/PROTOCOLS.md, "Timelines").
 */
#ifndef QUORATE_PROXY_SERVICE_TIMELINE_H
#define QUORATE_PROXY_SERVICE_TIMELINE_H

#include "proxy/collections/timeline.h"
#include "proxy/service/jobs.h"

/* Appending */

struct quo_append_request {
    const struct quo_namespace *ns;     /* of kind crdt, of the service's map */
    struct quo_slice name;              /* 1 to QUO_COLLECTION_NAME_MAX bytes; copied, as are all */
    struct quo_consistency consistency; /* of a write */
    struct quo_slice content_type, value;
    uint64_t ttl_ms;
    uint64_t above; /* hlc: as of struct quo_request */
    bool has_opid;  /* an Idempotency-Key was given: tried again, it is the same entry */
    struct quo_opid opid;
    uint64_t digest; /* with it, of what is appended */
};

struct quo_append_answer {
    /* As of a blind write, and DECLINED with KEY_REUSED: the operation has appended something else.
     */
    const struct quo_response *response;
    struct quo_entry_id id; /* its version none: there is no entry, and will be none */
    bool is_replayed;       /* an earlier attempt has appended it */
};
typedef void quo_append_fn(void *context, const struct quo_append_answer *answer);

/* As quo_service_submit, of a job. */
enum quo_status quo_service_append(struct quo_service *service,
                                   const struct quo_append_request *request, quo_append_fn *answer,
                                   void *context, struct quo_job **ret_job);

/* Reading */

struct quo_page_request {
    const struct quo_namespace *ns;
    struct quo_slice name;              /* copied */
    struct quo_version before;          /* entries older than this; none: from the newest */
    uint32_t limit;                     /* 1 to QUO_SCAN_COUNT_MAX */
    struct quo_consistency consistency; /* of quo_scan_resolve */
};

struct quo_page_entry {
    struct quo_entry_id id;
    uint32_t value_len;
    struct quo_slice record; /* empty: too long to be shown in a page */
};

struct quo_page_answer {
    /* FOUND; else UNAVAILABLE, TIMEOUT or REFUSED, and nothing below `receipt` says anything. */
    enum quo_verdict verdict;
    enum quo_status refusal;
    struct quo_receipt receipt; /* of every step: see quo_scan_answer */
    uint64_t elapsed_us;
    /* Newest first; fewer than `limit` may come although there are more. Borrowed until the
     * callback returns. */
    const struct quo_page_entry *entries;
    uint32_t count;
    struct quo_version before; /* there may be entries older than this; none: there are none */
    struct quo_version sealed; /* no entry at or below it will yet turn up */
};
typedef void quo_page_fn(void *context, const struct quo_page_answer *answer);

enum quo_status quo_service_page(struct quo_service *service,
                                 const struct quo_page_request *request, quo_page_fn *answer,
                                 void *context, struct quo_job **ret_job);

/* One entry */

struct quo_entry_request {
    bool is_delete;
    const struct quo_namespace *ns;
    struct quo_slice name;              /* copied */
    struct quo_entry_id id;             /* any of its operation's, if it is keyed */
    struct quo_consistency consistency; /* of quo_scan_resolve; of a write */
    uint64_t above;                     /* of a delete: hlc */
};

/* Answered as GET and as DELETE are. */
enum quo_status quo_service_entry(struct quo_service *service,
                                  const struct quo_entry_request *request, quo_answer_fn *answer,
                                  void *context, struct quo_job **ret_job);

#endif
