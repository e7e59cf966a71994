#include "proxy/http/answer_parts.h"

#include <stdio.h>

void quo_answer_add_token(struct quo_answer *answer, const struct quo_token *token,
                          const struct quo_token_secret *secret)
{
    char text[QUO_TOKEN_TEXT_MAX + 1];

    if (quo_token_encode(token, secret, text) == QUO_OK)
        quo_answer_add_copy(answer, "session-token", text);
}

void quo_answer_merged(const struct quo_token *token, const struct quo_token_secret *secret,
                       const struct quo_answer_facts *facts, struct quo_answer *ret)
{
    char text[QUO_TOKEN_TEXT_MAX + 1];
    struct quo_problem problem;
    int len;

    if (quo_token_encode(token, secret, text) != QUO_OK) {
        quo_problem_set(&problem, QUO_PROBLEM_INTERNAL, "Out of memory.");
        quo_answer_problem(&problem, 0, facts, ret);
        return;
    }
    quo_answer_begin(ret, 200, facts);
    quo_answer_add_timing(ret, facts, NULL);
    quo_answer_add(ret, "content-type", quo_slice_of("application/json"));
    quo_answer_add_copy(ret, "session-token", text);
    len = snprintf(ret->document, sizeof ret->document, "{\"token\":\"%s\"}\n", text);
    ret->body = quo_slice(ret->document, (size_t)len);
}
