#include "proxy/service/survey.h"

#include <stdlib.h>

#include "proxy/service/state.h"

/* In the ids of questions, so that no other answer is taken for theirs. */
#define ID_MARK (UINT64_C(3) << 61)

struct quo_survey {
    struct quo_survey *next;
    uint64_t id;
    uint8_t answer_type;
    uint64_t deadline_us;
    quo_survey_fn *done;
    void *context;
    uint32_t waiting;
    uint32_t count;
    bool *awaited; /* by place among the answers */
    struct quo_survey_answer answers[];
};

static void free_survey(struct quo_survey *survey)
{
    for (uint32_t i = 0; i < survey->count; i++)
        free((void *)(uintptr_t)survey->answers[i].body.data);
    free(survey->awaited);
    free(survey);
}

static void leave(struct quo_surveys *surveys, struct quo_survey *survey)
{
    struct quo_survey **at = &surveys->first;

    while (*at != survey)
        at = &(*at)->next;
    *at = survey->next;
    surveys->count--;
}

void quo_surveys_free(struct quo_service *service)
{
    while (service->surveys.first != NULL) {
        struct quo_survey *survey = service->surveys.first;
        leave(&service->surveys, survey);
        free_survey(survey);
    }
}

/* Whatever has come is what there is. */
static void finish(struct quo_service *service, struct quo_survey *survey)
{
    leave(&service->surveys, survey);
    survey->done(survey->context, survey->answers, survey->count);
    free_survey(survey);
}

static struct quo_survey *find(const struct quo_service *service, uint64_t id)
{
    struct quo_survey *survey = service->surveys.first;

    while (survey != NULL && survey->id != id)
        survey = survey->next;
    return survey;
}

/* Starting */

static bool ask(struct quo_service *service, const struct quo_survey *survey, uint32_t node,
                const struct quo_survey_question *question)
{
    struct quo_transport *t = service->transport;
    uint8_t *out;

    if (t->ops->reserve(t, node, question->body.len, &out) != QUO_OK)
        return false;
    if (question->body.len > 0)
        memcpy(out, question->body.data, question->body.len);
    t->ops->seal(t, node, question->type, survey->id);
    return true;
}

static struct quo_survey *make(const struct quo_survey_question *question)
{
    struct quo_survey *survey =
        calloc(1, sizeof *survey + question->node_count * sizeof survey->answers[0]);

    if (survey == NULL)
        return NULL;
    survey->awaited = calloc(question->node_count, sizeof *survey->awaited);
    if (survey->awaited == NULL) {
        free(survey);
        return NULL;
    }
    return survey;
}

enum quo_status quo_service_survey(struct quo_service *service,
                                   const struct quo_survey_question *question, quo_survey_fn *done,
                                   void *context, quo_ticket *ret_ticket)
{
    struct quo_surveys *surveys = &service->surveys;

    QUO_REQUIRE(question->node_count >= 1 && question->node_count <= QUO_NODES_MAX);
    if (surveys->count >= QUO_SURVEYS_MAX)
        return QUO_BUSY;
    struct quo_survey *survey = make(question);
    if (survey == NULL)
        return QUO_NO_MEMORY;
    survey->id = ID_MARK | ++surveys->last_id;
    survey->answer_type = question->answer_type;
    survey->deadline_us = quo_mono_us(service->env) + question->timeout_ms * UINT64_C(1000);
    survey->done = done;
    survey->context = context;
    survey->count = question->node_count;
    survey->next = surveys->first;
    surveys->first = survey;
    surveys->count++;
    for (uint32_t i = 0; i < survey->count; i++) {
        survey->answers[i].node = question->nodes[i];
        survey->awaited[i] = ask(service, survey, question->nodes[i], question);
        survey->waiting += survey->awaited[i];
    }
    *ret_ticket = survey->waiting > 0 ? survey->id : 0;
    if (survey->waiting == 0)
        finish(service, survey);
    return QUO_OK;
}

const struct quo_entry *quo_service_replicas(const struct quo_service *service, uint16_t partition)
{
    return quo_routes_entry(&service->routes, partition);
}

void quo_service_survey_abandon(struct quo_service *service, quo_ticket ticket)
{
    struct quo_survey *survey = find(service, ticket);

    if (survey == NULL)
        return;
    leave(&service->surveys, survey);
    free_survey(survey);
}

/* Answers */

static uint32_t place_of(const struct quo_survey *survey, uint64_t peer)
{
    uint32_t i = 0;

    while (i < survey->count && (!survey->awaited[i] || survey->answers[i].node != peer))
        i++;
    return i;
}

/* Nothing more is awaited of it. */
static void settle(struct quo_service *service, struct quo_survey *survey, uint32_t place)
{
    survey->awaited[place] = false;
    survey->waiting--;
    if (survey->waiting == 0)
        finish(service, survey);
}

bool quo_surveys_own(uint8_t type)
{
    return type == QUO_MESSAGE_DEBTS || type == QUO_MESSAGE_DIGESTED;
}

void quo_surveys_on_frame(struct quo_service *service, uint64_t peer, const struct quo_frame *frame)
{
    struct quo_survey *survey = find(service, frame->id);
    const uint32_t place = survey != NULL ? place_of(survey, peer) : 0;

    if (survey == NULL || place == survey->count)
        return;
    if (frame->type == survey->answer_type) {
        uint8_t *copy = malloc(frame->body.len + 1);
        if (copy != NULL) {
            memcpy(copy, frame->body.data, frame->body.len);
            survey->answers[place].body = quo_slice(copy, frame->body.len);
            survey->answers[place].is_there = true;
        }
    }
    settle(service, survey, place);
}

/* Who is told of an end may begin and give up others: each time the search starts again. */

static struct quo_survey *first_waiting(const struct quo_service *service, uint64_t peer,
                                        uint32_t *ret_place)
{
    struct quo_survey *survey = service->surveys.first;

    while (survey != NULL && (*ret_place = place_of(survey, peer)) == survey->count)
        survey = survey->next;
    return survey;
}

void quo_surveys_on_down(struct quo_service *service, uint64_t peer)
{
    struct quo_survey *survey;
    uint32_t place;

    while ((survey = first_waiting(service, peer, &place)) != NULL)
        settle(service, survey, place);
}

static struct quo_survey *first_due(const struct quo_service *service, uint64_t mono_us)
{
    struct quo_survey *survey = service->surveys.first;

    while (survey != NULL && survey->deadline_us > mono_us)
        survey = survey->next;
    return survey;
}

uint64_t quo_surveys_deadline(const struct quo_service *service)
{
    uint64_t deadline = UINT64_MAX;

    for (const struct quo_survey *survey = service->surveys.first; survey != NULL;
         survey = survey->next)
        deadline = QUO_MIN(deadline, survey->deadline_us);
    return deadline;
}

void quo_surveys_expire(struct quo_service *service, uint64_t mono_us)
{
    struct quo_survey *survey;

    while ((survey = first_due(service, mono_us)) != NULL)
        finish(service, survey);
}
