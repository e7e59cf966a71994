/* Who a data directory is: the file IDENTITY in it, written once.
 *
 *   quorate-identity 1
 *   cluster 0123456789abcdef
 *   replica fedcba9876543210
 *   crc32c 89abcdef
 *
 * The replica id is random, so that a node that lost its disk comes back as somebody else. The last
 * line is the checksum of those before it.
 *
 * Threads: start-up only.
 */
#ifndef QUORATE_NODE_IDENTITY_H
#define QUORATE_NODE_IDENTITY_H

#include "quorate/base.h"
#include "quorate/status.h"

struct quo_identity {
    uint64_t cluster; /* never 0 */
    uint64_t replica; /* never 0 */
};

/* Makes an identity with a random replica id in `directory`, which must be empty or missing (its
 * parent must exist), and returns when it is on disk. Requires cluster != 0. QUO_OK; QUO_INVALID:
 * the directory is not empty; QUO_IO_ERROR; with a sentence in `why`. */
enum quo_status quo_identity_create(const char *directory, uint64_t cluster,
                                    struct quo_identity *ret, char *why, size_t why_size);

/* Reads the identity.
 * QUO_OK; QUO_NOT_FOUND: there is none; QUO_CORRUPT: not the bytes that were written; QUO_IO_ERROR;
 * with a sentence in `why`. */
enum quo_status quo_identity_read(const char *directory, struct quo_identity *ret, char *why,
                                  size_t why_size);

/* Likewise, and locks it against other processes until *ret_lock, a descriptor, is closed or the
 * process ends. Also QUO_BUSY: another process holds it. */
enum quo_status quo_identity_hold(const char *directory, struct quo_identity *ret, int *ret_lock,
                                  char *why, size_t why_size);

#endif
