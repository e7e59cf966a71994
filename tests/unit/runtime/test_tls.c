/* The rules of TLS, tried by two ends in one thread: certificates are made on the spot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "quorate/base.h"
#include "quorate/tls.h"

#define DAY 86400

static char folder[] = "/tmp/quorate-tls-XXXXXX";
static char certificate_path[64], key_path[64], other_key_path[64], log_path[64];
static int ends_seen;

/* Certificates */

static EVP_PKEY *make_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file = fopen(path, "w");

    assert_non_null(key);
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    return key;
}

/* One that has signed itself, good from and until so many seconds from now. */
static void make_certificate(long from, long until)
{
    EVP_PKEY *key = make_key(key_path);
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    FILE *file = fopen(certificate_path, "w");

    assert_non_null(file);
    X509_set_version(certificate, X509_VERSION_3);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from);
    X509_gmtime_adj(X509_getm_notAfter(certificate), until);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(certificate_path, sizeof certificate_path, "%s/certificate", folder);
    snprintf(key_path, sizeof key_path, "%s/key", folder);
    snprintf(other_key_path, sizeof other_key_path, "%s/other", folder);
    snprintf(log_path, sizeof log_path, "%s/log", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(certificate_path);
    unlink(key_path);
    unlink(other_key_path);
    unlink(log_path);
    return rmdir(folder);
}

/* Two ends */

static void on_end(void *transport)
{
    (void)transport;
    ends_seen++;
}

static struct quo_tls *make(const char *client_ca)
{
    const struct quo_tls_options options = {certificate_path, key_path, client_ca, on_end};
    struct quo_tls *tls = NULL;
    char why[256] = "";

    assert_int_equal(quo_tls_new(&options, &tls, why, sizeof why), QUO_OK);
    return tls;
}

struct ends {
    SSL *server;
    SSL *client;
};

static struct ends connect_ends(SSL_CTX *server, SSL_CTX *client)
{
    struct ends ends = {SSL_new(server), SSL_new(client)};
    BIO *one = NULL, *other = NULL;

    assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
    SSL_set_bio(ends.server, one, one);
    SSL_set_bio(ends.client, other, other);
    SSL_set_accept_state(ends.server);
    SSL_set_connect_state(ends.client);
    return ends;
}

/* Whether both ends are content. */
static bool shake(const struct ends *ends)
{
    int client = 0, server = 0;

    for (int i = 0; i < 10 && (client != 1 || server != 1); i++) {
        client = SSL_do_handshake(ends->client);
        server = SSL_do_handshake(ends->server);
    }
    return client == 1 && server == 1;
}

static void free_ends(const struct ends *ends)
{
    SSL_free(ends->server);
    SSL_free(ends->client);
    ERR_clear_error();
}

static SSL_CTX *make_client(int version, const char *protocols)
{
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());

    assert_non_null(client);
    SSL_CTX_set_security_level(client, 0);
    SSL_CTX_set_min_proto_version(client, version);
    SSL_CTX_set_max_proto_version(client, version);
    if (protocols != NULL)
        SSL_CTX_set_alpn_protos(client, (const unsigned char *)protocols,
                                (unsigned)strlen(protocols));
    return client;
}

static bool try(struct quo_tls *tls, int version, const char *protocols, const char *ret_protocol)
{
    SSL_CTX *server = quo_tls_acquire(tls);
    SSL_CTX *client = make_client(version, protocols);
    struct ends ends = connect_ends(server, client);
    const unsigned char *agreed = NULL;
    unsigned agreed_len = 0;
    bool done = shake(&ends);

    if (done) {
        SSL_get0_alpn_selected(ends.client, &agreed, &agreed_len);
        assert_int_equal(agreed_len, strlen(ret_protocol));
        assert_memory_equal(agreed_len > 0 ? (const char *)agreed : "", ret_protocol, agreed_len);
    }
    free_ends(&ends);
    SSL_CTX_free(client);
    quo_tls_release(server);
    return done;
}

static void versions_and_protocols(void **state)
{
    (void)state;
    make_certificate(-DAY, DAY);
    struct quo_tls *tls = make("");

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        assert_true(try(tls, version, NULL, ""));
        assert_true(try(tls, version, "\x02h2", "h2"));
        assert_true(try(tls, version, "\x08http/1.1\x02h2", "h2"));
        assert_true(try(tls, version, "\x03xyz\x08http/1.1", "http/1.1"));
        assert_false(try(tls, version, "\x03xyz", ""));
    }
    assert_false(try(tls, TLS1_1_VERSION, NULL, ""));
    assert_false(try(tls, TLS1_VERSION, NULL, ""));
    quo_tls_free(tls);
}

static void who_has_no_certificate_is_refused(void **state)
{
    (void)state;
    make_certificate(-DAY, DAY);
    struct quo_tls *tls = make(certificate_path);
    SSL_CTX *server = quo_tls_acquire(tls);

    for (int certified = 0; certified <= 1; certified++) {
        SSL_CTX *client = make_client(TLS1_3_VERSION, NULL);

        if (certified) {
            SSL_CTX_use_certificate_file(client, certificate_path, SSL_FILETYPE_PEM);
            SSL_CTX_use_PrivateKey_file(client, key_path, SSL_FILETYPE_PEM);
        }
        struct ends ends = connect_ends(server, client);

        assert_int_equal(shake(&ends), certified);
        free_ends(&ends);
        SSL_CTX_free(client);
    }
    quo_tls_release(server);
    quo_tls_free(tls);
}

static void the_reason_of_a_failure(void **state)
{
    (void)state;
    make_certificate(-DAY, DAY);
    struct quo_tls *tls = make("");
    SSL_CTX *server = quo_tls_acquire(tls), *client = make_client(TLS1_3_VERSION, NULL);
    struct ends ends = connect_ends(server, client);

    BIO_write(SSL_get_rbio(ends.client), "GET / HTTP/1.1\r\n", 16);
    assert_int_equal(SSL_accept(ends.server), -1);
    assert_string_equal(quo_tls_failure(), "http request");
    assert_string_equal(quo_tls_failure(), "unknown reason");
    free_ends(&ends);
    SSL_CTX_free(client);
    quo_tls_release(server);
    quo_tls_free(tls);
}

static void the_end_is_announced(void **state)
{
    (void)state;
    make_certificate(-DAY, DAY);
    struct quo_tls *tls = make("");
    SSL_CTX *server = quo_tls_acquire(tls), *client = make_client(TLS1_3_VERSION, NULL);
    struct ends ends = connect_ends(server, client);
    char byte;

    assert_true(shake(&ends));
    ends_seen = 0;
    assert_int_equal(SSL_write(ends.client, "x", 1), 1);
    assert_int_equal(SSL_read(ends.server, &byte, 1), 1);
    assert_int_equal(ends_seen, 0);
    SSL_shutdown(ends.client);
    assert_int_equal(SSL_read(ends.server, &byte, 1), 0);
    assert_int_equal(ends_seen, 1);
    free_ends(&ends);
    SSL_CTX_free(client);
    quo_tls_release(server);
    quo_tls_free(tls);
}

static void a_reload_is_for_later_connections(void **state)
{
    char why[256] = "";

    (void)state;
    make_certificate(-DAY, DAY);
    struct quo_tls *tls = make("");
    SSL_CTX *before = quo_tls_acquire(tls);
    const int64_t expires = quo_tls_expires(tls);

    make_certificate(-DAY, 9 * DAY);
    assert_int_equal(quo_tls_reload(tls, why, sizeof why), QUO_OK);
    assert_in_range(quo_tls_expires(tls) - expires, 7 * DAY, 9 * DAY);
    SSL_CTX *after = quo_tls_acquire(tls);
    assert_ptr_not_equal(before, after);
    assert_int_not_equal(
        X509_cmp(SSL_CTX_get0_certificate(before), SSL_CTX_get0_certificate(after)), 0);

    unlink(key_path);
    assert_int_equal(quo_tls_reload(tls, why, sizeof why), QUO_INVALID);
    assert_non_null(strstr(why, key_path));
    assert_non_null(strstr(why, "No such file"));
    SSL_CTX *still = quo_tls_acquire(tls);
    assert_ptr_equal(after, still);
    quo_tls_release(before);
    quo_tls_release(after);
    quo_tls_release(still);
    quo_tls_release(NULL);
    quo_tls_free(tls);
    quo_tls_free(NULL);
}

static void a_key_of_another_certificate(void **state)
{
    const struct quo_tls_options options = {certificate_path, other_key_path, "", NULL};
    struct quo_tls *tls = NULL;
    char why[256] = "";

    (void)state;
    make_certificate(-DAY, DAY);
    EVP_PKEY_free(make_key(other_key_path));
    assert_int_equal(quo_tls_new(&options, &tls, why, sizeof why), QUO_INVALID);
    assert_non_null(strstr(why, "does not belong to the certificate"));
    assert_null(tls);
    assert_int_equal(ERR_peek_error(), 0);
}

/* What is logged while such a certificate is read. */
static void log_of(long from, long until, char *out, size_t size)
{
    FILE *file = fopen(log_path, "w+");
    const int kept = dup(STDERR_FILENO);

    assert_non_null(file);
    make_certificate(from, until);
    dup2(fileno(file), STDERR_FILENO);
    struct quo_tls *tls = make("");
    dup2(kept, STDERR_FILENO);
    close(kept);
    quo_tls_free(tls);
    rewind(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void certificates_that_are_not_valid_now(void **state)
{
    char line[1024];

    (void)state;
    log_of(-DAY, DAY, line, sizeof line);
    assert_non_null(strstr(line, "level=info event=tls.certificate "));
    assert_non_null(strstr(line, "subject=\"/CN=test\" state=valid expires="));
    log_of(-2 * DAY, -DAY, line, sizeof line);
    assert_non_null(strstr(line, "level=warn event=tls.certificate "));
    assert_non_null(strstr(line, "state=expired"));
    log_of(DAY, 2 * DAY, line, sizeof line);
    assert_non_null(strstr(line, "level=warn event=tls.certificate "));
    assert_non_null(strstr(line, "state=not-yet-valid"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_and_protocols),
        cmocka_unit_test(who_has_no_certificate_is_refused),
        cmocka_unit_test(the_reason_of_a_failure),
        cmocka_unit_test(the_end_is_announced),
        cmocka_unit_test(a_reload_is_for_later_connections),
        cmocka_unit_test(a_key_of_another_certificate),
        cmocka_unit_test(certificates_that_are_not_valid_now),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
