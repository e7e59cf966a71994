#include "proxy/collections/timeline.h"

enum { MARK_ENTRY = 1, MARK_CLAIM = 2 };

#define OPID_SIZE 16u

_Static_assert(sizeof(struct quo_opid) == OPID_SIZE && OPID_SIZE == QUO_VERSION_SIZE,
               "an operation is written like a version");
_Static_assert(QUO_TIMELINE_KEY_MAX <= QUO_KEY_MAX, "the longest name leaves room for the rest");

/* Newest first in the order of bytes. */
static struct quo_version mirror(struct quo_version version)
{
    return (struct quo_version){~version.hlc, ~version.node};
}

static void put_opid(const struct quo_opid *opid, uint8_t *out)
{
    memcpy(out, opid->bytes, OPID_SIZE);
}

size_t quo_entry_id_format(const struct quo_entry_id *id, char out[QUO_ENTRY_ID_MAX + 1])
{
    quo_version_format(id->version, out);
    if (!id->is_keyed)
        return QUO_VERSION_TEXT;
    quo_version_format(quo_version_decode(id->opid.bytes), out + QUO_VERSION_TEXT);
    return 2 * QUO_VERSION_TEXT;
}

bool quo_entry_id_parse(struct quo_slice text, struct quo_entry_id *ret)
{
    const char *digits = (const char *)text.data;
    struct quo_entry_id id = {.is_keyed = text.len == QUO_ENTRY_ID_MAX};
    char again[QUO_ENTRY_ID_MAX + 1];
    struct quo_version opid;

    if ((!id.is_keyed && text.len != QUO_VERSION_TEXT) ||
        !quo_version_parse(digits, QUO_VERSION_TEXT, &id.version) ||
        quo_version_is_none(id.version))
        return false;
    if (id.is_keyed) {
        if (!quo_version_parse(digits + QUO_VERSION_TEXT, QUO_VERSION_TEXT, &opid))
            return false;
        quo_version_encode(opid, id.opid.bytes);
    }
    /* One entry, one text: no capital digits. */
    if (!quo_slice_equal(text, quo_slice(again, quo_entry_id_format(&id, again))))
        return false;
    *ret = id;
    return true;
}

bool quo_entry_id_equal(const struct quo_entry_id *a, const struct quo_entry_id *b)
{
    return quo_version_equal(a->version, b->version) && a->is_keyed == b->is_keyed &&
           (!a->is_keyed || quo_opid_equal(&a->opid, &b->opid));
}

static size_t begin(struct quo_slice name, uint8_t mark, uint8_t *out)
{
    QUO_REQUIRE(name.len >= 1 && name.len <= QUO_COLLECTION_NAME_MAX);
    const size_t len = quo_collection_prefix(name, out);
    out[len] = mark;
    return len + 1;
}

size_t quo_entry_prefix(struct quo_slice name, uint8_t out[QUO_TIMELINE_KEY_MAX])
{
    return begin(name, MARK_ENTRY, out);
}

size_t quo_entry_key(struct quo_slice name, const struct quo_entry_id *id,
                     uint8_t out[QUO_TIMELINE_KEY_MAX])
{
    size_t len = begin(name, MARK_ENTRY, out);

    quo_version_encode(mirror(id->version), out + len);
    len += QUO_VERSION_SIZE;
    if (!id->is_keyed)
        return len;
    put_opid(&id->opid, out + len);
    return len + OPID_SIZE;
}

size_t quo_entry_bound(struct quo_slice name, struct quo_version version,
                       uint8_t out[QUO_TIMELINE_KEY_MAX])
{
    size_t len = begin(name, MARK_ENTRY, out);

    quo_version_encode(mirror(version), out + len);
    len += QUO_VERSION_SIZE;
    memset(out + len, 0xff, OPID_SIZE + 1);
    return len + OPID_SIZE + 1;
}

size_t quo_claim_key(struct quo_slice name, const struct quo_opid *opid,
                     uint8_t out[QUO_TIMELINE_KEY_MAX])
{
    const size_t len = begin(name, MARK_CLAIM, out);

    put_opid(opid, out + len);
    return len + OPID_SIZE;
}

/* What follows the name and the mark of an entry; empty if they are not there. */
static struct quo_slice rest_of(struct quo_slice key)
{
    const size_t len = quo_collection_name(key).len;

    if (len == 0 || key.len <= 2 + len || quo_get_u16(key.data) != len ||
        key.data[2 + len] != MARK_ENTRY)
        return quo_slice(NULL, 0);
    return quo_slice(key.data + 3 + len, key.len - 3 - len);
}

void quo_entry_key_set_version(uint8_t *key, struct quo_version version)
{
    quo_version_encode(mirror(version), key + 3 + quo_get_u16(key));
}

bool quo_entry_key_parse(struct quo_slice key, struct quo_entry_id *ret)
{
    const struct quo_slice rest = rest_of(key);
    struct quo_entry_id id = {.is_keyed = rest.len > QUO_VERSION_SIZE};

    if (rest.len != QUO_VERSION_SIZE && rest.len != QUO_VERSION_SIZE + OPID_SIZE)
        return false;
    id.version = mirror(quo_version_decode(rest.data));
    if (quo_version_is_none(id.version))
        return false;
    if (id.is_keyed)
        memcpy(id.opid.bytes, rest.data + QUO_VERSION_SIZE, OPID_SIZE);
    *ret = id;
    return true;
}

void quo_claim_encode(uint64_t digest, uint8_t out[QUO_CLAIM_SIZE])
{
    quo_put_u64(out, digest);
}

bool quo_claim_decode(struct quo_slice value, uint64_t *ret)
{
    if (value.len != QUO_CLAIM_SIZE)
        return false;
    *ret = quo_get_u64(value.data);
    return true;
}
