/* When memory runs out a patch says so, and nothing is lost. Every allocation fails once, in turn.
 * Linked with --wrap=malloc --wrap=calloc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/change/change.h"
#include "proxy/change/merge_patch.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static int until_failure; /* allocations that still succeed; below 0: all do */

static bool fails(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

/* `count` members with escaped names, which are copied. */
static struct quo_slice object_of(unsigned count, char first, char *out)
{
    size_t len = 0;

    out[len++] = '{';
    for (unsigned i = 0; i < count; i++) {
        const char member[] = {'"',
                               first,
                               (char)('!' + 2 * (i % 40)),
                               (char)('A' + i / 40 % 16),
                               '\\',
                               'n',
                               '"',
                               ':',
                               '{',
                               '}',
                               ','};
        memcpy(out + len, member, sizeof member);
        len += sizeof member;
    }
    out[len - 1] = '}';
    return quo_slice(out, len);
}

/* Returns how many allocations it took. */
static int fail_each(struct quo_slice target, struct quo_slice patch)
{
    enum quo_status status = QUO_NO_MEMORY;
    char *text = NULL;
    size_t len = 0;
    int failures = 0;

    for (; status == QUO_NO_MEMORY; failures++) {
        until_failure = failures;
        status = quo_merge_patch(target, patch, QUO_VALUE_MAX, &text, &len);
        if (status == QUO_NO_MEMORY)
            assert_null(text);
    }
    until_failure = -1;
    assert_int_equal(status, QUO_OK);
    free(text);
    return failures;
}

/* So many sizes that every kind of node comes to be the one for which there is no room. */
static void patches_say_so(void **state)
{
    static char a[8192], b[8192];

    (void)state;
    for (unsigned count = 1; count <= 200; count++) {
        const int one = fail_each(object_of(count, 'a', a), quo_slice_of("{}"));
        const int both = fail_each(object_of(count, 'a', a), object_of(count, 'b', b));
        assert_true(one >= 4 && both >= one);
    }
    until_failure = 0;
    assert_int_equal(quo_json_check(quo_slice_of("{}"), NULL, 0), QUO_NO_MEMORY);
    until_failure = -1;
}

static void nothing_is_decided_without_memory(void **state)
{
    const struct quo_change patch = {.type = QUO_CHANGE_PATCH,
                                     .opid = quo_opid_of_key(quo_slice_of("k")),
                                     .value = quo_slice_of("{\"a\":{\"b\":1}}")};
    const struct quo_change_context context = {
        .ballot = {1, 1}, .first = {1, 1}, .retention_s = 1, .value_max = 100};
    struct quo_change_result result = {.code = QUO_CHANGE_NO_MEMORY};
    struct quo_record made;
    int failures = 0;

    (void)state;
    until_failure = 0;
    assert_null(quo_changer_new());
    until_failure = -1;
    quo_changer_free(NULL);
    struct quo_changer *changer = quo_changer_new();
    assert_non_null(changer);
    for (; result.code == QUO_CHANGE_NO_MEMORY; failures++) {
        until_failure = failures;
        const enum quo_decision decision =
            quo_change_apply(changer, &patch, NULL, &context, &made, &result);
        assert_int_equal(decision, result.code == QUO_CHANGE_NO_MEMORY ? QUO_DECISION_KEEP
                                                                       : QUO_DECISION_WRITE);
        assert_int_equal(quo_ring_count(made.ring), decision == QUO_DECISION_WRITE);
    }
    until_failure = -1;
    assert_int_equal(result.code, QUO_CHANGE_DONE);
    assert_true(failures > 2);
    quo_changer_free(changer);
}

int main(void)
{
    until_failure = -1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_say_so),
        cmocka_unit_test(nothing_is_decided_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
