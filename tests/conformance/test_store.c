/* One suite for every engine behind the store port. */
#include "tests/conformance/engine_fixture.h"

#include "storage-node/engine/store_cached.h"
#include "storage-node/engine/store_memory.h"

#define WRITE_BUFFER (8u << 20)
#define CACHED_BYTES (64u << 10) /* so few that what is kept must go now and then */
#define D QUO_FAMILY_DATA

struct engine {
    bool rocksdb;
    bool keeps_data; /* or META alone */
    bool cached;
};
static const struct engine rocksdb_engine = {true, true, false};
static const struct engine memory_engine = {false, true, false};
static const struct engine null_engine = {false, false, false};
static const struct engine cached_rocksdb_engine = {true, true, true};
static const struct engine cached_memory_engine = {false, true, true};

struct world {
    const struct engine *engine;
    struct scratch scratch;
    struct pump pump;
    struct quo_store *store;
    enum quo_family family; /* one that this engine keeps */
};

static struct quo_store *open_engine(struct world *w)
{
    if (w->engine->rocksdb)
        return must_open_rocksdb(&w->pump, w->scratch.store, WRITE_BUFFER);
    if (w->engine->keeps_data)
        return quo_store_memory_new(&w->pump.mailbox);
    return quo_store_null_new(&w->pump.mailbox);
}

static struct quo_store *open_store(struct world *w)
{
    struct quo_store *engine = open_engine(w);

    assert_non_null(engine);
    return w->engine->cached ? quo_store_cached_new(engine, CACHED_BYTES) : engine;
}

static int setup(void **state)
{
    static struct world world;
    struct world *w = &world;
    const struct engine *engine = *state;

    *w = (struct world){.engine = engine};
    w->family = engine->keeps_data ? QUO_FAMILY_DATA : QUO_FAMILY_META;
    scratch_make(&w->scratch);
    pump_init(&w->pump);
    w->store = open_store(w);
    assert_non_null(w->store);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    w->store->ops->close(w->store);
    scratch_remove(&w->scratch);
    return 0;
}

static void put(struct world *w, const char *key, const char *value)
{
    assert_int_equal(
        put_wait(&w->pump, w->store, w->family, quo_slice_of(key), quo_slice_of(value), true),
        QUO_OK);
}

static void expect(struct world *w, const char *key, const char *value)
{
    expect_read(&w->pump, w->store, w->family, quo_slice_of(key), quo_slice_of(value));
}

static void finds_nothing_in_an_empty_store(void **state)
{
    struct world *w = *state;
    struct quo_pinned pinned = {0};

    for (int family = 0; family < QUO_FAMILY_COUNT; family++) {
        assert_int_equal(w->store->ops->get(w->store, family, quo_slice_of("k"), &pinned),
                         QUO_NOT_FOUND);
        assert_int_equal(load_wait(&w->pump, w->store, family, quo_slice_of("k"), &pinned),
                         QUO_NOT_FOUND);
    }
    w->store->ops->release(w->store, &pinned);
}

static void shows_what_was_committed(void **state)
{
    struct world *w = *state;
    struct quo_pinned pinned = {0};

    put(w, "a", "1");
    put(w, "b", "2");
    put(w, "a", "3");
    expect(w, "a", "3");
    expect(w, "b", "2");
    assert_int_equal(load_wait(&w->pump, w->store, w->family, quo_slice_of("a"), &pinned), QUO_OK);
    assert_true(quo_slice_equal(pinned.bytes, quo_slice_of("3")));
    w->store->ops->release(w->store, &pinned);
}

static void shows_unsynced_commits_too(void **state)
{
    struct world *w = *state;
    assert_int_equal(
        put_wait(&w->pump, w->store, w->family, quo_slice_of("a"), quo_slice_of("1"), false),
        QUO_OK);
    expect(w, "a", "1");
}

static void deletes(void **state)
{
    struct world *w = *state;
    struct quo_batch *batch = w->store->ops->batch_new(w->store);

    put(w, "a", "1");
    put(w, "b", "2");
    w->store->ops->batch_delete(w->store, batch, w->family, quo_slice_of("a"));
    w->store->ops->batch_delete(w->store, batch, w->family, quo_slice_of("missing"));
    assert_int_equal(commit_wait(&w->pump, w->store, batch, true), QUO_OK);
    w->store->ops->batch_free(w->store, batch);
    expect_missing(&w->pump, w->store, w->family, quo_slice_of("a"));
    expect(w, "b", "2");
}

static void keeps_keys_and_values_of_any_bytes(void **state)
{
    struct world *w = *state;
    static uint8_t big[1u << 20];
    struct quo_slice zeros = quo_slice("\0\0\0", 3);
    struct quo_slice longer = quo_slice("\0\0\0\0", 4);

    memset(big, 0xa5, sizeof(big));
    assert_int_equal(put_wait(&w->pump, w->store, w->family, zeros, quo_slice(NULL, 0), true),
                     QUO_OK);
    expect_missing(&w->pump, w->store, w->family, longer);
    assert_int_equal(
        put_wait(&w->pump, w->store, w->family, longer, quo_slice(big, sizeof(big)), true), QUO_OK);
    assert_int_equal(put_wait(&w->pump, w->store, w->family, quo_slice("\xff", 1), zeros, true),
                     QUO_OK);
    expect_read(&w->pump, w->store, w->family, zeros, quo_slice(NULL, 0));
    expect_read(&w->pump, w->store, w->family, longer, quo_slice(big, sizeof(big)));
    expect_read(&w->pump, w->store, w->family, quo_slice("\xff", 1), zeros);
}

static void pins_outlive_overwrites(void **state)
{
    struct world *w = *state;
    struct quo_pinned pinned = {0}, loaded = {0};
    struct quo_batch *batch = w->store->ops->batch_new(w->store);

    put(w, "a", "old");
    assert_int_equal(read_wait(&w->pump, w->store, w->family, quo_slice_of("a"), &pinned), QUO_OK);
    assert_int_equal(load_wait(&w->pump, w->store, w->family, quo_slice_of("a"), &loaded), QUO_OK);
    put(w, "a", "new");
    w->store->ops->batch_delete(w->store, batch, w->family, quo_slice_of("a"));
    assert_int_equal(commit_wait(&w->pump, w->store, batch, true), QUO_OK);
    w->store->ops->batch_free(w->store, batch);

    assert_true(quo_slice_equal(pinned.bytes, quo_slice_of("old")));
    assert_true(quo_slice_equal(loaded.bytes, quo_slice_of("old")));
    w->store->ops->release(w->store, &pinned);
    w->store->ops->release(w->store, &loaded);
    w->store->ops->release(w->store, &loaded); /* nothing held: no-op */
    expect_missing(&w->pump, w->store, w->family, quo_slice_of("a"));
}

static void applies_a_batch_in_its_order(void **state)
{
    struct world *w = *state;
    struct quo_batch *batch = w->store->ops->batch_new(w->store);

    w->store->ops->batch_put(w->store, batch, w->family, quo_slice_of("a"), quo_slice_of("1"));
    w->store->ops->batch_put(w->store, batch, w->family, quo_slice_of("a"), quo_slice_of("2"));
    w->store->ops->batch_put(w->store, batch, w->family, quo_slice_of("b"), quo_slice_of("1"));
    w->store->ops->batch_delete(w->store, batch, w->family, quo_slice_of("b"));
    w->store->ops->batch_delete(w->store, batch, w->family, quo_slice_of("c"));
    w->store->ops->batch_put(w->store, batch, w->family, quo_slice_of("c"), quo_slice_of("3"));
    assert_int_equal(commit_wait(&w->pump, w->store, batch, true), QUO_OK);
    expect(w, "a", "2");
    expect_missing(&w->pump, w->store, w->family, quo_slice_of("b"));
    expect(w, "c", "3");

    w->store->ops->batch_clear(w->store, batch);
    w->store->ops->batch_put(w->store, batch, w->family, quo_slice_of("d"), quo_slice_of("4"));
    w->store->ops->batch_clear(w->store, batch);
    assert_int_equal(commit_wait(&w->pump, w->store, batch, true), QUO_OK);
    expect_missing(&w->pump, w->store, w->family, quo_slice_of("d"));
    w->store->ops->batch_free(w->store, batch);
    w->store->ops->batch_free(w->store, NULL);
}

static void keeps_families_apart(void **state)
{
    struct world *w = *state;
    struct quo_batch *batch = w->store->ops->batch_new(w->store);
    const char *values[] = {"data", "promise", "hints", "meta"};

    for (int family = 0; family < QUO_FAMILY_COUNT; family++)
        w->store->ops->batch_put(w->store, batch, family, quo_slice_of("k"),
                                 quo_slice_of(values[family]));
    assert_int_equal(commit_wait(&w->pump, w->store, batch, true), QUO_OK);
    w->store->ops->batch_free(w->store, batch);
    for (int family = 0; family < QUO_FAMILY_COUNT; family++) {
        if (w->engine->keeps_data || family == QUO_FAMILY_META)
            expect_read(&w->pump, w->store, family, quo_slice_of("k"),
                        quo_slice_of(values[family]));
        else
            expect_missing(&w->pump, w->store, family, quo_slice_of("k"));
    }
}

/* Commits from the completion of the commit before, and fills the next batch meanwhile. */
#define CHAIN 300
struct chain {
    struct world *w;
    struct quo_commit commit;
    struct quo_batch *batches[2];
    int committed, filled;
    bool over;
};

static void chain_fill(struct chain *c)
{
    struct quo_batch *batch = c->batches[c->filled % 2];
    uint8_t number[4];

    quo_put_u32(number, (uint32_t)c->filled++);
    c->w->store->ops->batch_clear(c->w->store, batch);
    c->w->store->ops->batch_put(c->w->store, batch, c->w->family, quo_slice_of("n"),
                                quo_slice(number, 4));
    c->w->store->ops->batch_put(c->w->store, batch, c->w->family, quo_slice(number, 4),
                                quo_slice(number, 4));
}

static void chain_next(struct chain *c)
{
    c->commit.batch = c->batches[c->committed % 2];
    c->w->store->ops->commit(c->w->store, &c->commit);
    chain_fill(c);
}

static void chain_done(struct quo_commit *commit)
{
    struct chain *c = commit->context;
    uint8_t number[4];

    assert_int_equal(commit->status, QUO_OK);
    quo_put_u32(number, (uint32_t)c->committed++);
    struct quo_pinned pinned = {0};
    assert_int_equal(c->w->store->ops->get(c->w->store, c->w->family, quo_slice_of("n"), &pinned),
                     QUO_OK);
    assert_true(quo_slice_equal(pinned.bytes, quo_slice(number, 4)));
    c->w->store->ops->release(c->w->store, &pinned);
    if (c->committed < CHAIN)
        chain_next(c);
    else
        c->over = true;
}

static void commits_follow_each_other(void **state)
{
    struct world *w = *state;
    struct chain c = {.w = w, .commit = {.sync = true, .done = chain_done}};

    c.commit.context = &c;
    c.batches[0] = w->store->ops->batch_new(w->store);
    c.batches[1] = w->store->ops->batch_new(w->store);
    chain_fill(&c);
    chain_next(&c);
    while (!c.over)
        pump_one(&w->pump);
    for (uint32_t i = 0; i < CHAIN; i++) {
        uint8_t number[4];
        quo_put_u32(number, i);
        expect_read(&w->pump, w->store, w->family, quo_slice(number, 4), quo_slice(number, 4));
    }
    w->store->ops->batch_free(w->store, c.batches[0]);
    w->store->ops->batch_free(w->store, c.batches[1]);
}

/* Loads while commits go on: every load ends once, with a value that was current since it began. */
#define STORM 2000
struct storm_load {
    struct quo_load load;
    struct storm *storm;
    uint32_t least;
    bool ended;
};
struct storm {
    struct world *w;
    struct quo_commit commit;
    struct quo_batch *batch;
    uint32_t value; /* that the running commit writes */
    bool committing;
    size_t ended;
    struct storm_load loads[STORM];
};

static void storm_write(struct storm *s)
{
    uint8_t bytes[4];

    quo_put_u32(bytes, ++s->value);
    s->w->store->ops->batch_clear(s->w->store, s->batch);
    s->w->store->ops->batch_put(s->w->store, s->batch, s->w->family, quo_slice_of("k"),
                                quo_slice(bytes, 4));
    s->committing = true;
    s->w->store->ops->commit(s->w->store, &s->commit);
}

static void storm_written(struct quo_commit *commit)
{
    struct storm *s = commit->context;
    assert_int_equal(commit->status, QUO_OK);
    s->committing = false;
    if (s->ended < STORM)
        storm_write(s);
}

static void storm_loaded(struct quo_load *load)
{
    struct storm_load *l = load->context;

    assert_false(l->ended);
    l->ended = true;
    assert_int_equal(load->status, QUO_OK);
    assert_int_equal(load->value.bytes.len, 4);
    assert_true(quo_get_u32(load->value.bytes.data) >= l->least);
    assert_true(quo_get_u32(load->value.bytes.data) <= l->storm->value);
    l->storm->w->store->ops->release(l->storm->w->store, &load->value);
    l->storm->ended++;
}

static void loads_while_committing(void **state)
{
    struct world *w = *state;
    struct storm *s = calloc(1, sizeof(*s));
    uint8_t zero[4] = {0};

    assert_non_null(s);
    assert_int_equal(
        put_wait(&w->pump, w->store, w->family, quo_slice_of("k"), quo_slice(zero, 4), true),
        QUO_OK);
    s->w = w;
    s->batch = w->store->ops->batch_new(w->store);
    s->commit =
        (struct quo_commit){.batch = s->batch, .sync = false, .done = storm_written, .context = s};
    storm_write(s);
    for (size_t i = 0; i < STORM; i++) {
        struct storm_load *l = &s->loads[i];
        l->storm = s;
        l->least = s->value - 1;
        l->load = (struct quo_load){
            .family = w->family, .key = quo_slice_of("k"), .done = storm_loaded, .context = l};
        w->store->ops->load(w->store, &l->load);
        if (i % 50 == 49)
            pump_one(&w->pump);
        /* However slow the engine is, some loads come while others than the first one commit. */
        while (i == STORM / 2 && s->value == 1)
            pump_one(&w->pump);
    }
    while (s->ended < STORM || s->committing)
        pump_one(&w->pump);
    assert_true(s->value > 1);
    w->store->ops->batch_free(w->store, s->batch);
    free(s);
}

struct walk {
    char seen[256];
    size_t len;
    int left;
};

static bool walk_visit(void *context, struct quo_slice key, struct quo_slice value)
{
    struct walk *walk = context;
    int len =
        snprintf(walk->seen + walk->len, sizeof(walk->seen) - walk->len, "%.*s=%.*s ", (int)key.len,
                 (const char *)key.data, (int)value.len, (const char *)value.data);

    assert_in_range(len, 1, sizeof(walk->seen) - walk->len - 1);
    walk->len += (size_t)len;
    return --walk->left != 0;
}

static void expect_scan(struct world *w, struct quo_slice lo, struct quo_slice hi, int left,
                        const char *seen)
{
    struct walk walk = {.left = left};
    assert_int_equal(w->store->ops->scan(w->store, w->family, lo, hi, walk_visit, &walk), QUO_OK);
    assert_string_equal(walk.seen, seen);
}

static void scans_ranges_in_key_order(void **state)
{
    struct world *w = *state;
    struct quo_slice end = quo_slice("\xff\xff", 2);

    expect_scan(w, quo_slice(NULL, 0), end, -1, "");
    put(w, "b", "2");
    put(w, "ab", "1");
    put(w, "c", "3");
    put(w, "a", "0");
    put(w, "\x80", "4");
    expect_scan(w, quo_slice(NULL, 0), end, -1, "a=0 ab=1 b=2 c=3 \x80=4 ");
    expect_scan(w, quo_slice_of("a"), quo_slice_of("b"), -1, "a=0 ab=1 ");
    expect_scan(w, quo_slice_of("aa"), quo_slice_of("c"), -1, "ab=1 b=2 ");
    expect_scan(w, quo_slice_of("b"), quo_slice_of("b"), -1, "");
    expect_scan(w, quo_slice_of("d"), quo_slice_of("a"), -1, "");
    expect_scan(w, quo_slice(NULL, 0), end, 2, "a=0 ab=1 ");
}

static void range_wait(struct world *w, struct quo_range *range)
{
    bool done = false;

    range->load.family = w->family;
    range->load.done = load_done;
    range->load.context = &done;
    w->store->ops->range(w->store, range);
    assert_false(done);
    while (!done)
        pump_one(&w->pump);
    assert_int_equal(range->load.status, QUO_OK);
}

/* The entries as "key=value/length ", with " ..." when there are more. */
static void expect_range(struct world *w, struct quo_range *range, const char *wanted)
{
    char said[256] = "";
    struct quo_range_entry entry;
    size_t at = 0, len = 0;
    uint32_t count = 0;

    range_wait(w, range);
    while (quo_range_next(range, &at, &entry)) {
        len += (size_t)snprintf(said + len, sizeof(said) - len, "%.*s=%.*s/%u ", (int)entry.key.len,
                                (const char *)entry.key.data, (int)entry.value.len,
                                (const char *)entry.value.data, entry.value_len);
        count++;
    }
    if (range->more)
        snprintf(said + len, sizeof(said) - len, "...");
    assert_string_equal(said, wanted);
    assert_int_equal(count, range->count);
    w->store->ops->range_release(w->store, range);
}

static struct quo_range range_of(const char *lo, const char *hi)
{
    return (struct quo_range){.lo = quo_slice_of(lo),
                              .hi = quo_slice_of(hi),
                              .count_max = 100,
                              .bytes_max = 1000,
                              .value_max = 100};
}

static void reads_ranges_off_the_loop(void **state)
{
    struct world *w = *state;
    struct quo_range range = range_of("a", "z");

    expect_range(w, &range, "");
    put(w, "b", "second");
    put(w, "a", "first");
    put(w, "bb", "");
    put(w, "z", "not in it");
    expect_range(w, &range, "a=first/5 b=second/6 bb=/0 ");
    range = range_of("b", "bb");
    expect_range(w, &range, "b=second/6 ");
    range = range_of("a", "z");
    range.value_max = 2;
    expect_range(w, &range, "a=fi/5 b=se/6 bb=/0 ");
}

static void ranges_stop_at_their_maxima(void **state)
{
    struct world *w = *state;
    struct quo_range range = range_of("a", "z");

    put(w, "a", "first");
    put(w, "b", "second");
    range.count_max = 1;
    expect_range(w, &range, "a=first/5 ...");
    range.count_max = 2;
    expect_range(w, &range, "a=first/5 b=second/6 ");
    range.bytes_max = 1;
    expect_range(w, &range, "a=first/5 ...");
}

/* Reads of both kinds share the pool. */
static void many_ranges_and_loads_at_once(void **state)
{
    struct world *w = *state;
    struct quo_range ranges[8];
    struct quo_load loads[8];
    bool done[16] = {false};

    put(w, "a", "first");
    for (int i = 0; i < 8; i++) {
        ranges[i] = range_of("a", "z");
        ranges[i].load =
            (struct quo_load){.family = w->family, .done = load_done, .context = &done[i]};
        w->store->ops->range(w->store, &ranges[i]);
        loads[i] = (struct quo_load){.family = w->family,
                                     .key = quo_slice_of("a"),
                                     .done = load_done,
                                     .context = &done[8 + i]};
        w->store->ops->load(w->store, &loads[i]);
    }
    for (int i = 0; i < 16; i++) {
        while (!done[i])
            pump_one(&w->pump);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(ranges[i].count, 1);
        w->store->ops->range_release(w->store, &ranges[i]);
        assert_int_equal(loads[i].status, QUO_OK);
        w->store->ops->release(w->store, &loads[i].value);
    }
}

/* Against a twin that cannot be wrong. */
#define TWIN_KEYS 64
static void agrees_with_an_array(void **state)
{
    struct world *w = *state;
    uint32_t twin[TWIN_KEYS] = {0}; /* 0: absent */
    uint32_t random = 12345;
    struct quo_batch *batch = w->store->ops->batch_new(w->store);

    for (uint32_t round = 1; round <= 200; round++) {
        w->store->ops->batch_clear(w->store, batch);
        for (int i = 0; i < 20; i++) {
            uint8_t value[4];
            random = random * 1664525 + 1013904223;
            uint8_t key = random >> 16 & (TWIN_KEYS - 1);
            bool removes = (random >> 28) < 5;
            twin[key] = removes ? 0 : round * 100 + (uint32_t)i;
            quo_put_u32(value, twin[key]);
            if (removes)
                w->store->ops->batch_delete(w->store, batch, w->family, quo_slice(&key, 1));
            else
                w->store->ops->batch_put(w->store, batch, w->family, quo_slice(&key, 1),
                                         quo_slice(value, 4));
        }
        assert_int_equal(commit_wait(&w->pump, w->store, batch, round % 2), QUO_OK);
    }
    for (uint8_t key = 0; key < TWIN_KEYS; key++) {
        uint8_t value[4];
        quo_put_u32(value, twin[key]);
        if (twin[key] == 0)
            expect_missing(&w->pump, w->store, w->family, quo_slice(&key, 1));
        else
            expect_read(&w->pump, w->store, w->family, quo_slice(&key, 1), quo_slice(value, 4));
    }
    w->store->ops->batch_free(w->store, batch);
}

static void swallows_all_but_meta(void **state)
{
    struct world *w = *state;
    struct walk walk = {.left = -1};

    assert_int_equal(
        put_wait(&w->pump, w->store, QUO_FAMILY_DATA, quo_slice_of("a"), quo_slice_of("1"), true),
        QUO_OK);
    expect_missing(&w->pump, w->store, QUO_FAMILY_DATA, quo_slice_of("a"));
    assert_int_equal(w->store->ops->scan(w->store, QUO_FAMILY_DATA, quo_slice(NULL, 0),
                                         quo_slice("\xff", 1), walk_visit, &walk),
                     QUO_OK);
    assert_string_equal(walk.seen, "");
}

static void keeps_everything_when_closed_and_opened(void **state)
{
    struct world *w = *state;
    struct quo_pinned pinned = {0};

    put(w, "a", "1");
    assert_int_equal(put_wait(&w->pump, w->store, QUO_FAMILY_PROMISE, quo_slice_of("a"),
                              quo_slice_of("unsynced"), false),
                     QUO_OK);
    for (int round = 0; round < 3; round++) {
        w->store->ops->close(w->store);
        w->store = open_store(w);
        expect(w, "a", "1");
        expect_read(&w->pump, w->store, QUO_FAMILY_PROMISE, quo_slice_of("a"),
                    quo_slice_of("unsynced"));
    }
    /* Now in a table on disk: the first look may not block, the second is served from the cache. */
    w->store->ops->close(w->store);
    w->store = open_store(w);
    assert_int_equal(w->store->ops->get(w->store, w->family, quo_slice_of("a"), &pinned),
                     QUO_WOULD_BLOCK);
    expect(w, "a", "1");
    assert_int_equal(w->store->ops->get(w->store, w->family, quo_slice_of("a"), &pinned), QUO_OK);
    w->store->ops->release(w->store, &pinned);
}

static void refuses_a_second_opener(void **state)
{
    struct world *w = *state;
    struct quo_store *second = NULL;
    char why[256] = "";

    assert_int_equal(
        open_rocksdb(&w->pump, w->scratch.store, WRITE_BUFFER, &second, why, sizeof(why)),
        QUO_IO_ERROR);
    assert_null(second);
    assert_non_null(strstr(why, "another process"));
}

static void refuses_a_place_that_is_none(void **state)
{
    struct world *w = *state;
    struct quo_store *second = NULL;
    char why[256] = "";

    assert_int_equal(
        open_rocksdb(&w->pump, "/proc/nowhere/store", WRITE_BUFFER, &second, why, sizeof(why)),
        QUO_IO_ERROR);
    assert_non_null(strstr(why, "No such file"));
}

static void fails_on_demand(void **state)
{
    struct world *w = *state;
    struct quo_store_faults *faults;
    struct quo_pinned pinned = {0};

    faults = quo_store_memory_faults(w->store);
    put(w, "a", "1");
    assert_int_equal(quo_store_memory_commits(w->store), 1);
    *faults = (struct quo_store_faults){.commit_in = 2, .commit_status = QUO_DISK_FULL};
    put(w, "a", "2");
    assert_int_equal(put_wait(&w->pump, w->store, D, quo_slice_of("a"), quo_slice_of("3"), true),
                     QUO_DISK_FULL);
    expect(w, "a", "2");
    put(w, "a", "4");

    *faults = (struct quo_store_faults){.get_in = 1, .get_status = QUO_WOULD_BLOCK};
    assert_int_equal(w->store->ops->get(w->store, D, quo_slice_of("a"), &pinned), QUO_WOULD_BLOCK);
    expect(w, "a", "4");
    *faults = (struct quo_store_faults){.load_in = 1, .load_status = QUO_CORRUPT};
    assert_int_equal(load_wait(&w->pump, w->store, D, quo_slice_of("a"), &pinned), QUO_CORRUPT);
    *faults = (struct quo_store_faults){.get_would_block = true};
    assert_int_equal(w->store->ops->get(w->store, D, quo_slice_of("a"), &pinned), QUO_WOULD_BLOCK);
    expect(w, "a", "4");

    *faults = (struct quo_store_faults){.commit_in = 1, .commit_status = QUO_IO_ERROR};
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            put_wait(&w->pump, w->store, D, quo_slice_of("a"), quo_slice_of("5"), true),
            QUO_IO_ERROR);
    expect(w, "a", "4");
}

static void reports_figures(void **state)
{
    struct world *w = *state;
    struct quo_store_figures figures;

    put(w, "a", "1");
    quo_store_rocksdb_figures(w->store, &figures);
    assert_int_equal(figures.commits, 1);
    assert_int_equal(figures.syncs, 1);
    assert_int_equal(figures.keys, 1);
    assert_true(figures.memtable_bytes > 0);
    assert_string_equal(quo_store_rocksdb_failure(w->store), "");
}

#define CASE(test, engine)                                                                         \
    {                                                                                              \
#test " (" #engine ")", test, setup, teardown, (void *)(uintptr_t)&engine##_engine         \
    }
#define EACH_ENGINE(test)                                                                          \
    CASE(test, rocksdb), CASE(test, memory), CASE(test, null), CASE(test, cached_rocksdb),         \
        CASE(test, cached_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH_ENGINE(finds_nothing_in_an_empty_store),
        EACH_ENGINE(shows_what_was_committed),
        EACH_ENGINE(shows_unsynced_commits_too),
        EACH_ENGINE(deletes),
        EACH_ENGINE(keeps_keys_and_values_of_any_bytes),
        EACH_ENGINE(pins_outlive_overwrites),
        EACH_ENGINE(applies_a_batch_in_its_order),
        EACH_ENGINE(keeps_families_apart),
        EACH_ENGINE(commits_follow_each_other),
        EACH_ENGINE(loads_while_committing),
        EACH_ENGINE(scans_ranges_in_key_order),
        EACH_ENGINE(reads_ranges_off_the_loop),
        EACH_ENGINE(ranges_stop_at_their_maxima),
        EACH_ENGINE(many_ranges_and_loads_at_once),
        EACH_ENGINE(agrees_with_an_array),
        CASE(swallows_all_but_meta, null),
        CASE(keeps_everything_when_closed_and_opened, rocksdb),
        CASE(keeps_everything_when_closed_and_opened, cached_rocksdb),
        CASE(refuses_a_second_opener, rocksdb),
        CASE(refuses_a_place_that_is_none, rocksdb),
        CASE(reports_figures, rocksdb),
        CASE(fails_on_demand, memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
