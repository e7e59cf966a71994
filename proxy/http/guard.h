/* Watches the frames of one HTTP/2 connection for floods that the HTTP library does not notice:
 * rapid reset (CVE-2023-44487), resets provoked from our side (CVE-2025-8671), CONTINUATION without
 * end (CVE-2024-27983 and others), PING, SETTINGS, PRIORITY and empty-DATA floods (CVE-2019-9511 to
 * 9518), and request bodies that are begun and never finished.
 *
 * It reads frame headers only (RFC 9113 section 4.1), before the library sees the bytes, and keeps
 * counts that decay; over a limit it names the flood and the connection is to be closed.
 *
 * Pure: time is an argument.
 */
#ifndef QUORATE_HTTP_GUARD_H
#define QUORATE_HTTP_GUARD_H

#include "quorate/base.h"

/* QUO_FLOOD(NAME, name, text) */
#define QUO_FLOODS(QUO_FLOOD)                                                                      \
    QUO_FLOOD(RESETS, resets, "requests cancelled before they were answered")                      \
    QUO_FLOOD(CONTROL, control, "frames that ask for nothing")                                     \
    QUO_FLOOD(HEADERS, headers, "a header block that is too long")                                 \
    QUO_FLOOD(BODIES, bodies, "unfinished request bodies")                                         \
    QUO_FLOOD(DEAF, deaf, "frames sent while our answers are not read")

enum quo_flood {
    QUO_FLOOD_NONE = 0,
#define QUO_FLOOD(NAME, name, text) QUO_FLOOD_##NAME,
    QUO_FLOODS(QUO_FLOOD)
#undef QUO_FLOOD
        QUO_FLOOD_COUNT
};

/* Returns the lower-case name of a flood. Static storage. */
const char *quo_flood_name(enum quo_flood flood);

#define QUO_GUARD_RESETS_MAX 100u        /* a second */
#define QUO_GUARD_SHARE_AFTER 200u       /* requests after which a share of cancelled ones counts */
#define QUO_GUARD_CONTROL_MAX 1000u      /* a second */
#define QUO_GUARD_UNKNOWN_WEIGHT 50u     /* of a frame of unknown type among them */
#define QUO_GUARD_BLOCK_MAX (64u * 1024) /* bytes of one header block, compressed */
#define QUO_GUARD_BLOCK_FRAMES_MAX 32u   /* frames of one header block */
#define QUO_GUARD_BODIES_MAX                                                                       \
    (128ull * 1024 * 1024)        /* unfinished bodies of one connection, bytes                    \
                                   */
#define QUO_GUARD_DEAF_MAX 20000u /* frames while a write is stuck */
#define QUO_GUARD_STREAMS 128u    /* streams with a body under way; the library allows 100 */

struct quo_guard {
    uint32_t preface; /* bytes of the connection preface still to come */
    uint32_t payload; /* bytes of the current frame's payload still to come */
    uint8_t head_len; /* bytes of the next frame header that came */
    uint8_t head[9];

    /* Refuse CONTINUATION: set while stopping, when the library would never get past one. */
    bool whole_blocks;
    uint32_t block_bytes; /* of the header block under way */
    uint32_t block_frames;

    uint64_t second;    /* the current one */
    uint32_t resets;    /* in it */
    uint32_t control;   /* in it */
    uint32_t requests;  /* less an eighth every second */
    uint32_t cancelled; /* likewise */
    uint32_t deaf;      /* frames since the last write was finished */

    uint32_t highest; /* stream that was opened */
    uint64_t body_bytes;
    uint32_t stream_count;
    struct {
        uint32_t id;
        uint32_t bytes;
    } streams[QUO_GUARD_STREAMS];
};

void quo_guard_init(struct quo_guard *guard);

/* Takes the next bytes of the connection. `deaf`: a write is under way and has made no progress
 * since the last call. */
enum quo_flood quo_guard_feed(struct quo_guard *guard, struct quo_slice bytes, bool deaf,
                              uint64_t mono_us);

/* A request went away unanswered while the connection stands, whoever reset its stream. */
enum quo_flood quo_guard_cancelled(struct quo_guard *guard, uint64_t mono_us);

#endif
