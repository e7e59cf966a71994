#include "proxy/change/json.h"

struct writer {
    char *out; /* NULL: only measure */
    struct quo_json_measures done;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    if (w->out != NULL)
        memcpy(w->out + w->done.len, bytes, len);
    w->done.len += len;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Returns the end of the string that begins at `i`. */
static size_t end_of_string(struct quo_slice text, size_t i)
{
    for (i++; text.data[i] != '"'; i++)
        i += text.data[i] == '\\';
    return i + 1;
}

/* Copies a well-formed piece of a document without the white space between its tokens. */
static void put_text(struct writer *w, struct quo_slice text)
{
    size_t i = 0;

    while (i < text.len) {
        const size_t start = i;
        while (i < text.len && !is_space(text.data[i]))
            i = text.data[i] == '"' ? end_of_string(text, i) : i + 1;
        put(w, text.data + start, i - start);
        while (i < text.len && is_space(text.data[i]))
            i++;
    }
}

/* Recursive: documents are nested at most QUO_JSON_DEPTH_MAX deep. */
static void put_value(struct writer *w, const struct quo_json *json)
{
    const char *before = "{";

    if (json->type != QUO_JSON_OBJECT) {
        put_text(w, json->text);
        return;
    }
    for (const struct quo_json_member *m = json->object->first; m != NULL; m = m->next) {
        if (m->gone)
            continue;
        w->done.members++;
        put(w, before, 1);
        put(w, m->spelled.data, m->spelled.len);
        put(w, ":", 1);
        put_value(w, &m->value);
        before = ",";
    }
    if (*before == '{')
        put(w, before, 1);
    put(w, "}", 1);
}

struct quo_json_measures quo_json_measure(const struct quo_json *json)
{
    struct writer writer = {.out = NULL};

    put_value(&writer, json);
    return writer.done;
}

void quo_json_write(const struct quo_json *json, char *out)
{
    struct writer writer = {.out = out};

    put_value(&writer, json);
}
