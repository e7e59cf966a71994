#include "proxy/http/head_h2o.h"

static struct quo_head_name *find(struct quo_head_names *names, const uint8_t *at)
{
    uint32_t slot = (uint32_t)((uintptr_t)at * UINT64_C(0x9e3779b97f4a7c15) >> 57);

    _Static_assert(QUO_HEAD_NAMES == 1u << (64 - 57), "a hash is a slot");
    while (names->slots[slot].at != NULL && names->slots[slot].at != at)
        slot = (slot + 1) % QUO_HEAD_NAMES;
    return &names->slots[slot];
}

static h2o_iovec_t *name_of(struct quo_head_names *names, struct quo_slice text)
{
    struct quo_head_name *its = find(names, text.data);
    const h2o_token_t *token;

    if (its->at != NULL)
        return its->name;
    QUO_INVARIANT(++names->count <= QUO_HEAD_NAMES / 2);
    its->at = text.data;
    its->text = h2o_iovec_init(text.data, text.len);
    token = h2o_lookup_token(its->text.base, its->text.len);
    its->name = token != NULL ? (h2o_iovec_t *)(uintptr_t)&token->buf : &its->text;
    return its->name;
}

void quo_head_put(struct quo_head_names *names, h2o_req_t *request, const struct quo_answer *answer)
{
    h2o_headers_t *headers = &request->res.headers;
    const char *copy = h2o_strdup(&request->pool, answer->text, answer->text_len).base;
    const uint8_t *text = (const uint8_t *)answer->text;

    request->res.status = answer->status;
    request->res.reason = quo_http_reason(answer->status);
    request->res.content_length = answer->has_length ? answer->body.len : SIZE_MAX;
    h2o_vector_reserve(&request->pool, headers, headers->size + answer->header_count);
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct quo_slice value = answer->headers[i].value;
        h2o_header_t *header = &headers->entries[headers->size++];

        header->name = name_of(names, answer->headers[i].name);
        header->orig_name = NULL;
        if ((answer->passing >> i & 1) != 0)
            header->value = h2o_strdup(&request->pool, (const char *)value.data, value.len);
        else if (value.data >= text && value.data < text + answer->text_len)
            header->value = h2o_iovec_init(copy + (value.data - text), value.len);
        else
            header->value = h2o_iovec_init(value.data, value.len);
    }
}
