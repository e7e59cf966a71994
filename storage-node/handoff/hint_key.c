#include "storage-node/handoff/handoff.h"

size_t quo_hint_key_encode(const struct quo_hint_key *key, uint8_t *out)
{
    QUO_REQUIRE(key->key.len >= QUO_STORAGE_KEY_PREFIX && key->key.len <= QUO_STORAGE_KEY_MAX);
    quo_put_u64(out, key->target);
    quo_version_encode(key->version, out + 8);
    memcpy(out + QUO_HINT_KEY_PREFIX, key->key.data, key->key.len);
    return QUO_HINT_KEY_PREFIX + key->key.len;
}

enum quo_status quo_hint_key_decode(struct quo_slice bytes, struct quo_hint_key *ret)
{
    if (bytes.len < QUO_HINT_KEY_PREFIX + QUO_STORAGE_KEY_PREFIX || bytes.len > QUO_HINT_KEY_MAX)
        return QUO_MALFORMED;
    *ret = (struct quo_hint_key){
        .target = quo_get_u64(bytes.data),
        .version = quo_version_decode(bytes.data + 8),
        .key = quo_slice(bytes.data + QUO_HINT_KEY_PREFIX, bytes.len - QUO_HINT_KEY_PREFIX),
    };
    return QUO_OK;
}

/* Versions are unique among a target's hints: each has the key of its write behind it. */
void quo_hint_key_after(uint64_t target, struct quo_version version,
                        uint8_t out[QUO_HINT_KEY_PREFIX])
{
    if (!quo_version_is_none(version) && ++version.node == 0)
        version.hlc++;
    quo_put_u64(out, target);
    quo_version_encode(version, out + 8);
}
