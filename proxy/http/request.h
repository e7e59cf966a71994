/* From the bytes of a request to what is wanted. Pure.
 */
#ifndef QUORATE_HTTP_REQUEST_H
#define QUORATE_HTTP_REQUEST_H

#include "proxy/collections/set.h"
#include "proxy/collections/timeline.h"
#include "proxy/http/conditions.h"
#include "proxy/http/counter_body.h"
#include "proxy/http/list_cursor.h"
#include "proxy/http/operation_id.h"
#include "proxy/http/paging.h"
#include "proxy/http/route.h"

/* What a request wants. Slices borrow from the request. */
struct quo_wish {
    enum quo_method method;
    enum quo_route route;
    uint32_t allowed; /* methods of the route, for Allow */

    /* Routes of data */
    const struct quo_namespace *ns;
    struct quo_ask ask;
    struct quo_consistency consistency;

    /* Writes: KEY and ADD */
    struct quo_slice content_type; /* of a PUT; empty when none was given */
    struct quo_conditions conditions;
    struct quo_counter_body counter; /* of ADD */
    bool has_key;                    /* an Idempotency-Key was given */
    struct quo_opid opid;            /* with it, and of RESOLVE */
    uint64_t digest;                 /* with it */
    bool prefers_representation;

    struct quo_operation_id operation; /* OPERATION, RESOLVE */
    struct quo_slice slug;             /* PROBLEM, RELATION */
    uint16_t partition;                /* EQUALITY */
    uint32_t limit;                    /* LIST, TIMELINE, SET */

    /* Routes of timelines and sets, whose names are keys */
    struct quo_entry_id entry; /* ENTRY */
    struct quo_version before; /* a page of a timeline: older than this; none: the newest */
    size_t after_len;          /* a page of a set: `after`, if there is one */
    size_t element_len;        /* ELEMENT */
    size_t rest_len;           /* of a page: `rest`, what is asked besides */

    /* Routes of data; of LIST the prefix */
    size_t key_len;
    uint8_t key[QUO_KEY_MAX];
    struct quo_list_place place; /* LIST: where to begin */
    uint8_t after[QUO_ELEMENT_TAIL_MAX];
    uint8_t element[QUO_ELEMENT_MAX];
    char rest[QUO_PAGING_REST_MAX];
    size_t prefix_len; /* of a counter that is made of slots */
    uint8_t prefix[2 + QUO_COLLECTION_NAME_MAX];
};

/* Reads a request.
 * Returns true with *ret. Returns false with the problem; then of *ret only method, route and
 * allowed are set. */
bool quo_request_parse(const struct quo_http_request *request, const struct quo_map *map,
                       struct quo_wish *ret, struct quo_problem *problem);

/* What to submit for a wish of data. `body` and the wish are borrowed by the result. */
struct quo_request quo_wish_submission(const struct quo_wish *wish, struct quo_slice body);

/* Whether a client's Request-Id can be echoed: 1 to QUO_REQUEST_ID_MAX characters of a token. */
bool quo_request_id_usable(struct quo_slice id);

#endif
