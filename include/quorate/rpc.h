/* Frames and messages between proxies and nodes.
 *
 * A frame:  be32 length of the whole frame | u8 protocol version | u8 message type | be16 zero |
 *           be64 request id | be32 checksum | be32 body length | body
 * The checksum is the low half of XXH3_64 over the frame with the checksum field as zero. A reply
 * carries the id of its request; ids of unasked frames (HELLO, GOODBYE) are 0.
 *
 * Pure: no memory is allocated; decoded slices borrow from the input.
 */
#ifndef QUORATE_RPC_H
#define QUORATE_RPC_H

#include "quorate/base.h"
#include "quorate/cluster.h"
#include "quorate/limits.h"
#include "quorate/status.h"
#include "quorate/version.h"

#define QUO_PROTOCOL_VERSION 1u

enum quo_store_flag {
    QUO_STORE_SYNC = 1u << 0,      /* answer only when the record is on disk */
    QUO_STORE_WRITEBACK = 1u << 1, /* a reader's repair, not a new write */
};

enum quo_reply_flag {
    QUO_REPLY_DURABLE = 1u << 0, /* what `version` names is on this replica's disk */
    QUO_REPLY_VALUE = 1u << 1,   /* `record` holds the record */
    QUO_REPLY_NEXT = 1u << 2,    /* ACC: `next` is promised here */
    QUO_REPLY_FOUND = 1u << 3,   /* SLOT: it was added before */
};

enum quo_tree_level {
    QUO_TREE_ROOT = 0,
    QUO_TREE_BRANCH_HASHES = 1,
    QUO_TREE_LEAF_HASHES = 2, /* of one branch */
};

/* Of a collection of deletes, in order (PROTOCOLS, Collecting deletes). */
enum quo_floor_stage {
    QUO_FLOOR_READY = 1,   /* is it fit for one? changes nothing */
    QUO_FLOOR_GATE = 2,    /* nothing new at or below the floor, from now on */
    QUO_FLOOR_CONFIRM = 3, /* all have the gate: is it equal with those it compares itself with? */
    QUO_FLOOR_SEAL = 4,    /* all are equal up to the floor: no copies at or below it any more */
    QUO_FLOOR_DROP = 5,    /* all are sealed: deletes at or below the floor can go */
};

enum quo_forward_flag {
    QUO_FORWARD_SENT = 1u << 0, /* an ACC of the operation may have left already */
    QUO_FORWARD_HAS_MIN = 1u << 1,
    QUO_FORWARD_HAS_MAX = 1u << 2,
    QUO_FORWARD_REPLAYED = 1u << 3, /* of FORWARDED: an earlier attempt was found */
    QUO_FORWARD_HAS_COUNTER = 1u << 4,
    QUO_FORWARD_STABLE = 1u << 5, /* the receipt's flags */
};

enum quo_message_type {
#define QUO_MESSAGE(NAME, name, type) QUO_MESSAGE_##NAME = (type),
#include "quorate/messages.def"
};

#define QUO_MESSAGE(NAME, name, type) struct quo_msg_##name {
#define QUO_U8(field) uint8_t field;
#define QUO_U16(field) uint16_t field;
#define QUO_U32(field) uint32_t field;
#define QUO_U64(field) uint64_t field;
#define QUO_VERSION(field) struct quo_version field;
#define QUO_BYTES(field, max) struct quo_slice field;
#define QUO_MESSAGE_END                                                                            \
    }                                                                                              \
    ;
#include "quorate/messages.def"

/* For each message:
 *   size_t quo_msg_NAME_size(m)         bytes of its body. Requires slices within their maxima.
 *   void   quo_msg_NAME_encode(m, out)  writes exactly that many bytes.
 *   status quo_msg_NAME_decode(body, r) QUO_OK or QUO_MALFORMED; *r borrows from body and is set
 *                                       only on success. */
#define QUO_MESSAGE(NAME, name, type)                                                              \
    size_t quo_msg_##name##_size(const struct quo_msg_##name *m);                                  \
    void quo_msg_##name##_encode(const struct quo_msg_##name *m, uint8_t *out);                    \
    enum quo_status quo_msg_##name##_decode(struct quo_slice body, struct quo_msg_##name *ret);
#include "quorate/messages.def"

struct quo_frame {
    uint8_t type;
    uint64_t id;
    struct quo_slice body;
};

/* Writes the header of a frame whose `body_len` bytes already stand at out + QUO_FRAME_HEADER, and
 * seals it with the checksum. Requires body_len <= QUO_FRAME_BODY_MAX. */
void quo_frame_seal(uint8_t *out, uint8_t type, uint64_t id, size_t body_len);

/* Looks for one frame at the start of `bytes`.
 * Returns QUO_OK with the frame (borrowing from bytes) and its whole size in *ret_size;
 * QUO_MORE when the bytes are a proper beginning, with the size it will have in *ret_size (0 when
 * the header is not complete yet); QUO_UNSUPPORTED for another protocol version; QUO_MALFORMED for
 * anything else. */
enum quo_status quo_frame_next(struct quo_slice bytes, struct quo_frame *ret, size_t *ret_size);

#endif
