/* Entity tags: "<32 hexadecimal digits of the version>", strong and opaque. Pure.
 */
#ifndef QUORATE_HTTP_ETAG_H
#define QUORATE_HTTP_ETAG_H

#include "quorate/base.h"
#include "quorate/version.h"

#define QUO_ETAG_SIZE (QUO_VERSION_TEXT + 2u)

/* Writes the tag and a NUL. */
void quo_etag_format(struct quo_version version, char out[QUO_ETAG_SIZE + 1]);

/* Takes one tag, quotes included, from the front of *rest (RFC 9110 section 8.8.3). Returns false,
 * nothing changed, when no tag stands there. */
bool quo_etag_take(struct quo_slice *rest, struct quo_slice *ret_tag, bool *ret_weak);

/* Returns false, *ret untouched, for a tag that quo_etag_format does not write. */
bool quo_etag_parse(struct quo_slice tag, struct quo_version *ret);

/* Whether a field value of If-Match or If-None-Match (RFC 9110 section 13.1: "*", or a list of
 * tags) names `etag`; with `weak`, W/"x" and "x" are the same. Whatever is not a tag matches
 * nothing. */
bool quo_etag_listed(struct quo_slice field, const char *etag, bool weak);

#endif
