#include "proxy/http/etag.h"

void quo_etag_format(struct quo_version version, char out[QUO_ETAG_SIZE + 1])
{
    out[0] = '"';
    quo_version_format(version, out + 1);
    out[QUO_ETAG_SIZE - 1] = '"';
    out[QUO_ETAG_SIZE] = 0;
}

static bool is_tag_char(uint8_t c)
{
    return c > 0x20 && c != '"' && c != 0x7f;
}

bool quo_etag_take(struct quo_slice *rest, struct quo_slice *ret_tag, bool *ret_weak)
{
    const uint8_t *at = rest->data, *end = at + rest->len, *close;
    bool weak = rest->len >= 2 && at[0] == 'W' && at[1] == '/';

    if (weak)
        at += 2;
    if (at == end || *at != '"')
        return false;
    for (close = at + 1; close < end && is_tag_char(*close);)
        close++;
    if (close == end || *close != '"')
        return false;
    *ret_tag = quo_slice(at, (size_t)(close + 1 - at));
    *ret_weak = weak;
    *rest = quo_slice(close + 1, (size_t)(end - close - 1));
    return true;
}

bool quo_etag_parse(struct quo_slice tag, struct quo_version *ret)
{
    char again[QUO_ETAG_SIZE + 1];
    struct quo_version version;

    if (tag.len != QUO_ETAG_SIZE ||
        !quo_version_parse((const char *)tag.data + 1, QUO_VERSION_TEXT, &version))
        return false;
    /* Tags are opaque: one with capital digits is not ours. */
    quo_etag_format(version, again);
    if (!quo_slice_equal(tag, quo_slice(again, QUO_ETAG_SIZE)))
        return false;
    *ret = version;
    return true;
}

bool quo_etag_listed(struct quo_slice field, const char *etag, bool weak)
{
    struct quo_slice wanted = quo_slice_of(etag), tag;
    bool is_weak;

    while (field.len > 0) {
        uint8_t c = field.data[0];

        if (c == ' ' || c == '\t' || c == ',') {
            field = quo_slice(field.data + 1, field.len - 1);
            continue;
        }
        if (c == '*')
            return true;
        if (!quo_etag_take(&field, &tag, &is_weak))
            return false;
        if ((weak || !is_weak) && quo_slice_equal(tag, wanted))
            return true;
    }
    return false;
}
