/* The store that remembers, over one that is slow, fails, and shows a batch before it says so: at
 * every moment a get must show what the one below shows at that moment, or that it would block.
 *
 * The one below is as dumb as can be: a number for each key, and the bytes follow from the number.
 * Allocations fail now and then. The same histories must show that something is wrong when one rule
 * is switched off.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quorate/testpoints.h"
#include "storage-node/engine/store_cached.h"

enum quo_mutant quo_mutant_planted;
uint64_t quo_probe_counts[QUO_PROBE_COUNT];

#ifdef __SANITIZE_ADDRESS__
#define HISTORIES 3000u
#else
#define HISTORIES 20000u
#endif

enum {
    STEPS = 400,
    FAMILIES = 3, /* one of them passes through */
    KEYS = 9,
    CHANGES_MAX = 32,
    LOADS_MAX = 8,
    PINS_MAX = 8,
    LONG_BYTES = QUO_CACHE_VALUE_MAX + 1,
};

/* Allocations of the code under test that fail: the n-th from now, 0 for none. */
static uint64_t fail_in;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *at, size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *at, size_t count, size_t size);

static bool strikes(void)
{
    return fail_in > 0 && --fail_in == 0;
}

void *__wrap_malloc(size_t size)
{
    return strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return strikes() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *at, size_t count, size_t size)
{
    return strikes() ? NULL : __real_reallocarray(at, count, size);
}

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 11) % below);
}

/* Keys and values. */

static const char *const names[KEYS] = {"", "a", "b", "c", "longer", "k5", "k6", "k7", "k8"};

static struct quo_slice key_of(uint32_t key)
{
    return quo_slice_of(names[key]);
}

static uint32_t key_named(struct quo_slice name)
{
    uint32_t key = 0;
    while (!quo_slice_equal(key_of(key), name))
        key++;
    return key;
}

static uint8_t written[LONG_BYTES];

/* The value of this number, in `written`. */
static struct quo_slice value_of(uint32_t number)
{
    size_t len = number % 16 == 15 ? LONG_BYTES : 4 + number * 131 % 700;

    memset(written, (int)(number & 0xff), len);
    quo_put_u32(written, number);
    return quo_slice(written, len);
}

static uint32_t number_of(struct quo_slice value)
{
    return quo_get_u32(value.data);
}

static bool is_value(struct quo_slice value, uint32_t number)
{
    return quo_slice_equal(value, value_of(number));
}

/* The store below: number 0 is no value. */

struct written_change {
    enum quo_family family;
    uint32_t key, number;
};

struct quo_batch {
    uint32_t count;
    struct written_change changes[CHANGES_MAX];
};

/* A load that was asked of the store above. */
struct asked_load {
    struct quo_load load;
    bool under_way;
    uint32_t number; /* what the store below saw */
};
static struct asked_load *starting;

struct slow_load {
    struct quo_load *load; /* NULL: free */
    struct asked_load *asked;
    bool looked;
    uint32_t number;
};

struct slow_store {
    struct quo_store store;
    uint32_t visible[FAMILIES][KEYS];
    struct quo_commit *commit;
    bool revealed; /* the commit under way shows already, so it will succeed */
    struct slow_load loads[LOADS_MAX];
    uint32_t pins;
    uint32_t block_percent;
    bool closed;
};
static struct slow_store slow;

static enum quo_status pin_number(uint32_t number, struct quo_pinned *ret)
{
    struct quo_slice value;
    void *copy;

    if (number == 0)
        return QUO_NOT_FOUND;
    value = value_of(number);
    copy = __real_malloc(value.len);
    memcpy(copy, value.data, value.len);
    *ret = (struct quo_pinned){quo_slice(copy, value.len), copy};
    slow.pins++;
    return QUO_OK;
}

static enum quo_status slow_get(struct quo_store *s, enum quo_family family, struct quo_slice key,
                                struct quo_pinned *ret)
{
    (void)s;
    if (draw(100) < slow.block_percent)
        return QUO_WOULD_BLOCK;
    return pin_number(slow.visible[family][key_named(key)], ret);
}

static void slow_release(struct quo_store *s, struct quo_pinned *pinned)
{
    (void)s;
    if (pinned->handle == NULL)
        return;
    slow.pins--;
    free(pinned->handle);
    *pinned = (struct quo_pinned){0};
}

static void slow_load(struct quo_store *s, struct quo_load *load)
{
    struct slow_load *at = slow.loads;

    (void)s;
    while (at->load != NULL)
        at++;
    *at = (struct slow_load){.load = load, .asked = starting};
}

static struct quo_batch *slow_batch_new(struct quo_store *s)
{
    (void)s;
    return calloc(1, sizeof(struct quo_batch));
}

static void slow_batch_free(struct quo_store *s, struct quo_batch *batch)
{
    (void)s;
    free(batch);
}

static void slow_batch_clear(struct quo_store *s, struct quo_batch *batch)
{
    (void)s;
    batch->count = 0;
}

static void slow_change(struct quo_batch *batch, enum quo_family family, struct quo_slice key,
                        uint32_t number)
{
    QUO_REQUIRE(batch->count < CHANGES_MAX);
    batch->changes[batch->count++] = (struct written_change){family, key_named(key), number};
}

static void slow_batch_put(struct quo_store *s, struct quo_batch *batch, enum quo_family family,
                           struct quo_slice key, struct quo_slice value)
{
    (void)s;
    slow_change(batch, family, key, number_of(value));
}

static void slow_batch_delete(struct quo_store *s, struct quo_batch *batch, enum quo_family family,
                              struct quo_slice key)
{
    (void)s;
    slow_change(batch, family, key, 0);
}

static void slow_commit(struct quo_store *s, struct quo_commit *commit)
{
    (void)s;
    QUO_REQUIRE(slow.commit == NULL);
    slow.commit = commit;
    slow.revealed = false;
}

static void slow_close(struct quo_store *s)
{
    (void)s;
    QUO_REQUIRE(slow.pins == 0);
    slow.closed = true;
}

static const struct quo_store_ops slow_ops = {
    .get = slow_get,
    .release = slow_release,
    .load = slow_load,
    .batch_new = slow_batch_new,
    .batch_free = slow_batch_free,
    .batch_clear = slow_batch_clear,
    .batch_put = slow_batch_put,
    .batch_delete = slow_batch_delete,
    .commit = slow_commit,
    .close = slow_close,
};

static void reveal(void)
{
    const struct quo_batch *batch = slow.commit->batch;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct written_change *change = &batch->changes[i];
        slow.visible[change->family][change->key] = change->number;
    }
    slow.revealed = true;
}

static void finish_commit(void)
{
    struct quo_commit *commit = slow.commit;
    uint32_t chance = draw(100);

    if (!slow.revealed && chance < 10) {
        commit->status = QUO_DISK_FULL;
    } else if (!slow.revealed && chance < 20) {
        commit->status = QUO_IO_ERROR; /* nobody knows */
        if (draw(2) == 0)
            reveal();
    } else {
        if (!slow.revealed)
            reveal();
        commit->status = QUO_OK;
    }
    slow.commit = NULL;
    commit->done(commit);
}

static void look(struct slow_load *at)
{
    at->looked = true;
    at->number = slow.visible[at->load->family][key_named(at->load->key)];
}

static void finish_load(struct slow_load *at)
{
    struct quo_load *load = at->load;

    if (!at->looked)
        look(at);
    load->value = (struct quo_pinned){0};
    load->status = draw(20) == 0 ? QUO_IO_ERROR : pin_number(at->number, &load->value);
    at->load = NULL;
    load->done(load);
}

/* The history. */

struct history {
    struct quo_store *store;
    struct quo_commit commit;
    struct quo_batch *gathers, *commits;
    uint32_t gathered;
    bool committing;
    uint32_t last_number;
    struct asked_load loads[LOADS_MAX];
    struct quo_pinned pins[PINS_MAX];
    uint32_t pin_numbers[PINS_MAX];
    uint64_t limit;
    bool wrong;
};
static struct history h;

static void commit_done(struct quo_commit *commit)
{
    struct quo_batch *done = commit->batch;

    h.committing = false;
    h.store->ops->batch_clear(h.store, done);
}

static void load_done(struct quo_load *load)
{
    struct asked_load *asked = load->context;

    asked->under_way = false;
    if (load->status == QUO_OK) {
        h.wrong |= !is_value(load->value.bytes, asked->number);
        h.store->ops->release(h.store, &load->value);
    } else if (load->status == QUO_NOT_FOUND) {
        h.wrong |= asked->number != 0;
    }
}

static void step_change(void)
{
    enum quo_family family = (enum quo_family)draw(FAMILIES);
    struct quo_slice key = key_of(draw(KEYS));

    if (h.gathered == CHANGES_MAX)
        return;
    h.gathered++;
    if (draw(4) == 0)
        h.store->ops->batch_delete(h.store, h.gathers, family, key);
    else
        h.store->ops->batch_put(h.store, h.gathers, family, key, value_of(++h.last_number));
}

static void step_commit(void)
{
    struct quo_batch *batch = h.gathers;

    if (h.committing || h.gathered == 0)
        return;
    if (draw(10) == 0) {
        h.store->ops->batch_clear(h.store, batch);
        h.gathered = 0;
        return;
    }
    h.gathers = h.commits;
    h.commits = batch;
    h.gathered = 0;
    h.committing = true;
    h.commit = (struct quo_commit){.batch = batch, .sync = draw(2) == 0, .done = commit_done};
    h.store->ops->commit(h.store, &h.commit);
}

static void step_get(void)
{
    enum quo_family family = (enum quo_family)draw(FAMILIES);
    uint32_t key = draw(KEYS), slot = draw(PINS_MAX), shown = slow.visible[family][key];
    struct quo_pinned pinned = {0};
    enum quo_status status = h.store->ops->get(h.store, family, key_of(key), &pinned);

    h.wrong |= status == QUO_NOT_FOUND && shown != 0;
    if (status != QUO_OK)
        return;
    h.wrong |= !is_value(pinned.bytes, shown);
    if (h.pins[slot].handle == NULL && draw(2) == 0) {
        h.pins[slot] = pinned;
        h.pin_numbers[slot] = number_of(pinned.bytes);
    } else {
        h.store->ops->release(h.store, &pinned);
    }
}

static void step_release(uint32_t slot)
{
    if (h.pins[slot].handle == NULL)
        return;
    h.wrong |= !is_value(h.pins[slot].bytes, h.pin_numbers[slot]);
    h.store->ops->release(h.store, &h.pins[slot]);
}

static void step_load(void)
{
    struct asked_load *asked = &h.loads[draw(LOADS_MAX)];

    if (asked->under_way)
        return;
    *asked = (struct asked_load){.under_way = true,
                                 .load = {.family = (enum quo_family)draw(FAMILIES),
                                          .key = key_of(draw(KEYS)),
                                          .done = load_done,
                                          .context = asked}};
    starting = asked;
    h.store->ops->load(h.store, &asked->load);
}

/* What a load below saw is what the one above it must bring. */
static void step_disk(struct slow_load *at)
{
    if (at->load == NULL)
        return;
    if (!at->looked) {
        look(at);
        if (draw(2) == 0)
            return;
    }
    at->asked->number = at->number;
    finish_load(at);
}

static void step(void)
{
    switch (draw(10)) {
    case 0:
    case 1:
        step_change();
        break;
    case 2:
        step_commit();
        break;
    case 3:
        if (slow.commit != NULL && !slow.revealed && draw(2) == 0)
            reveal();
        else if (slow.commit != NULL)
            finish_commit();
        break;
    case 4:
        step_load();
        break;
    case 5:
        step_disk(&slow.loads[draw(LOADS_MAX)]);
        break;
    case 6:
        step_release(draw(PINS_MAX));
        break;
    default:
        step_get();
    }
    h.wrong |= quo_store_cached_figures(h.store).bytes > h.limit;
}

static void begin(uint64_t number)
{
    static const uint64_t limits[] = {QUO_STORE_CACHED_BYTES_MIN, 8192, 65536};

    seed = number * 0x9e3779b97f4a7c15u + 1;
    slow = (struct slow_store){.store.ops = &slow_ops, .block_percent = draw(2) * draw(60)};
    h = (struct history){.limit = limits[draw(QUO_COUNT(limits))]};
    h.store = quo_store_cached_new(&slow.store, h.limit);
    assert_non_null(h.store);
    h.gathers = h.store->ops->batch_new(h.store);
    h.commits = h.store->ops->batch_new(h.store);
    assert_true(h.gathers != NULL && h.commits != NULL);
}

static void end(void)
{
    fail_in = 0;
    if (slow.commit != NULL)
        finish_commit();
    for (uint32_t i = 0; i < LOADS_MAX; i++)
        while (slow.loads[i].load != NULL)
            step_disk(&slow.loads[i]);
    for (uint32_t slot = 0; slot < PINS_MAX; slot++)
        step_release(slot);
    h.store->ops->batch_free(h.store, h.gathers);
    h.store->ops->batch_free(h.store, h.commits);
    h.store->ops->close(h.store);
    assert_true(slow.closed);
}

/* Returns whether all was right. */
static bool run(uint64_t number)
{
    begin(number);
    for (int i = 0; i < STEPS && !h.wrong; i++) {
        fail_in = draw(30) == 0 ? 1 + draw(3) : 0;
        step();
    }
    end();
    return !h.wrong;
}

static void shows_what_is_below(void **state)
{
    (void)state;
    quo_mutant_planted = QUO_MUTANT_NONE;
    for (uint64_t number = 1; number <= HISTORIES; number++)
        if (!run(number))
            fail_msg("history %llu", (unsigned long long)number);
    assert_true(quo_probe_counts[QUO_PROBE_CACHE_PASSED] > 0);
    assert_true(quo_probe_counts[QUO_PROBE_LOAD_OVERTAKEN] > 0);
}

static void expect_caught(enum quo_mutant mutant, const char *name)
{
    uint64_t number = 1;

    quo_mutant_planted = mutant;
    while (number <= HISTORIES && run(number))
        number++;
    quo_mutant_planted = QUO_MUTANT_NONE;
    if (number > HISTORIES)
        fail_msg("%s is not noticed", name);
    print_message("%s: history %llu\n", name, (unsigned long long)number);
}

static void notices_rules_that_are_off(void **state)
{
    (void)state;
    expect_caught(QUO_MUTANT_CACHE_BEFORE_COMMIT, "CACHE_BEFORE_COMMIT");
    expect_caught(QUO_MUTANT_FAILED_WRITE_CACHED, "FAILED_WRITE_CACHED");
    expect_caught(QUO_MUTANT_STALE_LOAD_CACHED, "STALE_LOAD_CACHED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_is_below),
        cmocka_unit_test(notices_rules_that_are_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
