#include "proxy/service/jobs.h"

#include <stdlib.h>

#include "proxy/service/state.h"

enum quo_status quo_job_new(struct quo_service *service, size_t size, size_t bytes,
                            uint32_t timeout_ms, struct quo_job **ret)
{
    struct quo_jobs *jobs = &service->jobs;

    QUO_REQUIRE(size >= sizeof **ret);
    if (jobs->count >= QUO_JOBS_MAX || bytes > QUO_JOBS_BYTES_MAX - jobs->bytes) {
        quo_count(&service->stats.overloads, 1);
        return QUO_BUSY;
    }
    struct quo_job *job = calloc(1, size);
    if (job == NULL)
        return QUO_NO_MEMORY;
    job->service = service;
    job->bytes = bytes;
    job->started_us = quo_mono_us(service->env);
    job->deadline_us = job->started_us + timeout_ms * UINT64_C(1000);
    job->is_wanted = true;
    job->next = jobs->first;
    if (jobs->first != NULL)
        jobs->first->previous = job;
    jobs->first = job;
    jobs->count++;
    jobs->bytes += bytes;
    *ret = job;
    return QUO_OK;
}

bool quo_job_hold(struct quo_job *job, size_t bytes)
{
    struct quo_jobs *jobs = &job->service->jobs;

    if (bytes > QUO_JOBS_BYTES_MAX - jobs->bytes) {
        quo_count(&job->service->stats.overloads, 1);
        return false;
    }
    jobs->bytes += bytes;
    job->bytes += bytes;
    return true;
}

void quo_job_end(struct quo_job *job)
{
    struct quo_jobs *jobs = &job->service->jobs;

    if (job->next != NULL)
        job->next->previous = job->previous;
    if (job->previous != NULL)
        job->previous->next = job->next;
    else
        jobs->first = job->next;
    jobs->count--;
    jobs->bytes -= job->bytes;
    job->release(job);
}

void quo_jobs_free(struct quo_jobs *jobs)
{
    while (jobs->first != NULL)
        quo_job_end(jobs->first);
}

void quo_job_begin(struct quo_job *job, struct quo_job **ret_job)
{
    *ret_job = job;
    job->ret = ret_job;
}

enum quo_status quo_job_begun(struct quo_job **ret_job, enum quo_status status)
{
    struct quo_job *job = *ret_job;

    if (job == NULL) /* it is answered, and may be over */
        return QUO_OK;
    job->ret = NULL;
    if (status != QUO_OK) {
        *ret_job = NULL;
        quo_job_end(job);
    }
    return status;
}

bool quo_job_answers(struct quo_job *job)
{
    const bool is_wanted = job->is_wanted;

    job->is_wanted = false;
    if (job->ret != NULL)
        *job->ret = NULL;
    job->ret = NULL;
    return is_wanted;
}

void quo_job_abandon(struct quo_job *job)
{
    quo_count(&job->service->stats.abandoned, 1);
    job->is_wanted = false;
}

uint32_t quo_job_left_ms(const struct quo_job *job)
{
    const uint64_t now = quo_mono_us(job->service->env);

    if (now >= job->deadline_us)
        return QUO_TIMEOUT_MIN_MS;
    return (uint32_t)((job->deadline_us - now + 999) / 1000);
}

uint64_t quo_job_elapsed_us(const struct quo_job *job)
{
    return quo_mono_us(job->service->env) - job->started_us;
}

void quo_job_fail(struct quo_response *response, enum quo_verdict verdict,
                  enum quo_effectuality outcome, enum quo_status refusal)
{
    response->verdict = outcome == QUO_UNKNOWN ? QUO_VERDICT_TIMEOUT : verdict;
    response->outcome = outcome;
    response->refusal = refusal;
}

static void join(struct quo_receipt *all, const struct quo_receipt *one, uint8_t round_trips)
{
    if (all->n == 0) {
        *all = *one;
        return;
    }
    if (one->replies < all->replies) {
        memcpy(all->answered, one->answered, sizeof all->answered);
        all->replies = one->replies;
    }
    all->acks = QUO_MIN(all->acks, one->acks);
    all->disk = QUO_MIN(all->disk, one->disk);
    all->need = QUO_MAX(all->need, one->need);
    all->stable = all->stable && one->stable;
    all->repaired = all->repaired || one->repaired;
    all->epoch = QUO_MAX(all->epoch, one->epoch);
    all->version = quo_version_max(all->version, one->version);
    all->round_trips = round_trips;
    quo_receipt_count(&all->hedges, one->hedges);
}

void quo_job_then(struct quo_receipt *all, const struct quo_receipt *one)
{
    uint8_t round_trips = all->round_trips;

    quo_receipt_count(&round_trips, one->round_trips);
    join(all, one, round_trips);
}

void quo_job_beside(struct quo_receipt *all, const struct quo_receipt *one)
{
    join(all, one, QUO_MAX(all->round_trips, one->round_trips));
}
