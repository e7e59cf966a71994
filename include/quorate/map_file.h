/* The cluster map as a JSON document: what operators write and what proxies and nodes read.
 *
 *   {"cluster": "hex64", "epoch": 1, "replicas": 3, "partitions": 1024,
 *    "nodes": [{"name": "node-1", "replica": "hex64", "host": "127.0.0.1", "port": 7001,
 *               "weight": 100}],
 *    "proxies": [{"name": "proxy-1", "host": "127.0.0.1", "port": 7101}],
 *    "namespaces": [{"id": 1, "name": "default", "kind": "lww", "n": 3, "rs": 2, "ws": 2,
 *                    "read": "strong", "write": "strong", "max_stale_ms": 500,
 *                    "timeout_ms": 1000, "value_max": 1048576, "idempotency_retention": 600,
 *                    "require_idempotency_key": false}]}
 *
 * Optional: partitions (1024), proxies (none), weight (100), n (replicas), rs and ws (majorities of
 * n), read and write ("strong"), max_stale_ms (none; of reads at level bounded that do not say it),
 * timeout_ms (1000), value_max (1048576), idempotency_retention (seconds; 600),
 * require_idempotency_key (false). Anything unknown is an error.
 *
 * Threads: start-up only.
 */
#ifndef QUORATE_MAP_FILE_H
#define QUORATE_MAP_FILE_H

#include "quorate/cluster.h"

/* Parses, checks and places. Requires map to be zeroed memory of the caller's.
 * Returns QUO_OK, QUO_TOO_LARGE or QUO_INVALID with a sentence that names the place in `why`. */
enum quo_status quo_map_parse(struct quo_slice json, struct quo_map *map, char *why,
                              size_t why_size);
/* Likewise from a file; also QUO_NOT_FOUND and QUO_IO_ERROR. */
enum quo_status quo_map_load(const char *path, struct quo_map *map, char *why, size_t why_size);

#endif
