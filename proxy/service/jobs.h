/* Jobs: requests that take several operations of the service, one after the other or at once.
 *
 * A job owns itself: it begins with its request, goes on from the answers of its operations, and
 * ends after the last of them. Whoever asked may be gone long before.
 */
#ifndef QUORATE_SERVICE_JOBS_H
#define QUORATE_SERVICE_JOBS_H

#include "proxy/service/scan.h"

struct quo_job {
    struct quo_service *service;
    struct quo_job *next, *previous;      /* among those of the service */
    void (*release)(struct quo_job *job); /* frees it with all that it holds */
    size_t bytes;
    uint64_t started_us, deadline_us;
    bool is_wanted;       /* somebody waits for the answer */
    struct quo_job **ret; /* while it begins: where whoever asked has it */
};

struct quo_jobs {
    struct quo_job *first;
    uint32_t count;
    size_t bytes;
};

/* Makes a job of `size` bytes, zero after struct quo_job, which comes first. `bytes`: that it holds
 * or will hold besides. QUO_OK; QUO_BUSY: a limit is reached; QUO_NO_MEMORY. */
enum quo_status quo_job_new(struct quo_service *service, size_t size, size_t bytes,
                            uint32_t timeout_ms, struct quo_job **ret);
/* The job holds so many bytes more, until it ends. Returns false, nothing changed, at the limit. */
bool quo_job_hold(struct quo_job *job, size_t bytes);
/* Ends a job: it has no operation under way. */
void quo_job_end(struct quo_job *job);
void quo_jobs_free(struct quo_jobs *jobs);

/* Before its first operation: *ret_job names the job until it is answered. */
void quo_job_begin(struct quo_job *job, struct quo_job **ret_job);
/* After it; `status` is what became of it. If it could not be begun, the job is ended. Returns
 * `status`. */
enum quo_status quo_job_begun(struct quo_job **ret_job, enum quo_status status);
/* Called before the answer. Returns whether anybody waits for it. */
bool quo_job_answers(struct quo_job *job);

/* Whoever asked is gone: no answer will be given. What it has begun goes on to its end. */
void quo_job_abandon(struct quo_job *job);

/* The time that is left of the request's, for an operation; never less than QUO_TIMEOUT_MIN_MS, so
 * that the operation finds out itself that it is over. */
uint32_t quo_job_left_ms(const struct quo_job *job);
uint64_t quo_job_elapsed_us(const struct quo_job *job);

/* What a step that went wrong says of the whole. `outcome`: of the request. */
void quo_job_fail(struct quo_response *response, enum quo_verdict verdict,
                  enum quo_effectuality outcome, enum quo_status refusal);
/* Takes the facts of one more step into the receipt of all: what is true of each of them. The step
 * was taken after those that are in it; at the same time. Of a receipt that is all zero, it is the
 * first. */
void quo_job_then(struct quo_receipt *all, const struct quo_receipt *one);
void quo_job_beside(struct quo_receipt *all, const struct quo_receipt *one);

#endif
