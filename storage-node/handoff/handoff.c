#include "storage-node/handoff/handoff.h"

#define MS UINT64_C(1000)
#define SLICE_US (10000u * MS)

void quo_handoff_init(struct quo_handoff *handoff, uint64_t now_us)
{
    memset(handoff, 0, sizeof *handoff);
    handoff->budget = QUO_HINT_RATE;
    handoff->budget_us = now_us;
    handoff->slice = now_us / SLICE_US;
}

void quo_handoff_add(struct quo_handoff *handoff, uint64_t replica)
{
    QUO_REQUIRE(handoff->target_count < QUO_NODES_MAX);
    handoff->targets[handoff->target_count++] = (struct quo_handoff_target){
        .replica = replica,
        .oldest_ms = UINT64_MAX,
        .pause_ms = QUO_HINT_PAUSE_MS,
    };
}

struct quo_handoff_target *quo_handoff_find(struct quo_handoff *handoff, uint64_t replica)
{
    for (uint32_t i = 0; i < handoff->target_count; i++)
        if (handoff->targets[i].replica == replica)
            return &handoff->targets[i];
    return NULL;
}

void quo_handoff_up(struct quo_handoff_target *target, uint64_t now_us)
{
    target->up = true;
    target->due_us = now_us;
    target->pause_ms = QUO_HINT_PAUSE_MS;
}

void quo_handoff_down(struct quo_handoff_target *target)
{
    target->up = false;
}

/* What is kept */

static bool is_old(uint64_t written_ms, uint64_t now_ms)
{
    return now_ms > written_ms && now_ms - written_ms > QUO_HINT_TTL_MS;
}

bool quo_handoff_is_expired(struct quo_version version, uint64_t now_ms)
{
    return is_old(quo_version_ms(version), now_ms);
}

enum quo_status quo_handoff_admit(struct quo_handoff_target *target, size_t bytes,
                                  struct quo_version version, uint64_t now_ms)
{
    enum quo_status status = QUO_OK;

    if (quo_handoff_is_expired(version, now_ms))
        status = QUO_NACK;
    else if (target->count >= QUO_HINTS_MAX || target->bytes + bytes > QUO_HINT_BYTES_MAX)
        status = QUO_BUSY;
    target->refused += status != QUO_OK;
    return status;
}

void quo_handoff_added(struct quo_handoff_target *target, size_t bytes, struct quo_version version)
{
    target->count++;
    target->bytes += bytes;
    target->oldest_ms = QUO_MIN(target->oldest_ms, quo_version_ms(version));
}

void quo_handoff_removed(struct quo_handoff_target *target, size_t bytes)
{
    QUO_REQUIRE(target->count > 0 && target->bytes >= bytes);
    target->count--;
    target->bytes -= bytes;
    if (target->count == 0)
        target->oldest_ms = UINT64_MAX;
}

/* Turns */

static bool is_due(const struct quo_handoff_target *target, uint64_t now_us, uint64_t now_ms)
{
    return target->count > 0 && !target->busy && now_us >= target->due_us &&
           (target->up || is_old(target->oldest_ms, now_ms));
}

struct quo_handoff_target *quo_handoff_next(struct quo_handoff *handoff, uint64_t now_us,
                                            uint64_t now_ms)
{
    struct quo_handoff_target *best = NULL;

    for (uint32_t i = 0; i < handoff->target_count; i++) {
        struct quo_handoff_target *target = &handoff->targets[i];
        if (is_due(target, now_us, now_ms) && (best == NULL || target->turn < best->turn))
            best = target;
    }
    if (best == NULL)
        return NULL;
    best->busy = true;
    best->turn = ++handoff->turns;
    return best;
}

/* A round that got through begins again after a pause, for what came behind its cursor; one that
 * did not waits longer each time. */
static void begin_again(struct quo_handoff_target *target, uint64_t now_us)
{
    target->due_us = now_us + target->pause_ms * MS;
    if (target->stuck)
        target->pause_ms = QUO_MIN(2 * target->pause_ms, QUO_HINT_PAUSE_MAX_MS);
    else
        target->pause_ms = QUO_HINT_PAUSE_MS;
    target->stuck = false;
    target->cursor = QUO_VERSION_NONE;
}

void quo_handoff_end(struct quo_handoff_target *target, enum quo_handoff_end end,
                     struct quo_version upto, bool kept, uint64_t now_us)
{
    QUO_REQUIRE(target->busy);
    target->busy = false;
    target->stuck |= kept || end == QUO_HANDOFF_STOPPED;
    if (end == QUO_HANDOFF_MORE)
        target->cursor = upto;
    else
        begin_again(target, now_us);
}

void quo_handoff_oldest(struct quo_handoff_target *target, struct quo_version version)
{
    if (target->count > 0)
        target->oldest_ms = quo_version_ms(version);
}

void quo_handoff_none(struct quo_handoff_target *target)
{
    target->count = target->bytes = 0;
    target->oldest_ms = UINT64_MAX;
}

/* Anti-entropy settles what is useless here: what a promise or floor forbids, what is no replica's
 * any more. */
enum quo_hint_fate quo_hint_fate(enum quo_status answer)
{
    switch (answer) {
    case QUO_OK:
    case QUO_SUPERSEDED:
        return QUO_HINT_DELIVERED;
    case QUO_NACK:
    case QUO_NOT_REPLICA:
    case QUO_BAD_KIND:
        return QUO_HINT_USELESS;
    case QUO_BUSY:
    case QUO_DISK_FULL:
    case QUO_IO_ERROR:
    case QUO_READ_ONLY:
        return QUO_HINT_STOPPED;
    default:
        return QUO_HINT_KEPT;
    }
}

uint64_t quo_handoff_deadline(const struct quo_handoff *handoff, uint64_t now_us, uint64_t now_ms)
{
    uint64_t deadline = UINT64_MAX;

    for (uint32_t i = 0; i < handoff->target_count; i++) {
        const struct quo_handoff_target *target = &handoff->targets[i];
        uint64_t at_us = target->due_us;
        if (target->count == 0 || target->busy)
            continue;
        if (!target->up && !is_old(target->oldest_ms, now_ms)) {
            /* Until the oldest is too old. A clock that is set does not wake anybody. */
            uint64_t age_ms = now_ms > target->oldest_ms ? now_ms - target->oldest_ms : 0;
            at_us = QUO_MAX(at_us, now_us + (QUO_HINT_TTL_MS - age_ms + 1) * MS);
        }
        deadline = QUO_MIN(deadline, at_us);
    }
    return deadline;
}

/* Pace */

static uint64_t slice_of(uint64_t now_us)
{
    return now_us / SLICE_US;
}

void quo_handoff_count_delivered(struct quo_handoff *handoff, struct quo_handoff_target *target,
                                 uint64_t now_us)
{
    uint64_t slice = slice_of(now_us);

    target->delivered++;
    if (slice - handoff->slice >= QUO_HANDOFF_SLICES)
        memset(handoff->slices, 0, sizeof handoff->slices);
    else
        for (uint64_t i = handoff->slice + 1; i <= slice; i++)
            handoff->slices[i % QUO_HANDOFF_SLICES] = 0;
    handoff->slice = slice;
    handoff->slices[slice % QUO_HANDOFF_SLICES]++;
}

uint64_t quo_handoff_drained(const struct quo_handoff *handoff, uint64_t now_us)
{
    uint64_t now = slice_of(now_us), sum = 0;

    for (uint64_t i = 0; i < QUO_HANDOFF_SLICES && i <= handoff->slice; i++) {
        uint64_t slice = handoff->slice - i;
        if (now - slice < QUO_HANDOFF_SLICES)
            sum += handoff->slices[slice % QUO_HANDOFF_SLICES];
    }
    return sum;
}

bool quo_handoff_may_send(struct quo_handoff *handoff, uint64_t now_us)
{
    uint64_t passed_us = QUO_MIN(now_us - handoff->budget_us, 1000 * MS);
    int64_t earned = (int64_t)(passed_us * QUO_HINT_RATE / (1000 * MS));

    handoff->budget = QUO_MIN(handoff->budget + earned, (int64_t)QUO_HINT_RATE);
    handoff->budget_us = now_us;
    return handoff->budget > 0;
}

uint64_t quo_handoff_rested_us(const struct quo_handoff *handoff)
{
    if (handoff->budget > 0)
        return handoff->budget_us;
    return handoff->budget_us + (uint64_t)(1 - handoff->budget) * (1000 * MS) / QUO_HINT_RATE + 1;
}

void quo_handoff_spend(struct quo_handoff *handoff, size_t bytes)
{
    handoff->budget -= (int64_t)bytes;
}
