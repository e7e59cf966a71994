#include "quorate/status.h"

/* The preprocessor cannot lower a name's case, hence a list of its own; -Wswitch keeps it complete
 * and a test keeps it equal to status.def. */
const char *quo_status_name(enum quo_status status)
{
    switch (status) {
    case QUO_OK:
        return "ok";
    case QUO_SUPERSEDED:
        return "superseded";
    case QUO_NACK:
        return "nack";
    case QUO_WRONG_EPOCH:
        return "wrong-epoch";
    case QUO_NOT_REPLICA:
        return "not-replica";
    case QUO_BAD_KIND:
        return "bad-kind";
    case QUO_SKEW:
        return "skew";
    case QUO_BUSY:
        return "busy";
    case QUO_DISK_FULL:
        return "disk-full";
    case QUO_IO_ERROR:
        return "io-error";
    case QUO_CORRUPT:
        return "corrupt";
    case QUO_MALFORMED:
        return "malformed";
    case QUO_UNSUPPORTED:
        return "unsupported";
    case QUO_WRONG_CLUSTER:
        return "wrong-cluster";
    case QUO_READ_ONLY:
        return "read-only";
    case QUO_OUT_OF_BOUNDS:
        return "out-of-bounds";
    case QUO_KEY_REUSED:
        return "key-reused";
    case QUO_RING_FULL:
        return "ring-full";
    case QUO_HISTORY_LOST:
        return "history-lost";
    case QUO_NOT_FOUND:
        return "not-found";
    case QUO_WOULD_BLOCK:
        return "would-block";
    case QUO_UNAVAILABLE:
        return "unavailable";
    case QUO_MORE:
        return "more";
    case QUO_TOO_LARGE:
        return "too-large";
    case QUO_INVALID:
        return "invalid";
    case QUO_NO_MEMORY:
        return "no-memory";
    }
    return "unknown";
}

const char *quo_status_text(enum quo_status status)
{
    switch (status) {
#define QUO_STATUS(name, value, text)                                                              \
    case QUO_##name:                                                                               \
        return text;
#include "quorate/status.def"
#undef QUO_STATUS
    }
    return "unknown status";
}

bool quo_status_on_wire(uint8_t value)
{
    if (value > QUO_STATUS_WIRE_MAX)
        return false;
    switch (value) {
#define QUO_STATUS(name, number, text)                                                             \
    case (number):                                                                                 \
        return true;
#include "quorate/status.def"
#undef QUO_STATUS
    }
    return false;
}
