/* Every limit of the system, in one place. A limit that a user can meet is also in README.md.
 *
 * Units are in the names: _MAX alone counts things or bytes, _US microseconds, _MS milliseconds.
 */
#ifndef QUORATE_LIMITS_H
#define QUORATE_LIMITS_H

/* Data */
#define QUO_KEY_MAX 4096u                    /* bytes of a key, after percent-decoding */
#define QUO_VALUE_MAX (16u * 1024 * 1024)    /* bytes of a value: the most a namespace may allow */
#define QUO_VALUE_MAX_DEFAULT (1024u * 1024) /* bytes of a value unless the namespace says more */
#define QUO_CONTENT_TYPE_MAX 255u            /* bytes of a stored Content-Type */
#define QUO_RING_MAX 256u                    /* recent operations kept in one record */
#define QUO_RING_UNKEYED_MAX 32u             /* of them, such as came without Idempotency-Key */
#define QUO_RING_KEYED_MAX (QUO_RING_MAX - QUO_RING_UNKEYED_MAX)
#define QUO_RING_UNKEYED_MS 20000u /* how long those are kept at most */
#define QUO_RING_FENCE_MS 120000u  /* and their fences; over QUO_TIMEOUT_MAX_MS and all skew */
#define QUO_RING_BYTES_MAX (QUO_RING_MAX * 50u)
#define QUO_RECORD_OVERHEAD_MAX 16384u /* bytes of a record that are not its value */
#define QUO_RECORD_MAX (QUO_VALUE_MAX + QUO_RECORD_OVERHEAD_MAX)
/* How long a value can be made to live: ten years. */
#define QUO_TTL_MAX_MS UINT64_C(315619200000)

/* Cluster */
#define QUO_REPLICAS_MAX 7u     /* N of a partition */
#define QUO_NODES_MAX 256u      /* nodes in a map */
#define QUO_NAMESPACES_MAX 256u /* namespaces in a map */
#define QUO_NAME_MAX 63u        /* bytes of a namespace or node name */
#define QUO_HOST_MAX 255u       /* bytes of a host name */
#define QUO_PARTITIONS_DEFAULT 1024u
#define QUO_PARTITIONS_MAX 65536u /* a partition is a be16 in a storage key */
#define QUO_WEIGHT_MAX 1000000u
#define QUO_MAP_FILE_MAX (4u * 1024 * 1024)

#define QUO_PROXIES_MAX 64u          /* proxies in a map */
#define QUO_RETENTION_DEFAULT_S 600u /* seconds for which an Idempotency-Key is remembered */
#define QUO_RETENTION_MIN_S 1u
#define QUO_RETENTION_MAX_S 604800u

/* Programs */
#define QUO_CONFIG_FILE_MAX (1024u * 1024) /* bytes of a configuration file */
#define QUO_TEXT_MAX (64u * 1024 * 1024)   /* bytes of a text being built, such as /metrics */

/* Frames between proxies and nodes */
#define QUO_FRAME_HEADER 24u /* bytes before a frame's body */
#define QUO_FRAME_BODY_MAX (QUO_RECORD_MAX + QUO_KEY_MAX + 4096u)
#define QUO_FRAME_MAX (QUO_FRAME_HEADER + QUO_FRAME_BODY_MAX)
#define QUO_OUTBOX_MAX (64u * 1024 * 1024) /* bytes queued to one peer before sends are refused */
#define QUO_CONN_IN_FLIGHT_MAX 8192u       /* requests on one connection without a reply */
#define QUO_NODE_CONNS_MAX 1024u           /* connections a node accepts */

/* Node */
#define QUO_BATCH_BYTES_MAX (32u * 1024 * 1024)  /* bytes of one group commit */
#define QUO_BATCH_COUNT_MAX 4096u                /* writes of one group commit */
#define QUO_NODE_LOADS_MAX 4096u                 /* cache misses read off the loop at once */
#define QUO_NODE_MEMORY_MAX (256u * 1024 * 1024) /* bytes of writes gathered, not yet on disk */
#define QUO_SKEW_MAX_MS 5000u /* a version this far ahead of a replica is refused */

/* Between nodes */
#define QUO_STORAGE_KEY_PREFIX 6u /* be16 partition | be32 namespace: before a key in storage */
#define QUO_STORAGE_KEY_MAX (QUO_STORAGE_KEY_PREFIX + QUO_KEY_MAX)
#define QUO_LEAF_BITS_MAX 512u         /* 64 words */
#define QUO_LEAF_KEYS_MAX (64u * 1024) /* bytes of keys in one answer to LEAF */
#define QUO_LEAF_SCAN_MAX 4096u        /* keys of the partition read for it */
#define QUO_LEAF_LISTINGS_MAX 4u       /* such answers in the making on one node */
#define QUO_EXCHANGE_EVERY_MS 60000u   /* how often a partition is compared with each peer */
#define QUO_EXCHANGES_MAX 32u          /* of those comparisons, under way at once on one node */
#define QUO_EXCHANGE_PAUSE_MS 200u     /* between the two looks at what differs */
#define QUO_EXCHANGE_TIMEOUT_MS 5000u  /* for each answer of the peer */
#define QUO_EXCHANGE_WINDOW 16u        /* keys being mended at once */
#define QUO_EXCHANGE_RATE (8u << 20)   /* bytes per second that a node spends on its exchanges */
#define QUO_MEND_OVERHEAD 8192u        /* bytes that a key mended counts for besides its own */
#define QUO_DELETE_GRACE_MS 86400000u  /* for which deletes are kept, unless the settings say */
#define QUO_COLLECT_EVERY_MS 600000u   /* how often a partition's are collected, likewise */
#define QUO_COLLECT_PAUSE_MS 100u      /* between two questions whether a replica is equal */
#define QUO_COLLECT_TIMEOUT_MS 60000u  /* of one collection; it is begun anew later */

/* Hints: what a node keeps for another one that was away */
#define QUO_HINT_TTL_MS 10800000u /* since the write; then anti-entropy is left to it */
#define QUO_HINTS_MAX 1000000u    /* kept on one node for one target */
#define QUO_HINT_BYTES_MAX (1024u * 1024 * 1024) /* of them, keys and records */
#define QUO_HINT_RATE (8u << 20)                 /* bytes per second that a node delivers */
#define QUO_HINT_OVERHEAD QUO_MEND_OVERHEAD      /* that each counts for besides its own */
#define QUO_HINT_LANES 4u                        /* targets that it delivers to at once */
#define QUO_HINT_WINDOW 32u                      /* to each of them, not answered yet */
#define QUO_HINT_BATCH_MAX 256u                  /* hints read at once */
#define QUO_HINT_BATCH_BYTES (1024u * 1024)      /* likewise; the first whatever its size */
#define QUO_HINT_TIMEOUT_MS 5000u                /* for each answer of the target */
#define QUO_HINT_PAUSE_MS 500u                   /* after a delivery that failed; doubles... */
#define QUO_HINT_PAUSE_MAX_MS 30000u             /* ...up to this */

/* Scans and collections */
#define QUO_SCAN_COUNT_MAX 1000u          /* records in one answer to SCAN */
#define QUO_SCAN_BYTES_MAX (1024u * 1024) /* bytes of them; a longer record shows its size only */
#define QUO_SCAN_READ_MAX (4u * 1024 * 1024)     /* bytes read for one without records */
#define QUO_NODE_SCANS_MAX 64u                   /* such answers in the making on one node */
#define QUO_NODE_SCANS_WAITING_MAX 1024u         /* waiting for their turn; more are refused */
#define QUO_SCANS_MAX 256u                       /* scans under way on one loop of a proxy */
#define QUO_SCAN_ROUNDS_MAX 64u                  /* times that one of them asks replicas */
#define QUO_SCAN_PAGE_MAX (4u * 1024 * 1024)     /* bytes found, after which it asks no more */
#define QUO_SCAN_MEMORY_MAX (128u * 1024 * 1024) /* bytes that those of one loop hold */
#define QUO_SCAN_REPAIRS_MAX 16u                 /* differing keys that one of them has repaired */
#define QUO_LIST_WINDOW 16u                      /* partitions that a listing scans at once */
#define QUO_SCAN_PATIENCE_MS 50u                 /* before more replicas are asked, at least */
#define QUO_COLLECTION_NAME_MAX 1024u   /* bytes of the name of a timeline, counter or set */
#define QUO_PAGE_DEFAULT 100u           /* entries of a page unless the request says more */
#define QUO_PAGE_VALUE_MAX (64u * 1024) /* bytes of a value that is shown in a page */
#define QUO_PAGE_SCANS_MAX 8u           /* scans after which a page that has begun ends */
#define QUO_ELEMENT_MAX 1024u           /* bytes of an element of a set */
#define QUO_ELEMENTS_MAX 256u           /* elements in one request */
#define QUO_SET_BODY_MAX (1024u * 1024) /* bytes of the JSON that names them */
#define QUO_JOBS_MAX 4096u              /* requests under way on one loop that take several steps */
#define QUO_JOBS_BYTES_MAX (128u * 1024 * 1024) /* bytes that they hold */
#define QUO_JOB_WINDOW 32u   /* operations that one of them has under way at once */
#define QUO_DOTS_AT_ONCE 32u /* of one element, that one of them deletes at once */

/* Proxy */
#define QUO_OPS_MAX 16384u                     /* operations in flight on one loop */
#define QUO_OPS_BYTES_MAX (512u * 1024 * 1024) /* bytes of values those operations hold */
#define QUO_LOOPS_MAX 64u
#define QUO_TIMEOUT_DEFAULT_MS 1000u
#define QUO_TIMEOUT_MIN_MS 1u
#define QUO_TIMEOUT_MAX_MS 60000u
#define QUO_SURVEYS_MAX 8u         /* questions to many nodes, under way on one loop */
#define QUO_STALE_MAX_MS 86400000u /* the largest max-stale of a read at level bounded */
#define QUO_FRESH_EVERY_MS                                                                         \
    5000u /* how often one loop asks how fresh a partition is, at most...                          \
           */
#define QUO_FRESH_STALE_MIN_MS 1000u /* ...for bounds that are not shorter */
#define QUO_ATTEMPTS_MAX 64u         /* restarts of one operation's protocol before it gives up */
#define QUO_CONDITIONS_MAX 16u       /* entity tags in one If-Match of a write */
#define QUO_KEY_QUEUE_MAX 1024u      /* writes of one key that wait for their turn on one loop */
#define QUO_WARM_MAX 4096u           /* keys of which one loop holds the next promise */
#define QUO_WARM_BYTES_MAX (32u * 1024 * 1024) /* of their records */
#define QUO_WARM_RECORD_MAX 16384u             /* bytes of a record worth keeping for that */
#define QUO_WARM_IDLE_MS 5000u                 /* how long an unused promise is kept */
#define QUO_FORWARD_AFTER 3u          /* preemptions before a write goes to the key's own proxy */
#define QUO_CONTENDED_MS 2000u        /* for how long, each time, others of that key follow it */
#define QUO_CONTENDED_MAX 1024u       /* such keys that one loop knows of */
#define QUO_FORWARD_HOPS_MAX 2u       /* to another proxy, there to the key's own loop */
#define QUO_REPAIR_CHANCE 10u         /* of so many eventual reads one looks at one replica more */
#define QUO_REPAIR_RECORD_MAX 4096u   /* bytes of a record kept for a repair; others are fetched */
#define QUO_REPAIR_EVERY_MS 1000u     /* between two repairs of one key on one loop, at least */
#define QUO_REPAIR_SLOTS 4096u        /* repairs that one loop begins in that time at most */
#define QUO_REPAIRS_MAX 256u          /* repairs under way on one loop */
#define QUO_REPAIR_TIMEOUT_MS 1000u   /* how long a repair is awaited */
#define QUO_HINTS_UNDER_WAY_MAX 1024u /* of one loop, that nobody awaits */
#define QUO_MENDS_MAX 16u             /* keys that nodes asked to settle, under way on one loop */
#define QUO_MEND_EVERY_MS 1000u       /* between two attempts at one key on one loop, at least */
#define QUO_MEND_SLOTS 256u           /* attempts that one loop begins in that time at most */
#define QUO_JSON_DEPTH_MAX 100u       /* nested objects and arrays of a merge patch or its target */
#define QUO_JSON_MEMBERS_MAX 262144u  /* of all objects of such a document, but those in arrays */
#define QUO_IDEMPOTENCY_KEY_MAX 255u

/* HTTP */
#define QUO_HTTP_HEADERS_MAX (32u * 1024)   /* bytes of all header names and values of a request */
#define QUO_HTTP_HEADER_COUNT_MAX 100u      /* header fields of a request */
#define QUO_HTTP_CONNECTIONS_DEFAULT 20000u /* open connections of a proxy */
#define QUO_HTTP_CONN_OPS_MAX 256u /* operations of one connection, cancelled ones included */
#define QUO_HTTP_INPUT_MAX (512u * 1024 * 1024) /* bytes of unfinished requests on one loop */
/* When the unfinished requests of a loop are over the limit, connections that hold more are cut. */
#define QUO_HTTP_INPUT_LARGE (64u * 1024)
#define QUO_HTTP_HANDSHAKES_MAX 2048u /* of TLS under way on one loop; each may hold 128 KiB */
#define QUO_HTTP_DRAIN_MS 10000u      /* how long a stopping proxy waits for its requests */
#define QUO_COUNTER_BODY_MAX 4096u    /* bytes of the JSON that adds to a counter */
#define QUO_REQUEST_ID_MAX 128u       /* bytes of a Request-Id that is echoed */

/* Batches */
#define QUO_HTTP_BATCH_BODY_MAX (8u * 1024 * 1024) /* bytes of one */
#define QUO_HTTP_BATCH_LINE_MAX (2u * 1024 * 1024) /* bytes of a line */
#define QUO_HTTP_BATCH_LINES_MAX 10000u
#define QUO_HTTP_BATCH_WINDOW 16u /* lines of one under way at once */

/* A value this small rides in every replica's reply; for a larger one a single replica is asked. */
#define QUO_INLINE_VALUE_MAX 4096u

_Static_assert(QUO_RING_BYTES_MAX + 128 + QUO_CONTENT_TYPE_MAX <= QUO_RECORD_OVERHEAD_MAX,
               "a full ring and the longest content type fit in the overhead");
_Static_assert(QUO_FRAME_MAX < QUO_OUTBOX_MAX, "the largest frame can be queued");
_Static_assert(QUO_FRAME_MAX < QUO_BATCH_BYTES_MAX, "the largest write fits in one group commit");
_Static_assert(QUO_BATCH_BYTES_MAX < QUO_NODE_MEMORY_MAX, "a full batch fits in memory");
_Static_assert(QUO_TIMEOUT_DEFAULT_MS <= QUO_TIMEOUT_MAX_MS, "the default is allowed");

#endif
