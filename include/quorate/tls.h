/* What a program shows to those who connect by TLS: its certificate and key, and the rules. They
 * can be replaced while connections go on. Bytes are moved by whoever owns the connection.
 *
 * TLS 1.2 and 1.3; of 1.2 only suites with forward secrecy and authenticated encryption, the
 * server's order; no renegotiation, no compression, no early data. Sessions are resumed by tickets
 * alone, whose keys live as long as the context: no state is kept for them, and none outlives a
 * reload.
 */
#ifndef QUORATE_TLS_H
#define QUORATE_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "quorate/status.h"

struct quo_tls;
struct ssl_ctx_st; /* of OpenSSL, also called SSL_CTX */

/* Paths of PEM files. Everything here is borrowed for the life of the object. */
struct quo_tls_options {
    const char *certificate; /* the program's own first, then those that lead to the root */
    const char *key;         /* of the certificate, without a passphrase */
    const char *client_ca; /* who connects must have a certificate of one of these; "": need not */
    /* A peer has said that it sends no more; `transport` is what the owner of the connection has
     * put into its BIO. Called while bytes are read: it must not touch the connection's TLS. May be
     * NULL.
     */
    void (*on_end)(void *transport);
};

/* Reads the files. Logs what certificate it has, with a warning unless it is valid now. Returns
 * QUO_OK; QUO_INVALID with "what path: why" in why (NUL-terminated, cut to fit) for a file that is
 * missing or not what it should be and for a key that is another certificate's; QUO_NO_MEMORY, also
 * with why. Threads: start-up only. */
enum quo_status quo_tls_new(const struct quo_tls_options *options, struct quo_tls **ret_tls,
                            char *why, size_t why_size);

/* Reads the files again. Connections from now on get what they hold, others keep what they have.
 * Errors as in quo_tls_new; nothing changes then. Threads: any, one at a time. */
enum quo_status quo_tls_reload(struct quo_tls *tls, char *why, size_t why_size);

/* The context for a new connection, to be given back when the connection is gone. Threads: any. */
struct ssl_ctx_st *quo_tls_acquire(struct quo_tls *tls);
/* No-op for NULL. Threads: any. */
void quo_tls_release(struct ssl_ctx_st *context);

/* When the certificate in use ends, seconds since 1970 (UTC). Threads: any. */
int64_t quo_tls_expires(const struct quo_tls *tls);

/* Why the last call of OpenSSL in this thread failed, and forgets it. Static storage; never NULL.
 */
const char *quo_tls_failure(void);

/* Requires that nobody uses the object any more; contexts that were acquired stay until they are
 * released. No-op for NULL. */
void quo_tls_free(struct quo_tls *tls);

#endif
