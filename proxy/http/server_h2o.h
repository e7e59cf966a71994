/* What the files of the HTTP adapter share. Included by *_h2o.c only.
 *
 * Life of a request: the library owns h2o_req_t and may free it at any time; a quo_exchange stands
 * for it on our side. A chunk in the request's pool tells the exchange when the request is gone,
 * and the service tells it when the operation has ended; the exchange goes after both.
 */
#ifndef QUORATE_HTTP_SERVER_H2O_H
#define QUORATE_HTTP_SERVER_H2O_H

#include <h2o.h>

#include "proxy/http/answer.h"
#include "proxy/http/head_h2o.h"
#include "proxy/http/server.h"

struct quo_exchange;
struct quo_http_batch;
struct quo_line;
struct quo_secure;

enum quo_http_version { QUO_HTTP_UNKNOWN = 0, QUO_HTTP_1 = 1, QUO_HTTP_2 = 2 };

struct quo_connection {
    struct quo_http *http;
    struct quo_secure *secure; /* NULL: without TLS */
    h2o_linklist_t link;       /* in http->connections */
    h2o_socket_t *socket;      /* until it is closed, when we go as well */
    bool *ret_closed;          /* told when we go; may be NULL */
    enum quo_http_version version;
    bool cut;               /* the socket was shut down: the end is near */
    uint32_t open;          /* exchanges whose request still exists */
    uint32_t operations;    /* exchanges whose operation has not ended */
    h2o_linklist_t pending; /* those exchanges */
    uint64_t quiet_since;   /* mono us: opened, TLS agreed upon, or the last request ended */
    uint64_t partial_since; /* part of a request was first seen waiting; 0: none is */

    /* HTTP/1 */
    h2o_req_t *armed; /* the request during which we read on, to see the client go */

    /* HTTP/2 */
    struct quo_guard *guard;
    h2o_socket_cb library_read;
    size_t bytes_written; /* at the last read */
};

struct quo_exchange {
    struct quo_http *http;
    struct quo_connection *connection; /* valid while `request` or `pending` */
    h2o_req_t *request;                /* NULL once it is gone */
    h2o_linklist_t link;               /* in connection->pending or http->unsent */
    struct quo_slice body;             /* good until quo_exchange_dispatch returns */
    struct quo_http_batch *batch;      /* NULL: the request has brought none */
    struct quo_line *line;             /* of a batch, whose request is `request`; NULL: none */
    bool pending;                      /* the service has the operation */
    quo_ticket ticket;
    /* Of work that is more than one operation of the service; called when nobody waits for it. */
    void (*abandon)(struct quo_exchange *exchange);
    void *work;
    void *kept; /* in the request's pool: what the answer will need besides */
    uint64_t started_us;
    uint64_t answered_us;
    struct quo_operation operation;  /* slices in the request's pool */
    struct quo_slice method, target; /* likewise; for the access log only */
    bool in_session;                 /* `token` and `session_key` say something */
    uint64_t session_key;            /* what tokens name the key by */
    char request_id[QUO_REQUEST_ID_MAX + 1];
    struct quo_token token;
};

/* Where clients connect to. */
struct quo_http_listener {
    struct quo_http *http;
    h2o_socket_t *socket; /* NULL: there is none, or no longer */
    bool secure;          /* they speak TLS */
    bool accepting;
};

struct quo_http {
    struct quo_http_options options;
    struct quo_env *env;
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct quo_http_listener listeners[2];
    bool draining;
    struct quo_timed sweep;
    uint64_t next_sweep_us;
    struct quo_timed look;
    uint64_t next_look_us;

    uint32_t connection_count;
    uint32_t handshakes; /* of TLS, under way */
    h2o_linklist_t connections;
    h2o_linklist_t unsent; /* exchanges answered and not yet taken by the client, oldest first */
    h2o_mem_recycle_t exchanges;
    uint64_t body_bytes;          /* unfinished bodies of all HTTP/2 connections */
    uint64_t flood_logged_us;     /* floods are logged once a second at most */
    uint64_t handshake_logged_us; /* so are handshakes that failed */
    uint64_t handshakes_unlogged; /* since then */
    uint64_t id_base;             /* random; request ids count from it */
    uint64_t id_next;
    struct quo_http_stats stats;

    struct quo_head_names names;

    /* Scratch of the request that is being read or answered. */
    struct quo_http_header headers[QUO_HTTP_HEADER_COUNT_MAX];
    struct quo_wish wish;
    struct quo_answer answer;
};

/* connection_h2o.c */

/* Takes over a socket that the listener has accepted. */
void quo_connection_open(const struct quo_http_listener *listener, h2o_socket_t *socket);
struct quo_connection *quo_connection_of(h2o_req_t *request);
struct quo_connection *quo_connection_of_socket(h2o_socket_t *socket);
/* Goes on when it can be told which version of HTTP the client speaks. */
void quo_connection_await_first_bytes(struct quo_connection *connection);
/* Ends a connection without regard to what it does; it is freed in a later turn. */
void quo_connection_cut(struct quo_connection *connection);
/* Ends it for a flood: counted and logged. */
void quo_connection_flooded(struct quo_connection *connection, enum quo_flood flood);
/* Goes on reading while an HTTP/1 request waits, which saves two system calls. The buffer may move
 * then: what the request points to in it (method, target, headers, body) must not be looked at any
 * more. */
void quo_connection_arm(struct quo_connection *connection, h2o_req_t *request);
/* Called each second. Returns the bytes that unfinished requests hold. */
uint64_t quo_connection_sweep(struct quo_connection *connection, uint64_t now_us);

/* secure_h2o.c */

/* Begins TLS on a new connection. */
void quo_secure_begin(struct quo_connection *connection);
/* Whether its handshake is under way. */
bool quo_secure_shaking(const struct quo_connection *connection);
/* What was agreed upon in the handshake; HTTP/1 if nothing was. */
enum quo_http_version quo_secure_version(const struct quo_connection *connection);
/* Ends an idle connection, with a word to the client. False: that was begun before. */
bool quo_secure_retire(struct quo_connection *connection);
/* A request of it has gone. */
void quo_secure_request_gone(struct quo_connection *connection);
/* The connection has closed. No-op without TLS. */
void quo_secure_free(struct quo_connection *connection);

/* exchange_h2o.c */

/* The handler of every request. */
int quo_exchange_begin(h2o_handler_t *handler, h2o_req_t *request);
/* An exchange for one line of a batch: to be dispatched, and gone once it has answered. */
struct quo_exchange *quo_exchange_of_line(struct quo_exchange *batch, struct quo_line *line);
/* Begins what a request wants. `header_count`: how many fields there are, of which the input shows
 * no more than QUO_HTTP_HEADER_COUNT_MAX. */
void quo_exchange_dispatch(struct quo_exchange *exchange, const struct quo_http_request *input,
                           size_t header_count);
/* The connection of a pending exchange has closed. */
void quo_exchange_disown(struct quo_exchange *exchange);
/* Whether the connection may have one more operation under way; else this is the answer. */
bool quo_exchange_has_room(struct quo_exchange *exchange);
/* Begins to wait for work that the service has. */
void quo_exchange_wait(struct quo_exchange *exchange);
/* The work has ended. Returns false if the request is gone by now, and so is the exchange. */
bool quo_exchange_resume(struct quo_exchange *exchange);
/* Whether the connection may have one more operation, and the session is understood. If not, the
 * exchange is answered. */
bool quo_exchange_admit(struct quo_exchange *exchange, const struct quo_http_request *input,
                        const struct quo_wish *wish);
/* Ends the wait with a refusal: the service could not take the work. */
void quo_exchange_overloaded(struct quo_exchange *exchange, enum quo_status status);
struct quo_answer_facts quo_exchange_facts(const struct quo_exchange *exchange);
/* Sends http->answer; a problem instead. Both require that the request exists and nothing is
 * awaited. `allowed`: methods for Allow, 0 for none. */
void quo_exchange_respond(struct quo_exchange *exchange);
void quo_exchange_refuse(struct quo_exchange *exchange, const struct quo_problem *problem,
                         uint32_t allowed);
/* Begins a response of which http->answer is the head; the generator's maker sends the body. */
void quo_exchange_start(struct quo_exchange *exchange, h2o_generator_t *generator);
/* Writes into the access log, if there is one: a request was answered. */
void quo_exchange_log(const struct quo_exchange *exchange, int status, uint64_t bytes);
/* Writes a new request id. */
void quo_exchange_make_id(struct quo_http *http, char out[QUO_REQUEST_ID_MAX + 1]);
/* The generator that marks a response as ours. */
extern h2o_generator_t quo_exchange_generator;

/* Notes that an answer, or part of it, has gone to the library at this moment, and that the client
 * has taken it. Who takes nothing for too long is cut. */
void quo_exchange_unsent(struct quo_exchange *exchange);
void quo_exchange_sent(struct quo_exchange *exchange);

/* batch_h2o.c */

/* Begins what a POST of lines wants. */
void quo_batch_begin(struct quo_exchange *exchange, const struct quo_http_request *input);
/* A line has its answer, in http->answer. */
void quo_batch_answered(struct quo_line *line);
/* The request is gone, and so is the batch. Returns whether it had not ended. */
bool quo_batch_gone(struct quo_http_batch *batch);

/* list_h2o.c */

/* Begins a listing. */
void quo_list_begin(struct quo_exchange *exchange, const struct quo_http_request *input,
                    const struct quo_wish *wish);

/* collections_h2o.c */

/* Begins what a request for a timeline or a set wants. */
void quo_collections_begin(struct quo_exchange *exchange, const struct quo_http_request *input,
                           const struct quo_wish *wish);

/* counter_h2o.c */

/* Begins to add up a counter that is made of slots. The exchange may be over when it returns. */
void quo_counter_begin(struct quo_exchange *exchange, const struct quo_wish *wish);

/* cluster_h2o.c */

/* Begins what is asked of several nodes. */
void quo_cluster_begin(struct quo_exchange *exchange, const struct quo_wish *wish);

/* pages_h2o.c */

/* Answers everything that is not data, into http->answer. */
void quo_pages_answer(struct quo_http *http, const struct quo_wish *wish,
                      const struct quo_answer_facts *facts, struct quo_text *text);

/* own_errors_h2o.c */

/* Makes problem documents of the errors that the library answers by itself. */
void quo_own_errors_register(struct quo_http *http, h2o_pathconf_t *path);

/* server_h2o.c */

/* Publishes how many partitions lack a quorum. */
void quo_http_look(struct quo_http *http);
/* The largest value that some namespace allows. */
size_t quo_http_value_max(const struct quo_map *map);
/* A connection has gone: there may be room for another. */
void quo_http_resume_accepting(struct quo_http *http);

struct quo_http_handler {
    h2o_handler_t super;
    struct quo_http *http;
};

#endif
