/* One loop's HTTP server: HTTP/1.1, and HTTP/2 over cleartext with prior knowledge or over TLS by
 * ALPN.
 *
 * Threads: everything in the loop's thread, except quo_http_stats.
 */
#ifndef QUORATE_HTTP_SERVER_H
#define QUORATE_HTTP_SERVER_H

#include "proxy/http/stats.h"
#include "proxy/session/token.h"
#include "quorate/loop.h"
#include "quorate/tls.h"

struct quo_http;

struct quo_http_options {
    struct quo_loop *loop;
    struct quo_service *service;
    const struct quo_map *map;              /* borrowed for the life of the server */
    const struct quo_http_sources *sources; /* likewise; for /metrics */
    const struct quo_token_secret *secret;  /* likewise; of the session tokens */
    int listener;        /* a listening socket, which the server owns; -1: none */
    int tls_listener;    /* likewise, for those who speak TLS */
    struct quo_tls *tls; /* borrowed for the life of the server; NULL: there is no tls_listener */
    uint32_t connections_max;    /* above it no more are accepted */
    uint32_t idle_timeout_ms;    /* without any request */
    uint32_t request_timeout_ms; /* for a request, or a TLS handshake, to arrive whole */
    uint32_t write_timeout_ms;   /* for a response to be taken */
    bool access_log;             /* a line per response */
};

/* Starts to serve in the next turn. Returns NULL when out of memory. The server lives as long as
 * the process: the library's contexts cannot be disposed of while connections exist. */
struct quo_http *quo_http_new(const struct quo_http_options *options);

const struct quo_http_stats *quo_http_stats(const struct quo_http *http);

/* To be on_end of the options that `tls` is made with. */
void quo_secure_on_end(void *transport);

/* Stops accepting, closes idle connections, and lets the others end with their current requests. */
void quo_http_drain(struct quo_http *http);
/* Whether the last connection has ended. */
bool quo_http_drained(const struct quo_http *http);

#endif
