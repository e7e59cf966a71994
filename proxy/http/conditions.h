/* If-Match and If-None-Match of a write (RFC 9110 section 13.1). Pure.
 */
#ifndef QUORATE_HTTP_CONDITIONS_H
#define QUORATE_HTTP_CONDITIONS_H

#include "proxy/http/headers.h"
#include "proxy/http/problem.h"

struct quo_conditions {
    enum quo_condition_type type;
    uint8_t tag_count; /* of TAGS; tags that no value of ours ever had are left out */
    struct quo_version tags[QUO_CONDITIONS_MAX];
};

/* Returns true with *ret, or false with a BAD_HEADER problem: what is ill-formed, contradicts
 * itself, is too much, or cannot be kept is refused, since ignoring it would lose updates. */
bool quo_conditions_parse(const struct quo_http_request *request, struct quo_conditions *ret,
                          struct quo_problem *problem);

#endif
