#include "proxy/http/sf.h"

/* RFC 9651 section 4.2: the parser works on what is left and says where it stopped. */
struct reader {
    struct quo_slice field;
    size_t at;
    const char *why;
};

static bool fail(struct reader *r, const char *why)
{
    r->why = why;
    return false;
}

static bool at_end(const struct reader *r)
{
    return r->at == r->field.len;
}

/* The next byte, 0 at the end: 0 is valid nowhere in a field. */
static uint8_t peek(const struct reader *r)
{
    return at_end(r) ? 0 : r->field.data[r->at];
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alpha(uint8_t c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* tchar of RFC 9110, and ':' and '/', which a Token may hold as well. */
static bool is_token_char(uint8_t c)
{
    return c != 0 && (is_digit(c) || is_alpha(c) || strchr("!#$%&'*+-.^_`|~:/", c) != NULL);
}

static void skip_spaces(struct reader *r)
{
    while (peek(r) == ' ')
        r->at++;
}

static bool read_integer(struct reader *r, struct quo_sf_value *ret)
{
    bool negative = peek(r) == '-';
    int64_t value = 0;
    size_t digits = 0;

    r->at += negative;
    for (; is_digit(peek(r)); r->at++) {
        if (++digits > 15)
            return fail(r, "more than 15 digits");
        value = value * 10 + (peek(r) - '0');
    }
    if (digits == 0)
        return fail(r, "a digit was expected");
    if (peek(r) == '.')
        return fail(r, "a whole number was expected");
    *ret = (struct quo_sf_value){.type = QUO_SF_INTEGER, .integer = negative ? -value : value};
    return true;
}

static bool read_token(struct reader *r, struct quo_sf_value *ret)
{
    size_t from = r->at;

    while (is_token_char(peek(r)))
        r->at++;
    *ret = (struct quo_sf_value){.type = QUO_SF_TOKEN,
                                 .text = quo_slice(r->field.data + from, r->at - from)};
    return true;
}

static bool read_string(struct reader *r, struct quo_sf_value *ret)
{
    size_t from = ++r->at;

    for (; peek(r) != '"'; r->at++) {
        if (at_end(r))
            return fail(r, "the closing quote is missing");
        if (peek(r) < 0x20 || peek(r) > 0x7e)
            return fail(r, "a string holds only printable ASCII");
        if (peek(r) == '\\') {
            r->at++;
            if (peek(r) != '"' && peek(r) != '\\')
                return fail(r, "only a quote or a backslash can be escaped");
        }
    }
    *ret = (struct quo_sf_value){.type = QUO_SF_STRING,
                                 .text = quo_slice(r->field.data + from, r->at - from)};
    r->at++;
    return true;
}

static bool read_boolean(struct reader *r, struct quo_sf_value *ret)
{
    uint8_t c;

    r->at++;
    c = peek(r);
    if (c != '0' && c != '1')
        return fail(r, "?0 or ?1 was expected");
    r->at++;
    *ret = (struct quo_sf_value){.type = QUO_SF_BOOLEAN, .boolean = c == '1'};
    return true;
}

static bool read_bare_item(struct reader *r, struct quo_sf_value *ret)
{
    uint8_t c = peek(r);

    if (c == '-' || is_digit(c))
        return read_integer(r, ret);
    if (c == '*' || is_alpha(c))
        return read_token(r, ret);
    if (c == '"')
        return read_string(r, ret);
    if (c == '?')
        return read_boolean(r, ret);
    return fail(r, "a token, a whole number, a string or a boolean was expected");
}

static bool read_parameter(struct reader *r, struct quo_sf_parameter *ret)
{
    size_t from = r->at;

    if (!is_lower(peek(r)) && peek(r) != '*')
        return fail(r, "a parameter's name was expected");
    while (is_lower(peek(r)) || is_digit(peek(r)) || (peek(r) != 0 && strchr("_-.*", peek(r))))
        r->at++;
    ret->key = quo_slice(r->field.data + from, r->at - from);
    ret->value = (struct quo_sf_value){.type = QUO_SF_BOOLEAN, .boolean = true};
    if (peek(r) != '=')
        return true;
    r->at++;
    return read_bare_item(r, &ret->value);
}

static bool read_item(struct reader *r, struct quo_sf_item *ret)
{
    skip_spaces(r);
    if (!read_bare_item(r, &ret->value))
        return false;
    for (ret->count = 0; peek(r) == ';'; ret->count++) {
        r->at++;
        skip_spaces(r);
        if (ret->count == QUO_SF_PARAMETERS_MAX)
            return fail(r, "too many parameters");
        if (!read_parameter(r, &ret->parameters[ret->count]))
            return false;
    }
    skip_spaces(r);
    return at_end(r) || fail(r, "the end was expected");
}

bool quo_sf_parse_item(struct quo_slice field, struct quo_sf_item *ret, size_t *ret_at,
                       const char **ret_why)
{
    struct reader r = {.field = field};

    if (read_item(&r, ret))
        return true;
    *ret_at = r.at;
    *ret_why = r.why;
    return false;
}

/* Runs of what needs no escape go at once. */
void quo_sf_put_string(struct quo_sf_writer *w, struct quo_slice text)
{
    size_t from = 0;

    quo_sf_put(w, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\')
            continue;
        quo_sf_put(w, text.data + from, i - from);
        if (c == '"' || c == '\\')
            quo_sf_put(w, c == '"' ? "\\\"" : "\\\\", 2);
        else
            quo_sf_put(w, "?", 1);
        from = i + 1;
    }
    quo_sf_put(w, text.data + from, text.len - from);
    quo_sf_put(w, "\"", 1);
}
