#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "quorate/ring.h"

#define UNKEYED_AGE_MAX_MS QUO_RING_UNKEYED_MS
#define MARGIN_MS (2 * QUO_SKEW_MAX_MS)
#define AGE_MARGIN_MS (2 * MARGIN_MS)
#define START_MS 1700000000000u

static uint64_t rng;

static uint64_t next(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng;
}

static struct quo_version at_ms(uint64_t ms)
{
    return (struct quo_version){ms << 16, 7};
}

static struct quo_opid opid_number(uint64_t number, bool keyed)
{
    struct quo_opid opid = quo_opid_make(number, ~number);
    if (keyed)
        opid.bytes[0] |= 0x80;
    return opid;
}

static struct quo_ring_entry entry_number(uint64_t number, bool keyed, uint64_t ms)
{
    return (struct quo_ring_entry){
        .opid = opid_number(number, keyed),
        .at = at_ms(ms),
        .code =
            (enum quo_change_code)(number % (keyed ? QUO_CHANGE_STORED_COUNT : QUO_CHANGE_FENCED)),
        .digest = number * UINT64_C(0x9e3779b97f4a7c15),
        .result = (int64_t)number - 5,
    };
}

/* Entries that are not pushed out by later ones: all but unkeyed ones that are no fences. */
static bool is_lasting(const struct quo_ring_entry *e)
{
    return quo_opid_is_keyed(&e->opid) || e->code == QUO_CHANGE_FENCED;
}

static void assert_entry_equal(const struct quo_ring_entry *a, const struct quo_ring_entry *b)
{
    assert_true(quo_opid_equal(&a->opid, &b->opid));
    assert_true(quo_version_equal(a->at, b->at));
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->digest, b->digest);
    assert_int_equal(a->result, b->result);
}

/* A past that lives in one of two buffers, so that an append reads one and writes the other. */
struct lineage {
    struct quo_ring_past past;
    uint8_t buffers[2][QUO_RING_BYTES_MAX];
    unsigned turn;
};

static enum quo_status append(struct lineage *l, struct quo_ring_entry entry, uint32_t retention_s)
{
    uint8_t before[QUO_RING_BYTES_MAX];
    const struct quo_ring_past past = l->past;

    if (past.ring.len > 0)
        memcpy(before, past.ring.data, past.ring.len);
    enum quo_status status =
        quo_ring_append(&past, &entry, retention_s, l->buffers[l->turn], &l->past);
    if (past.ring.len > 0)
        assert_memory_equal(before, past.ring.data, past.ring.len);
    if (status == QUO_OK) {
        assert_ptr_equal(l->past.ring.data, l->buffers[l->turn]);
        l->turn ^= 1;
    } else {
        assert_int_equal(status, QUO_BUSY);
        assert_memory_equal(&past, &l->past, sizeof past);
    }
    return status;
}

/* In records out there: this may never change. */
static void bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static const uint8_t golden[QUO_RING_ENTRY_SIZE] = {
        '0',  '1',  '2',  '3',  '4',  '5',  '6',  '7',  /* operation id */
        '8',  '9',  'a',  'b',  'c',  'd',  'e',  'f',  /* */
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, /* version */
        0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, /* */
        0,    2,                                        /* flags, code */
        0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, /* digest */
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, /* result */
    };
    struct quo_ring_entry entry = {
        .at = {0x0102030405060708, 0x1112131415161718},
        .code = QUO_CHANGE_BOUND,
        .digest = 0x2122232425262728,
        .result = -2,
    };
    memcpy(entry.opid.bytes, "0123456789abcdef", 16);
    struct lineage l = {.turn = 0};
    assert_int_equal(append(&l, entry, 1), QUO_OK);
    assert_int_equal(l.past.ring.len, sizeof golden);
    assert_memory_equal(l.past.ring.data, golden, sizeof golden);
    assert_true(quo_version_is_none(l.past.hist_from));
    assert_true(quo_version_is_none(l.past.keyed_from));

    struct quo_slice ring = quo_slice(golden, sizeof golden);
    assert_int_equal(quo_ring_check(ring), QUO_OK);
    assert_int_equal(quo_ring_count(ring), 1);
    struct quo_ring_entry got = quo_ring_at(ring, 0);
    assert_entry_equal(&got, &entry);
}

static void codes_keep_their_values(void **state)
{
    (void)state;
    assert_int_equal(QUO_CHANGE_DONE, 0);
    assert_int_equal(QUO_CHANGE_CONDITION, 1);
    assert_int_equal(QUO_CHANGE_BOUND, 2);
    assert_int_equal(QUO_CHANGE_NOT_A_COUNTER, 3);
    assert_int_equal(QUO_CHANGE_NOT_JSON, 4);
    assert_int_equal(QUO_CHANGE_TOO_LARGE, 5);
    assert_int_equal(QUO_CHANGE_FENCED, 6);
}

static void ids_tell_what_made_them(void **state)
{
    (void)state;
    /* The hash of XXH3_128 in its canonical form, its first bit set. */
    static const struct {
        const char *key;
        uint8_t bytes[16];
    } golden[] = {
        {"",
         {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8, 0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49,
          0x7f}},
        {"8e03978e-40d5-43e8-bc93-6894a57f9324",
         {0x56 | 0x80, 0xde, 0xd7, 0x68, 0x19, 0x94, 0xbd, 0xb8, 0xfc, 0x68, 0x80, 0xe1, 0x37, 0xf7,
          0xeb, 0x0e}},
    };
    for (size_t i = 0; i < QUO_COUNT(golden); i++) {
        struct quo_opid opid = quo_opid_of_key(quo_slice_of(golden[i].key));
        assert_memory_equal(opid.bytes, golden[i].bytes, sizeof opid.bytes);
        assert_true(quo_opid_is_keyed(&opid));
    }
    struct quo_opid none = quo_opid_of_key(quo_slice(NULL, 0));
    assert_memory_equal(none.bytes, golden[0].bytes, sizeof none.bytes);

    static const uint8_t made[16] = {1, 2, 3, 4, 5, 6, 7, 8, 0xa1, 2, 3, 4, 5, 6, 7, 8};
    struct quo_opid opid = quo_opid_make(0x0102030405060708, 0xa102030405060708);
    assert_memory_equal(opid.bytes, made, sizeof made);
    assert_false(quo_opid_is_keyed(&opid));
    opid = quo_opid_make(UINT64_MAX, UINT64_MAX); /* a clock that others drew up there */
    assert_false(quo_opid_is_keyed(&opid));
}

static void ids_differ_by_any_byte(void **state)
{
    (void)state;
    struct quo_opid one = quo_opid_make(77, 88);
    for (size_t i = 0; i < sizeof one.bytes; i++) {
        struct quo_opid other = one;
        assert_true(quo_opid_equal(&one, &other));
        other.bytes[i] ^= 1;
        assert_false(quo_opid_equal(&one, &other));
    }
}

/* Three entries, each with a version of its own. */
static void make_three(uint8_t out[3 * QUO_RING_ENTRY_SIZE])
{
    struct lineage l = {.turn = 0};
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(append(&l, entry_number(i, i == 2, START_MS + i), 10), QUO_OK);
    assert_int_equal(l.past.ring.len, 3 * QUO_RING_ENTRY_SIZE);
    memcpy(out, l.past.ring.data, l.past.ring.len);
}

static void expect_malformed(size_t at, uint8_t value)
{
    uint8_t bytes[3 * QUO_RING_ENTRY_SIZE];
    make_three(bytes);
    bytes[at] = value;
    assert_int_equal(quo_ring_check(quo_slice(bytes, sizeof bytes)), QUO_MALFORMED);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    const size_t at = QUO_RING_ENTRY_SIZE; /* the second */
    uint8_t bytes[3 * QUO_RING_ENTRY_SIZE];

    make_three(bytes);
    assert_int_equal(quo_ring_check(quo_slice(NULL, 0)), QUO_OK);
    for (size_t len = 0; len <= sizeof bytes; len++)
        assert_int_equal(quo_ring_check(quo_slice(bytes, len)),
                         len % QUO_RING_ENTRY_SIZE == 0 ? QUO_OK : QUO_MALFORMED);
    for (unsigned flag = 1; flag <= 0x80; flag *= 2)
        expect_malformed(at + 32, (uint8_t)flag);
    expect_malformed(at + 33, QUO_CHANGE_STORED_COUNT);
    expect_malformed(at + 33, QUO_CHANGE_KEY_REUSED);
    expect_malformed(at + 33, 255);
    expect_malformed(at + 16, 2);                          /* above the third */
    expect_malformed(at + 16 + 5, 0);                      /* below the first */
    memcpy(bytes + at + 16, bytes + 16, QUO_VERSION_SIZE); /* the first's version again */
    assert_int_equal(quo_ring_check(quo_slice(bytes, sizeof bytes)), QUO_MALFORMED);
    make_three(bytes);
    memset(bytes + 16, 0, QUO_VERSION_SIZE); /* no version */
    assert_int_equal(quo_ring_check(quo_slice(bytes, sizeof bytes)), QUO_MALFORMED);
}

static void rings_are_limited(void **state)
{
    (void)state;
    static uint8_t bytes[QUO_RING_BYTES_MAX + QUO_RING_ENTRY_SIZE];
    for (uint32_t i = 0; i <= QUO_RING_MAX; i++)
        quo_put_u32(bytes + i * QUO_RING_ENTRY_SIZE + 16, i + 1);
    assert_int_equal(quo_ring_check(quo_slice(bytes, QUO_RING_BYTES_MAX)), QUO_OK);
    assert_int_equal(quo_ring_check(quo_slice(bytes, sizeof bytes)), QUO_MALFORMED);
}

static void find_takes_the_whole_id(void **state)
{
    (void)state;
    uint8_t bytes[3 * QUO_RING_ENTRY_SIZE];
    make_three(bytes);
    const struct quo_slice ring = quo_slice(bytes, sizeof bytes);
    for (uint64_t i = 1; i <= 3; i++) {
        const struct quo_ring_entry expected = entry_number(i, i == 2, START_MS + i);
        struct quo_ring_entry got = {.digest = 99};
        struct quo_opid opid = expected.opid;
        assert_true(quo_ring_find(ring, &opid, &got));
        assert_entry_equal(&got, &expected);
        for (size_t byte = 0; byte < sizeof opid.bytes; byte++) {
            opid = expected.opid;
            opid.bytes[byte] ^= 0x40;
            got = (struct quo_ring_entry){.digest = 99};
            assert_false(quo_ring_find(ring, &opid, &got));
            assert_int_equal(got.digest, 99);
        }
    }
}

static void completeness_has_an_edge(void **state)
{
    (void)state;
    const struct quo_version from = {(START_MS << 16) + 65535, UINT64_MAX};
    assert_false(quo_ring_complete_keyed(from, START_MS + MARGIN_MS, 0));
    assert_true(quo_ring_complete_keyed(from, START_MS + MARGIN_MS + 1, 0));
    assert_false(quo_ring_complete_keyed(from, START_MS + MARGIN_MS + 600000, 600));
    assert_true(quo_ring_complete_keyed(from, START_MS + MARGIN_MS + 600001, 600));
    assert_false(quo_ring_complete_keyed(from, 0, 600)); /* nothing below zero is looked for */
    assert_false(quo_ring_complete_keyed(from, 0, UINT32_MAX));
    assert_false(quo_ring_complete_keyed(from, START_MS + 5000000000, UINT32_MAX));
    assert_true(quo_ring_complete_keyed(from, UINT64_MAX, UINT32_MAX));
    const struct quo_version highest = {UINT64_MAX, UINT64_MAX};
    assert_false(quo_ring_complete_keyed(highest, START_MS, QUO_RETENTION_MAX_S));
    assert_true(quo_ring_complete_keyed(QUO_VERSION_NONE, 0, QUO_RETENTION_MAX_S));
}

/* Each kind has an age of its own, kept to the millisecond; what leaves is what the watermarks rise
 * to. */
static void ages_have_edges(void **state)
{
    (void)state;
    static const struct {
        bool keyed;
        uint32_t retention_s;
        uint64_t age_ms;
        bool stays;
    } cases[] = {
        {false, 600, UNKEYED_AGE_MAX_MS, true},     {false, 600, UNKEYED_AGE_MAX_MS + 1, false},
        {true, 600, 2 * 600 * 1000, true},          {true, 600, 2 * 600 * 1000 + 1, false},
        {true, 1, 1000 + AGE_MARGIN_MS, true}, /* clocks may differ by more than that */
        {true, 1, 1000 + AGE_MARGIN_MS + 1, false},
    };
    for (size_t i = 0; i < QUO_COUNT(cases); i++) {
        struct lineage l = {.turn = 0};
        struct quo_ring_entry old = entry_number(1, cases[i].keyed, START_MS), got;
        assert_int_equal(append(&l, old, cases[i].retention_s), QUO_OK);
        uint64_t now = START_MS + cases[i].age_ms;
        assert_int_equal(append(&l, entry_number(2, true, now), cases[i].retention_s), QUO_OK);
        assert_int_equal(quo_ring_find(l.past.ring, &old.opid, &got), cases[i].stays);
        const bool left = !cases[i].stays;
        assert_true(quo_version_equal(l.past.hist_from, left ? old.at : QUO_VERSION_NONE));
        assert_true(quo_version_equal(l.past.keyed_from,
                                      left && cases[i].keyed ? old.at : QUO_VERSION_NONE));
    }
}

/* However many operations follow; and a fence of one without a key moves no keyed_from. */
static void fences_stay_for_a_while(void **state)
{
    (void)state;
    struct lineage l = {.turn = 0};
    struct quo_ring_entry fence = entry_number(1, false, START_MS), got;
    fence.code = QUO_CHANGE_FENCED;
    assert_int_equal(append(&l, fence, 1), QUO_OK);
    for (uint64_t i = 2; i <= 100; i++)
        assert_int_equal(append(&l, entry_number(i, false, START_MS + i), 1), QUO_OK);
    const struct quo_ring_entry last = entry_number(101, false, START_MS + QUO_RING_FENCE_MS);
    assert_int_equal(append(&l, last, 1), QUO_OK);
    assert_true(quo_ring_find(l.past.ring, &fence.opid, &got));
    const struct quo_ring_entry past = entry_number(102, false, START_MS + QUO_RING_FENCE_MS + 1);
    assert_int_equal(append(&l, past, 1), QUO_OK);
    assert_false(quo_ring_find(l.past.ring, &fence.opid, &got));
    assert_true(quo_version_is_none(l.past.keyed_from));
}

static void who_looks_for_a_fence_must_come_in_time(void **state)
{
    (void)state;
    const uint64_t since = START_MS << 16;
    const struct quo_version last = at_ms(START_MS + QUO_RING_FENCE_MS);
    const struct quo_version below = {since - 1, UINT64_MAX}, at = {since, 0};
    assert_true(quo_ring_shows_fence(QUO_VERSION_NONE, last, since));
    assert_false(
        quo_ring_shows_fence(QUO_VERSION_NONE, at_ms(START_MS + QUO_RING_FENCE_MS + 1), since));
    assert_true(quo_ring_shows_fence(below, last, since));
    assert_false(quo_ring_shows_fence(at, last, since));
}

static void of_the_unkeyed_the_last_sixteen_stay(void **state)
{
    (void)state;
    struct lineage l = {.turn = 0};
    struct quo_ring_entry got;
    const struct quo_ring_entry keyed = entry_number(1000, true, START_MS);
    assert_int_equal(append(&l, keyed, 600), QUO_OK);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(append(&l, entry_number(i, false, START_MS + i), 600), QUO_OK);
        const uint64_t gone = i > QUO_RING_UNKEYED_MAX ? i - QUO_RING_UNKEYED_MAX : 0;
        assert_int_equal(quo_ring_count(l.past.ring), 1 + i - gone);
        assert_true(quo_version_equal(l.past.hist_from,
                                      gone > 0 ? at_ms(START_MS + gone) : QUO_VERSION_NONE));
    }
    assert_true(quo_ring_find(l.past.ring, &keyed.opid, &got));
    assert_true(quo_version_is_none(l.past.keyed_from));
}

static void fill_with_keyed(struct lineage *l, uint32_t retention_s)
{
    for (uint64_t i = 0; i < QUO_RING_KEYED_MAX; i++)
        assert_int_equal(append(l, entry_number(i, true, START_MS + i), retention_s), QUO_OK);
}

/* A keyed operation may be refused for want of room, an unkeyed one never is. */
static void full_rings_refuse_the_keyed_only(void **state)
{
    (void)state;
    struct lineage l = {.turn = 0};
    const uint64_t early = START_MS + 600 * 1000 + AGE_MARGIN_MS;
    fill_with_keyed(&l, 600);
    assert_int_equal(append(&l, entry_number(1000, true, START_MS + 300), 600), QUO_BUSY);
    for (uint64_t i = 0; i < 2 * QUO_RING_UNKEYED_MAX; i++)
        assert_int_equal(append(&l, entry_number(2000 + i, false, START_MS + 300 + i), 600),
                         QUO_OK);
    assert_int_equal(quo_ring_count(l.past.ring), QUO_RING_MAX);
    assert_int_equal(append(&l, entry_number(1000, true, early), 600), QUO_BUSY);
    assert_true(quo_version_is_none(l.past.keyed_from));
    /* A millisecond later the oldest may go, and only that. */
    assert_int_equal(append(&l, entry_number(1000, true, early + 1), 600), QUO_OK);
    assert_true(quo_version_equal(l.past.keyed_from, at_ms(START_MS)));
    struct quo_ring_entry got;
    struct quo_opid second = opid_number(1, true);
    assert_true(quo_ring_find(l.past.ring, &second, &got));
    assert_true(quo_ring_complete_keyed(l.past.keyed_from, early + 1, 600));
    /* Nor may it look incomplete to those that have waited meanwhile. */
    assert_true(quo_ring_complete_keyed(l.past.keyed_from, early + 1 - MARGIN_MS, 600));
}

/* A blind write left nothing to look at; the past that begins there says so ever after. */
static void watermarks_never_fall(void **state)
{
    (void)state;
    struct lineage l = {.past = {.hist_from = at_ms(START_MS), .keyed_from = at_ms(START_MS - 1)}};
    for (uint64_t i = 1; i <= QUO_RING_UNKEYED_MAX; i++) {
        assert_int_equal(append(&l, entry_number(i, false, START_MS + i), 600), QUO_OK);
        assert_true(quo_version_equal(l.past.hist_from, at_ms(START_MS)));
        assert_true(quo_version_equal(l.past.keyed_from, at_ms(START_MS - 1)));
    }
}

#define HISTORY_MAX 600u

/* All that was ever appended to one lineage, in a list that forgets nothing. */
struct history {
    struct quo_ring_entry entries[HISTORY_MAX];
    bool kept[HISTORY_MAX]; /* in the ring after the last append */
    size_t count;
    struct quo_ring_past born;
    uint32_t retention_s;
};

static uint64_t age_ms(const struct history *h, size_t i, uint64_t now_ms)
{
    return now_ms - quo_version_ms(h->entries[i].at);
}

static uint64_t keyed_age_max_ms(const struct history *h)
{
    return UINT64_C(1000) * h->retention_s + AGE_MARGIN_MS;
}

/* Whether the rules of the header let entry i go when one more was appended at now_ms. */
static bool may_go(const struct history *h, size_t i, uint64_t now_ms)
{
    const struct quo_ring_entry *e = &h->entries[i];
    size_t later = 0;

    for (size_t j = i + 1; j < h->count; j++)
        later += is_lasting(&h->entries[j]) == is_lasting(e);
    if (!quo_opid_is_keyed(&e->opid) && is_lasting(e))
        return age_ms(h, i, now_ms) > QUO_RING_FENCE_MS;
    if (!is_lasting(e))
        return age_ms(h, i, now_ms) > UNKEYED_AGE_MAX_MS || later >= QUO_RING_UNKEYED_MAX;
    return age_ms(h, i, now_ms) > keyed_age_max_ms(h) &&
           (age_ms(h, i, now_ms) > UINT64_C(2000) * h->retention_s || later >= QUO_RING_KEYED_MAX);
}

/* Whether they make it go, however much room there is. */
static bool must_go(const struct history *h, size_t i, uint64_t now_ms)
{
    uint64_t max_ms = is_lasting(&h->entries[i]) ? QUO_RING_FENCE_MS : UNKEYED_AGE_MAX_MS;

    if (quo_opid_is_keyed(&h->entries[i].opid))
        max_ms = QUO_MAX(UINT64_C(2000) * h->retention_s, keyed_age_max_ms(h));
    return age_ms(h, i, now_ms) > max_ms;
}

static void check_entry(struct history *h, const struct lineage *l, size_t i, uint64_t now_ms)
{
    const struct quo_ring_entry *e = &h->entries[i];
    const bool keyed = quo_opid_is_keyed(&e->opid);
    struct quo_ring_entry got;

    if (quo_ring_find(l->past.ring, &e->opid, &got)) {
        assert_true(h->kept[i]); /* nothing comes back */
        assert_entry_equal(&got, e);
        assert_false(must_go(h, i, now_ms));
        return;
    }
    /* Gone: then nobody is told that it was never there. */
    assert_true(quo_version_compare(l->past.hist_from, e->at) >= 0);
    if (keyed) {
        assert_true(quo_version_compare(l->past.keyed_from, e->at) >= 0);
        assert_true(age_ms(h, i, now_ms) > keyed_age_max_ms(h));
    }
    assert_true(!h->kept[i] || may_go(h, i, now_ms));
    h->kept[i] = false;
}

/* The watermarks stand where the youngest that left stood, no higher: else the living suffer. */
static void check_watermarks(const struct history *h, const struct quo_ring_past *past)
{
    struct quo_version hist_from = h->born.hist_from, keyed_from = h->born.keyed_from;

    for (size_t i = 0; i < h->count; i++) {
        if (h->kept[i])
            continue;
        hist_from = quo_version_max(hist_from, h->entries[i].at);
        if (quo_opid_is_keyed(&h->entries[i].opid))
            keyed_from = quo_version_max(keyed_from, h->entries[i].at);
    }
    assert_true(quo_version_equal(past->hist_from, hist_from));
    assert_true(quo_version_equal(past->keyed_from, keyed_from));
}

static void check_ring(struct history *h, const struct lineage *l, uint64_t now_ms)
{
    const struct quo_slice ring = l->past.ring;
    size_t lasting = 0, count = quo_ring_count(ring), kept = 0;

    assert_int_equal(quo_ring_check(ring), QUO_OK);
    for (size_t i = 0; i < count; i++) {
        const struct quo_ring_entry e = quo_ring_at(ring, i);
        lasting += is_lasting(&e);
    }
    assert_true(lasting <= QUO_RING_KEYED_MAX && count - lasting <= QUO_RING_UNKEYED_MAX);
    for (size_t i = 0; i < h->count; i++) {
        check_entry(h, l, i, now_ms);
        kept += h->kept[i];
    }
    assert_int_equal(kept, count); /* nothing else is in it */
    check_watermarks(h, &l->past);
}

static bool is_young(const struct history *h, size_t i, uint64_t now_ms)
{
    const struct quo_ring_entry *e = &h->entries[i];
    uint64_t max_ms = quo_opid_is_keyed(&e->opid) ? keyed_age_max_ms(h) : QUO_RING_FENCE_MS;

    return is_lasting(e) && age_ms(h, i, now_ms) <= max_ms;
}

/* Only what lasts, and finds the whole room taken by ones too young to go, may be refused. */
static void check_refusal(const struct history *h, const struct quo_ring_entry *e)
{
    size_t young = 0;

    assert_true(is_lasting(e));
    for (size_t i = 0; i < h->count; i++)
        young += h->kept[i] && is_young(h, i, quo_version_ms(e->at));
    assert_int_equal(young, QUO_RING_KEYED_MAX);
}

/* Steps of the clock: mostly within a burst, at times past one of the ages. */
static uint64_t some_step(const struct history *h)
{
    switch (next() % 40) {
    case 0:
        return next() % (2500 * (uint64_t)h->retention_s);
    case 1:
        return next() % (2 * UNKEYED_AGE_MAX_MS);
    case 2:
    case 3:
        return next() % (20 * (uint64_t)h->retention_s);
    default:
        return next() % 3;
    }
}

static void grow(struct history *h, struct lineage *l, size_t appends, unsigned keyed_of_100)
{
    struct quo_version last = l->past.hist_from;

    for (size_t i = 0; i < appends; i++) {
        const uint64_t ms = quo_version_ms(last) + some_step(h);
        struct quo_ring_entry e = entry_number(i, next() % 100 < keyed_of_100, ms);
        e.at.node = next();
        if (next() % 8 == 0)
            e.code = QUO_CHANGE_FENCED;
        if (quo_version_compare(e.at, last) <= 0)
            e.at.hlc = last.hlc + 1;
        last = e.at;
        if (append(l, e, h->retention_s) != QUO_OK) {
            check_refusal(h, &e);
            struct quo_ring_entry got;
            assert_false(quo_ring_find(l->past.ring, &e.opid, &got));
            continue;
        }
        h->kept[h->count] = true;
        h->entries[h->count++] = e;
        check_ring(h, l, quo_version_ms(e.at));
    }
}

/* Whatever is appended when: each operation is found, or cannot be said to be absent. */
static void nothing_is_forgotten_unnoticed(void **state)
{
    (void)state;
    static const uint32_t retentions[] = {QUO_RETENTION_MIN_S, 9, 600, QUO_RETENTION_MAX_S};
    static const unsigned keyed[] = {0, 50, 97, 100};
    static struct history h;
    static struct lineage l;

    for (uint64_t seed = 1; seed <= QUO_COUNT(retentions) * QUO_COUNT(keyed); seed++) {
        rng = seed * UINT64_C(0x9e3779b97f4a7c15);
        memset(&h, 0, sizeof h);
        memset(&l, 0, sizeof l);
        h.retention_s = retentions[seed % QUO_COUNT(retentions)];
        l.past.hist_from = at_ms(START_MS);
        l.past.keyed_from = next() % 2 != 0 ? at_ms(START_MS - 5) : QUO_VERSION_NONE;
        h.born = l.past;
        grow(&h, &l, HISTORY_MAX, keyed[seed / QUO_COUNT(retentions) % QUO_COUNT(keyed)]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_golden_ones),
        cmocka_unit_test(codes_keep_their_values),
        cmocka_unit_test(ids_tell_what_made_them),
        cmocka_unit_test(ids_differ_by_any_byte),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(rings_are_limited),
        cmocka_unit_test(find_takes_the_whole_id),
        cmocka_unit_test(completeness_has_an_edge),
        cmocka_unit_test(ages_have_edges),
        cmocka_unit_test(fences_stay_for_a_while),
        cmocka_unit_test(who_looks_for_a_fence_must_come_in_time),
        cmocka_unit_test(of_the_unkeyed_the_last_sixteen_stay),
        cmocka_unit_test(full_rings_refuse_the_keyed_only),
        cmocka_unit_test(watermarks_never_fall),
        cmocka_unit_test(nothing_is_forgotten_unnoticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
