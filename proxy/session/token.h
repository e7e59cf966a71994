/* The session token: what a client has seen and written, so that any proxy can go on from there.
 *
 * A token lists the newest versions that its session met, key by key. What does not fit any more is
 * evicted, the smallest version first, and a watermark remembers how high that was: a key that is
 * not listed may have been met at any version up to there. So nothing is ever forgotten silently.
 * Tokens are a join-semilattice: two of them merge into one that asks for all that either asks for.
 *
 * A version is firm if a write quorum is known to have it, or something newer, on disk: then any
 * read quorum shows it. Others, such as an eventual write with one ack, may be on a single replica.
 * There is a watermark for each.
 *
 * As bytes, integers big-endian; as text, base64url (RFC 4648 section 5) without padding:
 *
 *   u8  format (1)
 *   u32 hash of the cluster's id
 *   u64 max_hlc, u64 low_firm, u64 low_weak
 *   u8  a bit for each entry: firm
 *   then for each entry, newest first: u64 hash of the key, u64 hlc, u16 top bits of node
 *   16  HMAC-SHA256 of all before (RFC 2104), truncated
 *
 * Pure, but that the HMAC is libcrypto's.
 */
#ifndef QUORATE_SESSION_TOKEN_H
#define QUORATE_SESSION_TOKEN_H

#include "quorate/base.h"
#include "quorate/status.h"
#include "quorate/version.h"

#define QUO_TOKEN_TEXT_MAX 256u /* characters, whatever the session did */
#define QUO_TOKEN_RAW_MAX (QUO_TOKEN_TEXT_MAX / 4 * 3)
#define QUO_TOKEN_HEAD 30u  /* bytes before the entries */
#define QUO_TOKEN_ENTRY 18u /* bytes of one */
#define QUO_TOKEN_MAC 16u
#define QUO_TOKEN_ENTRIES_MAX                                                                      \
    ((QUO_TOKEN_RAW_MAX - QUO_TOKEN_HEAD - QUO_TOKEN_MAC) / QUO_TOKEN_ENTRY)

struct quo_token_entry {
    uint64_t key;            /* quo_token_key */
    struct quo_version seen; /* of its node the top 16 bits, the others 0 */
    bool is_firm;
};

/* All zero: the token of a session that begins. */
struct quo_token {
    uint64_t max_hlc;  /* the highest met; a write of the session is above it */
    uint64_t low_firm; /* the highest of what was evicted; 0: nothing was */
    uint64_t low_weak;
    uint8_t count;
    struct quo_token_entry entries[QUO_TOKEN_ENTRIES_MAX]; /* newest first, all above both lows */
};

/* What all proxies of a cluster sign with. */
#define QUO_TOKEN_SECRET_DIGITS_MIN 32u
#define QUO_TOKEN_SECRET_DIGITS_MAX 128u
struct quo_token_secret {
    uint32_t cluster;
    uint8_t size;
    uint8_t bytes[QUO_TOKEN_SECRET_DIGITS_MAX / 2];
};

/* Makes a secret of hexadecimal digits. Of none, it is derived from the cluster's id: tokens are
 * then proof against mistakes, and not against anybody who knows that id.
 * Returns QUO_OK, or QUO_INVALID, *ret untouched (no digits, an odd number of them, or fewer or
 * more than the limits). */
enum quo_status quo_token_secret(struct quo_slice digits, uint64_t cluster,
                                 struct quo_token_secret *ret);

/* What a token names a key by. Two keys that share it only ask for more than they need. */
uint64_t quo_token_key(uint32_t namespace_id, struct quo_slice key);

/* Finds what a read of the key must be as new as. Returns false, *ret untouched, if the key is not
 * listed: then the watermarks say what it may be. A version is new enough if it is not below *ret:
 * the bits of its node that a token has no room for are 0. */
bool quo_token_find(const struct quo_token *token, uint64_t key, struct quo_version *ret);

/* The session met this version of the key, by a read or a write; none: nothing. */
void quo_token_add(struct quo_token *token, uint64_t key, struct quo_version version, bool is_firm);

/* A write of the session may have taken effect, or may yet, at this hlc: later ones are above. */
void quo_token_raise(struct quo_token *token, uint64_t hlc);

/* Makes `token` ask for all that `other` asks for as well. */
void quo_token_merge(struct quo_token *token, const struct quo_token *other);

/* Writes the text and a NUL. Returns QUO_OK, or QUO_NO_MEMORY (the library had none). */
enum quo_status quo_token_encode(const struct quo_token *token,
                                 const struct quo_token_secret *secret,
                                 char out[QUO_TOKEN_TEXT_MAX + 1]);

/* Requires nothing of `text`. Returns QUO_OK; QUO_WRONG_CLUSTER (a token of another cluster);
 * QUO_INVALID (no token, damaged, or signed with another secret); QUO_NO_MEMORY. *ret is set only
 * on success. */
enum quo_status quo_token_decode(struct quo_slice text, const struct quo_token_secret *secret,
                                 struct quo_token *ret);

#endif
