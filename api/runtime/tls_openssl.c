#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "quorate/base.h"
#include "quorate/log.h"
#include "quorate/tls.h"

/* All of them are among those that HTTP/2 allows (RFC 9113 section 9.2.2). */
#define SUITES_12                                                                                  \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CLIENT_CERTIFICATES_MAX (32 * 1024) /* bytes of what one peer shows */

struct quo_tls {
    struct quo_tls_options options;
    pthread_mutex_t mutex;
    SSL_CTX *current; /* under the mutex */
    _Atomic int64_t expires;
};

/* Where a failure is described. */
struct complaint {
    char *text;
    size_t size;
};

/* Errors */

const char *quo_tls_failure(void)
{
    /* The first is the cause; later ones say what could not be done because of it. */
    const unsigned long error = ERR_get_error();
    const char *text = NULL;

    if (ERR_SYSTEM_ERROR(error))
        text = strerrordesc_np(ERR_GET_REASON(error));
    else if (error != 0)
        text = ERR_reason_error_string(error);
    ERR_clear_error();
    return text != NULL ? text : "unknown reason";
}

static bool complain(const struct complaint *complaint, const char *what, const char *path,
                     const char *why)
{
    snprintf(complaint->text, complaint->size, "%s %s: %s", what, path, why);
    return false;
}

/* Of a file in which nothing was found: why. */
static const char *failure_in_pem(const char *nothing)
{
    const unsigned long error = ERR_peek_error();

    if (ERR_SYSTEM_ERROR(error))
        return quo_tls_failure();
    ERR_clear_error();
    return nothing;
}

/* Reading */

static bool use_certificate(SSL_CTX *context, const char *path, const struct complaint *complaint)
{
    unsigned long error;

    if (SSL_CTX_use_certificate_chain_file(context, path) == 1)
        return true;
    error = ERR_peek_error();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
        return complain(complaint, "certificate", path,
                        failure_in_pem("there is no certificate in PEM form in it"));
    return complain(complaint, "certificate", path, quo_tls_failure());
}

/* Nobody is there to be asked; without this OpenSSL would ask the terminal. */
static int on_passphrase(char *out, int size, int for_writing, void *context)
{
    (void)out;
    (void)size;
    (void)for_writing;
    *(bool *)context = true;
    return -1;
}

static EVP_PKEY *read_key(const char *path, const struct complaint *complaint)
{
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *key = NULL;
    bool encrypted = false;

    if (file != NULL)
        key = PEM_read_bio_PrivateKey(file, NULL, on_passphrase, &encrypted);
    BIO_free(file);
    if (key != NULL)
        return key;
    if (encrypted) {
        ERR_clear_error();
        complain(complaint, "key", path, "it needs a passphrase, and nobody is asked for one");
    } else {
        complain(complaint, "key", path,
                 failure_in_pem("there is no private key in PEM form in it"));
    }
    return NULL;
}

static bool use_key(SSL_CTX *context, const char *path, const struct complaint *complaint)
{
    EVP_PKEY *key = read_key(path, complaint);
    bool used;

    if (key == NULL)
        return false;
    if (X509_check_private_key(SSL_CTX_get0_certificate(context), key) != 1) {
        EVP_PKEY_free(key);
        ERR_clear_error();
        return complain(complaint, "key", path, "it does not belong to the certificate");
    }
    used = SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    return used || complain(complaint, "key", path, quo_tls_failure());
}

static bool demand_certificates(SSL_CTX *context, const char *path,
                                const struct complaint *complaint)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);

    if (names == NULL || SSL_CTX_load_verify_locations(context, path, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return complain(complaint, "client CA", path,
                        failure_in_pem("there is no certificate in PEM form in it"));
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_max_cert_list(context, CLIENT_CERTIFICATES_MAX);
    return true;
}

/* Rules */

/* A client that offers none of ours is refused (RFC 7301 section 3.2); one that offers nothing at
 * all does not get here. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *offered, unsigned int offered_len, void *unused)
{
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)unused;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void on_info(const SSL *ssl, int where, int alert)
{
    const struct quo_tls *tls;

    if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT || (alert & 0xff) != SSL_AD_CLOSE_NOTIFY)
        return;
    tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (tls->options.on_end != NULL)
        tls->options.on_end(BIO_get_data(SSL_get_rbio(ssl)));
}

static bool set_rules(SSL_CTX *context)
{
    static const unsigned char session_context[] = "quorate"; /* tickets of others are no good */

    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION);
    /* Idle connections keep no buffers. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    SSL_CTX_set_info_callback(context, on_info);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, SUITES_12) == 1 &&
           SSL_CTX_set_ciphersuites(context, SUITES_13) == 1 &&
           SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) ==
               1;
}

static enum quo_status build(struct quo_tls *tls, SSL_CTX **ret, const struct complaint *complaint)
{
    const struct quo_tls_options *options = &tls->options;
    SSL_CTX *context;

    ERR_clear_error();
    context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || !set_rules(context)) {
        SSL_CTX_free(context);
        snprintf(complaint->text, complaint->size, "no TLS: %s", quo_tls_failure());
        return QUO_NO_MEMORY;
    }
    SSL_CTX_set_app_data(context, tls);
    if (!use_certificate(context, options->certificate, complaint) ||
        !use_key(context, options->key, complaint) ||
        (options->client_ca[0] != '\0' &&
         !demand_certificates(context, options->client_ca, complaint))) {
        SSL_CTX_free(context);
        return QUO_INVALID;
    }
    *ret = context;
    return QUO_OK;
}

/* The certificate */

static int64_t seconds_of(const ASN1_TIME *at)
{
    struct tm utc = {0};

    return ASN1_TIME_to_tm(at, &utc) == 1 ? (int64_t)timegm(&utc) : 0;
}

static void log_certificate(const struct quo_tls *tls, const X509 *certificate)
{
    const ASN1_TIME *begin = X509_get0_notBefore(certificate);
    const ASN1_TIME *end = X509_get0_notAfter(certificate);
    const time_t expires = seconds_of(end);
    const char *state = "valid";
    char subject[256], path[300], quoted[600], date[32];
    struct tm utc;

    if (X509_cmp_current_time(begin) > 0)
        state = "not-yet-valid";
    else if (X509_cmp_current_time(end) < 0)
        state = "expired";
    gmtime_r(&expires, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
    quo_log(strcmp(state, "valid") == 0 ? QUO_LOG_INFO : QUO_LOG_WARN, "tls.certificate",
            "file=%s subject=%s state=%s expires=%s",
            quo_log_quote(quo_slice_of(tls->options.certificate), path, sizeof path),
            quo_log_quote(quo_slice_of(subject), quoted, sizeof quoted), state, date);
}

static void install(struct quo_tls *tls, SSL_CTX *context)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    SSL_CTX *before;

    log_certificate(tls, certificate);
    atomic_store(&tls->expires, seconds_of(X509_get0_notAfter(certificate)));
    pthread_mutex_lock(&tls->mutex);
    before = tls->current;
    tls->current = context;
    pthread_mutex_unlock(&tls->mutex);
    SSL_CTX_free(before);
}

/* Interface */

enum quo_status quo_tls_new(const struct quo_tls_options *options, struct quo_tls **ret_tls,
                            char *why, size_t why_size)
{
    struct quo_tls *tls = calloc(1, sizeof *tls);
    enum quo_status status;

    if (tls == NULL) {
        snprintf(why, why_size, "out of memory");
        return QUO_NO_MEMORY;
    }
    tls->options = *options;
    pthread_mutex_init(&tls->mutex, NULL);
    status = quo_tls_reload(tls, why, why_size);
    if (status != QUO_OK) {
        quo_tls_free(tls);
        return status;
    }
    *ret_tls = tls;
    return QUO_OK;
}

enum quo_status quo_tls_reload(struct quo_tls *tls, char *why, size_t why_size)
{
    const struct complaint complaint = {.text = why, .size = why_size};
    SSL_CTX *context = NULL;
    const enum quo_status status = build(tls, &context, &complaint);

    if (status == QUO_OK)
        install(tls, context);
    return status;
}

struct ssl_ctx_st *quo_tls_acquire(struct quo_tls *tls)
{
    SSL_CTX *context;

    pthread_mutex_lock(&tls->mutex);
    context = tls->current;
    SSL_CTX_up_ref(context);
    pthread_mutex_unlock(&tls->mutex);
    return context;
}

void quo_tls_release(struct ssl_ctx_st *context)
{
    SSL_CTX_free(context);
}

int64_t quo_tls_expires(const struct quo_tls *tls)
{
    return atomic_load(&tls->expires);
}

void quo_tls_free(struct quo_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->current);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}
