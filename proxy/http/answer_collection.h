/* The answers to requests for timelines and sets. Pure, but for the JSON library's memory.
 */
#ifndef QUORATE_HTTP_ANSWER_COLLECTION_H
#define QUORATE_HTTP_ANSWER_COLLECTION_H

#include "proxy/http/answer.h"
#include "proxy/service/set.h"
#include "proxy/service/timeline.h"

/* What was asked for. */
struct quo_collection_case {
    const struct quo_operation *operation; /* its key is the name */
    uint32_t limit;                        /* of a page */
    struct quo_slice rest;                 /* of its query string */
    struct quo_slice element;              /* ELEMENT */
    const struct quo_map *map;
    const struct quo_answer_facts *facts;
};

/* Bytes that a body is in until it is sent; all zero at first. */
struct quo_collection_body {
    void *generator;
};
void quo_collection_body_free(struct quo_collection_body *body);

/* Each makes a whole answer. */
void quo_answer_appended(const struct quo_collection_case *of,
                         const struct quo_append_answer *appended, struct quo_answer *ret);
void quo_answer_entry(const struct quo_collection_case *of, const struct quo_response *response,
                      struct quo_answer *ret);
void quo_answer_timeline(const struct quo_collection_case *of, const struct quo_page_answer *page,
                         struct quo_collection_body *body, struct quo_answer *ret);
void quo_answer_set_changed(const struct quo_collection_case *of,
                            const struct quo_set_changed *changed, struct quo_answer *ret);
void quo_answer_set(const struct quo_collection_case *of, const struct quo_set_list *list,
                    struct quo_collection_body *body, struct quo_answer *ret);
void quo_answer_element(const struct quo_collection_case *of, const struct quo_set_list *list,
                        struct quo_collection_body *body, struct quo_answer *ret);

#endif
