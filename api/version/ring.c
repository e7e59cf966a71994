#include "quorate/ring.h"

#include "quorate/testpoints.h"

/* Inlined so that this object needs no symbol of a library. */
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Offsets in an entry. */
enum {
    AT_OPID = 0,
    AT_VERSION = 16,
    AT_FLAGS = AT_VERSION + (int)QUO_VERSION_SIZE,
    AT_CODE,
    AT_DIGEST,
    AT_RESULT = AT_DIGEST + 8,
};
_Static_assert(AT_RESULT + 8 == QUO_RING_ENTRY_SIZE, "an entry is packed");

#define KEYED_BIT 0x80u

bool quo_opid_equal(const struct quo_opid *a, const struct quo_opid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct quo_opid quo_opid_of_key(struct quo_slice idempotency_key)
{
    /* The hash of no bytes has no use for a pointer, and an empty slice may hold NULL. */
    const void *data = idempotency_key.len > 0 ? (const void *)idempotency_key.data : "";
    XXH128_hash_t hash = XXH3_128bits(data, idempotency_key.len);
    struct quo_opid opid;
    quo_put_u64(opid.bytes, hash.high64);
    quo_put_u64(opid.bytes + 8, hash.low64);
    opid.bytes[0] |= KEYED_BIT;
    return opid;
}

struct quo_opid quo_opid_make(uint64_t hlc, uint64_t random)
{
    struct quo_opid opid;
    quo_put_u64(opid.bytes, hlc);
    quo_put_u64(opid.bytes + 8, random);
    /* A clock may have been drawn up there by what others showed. */
    opid.bytes[0] &= (uint8_t)~KEYED_BIT;
    return opid;
}

static void encode_entry(const struct quo_ring_entry *entry, uint8_t *out)
{
    memcpy(out + AT_OPID, entry->opid.bytes, sizeof entry->opid.bytes);
    quo_version_encode(entry->at, out + AT_VERSION);
    out[AT_FLAGS] = 0;
    out[AT_CODE] = (uint8_t)entry->code;
    quo_put_u64(out + AT_DIGEST, entry->digest);
    quo_put_u64(out + AT_RESULT, (uint64_t)entry->result);
}

static const uint8_t *entry_bytes(struct quo_slice ring, size_t i)
{
    return ring.data + i * QUO_RING_ENTRY_SIZE;
}

enum quo_status quo_ring_check(struct quo_slice ring)
{
    if (ring.len > QUO_RING_BYTES_MAX || ring.len % QUO_RING_ENTRY_SIZE != 0)
        return QUO_MALFORMED;

    struct quo_version last = QUO_VERSION_NONE;
    const size_t count = quo_ring_count(ring);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *entry = entry_bytes(ring, i);
        if (entry[AT_FLAGS] != 0 || entry[AT_CODE] >= QUO_CHANGE_STORED_COUNT)
            return QUO_MALFORMED;
        struct quo_version at = quo_version_decode(entry + AT_VERSION);
        if (quo_version_compare(at, last) <= 0)
            return QUO_MALFORMED;
        last = at;
    }
    return QUO_OK;
}

size_t quo_ring_count(struct quo_slice ring)
{
    return ring.len / QUO_RING_ENTRY_SIZE;
}

struct quo_ring_entry quo_ring_at(struct quo_slice ring, size_t i)
{
    QUO_REQUIRE(i < quo_ring_count(ring));
    const uint8_t *in = entry_bytes(ring, i);
    struct quo_ring_entry entry = {
        .at = quo_version_decode(in + AT_VERSION),
        .code = in[AT_CODE],
        .digest = quo_get_u64(in + AT_DIGEST),
        .result = (int64_t)quo_get_u64(in + AT_RESULT),
    };
    memcpy(entry.opid.bytes, in + AT_OPID, sizeof entry.opid.bytes);
    return entry;
}

bool quo_ring_find(struct quo_slice ring, const struct quo_opid *opid, struct quo_ring_entry *ret)
{
    const size_t count = quo_ring_count(ring);
    for (size_t i = 0; i < count; i++) {
        if (memcmp(entry_bytes(ring, i) + AT_OPID, opid->bytes, sizeof opid->bytes) != 0)
            continue;
        *ret = quo_ring_at(ring, i);
        return true;
    }
    return false;
}

bool quo_ring_complete_keyed(struct quo_version keyed_from, uint64_t since_ms, uint32_t retention_s)
{
    /* Both moments were told by clocks that differ. The sum cannot wrap: 48 bits and 42. */
    return quo_version_is_none(keyed_from) ||
           quo_version_ms(keyed_from) + (uint64_t)retention_s * 1000 + 2 * QUO_SKEW_MAX_MS <
               since_ms;
}

bool quo_ring_shows_fence(struct quo_version keyed_from, struct quo_version ballot, uint64_t since)
{
    const struct quo_version submitted = {.hlc = since};

    return keyed_from.hlc < since &&
           quo_version_ms(ballot) <= quo_version_ms(submitted) + QUO_RING_FENCE_MS;
}

/* Which rules an entry stays by. */
enum class { UNKEYED, KEYED, FENCE };

static enum class class_of(const uint8_t *entry) {
    if ((entry[AT_OPID] & KEYED_BIT) != 0) return KEYED;
    return entry[AT_CODE] == QUO_CHANGE_FENCED ? FENCE : UNKEYED;
}

/* What an append decides by, and how far it has come. */
struct append {
    uint64_t now_ms; /* the new entry's version's */
    uint64_t retention_ms;
    uint64_t keyed_age_max_ms; /* surely past the retention, whichever clocks told it, also for
                                  those that were submitted a while before the new entry */
    size_t lasting;            /* keyed ones and fences not left out yet, the new one included */
    size_t unkeyed;            /* likewise the others */
};

static size_t *count_of(struct append *a, enum class class)
{
    return class == UNKEYED ? &a->unkeyed : &a->lasting;
}

/* Entries are judged oldest first, so "more than there may be" meets the oldest. */
static bool leave_out(const struct append *a, enum class class, uint64_t at_ms)
{
    const uint64_t age_ms = a->now_ms - at_ms;

    switch (class) {
    case UNKEYED:
        return age_ms > QUO_RING_UNKEYED_MS || a->unkeyed > QUO_RING_UNKEYED_MAX;
    case KEYED:
        return age_ms > a->keyed_age_max_ms &&
               (a->lasting > QUO_RING_KEYED_MAX || age_ms > 2 * a->retention_ms);
    case FENCE:
        return age_ms > QUO_RING_FENCE_MS;
    }
    QUO_UNREACHABLE();
}

/* Entries are looked at where they stand: there are many in each record. */
static struct append start_append(const struct quo_ring_past *past, struct quo_version at,
                                  const uint8_t *entry, uint32_t retention_s)
{
    const uint64_t retention_ms = (uint64_t)retention_s * 1000;
    struct append a = {
        .now_ms = quo_version_ms(at),
        .retention_ms = retention_ms,
        .keyed_age_max_ms = retention_ms + 4 * QUO_SKEW_MAX_MS,
    };
    const size_t count = quo_ring_count(past->ring);
    for (size_t i = 0; i < count; i++)
        ++*count_of(&a, class_of(entry_bytes(past->ring, i)));
    ++*count_of(&a, class_of(entry));
    return a;
}

enum quo_status quo_ring_append(const struct quo_ring_past *past,
                                const struct quo_ring_entry *entry, uint32_t retention_s,
                                uint8_t *out, struct quo_ring_past *ret)
{
    QUO_REQUIRE(quo_version_compare(entry->at, past->hist_from) > 0);
    QUO_REQUIRE(entry->code < QUO_CHANGE_STORED_COUNT);
    uint8_t added[QUO_RING_ENTRY_SIZE];
    encode_entry(entry, added);
    struct append a = start_append(past, entry->at, added, retention_s);
    struct quo_ring_past made = {.hist_from = past->hist_from, .keyed_from = past->keyed_from};
    uint8_t *end = out;

    const size_t count = quo_ring_count(past->ring);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *old = entry_bytes(past->ring, i);
        const struct quo_version at = quo_version_decode(old + AT_VERSION);
        const enum class class = class_of(old);
        QUO_REQUIRE(quo_version_compare(entry->at, at) > 0);
        if (!leave_out(&a, class, quo_version_ms(at))) {
            memcpy(end, old, QUO_RING_ENTRY_SIZE);
            end += QUO_RING_ENTRY_SIZE;
            continue;
        }
        QUO_PROBE(RING_EVICTED);
        made.hist_from = quo_version_max(made.hist_from, at);
        if (class == KEYED)
            made.keyed_from = quo_version_max(made.keyed_from, at);
        --*count_of(&a, class);
    }
    if (a.lasting > QUO_RING_KEYED_MAX)
        return QUO_BUSY;
    memcpy(end, added, QUO_RING_ENTRY_SIZE);
    end += QUO_RING_ENTRY_SIZE;
    made.ring = quo_slice(out, (size_t)(end - out));
    *ret = made;
    return QUO_OK;
}
