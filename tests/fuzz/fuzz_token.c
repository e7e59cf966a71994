/* Session tokens as clients send them: what is accepted must be what its encoder writes. And what
 * any life of a session leads to must come back as it went. */
#include "tests/fuzz/fuzz.h"

#include "proxy/session/token.h"

static void come_back(const struct quo_token *token, const struct quo_token_secret *secret)
{
    char text[QUO_TOKEN_TEXT_MAX + 1], again[QUO_TOKEN_TEXT_MAX + 1];
    struct quo_token back;

    QUO_INVARIANT(quo_token_encode(token, secret, text) == QUO_OK);
    QUO_INVARIANT(strlen(text) <= QUO_TOKEN_TEXT_MAX);
    QUO_INVARIANT(quo_token_decode(quo_slice_of(text), secret, &back) == QUO_OK);
    QUO_INVARIANT(quo_token_encode(&back, secret, again) == QUO_OK);
    QUO_INVARIANT(strcmp(text, again) == 0);
}

/* 18 bytes make a key that was met. */
static void live(struct quo_slice bytes, struct quo_token *token)
{
    while (bytes.len >= QUO_TOKEN_ENTRY) {
        const struct quo_version met = {quo_get_u64(bytes.data + 8),
                                        (uint64_t)quo_get_u16(bytes.data + 16) << 48};

        quo_token_add(token, quo_get_u64(bytes.data), met, (bytes.data[16] & 1) != 0);
        bytes = quo_slice(bytes.data + QUO_TOKEN_ENTRY, bytes.len - QUO_TOKEN_ENTRY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct quo_slice bytes = quo_slice(data, size);
    struct quo_token_secret secret;
    struct quo_token token = {0}, lived = {0};

    QUO_REQUIRE(quo_token_secret(quo_slice(NULL, 0), 1, &secret) == QUO_OK);
    if (quo_token_decode(bytes, &secret, &token) == QUO_OK)
        come_back(&token, &secret);
    live(bytes, &lived);
    come_back(&lived, &secret);
    quo_token_merge(&lived, &token);
    come_back(&lived, &secret);
    return 0;
}
