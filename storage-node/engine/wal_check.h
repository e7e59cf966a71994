/* A strict look at a RocksDB directory's write-ahead logs before RocksDB recovers from them.
 *
 * RocksDB's recovery drops an incomplete record at the end of any log without a word. A flipped
 * length near the end of a log, a page of zeros, or a newer log behind a cut one look the same to
 * it, so synced writes could vanish silently. Here an incomplete record is accepted only where an
 * interrupted write leaves one: at the very end of the logs, with nothing after it.
 *
 * What no log can show: the loss of its newest batches as a whole, of the newest log, of all logs,
 * or of the oldest one while the MANIFEST does not know it yet (from its end to the first table
 * written after).
 *
 * Source: RocksDB 7.8.3, db/log_format.h and db/log_reader.cc (32 KiB blocks; records of crc32c,
 * length, type; a batch begins with its sequence number and count).
 *
 * Threads: any; reads files, blocks. Nobody may write to the directory meanwhile.
 */
#ifndef QUORATE_NODE_WAL_CHECK_H
#define QUORATE_NODE_WAL_CHECK_H

#include "quorate/base.h"
#include "quorate/status.h"

/* Checks all logs of the directory. A directory without logs, or none at all, is sound.
 * Returns QUO_OK with the highest sequence number that a whole record holds (0: none) in *ret_last;
 * QUO_CORRUPT, QUO_IO_ERROR or QUO_NO_MEMORY with a sentence in `why`. */
enum quo_status quo_wal_check(const char *directory, uint64_t *ret_last, char *why,
                              size_t why_size);

#endif
