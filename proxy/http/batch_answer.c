#include "proxy/http/batch_answer.h"

#include <stdlib.h>
#include <yajl/yajl_gen.h>

#include "proxy/http/base64.h"
#include "proxy/http/utf8.h"

/* What an answer says of its own request, connection or body is no part of a line. */
static const char *const left_out[] = {
    "request-id",         "server-timing",    "cache-control", "x-content-type-options",
    "preference-applied", "content-location", "allow",         "accept-patch",
};

static void print(void *context, const char *text, size_t len)
{
    quo_text_append(context, text, len);
}

static void add_text(yajl_gen gen, struct quo_slice text)
{
    yajl_gen_string(gen, text.data, text.len);
}

static void add_name(yajl_gen gen, const char *name)
{
    add_text(gen, quo_slice_of(name));
}

static bool is_left_out(const struct quo_answer *answer, struct quo_slice name)
{
    for (size_t i = 0; i < QUO_COUNT(left_out); i++) {
        if (quo_slice_equal(name, quo_slice_of(left_out[i])))
            return true;
    }
    /* Of a document of ours, which stands there as JSON. */
    return answer->body.data == (const uint8_t *)answer->document &&
           quo_slice_equal(name, quo_slice_of("content-type"));
}

/* Bytes that came in with a header, such as a Content-Type, need not be text. */
static void add_headers(yajl_gen gen, const struct quo_answer *answer)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct quo_http_header *header = &answer->headers[i];

        if (is_left_out(answer, header->name) || !quo_utf8_is_valid(header->value))
            continue;
        add_text(gen, header->name);
        add_text(gen, header->value);
    }
}

static void add_base64(yajl_gen gen, struct quo_slice bytes, struct quo_text *out)
{
    char *text = malloc(QUO_BASE64_SIZE(bytes.len) + 1);

    if (text == NULL) {
        out->failed = true;
        return;
    }
    add_name(gen, "base64");
    add_text(gen, quo_slice(text, quo_base64_encode(bytes, text)));
    free(text);
}

/* Without the newline at its end. */
static void add_document(yajl_gen gen, const struct quo_answer *answer)
{
    struct quo_slice text = answer->body;

    while (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    add_name(gen, answer->status >= 400 ? "problem" : "document");
    yajl_gen_number(gen, (const char *)text.data, text.len);
}

/* Others are escaped by six characters, and hardly meant to be read. */
static bool is_text(struct quo_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        const uint8_t byte = bytes.data[i];

        if ((byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f)
            return false;
    }
    return quo_utf8_is_valid(bytes);
}

static void add_body(yajl_gen gen, const struct quo_answer *answer, struct quo_text *out)
{
    struct quo_slice body = answer->body;

    if (body.data == (const uint8_t *)answer->document && body.len > 0) {
        add_document(gen, answer);
    } else if (!is_text(body)) {
        add_base64(gen, body, out);
    } else if (body.len > 0 || (answer->status == 200 && answer->has_length)) {
        add_name(gen, "value");
        add_text(gen, body);
    }
}

static void count(const struct quo_answer *answer, bool is_write, struct quo_batch_sum *sum)
{
    sum->lines++;
    if (answer->status < 400)
        sum->succeeded++;
    else
        sum->failed++;
    if (is_write && answer->outcome == QUO_UNKNOWN)
        sum->unknown++;
}

void quo_batch_answer_add(const struct quo_answer *answer, bool is_write, struct quo_text *out,
                          struct quo_batch_sum *sum)
{
    yajl_gen gen = yajl_gen_alloc(NULL);

    count(answer, is_write, sum);
    if (gen == NULL) {
        out->failed = true;
        return;
    }
    yajl_gen_config(gen, yajl_gen_print_callback, print, out);
    yajl_gen_map_open(gen);
    add_name(gen, "status");
    yajl_gen_integer(gen, answer->status);
    if (is_write) {
        add_name(gen, "outcome");
        add_name(gen, quo_effectuality_name(answer->outcome));
    }
    add_headers(gen, answer);
    add_body(gen, answer, out);
    yajl_gen_map_close(gen);
    yajl_gen_free(gen);
    quo_text_add(out, "\n");
}

void quo_batch_answer_sum(const struct quo_batch_sum *sum, struct quo_text *out)
{
    quo_text_add(out,
                 "{\"summary\":{\"lines\":%u,\"succeeded\":%u,\"failed\":%u,\"unknown\":%u}}\n",
                 sum->lines, sum->succeeded, sum->failed, sum->unknown);
}
