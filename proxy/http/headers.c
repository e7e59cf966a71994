#include "proxy/http/headers.h"

#include <strings.h>

size_t quo_request_header_count(const struct quo_http_request *request, const char *name)
{
    struct quo_slice wanted = quo_slice_of(name);
    size_t count = 0;

    for (size_t i = 0; i < request->header_count; i++)
        count += quo_slice_equal(request->headers[i].name, wanted);
    return count;
}

size_t quo_request_join(const struct quo_http_request *request, const char *name, char *out,
                        size_t size)
{
    struct quo_slice wanted = quo_slice_of(name);
    size_t len = 0;

    for (size_t i = 0; i < request->header_count; i++) {
        const struct quo_http_header *header = &request->headers[i];

        if (!quo_slice_equal(header->name, wanted))
            continue;
        if (len > 0) {
            if (len < size)
                out[len] = ',';
            len++;
        }
        if (len < size && header->value.len > 0)
            memcpy(out + len, header->value.data, QUO_MIN(header->value.len, size - len));
        len += header->value.len;
    }
    return len;
}

bool quo_is_token(struct quo_slice text, size_t max)
{
    if (text.len == 0 || text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i], lower = c | 0x20;
        bool alnum = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z' && c < 0x80);

        if (!alnum && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return true;
}

bool quo_is_media_type(struct quo_slice field, const char *type)
{
    size_t len = strlen(type);

    if (field.len < len || strncasecmp((const char *)field.data, type, len) != 0)
        return false;
    while (len < field.len && (field.data[len] == ' ' || field.data[len] == '\t'))
        len++;
    return len == field.len || field.data[len] == ';';
}
