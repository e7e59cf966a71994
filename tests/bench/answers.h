/* Where an answer ends, and what it says: HTTP/1.1 and RESP (the Redis protocol), as the load
 * generator meets them. Pure: no I/O, no memory of its own.
 */
#ifndef QUORATE_TESTS_BENCH_ANSWERS_H
#define QUORATE_TESTS_BENCH_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

enum answer_state {
    ANSWER_PARTIAL, /* more bytes are needed */
    ANSWER_WHOLE,
    ANSWER_BROKEN, /* not the protocol, or a part of it that no system measured here uses */
};

struct answer {
    size_t size;   /* bytes it takes */
    int status;    /* HTTP: the status code; RESP: 200, 404 for a null, 500 for an error */
    int64_t least; /* RESP: the least integer among the replies; INT64_MAX if there is none */
};

/* Reads one HTTP/1.1 response, with Content-Length, chunked or without a body by its status, from
 * the `size` bytes at `bytes`. Sets *ret_answer only for ANSWER_WHOLE.
 */
enum answer_state answer_http(const char *bytes, size_t size, struct answer *ret_answer);

/* Reads `replies` RESP replies, which together are one answer: simple strings, errors, integers and
 * bulk strings. Sets *ret_answer only for ANSWER_WHOLE.
 */
enum answer_state answer_resp(const char *bytes, size_t size, unsigned replies,
                              struct answer *ret_answer);

#endif
