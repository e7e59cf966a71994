#include "proxy/session/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define FORMAT 1u
#define FIRM_AT 29u
#define MAC_WHOLE 32u /* bytes, before it is truncated */

_Static_assert(QUO_TOKEN_ENTRIES_MAX == 8, "one bit for each entry, in one byte");
_Static_assert(FIRM_AT + 1 == QUO_TOKEN_HEAD, "the entries follow");

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char derived[] = "quorate session token";

_Static_assert(sizeof derived + sizeof(uint64_t) <= QUO_TOKEN_SECRET_DIGITS_MAX / 2,
               "a secret holds what is derived");

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static uint32_t hash_of_cluster(uint64_t cluster)
{
    uint8_t bytes[sizeof cluster];

    quo_put_u64(bytes, cluster);
    return (uint32_t)(XXH3_64bits(bytes, sizeof bytes) >> 32);
}

enum quo_status quo_token_secret(struct quo_slice digits, uint64_t cluster,
                                 struct quo_token_secret *ret)
{
    struct quo_token_secret secret = {.cluster = hash_of_cluster(cluster)};

    if (digits.len == 0) {
        memcpy(secret.bytes, derived, sizeof derived);
        quo_put_u64(secret.bytes + sizeof derived, cluster);
        secret.size = sizeof derived + sizeof cluster;
        *ret = secret;
        return QUO_OK;
    }
    if (digits.len < QUO_TOKEN_SECRET_DIGITS_MIN || digits.len > QUO_TOKEN_SECRET_DIGITS_MAX ||
        digits.len % 2 != 0)
        return QUO_INVALID;
    for (size_t i = 0; i < digits.len; i += 2) {
        int high = digit(digits.data[i]), low = digit(digits.data[i + 1]);

        if (high < 0 || low < 0)
            return QUO_INVALID;
        secret.bytes[secret.size++] = (uint8_t)(high * 16 + low);
    }
    *ret = secret;
    return QUO_OK;
}

static enum quo_status sign(const uint8_t *raw, size_t size, const struct quo_token_secret *secret,
                            uint8_t out[QUO_TOKEN_MAC])
{
    uint8_t whole[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (HMAC(EVP_sha256(), secret->bytes, secret->size, raw, size, whole, &len) == NULL)
        return QUO_NO_MEMORY;
    QUO_INVARIANT(len == MAC_WHOLE);
    memcpy(out, whole, QUO_TOKEN_MAC);
    return QUO_OK;
}

static size_t to_text(const uint8_t *raw, size_t size, char *out)
{
    uint32_t held = 0;
    unsigned bits = 0;
    size_t len = 0;

    for (size_t i = 0; i < size; i++) {
        held = held << 8 | raw[i];
        for (bits += 8; bits >= 6; bits -= 6)
            out[len++] = alphabet[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        out[len++] = alphabet[held << (6 - bits) & 63];
    out[len] = '\0';
    return len;
}

/* Returns false unless it is what to_text writes. */
static bool to_raw(struct quo_slice text, uint8_t out[QUO_TOKEN_RAW_MAX], size_t *ret_size)
{
    uint32_t held = 0;
    unsigned bits = 0;
    size_t size = 0;

    if (text.len > QUO_TOKEN_TEXT_MAX || text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = memchr(alphabet, text.data[i], sizeof alphabet - 1);

        if (at == NULL)
            return false;
        held = held << 6 | (uint32_t)(at - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[size++] = (uint8_t)(held >> bits);
        }
    }
    *ret_size = size;
    return (held & ((1u << bits) - 1)) == 0;
}

static size_t write_raw(const struct quo_token *token, uint32_t cluster, uint8_t *out)
{
    uint8_t *at = out + QUO_TOKEN_HEAD;

    out[0] = FORMAT;
    quo_put_u32(out + 1, cluster);
    quo_put_u64(out + 5, token->max_hlc);
    quo_put_u64(out + 13, token->low_firm);
    quo_put_u64(out + 21, token->low_weak);
    out[FIRM_AT] = 0;
    for (uint8_t i = 0; i < token->count; i++, at += QUO_TOKEN_ENTRY) {
        const struct quo_token_entry *entry = &token->entries[i];

        out[FIRM_AT] |= (uint8_t)((unsigned)entry->is_firm << i);
        quo_put_u64(at, entry->key);
        quo_put_u64(at + 8, entry->seen.hlc);
        quo_put_u16(at + 16, (uint16_t)(entry->seen.node >> 48));
    }
    return (size_t)(at - out);
}

enum quo_status quo_token_encode(const struct quo_token *token,
                                 const struct quo_token_secret *secret,
                                 char out[QUO_TOKEN_TEXT_MAX + 1])
{
    uint8_t raw[QUO_TOKEN_RAW_MAX];
    size_t size = write_raw(token, secret->cluster, raw);
    enum quo_status status = sign(raw, size, secret, raw + size);

    if (status == QUO_OK)
        to_text(raw, size + QUO_TOKEN_MAC, out);
    return status;
}

/* What is not as write_raw makes it is put in its place: who has the secret may have made it, and
 * is no reason to read beyond an end. */
static void read_raw(const uint8_t *raw, size_t size, struct quo_token *ret)
{
    const size_t count = (size - QUO_TOKEN_HEAD) / QUO_TOKEN_ENTRY;
    struct quo_token lows = {
        .max_hlc = quo_get_u64(raw + 5),
        .low_firm = quo_get_u64(raw + 13),
        .low_weak = quo_get_u64(raw + 21),
    };

    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = raw + QUO_TOKEN_HEAD + i * QUO_TOKEN_ENTRY;
        struct quo_version seen = {quo_get_u64(at + 8), (uint64_t)quo_get_u16(at + 16) << 48};

        quo_token_add(ret, quo_get_u64(at), seen, (raw[FIRM_AT] >> i & 1) != 0);
    }
    quo_token_raise(ret, QUO_MAX(lows.low_firm, lows.low_weak));
    quo_token_merge(ret, &lows);
}

enum quo_status quo_token_decode(struct quo_slice text, const struct quo_token_secret *secret,
                                 struct quo_token *ret)
{
    uint8_t raw[QUO_TOKEN_RAW_MAX], mac[QUO_TOKEN_MAC];
    size_t size;

    if (!to_raw(text, raw, &size) || size < QUO_TOKEN_HEAD + QUO_TOKEN_MAC ||
        (size - QUO_TOKEN_HEAD - QUO_TOKEN_MAC) % QUO_TOKEN_ENTRY != 0 || raw[0] != FORMAT)
        return QUO_INVALID;
    if (quo_get_u32(raw + 1) != secret->cluster)
        return QUO_WRONG_CLUSTER;
    size -= QUO_TOKEN_MAC;
    enum quo_status status = sign(raw, size, secret, mac);
    if (status != QUO_OK)
        return status;
    if (CRYPTO_memcmp(mac, raw + size, sizeof mac) != 0)
        return QUO_INVALID;
    read_raw(raw, size, ret);
    return QUO_OK;
}
