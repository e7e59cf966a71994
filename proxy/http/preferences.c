#include "proxy/http/preferences.h"

#include <strings.h>

static struct quo_slice trim(struct quo_slice text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = quo_slice(text.data + 1, text.len - 1);
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Takes what stands before the next `end` outside quotes, which is dropped, or everything. */
static struct quo_slice take(struct quo_slice *rest, uint8_t end)
{
    struct quo_slice taken = *rest;
    bool quoted = false;

    for (size_t i = 0; i < rest->len; i++) {
        uint8_t c = rest->data[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (c == end && !quoted) {
            taken.len = i;
            *rest = quo_slice(rest->data + i + 1, rest->len - i - 1);
            return trim(taken);
        }
    }
    *rest = quo_slice(NULL, 0);
    return trim(taken);
}

static bool same(struct quo_slice text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.data, word, text.len) == 0;
}

bool quo_prefers_representation(const struct quo_http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        struct quo_slice field = request->headers[i].value;

        if (!quo_slice_equal(request->headers[i].name, quo_slice_of("prefer")))
            continue;
        while (field.len > 0) {
            struct quo_slice preference = take(&field, ',');
            struct quo_slice value = take(&preference, ';'); /* parameters say nothing to us */
            struct quo_slice name = take(&value, '=');

            value = trim(value);
            /* "If any preference is specified more than once, only the first is considered." */
            if (same(name, "return"))
                return same(value, "representation") || same(value, "\"representation\"");
        }
    }
    return false;
}
