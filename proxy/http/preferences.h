/* The Prefer header (RFC 7240). Pure.
 */
#ifndef QUORATE_HTTP_PREFERENCES_H
#define QUORATE_HTTP_PREFERENCES_H

#include "proxy/http/headers.h"

/* Whether the client prefers the value in the answer to a write: return=representation, and no
 * other `return` before it. What cannot be understood is ignored, as RFC 7240 has it. */
bool quo_prefers_representation(const struct quo_http_request *request);

#endif
