/* From a request to an operation that is under way.
 */
#ifndef QUORATE_SERVICE_SUBMIT_H
#define QUORATE_SERVICE_SUBMIT_H

#include "proxy/service/state.h"

/* An operation that another proposer began and handed on. */
struct quo_handed {
    uint8_t hops;
    bool sent;                /* an ACC of it may have left */
    struct quo_version first; /* its first ballot; none: it has made none */
    uint64_t peer, id;        /* whom to answer, and how it names the operation */
};

/* As quo_service_submit. With `handed`, the request's opid and since are those of the operation,
 * and nobody is called: the answer goes back to the peer. */
enum quo_status quo_submit(struct quo_service *service, const struct quo_request *request,
                           const struct quo_handed *handed, quo_answer_fn *answer, void *context,
                           quo_ticket *ret_ticket);

#endif
