#include "tests/conformance/engine_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "storage-node/engine/crc32c.h"
#include "storage-node/engine/identity.h"

#define CLUSTER 0x0123456789abcdefu

static int setup(void **state)
{
    static struct scratch scratch;
    scratch_make(&scratch);
    *state = &scratch;
    return 0;
}

static int teardown(void **state)
{
    scratch_remove(*state);
    return 0;
}

static struct quo_identity create(const char *directory)
{
    struct quo_identity made;
    char why[512] = "";
    if (quo_identity_create(directory, CLUSTER, &made, why, sizeof(why)) != QUO_OK)
        fail_msg("%s", why);
    assert_string_equal(why, "");
    return made;
}

static void expect_refusal(enum quo_status status, enum quo_status wanted, const char *why,
                           const char *words)
{
    assert_int_equal(status, wanted);
    if (strstr(why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static size_t read_file(const struct scratch *s, char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/IDENTITY", s->store);
    int fd = open(path, O_RDONLY);
    ssize_t len = read(fd, text, size);
    assert_true(fd >= 0 && len > 0);
    close(fd);
    return (size_t)len;
}

static void write_file(const struct scratch *s, const char *text, size_t len)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/IDENTITY", s->store);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    close(fd);
}

static void reads_what_it_made(void **state)
{
    const struct scratch *s = *state;
    struct quo_identity made = create(s->store), found = {0};
    char why[512];

    assert_int_equal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_OK);
    assert_int_equal(found.cluster, CLUSTER);
    assert_int_equal(found.replica, made.replica);
    assert_int_not_equal(made.replica, 0);
}

static void makes_one_in_an_empty_directory_only(void **state)
{
    const struct scratch *s = *state;
    struct quo_identity made, again = {0};
    char why[512] = "";

    assert_int_equal(mkdir(s->store, 0700), 0);
    made = create(s->store);
    expect_refusal(quo_identity_create(s->store, CLUSTER, &again, why, sizeof(why)), QUO_INVALID,
                   why, "not empty");
    assert_int_equal(again.replica, 0);
    assert_int_equal(quo_identity_read(s->store, &again, why, sizeof(why)), QUO_OK);
    assert_int_equal(again.replica, made.replica);
}

static void makes_none_in_a_place_that_is_none(void **state)
{
    const struct scratch *s = *state;
    struct quo_identity made;
    char path[128], why[512] = "";

    snprintf(path, sizeof(path), "%s/missing/node", s->root);
    expect_refusal(quo_identity_create(path, CLUSTER, &made, why, sizeof(why)), QUO_IO_ERROR, why,
                   "No such file");
}

static void makes_a_new_one_each_time(void **state)
{
    const struct scratch *s = *state;
    char path[128];
    uint64_t seen[20];

    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof(path), "%s/node-%d", s->root, i);
        seen[i] = create(path).replica;
        for (int j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
    }
}

static void says_how_to_make_a_missing_one(void **state)
{
    const struct scratch *s = *state;
    struct quo_identity found;
    char why[512] = "";

    expect_refusal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_NOT_FOUND, why,
                   "--init");
    assert_int_equal(mkdir(s->store, 0700), 0);
    expect_refusal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_NOT_FOUND, why,
                   "--init");
}

static void refuses_every_changed_byte(void **state)
{
    const struct scratch *s = *state;
    struct quo_identity found = {0};
    char text[512], changed[512], why[512] = "";
    size_t len;

    create(s->store);
    len = read_file(s, text, sizeof(text));
    for (size_t i = 0; i < len; i++) {
        memcpy(changed, text, len);
        changed[i] ^= 1;
        write_file(s, changed, len);
        expect_refusal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_CORRUPT, why,
                       "altered");
    }
    assert_int_equal(found.replica, 0);
    for (size_t cut = 0; cut < len; cut++) {
        write_file(s, text, cut);
        assert_int_equal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_CORRUPT);
    }
    memset(text + len, 'x', sizeof(text) - len);
    write_file(s, text, sizeof(text));
    assert_int_equal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_CORRUPT);
    write_file(s, text, len);
    assert_int_equal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_OK);
}

static void is_held_once(void **state)
{
    const struct scratch *s = *state;
    struct quo_identity found;
    char why[512] = "";
    int lock = -1, second = -1;

    create(s->store);
    assert_int_equal(quo_identity_hold(s->store, &found, &lock, why, sizeof(why)), QUO_OK);
    expect_refusal(quo_identity_hold(s->store, &found, &second, why, sizeof(why)), QUO_BUSY, why,
                   "another process");
    assert_int_equal(second, -1);
    assert_int_equal(quo_identity_read(s->store, &found, why, sizeof(why)), QUO_OK);
    close(lock);
    assert_int_equal(quo_identity_hold(s->store, &found, &lock, why, sizeof(why)), QUO_OK);
    close(lock);
}

/* RFC 3720, B.4. */
static void checksums_as_the_standard_says(void **state)
{
    uint8_t bytes[32] = {0};

    (void)state;
    assert_int_equal(quo_crc32c(quo_slice_of("123456789")), 0xe3069283u);
    assert_int_equal(quo_crc32c(quo_slice(bytes, 32)), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    assert_int_equal(quo_crc32c(quo_slice(bytes, 32)), 0x62a8ab43u);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(quo_crc32c(quo_slice(bytes, 32)), 0x46dd794eu);
    assert_int_equal(quo_crc32c(quo_slice(NULL, 0)), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_what_it_made),
        CASE(makes_one_in_an_empty_directory_only),
        CASE(makes_none_in_a_place_that_is_none),
        CASE(makes_a_new_one_each_time),
        CASE(says_how_to_make_a_missing_one),
        CASE(refuses_every_changed_byte),
        CASE(is_held_once),
        cmocka_unit_test(checksums_as_the_standard_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
