/* The header fields of a request. Pure.
 */
#ifndef QUORATE_HTTP_HEADERS_H
#define QUORATE_HTTP_HEADERS_H

#include "quorate/base.h"

struct quo_http_header {
    struct quo_slice name; /* lower case */
    struct quo_slice value;
};

/* A request as it came. */
struct quo_http_request {
    struct quo_slice method;
    struct quo_slice target; /* never normalised: keys may hold %2F and %00 */
    const struct quo_http_header *headers;
    size_t header_count;
    struct quo_slice body;
};

/* Finds a header by its lower-case name; of several the first. Returns NULL when there is none. */
static inline const struct quo_http_header *
quo_request_header(const struct quo_http_request *request, const char *name)
{
    const struct quo_slice wanted = quo_slice_of(name);

    for (size_t i = 0; i < request->header_count; i++) {
        if (quo_slice_equal(request->headers[i].name, wanted))
            return &request->headers[i];
    }
    return NULL;
}

/* Returns how many lines of that name there are. */
size_t quo_request_header_count(const struct quo_http_request *request, const char *name);

/* Joins the lines of a list header with commas (RFC 9110 section 5.3). Returns the whole length, of
 * which at most `size` bytes were written; 0 when there is no such header. */
size_t quo_request_join(const struct quo_http_request *request, const char *name, char *out,
                        size_t size);

/* Whether `text` is a token of 1 to `max` characters (RFC 9110 section 5.6.2). */
bool quo_is_token(struct quo_slice text, size_t max);

/* Whether `field` names the media type `type` (lower case), whatever its parameters. */
bool quo_is_media_type(struct quo_slice field, const char *type);

#endif
