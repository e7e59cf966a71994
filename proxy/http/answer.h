/* From the outcome of an operation to status, headers and body. Pure.
 */
#ifndef QUORATE_HTTP_ANSWER_H
#define QUORATE_HTTP_ANSWER_H

#include "proxy/http/receipt.h"
#include "proxy/http/request.h"
#include "proxy/session/token.h"
#include "quorate/slot.h"

#define QUO_ANSWER_HEADERS_MAX 16u
/* A path, which only one header of an answer holds, and the rest. */
#define QUO_ANSWER_TEXT_MAX (QUO_OPERATION_PATH_MAX + QUO_RECEIPT_MAX + QUO_TOKEN_TEXT_MAX + 1024u)

/* One answer. Header values are static, in `text`, or in the record or the page. */
struct quo_answer {
    int status;
    enum quo_effectuality outcome; /* of a write */
    bool has_length;               /* Content-Length is sent */
    struct quo_slice body;         /* borrowed; `document`, the record's value, or a page */
    size_t header_count;
    uint32_t passing; /* a bit for each header whose value is neither static nor in `text` */
    struct quo_http_header headers[QUO_ANSWER_HEADERS_MAX]; /* names are static */
    size_t text_len;
    char text[QUO_ANSWER_TEXT_MAX];
    char document[QUO_PROBLEM_DOCUMENT_MAX];
};

/* What every answer says of its request. */
struct quo_answer_facts {
    const char *request_id;
    uint64_t total_us;
};

/* What was asked for, of a data operation. */
struct quo_operation {
    enum quo_route route;
    enum quo_method method;
    struct quo_consistency consistency;
    struct quo_slice if_match; /* of GET and HEAD of a key; empty: none */
    struct quo_slice if_none_match;

    /* Of everything else */
    const struct quo_namespace *ns;
    struct quo_slice key;
    enum quo_condition_type condition;
    bool prefers_representation;
    struct quo_operation_id id; /* OPERATION, RESOLVE */
    uint32_t limit;             /* LIST, whose `key` is the prefix */
    struct quo_ask ask;         /* likewise, as it was said */
};

/* Takes over what the answer will need; `if_match`, `if_none_match` and `key` stay empty. */
struct quo_operation quo_operation_of(const struct quo_wish *wish);

/* Makes the answer to a data operation. */
void quo_answer_data(const struct quo_operation *operation, const struct quo_response *response,
                     const struct quo_map *map, const struct quo_answer_facts *facts,
                     struct quo_answer *ret);

/* Makes the answer to a read of a counter that is made of slots: FOUND with their sum, or what
 * quo_answer_data makes of the response. */
void quo_answer_sum(const struct quo_operation *operation, const struct quo_response *response,
                    const struct quo_slot_sum *sum, const struct quo_map *map,
                    const struct quo_answer_facts *facts, struct quo_answer *ret);

/* Adds the header with which the session goes on; without memory for that, the client keeps what it
 * has. */
void quo_answer_add_token(struct quo_answer *answer, const struct quo_token *token,
                          const struct quo_token_secret *secret);

/* Makes the answer to POST /v1/sessions:merge. */
void quo_answer_merged(const struct quo_token *token, const struct quo_token_secret *secret,
                       const struct quo_answer_facts *facts, struct quo_answer *ret);

/* Makes the answer for a failure. `allowed`: methods for Allow, 0 for none. */
void quo_answer_problem(const struct quo_problem *problem, uint32_t allowed,
                        const struct quo_answer_facts *facts, struct quo_answer *ret);

/* Makes an answer with a body that outlives it. `type` is static. */
void quo_answer_page(int status, const char *type, struct quo_slice body,
                     const struct quo_answer_facts *facts, struct quo_answer *ret);

/* Makes the answer to OPTIONS. */
void quo_answer_options(uint32_t allowed, const struct quo_answer_facts *facts,
                        struct quo_answer *ret);

#endif
