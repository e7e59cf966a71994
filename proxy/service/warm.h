/* The promises that this proposer holds already: the next write of such a key starts at its accept.
 *
 * Each is good for one use: it goes out with the operation that takes it, and comes back with the
 * next ballot if that one succeeds. When there is no room, the one longest unused goes.
 */
#ifndef QUORATE_SERVICE_WARM_H
#define QUORATE_SERVICE_WARM_H

#include "proxy/service/name.h"
#include "quorate/limits.h"
#include "quorate/status.h"
#include "quorate/version.h"

/* What a write quorum and a read quorum have promised, given with `record`. */
struct quo_warm_start {
    struct quo_version ballot;
    struct quo_slice record; /* borrowed until the next call */
};

struct quo_warm_entry;

struct quo_warm {
    struct quo_warm_entry **buckets;
    struct quo_warm_entry *newest, *oldest; /* by last use */
    uint32_t count;
    uint64_t bytes; /* of keys and records there is room for */
};

/* QUO_OK or QUO_NO_MEMORY. */
enum quo_status quo_warm_init(struct quo_warm *warm);
void quo_warm_free(struct quo_warm *warm);

/* Keeps this promise instead of any other of this key. Without memory, and with a record over
 * QUO_WARM_RECORD_MAX, there is none of this key then. */
void quo_warm_put(struct quo_warm *warm, const struct quo_name *name, uint32_t epoch,
                  const struct quo_warm_start *start, uint64_t now_us);

/* Takes out the promise of this key. Returns false, *ret untouched, if there is none that was given
 * in this epoch within QUO_WARM_IDLE_MS. */
bool quo_warm_take(struct quo_warm *warm, const struct quo_name *name, uint32_t epoch,
                   uint64_t now_us, struct quo_warm_start *ret);

#endif
