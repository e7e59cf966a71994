/* The word of an acceptor: random requests, crashes, full disks and slow reads, and what was
 * answered through all of it. A replica that promised a ballot over a record has told that between
 * the two it accepts nothing and had accepted nothing; that is what consensus stands on. */
#include "tests/unit/server/harness.h"

enum { LIVES = 1500, KEYS = 2, REQUESTS = 90, BALLOT_SPAN = 10 };

/* What one replica said about one key. */
struct word {
    struct {
        uint64_t ballot, over;
    } promises[REQUESTS];
    size_t promise_count;
    uint64_t acked[REQUESTS]; /* stored here, or superseded by what is */
    size_t acked_count;
    uint64_t highest;
};

struct sent {
    uint64_t id;
    uint8_t type;
    unsigned key;
    uint64_t n, next;
    uint64_t highest; /* acked when it was sent */
    bool heard;
};

struct world {
    struct harness h;
    struct quo_store_ops ops; /* the engine's, with a commit that waits for us */
    const struct quo_store_ops *memory;
    struct quo_store_faults *faults;
    struct quo_commit *commit; /* under way */
    uint64_t random;
    uint32_t ns;
    struct word words[KEYS];
    struct sent sent[REQUESTS];
    size_t sent_count;
    unsigned crashes, promises, nexts, superseded;
};

static struct world *world; /* of the store's calls */

static uint64_t draw(uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (world->random >> 11) % below;
}

static void keep_commit(struct quo_store *store, struct quo_commit *commit)
{
    (void)store;
    assert_null(world->commit);
    world->commit = commit;
}

/* The disk is done with the commit under way. */
static void finish_commit(void)
{
    struct quo_commit *commit = world->commit;
    if (commit == NULL)
        return;
    world->commit = NULL;
    world->memory->commit(world->h.store, commit);
    run_tasks(&world->h);
}

static void ignore_commit(struct quo_commit *commit)
{
    (void)commit;
}

static void open_server(void)
{
    char why[200];
    assert_int_equal(server_open(&world->h, why, sizeof why), QUO_OK);
}

/* The machine stops; the commit under way may have reached the disk, or not. */
static void crash(void)
{
    while (world->h.tasks != NULL) /* loads, of promise and record */
        run_tasks(&world->h);
    if (world->commit != NULL && draw(2) == 0) {
        world->commit->done = ignore_commit;
        finish_commit();
    }
    world->commit = NULL;
    quo_server_free(world->h.server);
    open_server();
    world->crashes++;
}

/* Records, blind ones among them, are told apart by their number: no version has two. */
static bool is_blind(uint64_t n)
{
    return world->ns == NS_MIXED && n % 3 == 0;
}

static void send_one(void)
{
    if (world->sent_count == REQUESTS)
        return;
    struct sent *sent = &world->sent[world->sent_count++];
    uint64_t n = 1 + world->sent_count / 3 + draw(BALLOT_SPAN);
    *sent = (struct sent){.key = (unsigned)draw(KEYS), .n = n};
    sent->highest = world->words[sent->key].highest;
    const char name[2] = {(char)('a' + sent->key)};
    struct quo_slice value = quo_slice(&n, sizeof n);
    if (draw(2) == 0) {
        sent->type = QUO_MESSAGE_PREP;
        sent->id = prep_of(&world->h, world->ns, name, n, draw(4) == 0 ? 0 : 1000);
    } else if (is_blind(n)) {
        sent->type = QUO_MESSAGE_STORE;
        sent->id = put_value(&world->h, world->ns, name, n, QUO_STORE_SYNC, value);
    } else {
        sent->type = QUO_MESSAGE_ACC;
        sent->next = draw(2) == 0 ? 0 : n + 1 + draw(3);
        sent->id = acc_value(&world->h, world->ns, name, n, sent->next, value);
    }
}

static void promised(struct word *word, uint64_t ballot, uint64_t over)
{
    for (size_t i = 0; i < word->promise_count; i++)
        assert_int_not_equal(word->promises[i].ballot, ballot); /* given once */
    word->promises[word->promise_count].ballot = ballot;
    word->promises[word->promise_count++].over = over;
}

static void hear_promise(const struct sent *sent, const struct quo_msg_reply *reply)
{
    struct word *word = &world->words[sent->key];
    uint64_t over = quo_version_is_none(reply->version) ? 0 : reply->version.hlc - HLC(0);
    assert_true(over < sent->n);
    assert_true(over >= sent->highest);
    assert_int_equal(reply->promised.hlc, HLC(sent->n));
    assert_true((reply->flags & QUO_REPLY_DURABLE) != 0);
    if ((reply->flags & QUO_REPLY_VALUE) != 0) {
        struct quo_record record;
        assert_int_equal(quo_record_decode(reply->record, &record), QUO_OK);
        assert_int_equal(record.version.hlc, reply->version.hlc);
        assert_true(quo_slice_equal(record.value, quo_slice(&over, sizeof over)));
    } else {
        assert_int_equal(reply->record.len, 0);
    }
    promised(word, sent->n, over);
    world->promises++;
}

static void hear_ack(const struct sent *sent, const struct quo_msg_reply *reply)
{
    struct word *word = &world->words[sent->key];
    assert_true((reply->flags & QUO_REPLY_DURABLE) != 0);
    assert_true(reply->version.hlc >= HLC(sent->n));
    word->acked[word->acked_count++] = sent->n;
    word->highest = QUO_MAX(word->highest, sent->n);
    world->superseded += reply->status == QUO_SUPERSEDED;
    if ((reply->flags & QUO_REPLY_NEXT) == 0)
        return;
    promised(word, sent->next, sent->n);
    world->nexts++;
}

/* Everything that was answered since the last time, and what it means together. */
static void hear(void)
{
    for (size_t i = 0; i < world->sent_count; i++) {
        struct sent *sent = &world->sent[i];
        const struct quo_msg_reply *reply = sent->heard ? NULL : reply_to(&world->h, sent->id);
        if (reply == NULL)
            continue;
        sent->heard = true;
        assert_true(reply->status != QUO_CORRUPT && reply->status != QUO_MALFORMED);
        if (reply->status != QUO_OK && reply->status != QUO_SUPERSEDED)
            continue;
        if (sent->type == QUO_MESSAGE_PREP)
            hear_promise(sent, reply);
        else
            hear_ack(sent, reply);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        const struct word *word = &world->words[key];
        for (size_t i = 0; i < word->promise_count; i++)
            for (size_t j = 0; j < word->acked_count; j++)
                assert_true(word->acked[j] <= word->promises[i].over ||
                            word->acked[j] >= word->promises[i].ballot);
    }
}

static void step(void)
{
    struct quo_store_faults *faults = world->faults;
    switch (draw(12)) {
    case 0:
        crash();
        break;
    case 1:
        faults->get_would_block = draw(3) == 0;
        break;
    case 2:
        faults->commit_in = draw(4) == 0;
        faults->commit_status = QUO_DISK_FULL;
        world->h.mono_us += 1000000;
        break;
    case 3:
    case 4:
        finish_commit();
        break;
    case 5:
        run_tasks(&world->h);
        break;
    case 6:
        quo_server_end_turn(world->h.server);
        break;
    default:
        send_one();
    }
    hear();
}

/* Nothing fails any more; everything is answered, and nothing acked is gone. */
static void heal(void)
{
    struct harness *h = &world->h;
    *world->faults = (struct quo_store_faults){0};
    h->mono_us += 1000000;
    for (int i = 0; i < 100; i++) {
        run_tasks(h);
        quo_server_end_turn(h->server);
        finish_commit();
    }
    assert_true(quo_server_idle(h->server));
    hear();
    for (unsigned key = 0; key < KEYS; key++) {
        const char name[2] = {(char)('a' + key)};
        const struct quo_msg_reply *reply = expect(h, query_of(h, world->ns, name, 0), QUO_OK);
        const struct word *word = &world->words[key];
        assert_true(word->highest == 0 || reply->version.hlc >= HLC(word->highest));
        for (size_t i = 0; i < word->promise_count; i++)
            assert_true(reply->promised.hlc >= HLC(word->promises[i].ballot));
    }
}

static void live(uint64_t seed, uint32_t ns, struct world *total)
{
    world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->random = (seed * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    world->ns = ns;
    harness_start(&world->h);
    world->faults = quo_store_memory_faults(world->h.store);
    world->memory = world->h.store->ops;
    world->ops = *world->memory;
    world->ops.commit = keep_commit;
    world->h.store->ops = &world->ops;
    for (int i = 0; i < 150; i++)
        step();
    heal();
    total->crashes += world->crashes;
    total->promises += world->promises;
    total->nexts += world->nexts;
    total->superseded += world->superseded;
    world->h.store->ops = world->memory;
    harness_stop(&world->h);
    free(world);
}

static void test_word_of_an_acceptor(void **state)
{
    (void)state;
    static struct world cas, mixed;
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        live(seed, NS_CAS, &cas);
        live(seed, NS_MIXED, &mixed);
    }
    /* Silence means something only if there was much to say. */
    const struct world *totals[] = {&cas, &mixed};
    for (size_t i = 0; i < QUO_COUNT(totals); i++) {
        assert_true(totals[i]->crashes > LIVES);
        assert_true(totals[i]->promises > LIVES);
        assert_true(totals[i]->nexts > LIVES / 2);
    }
    assert_int_equal(cas.superseded, 0);
    assert_true(mixed.superseded > LIVES / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_word_of_an_acceptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
