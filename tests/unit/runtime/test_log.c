#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quorate/log.h"

static char captured[8192];
static int kept_stderr, sink;

static void start_capture(void)
{
    kept_stderr = dup(STDERR_FILENO);
    sink = memfd_create("stderr", 0);
    assert_true(kept_stderr >= 0 && sink >= 0);
    dup2(sink, STDERR_FILENO);
}

static const char *end_capture(void)
{
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    ssize_t len = pread(sink, captured, sizeof captured - 1, 0);
    assert_true(len >= 0);
    captured[len] = '\0';
    close(sink);
    return captured;
}

static int default_level(void **state)
{
    (void)state;
    quo_log_set_level(QUO_LOG_INFO);
    return 0;
}

/* Compares with '#' in the pattern standing for any digit. */
static void assert_shape(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; text++, pattern++) {
        if (*pattern == '#')
            assert_in_range(*text, '0', '9');
        else
            assert_int_equal(*text, *pattern);
    }
    assert_string_equal(text, "");
}

static void line_is_logfmt_with_a_utc_time(void **state)
{
    (void)state;
    start_capture();
    quo_log(QUO_LOG_INFO, "node.started", "name=%s port=%d", "node-1", 7001);
    assert_shape(end_capture(), "ts=####-##-##T##:##:##.###Z level=info event=node.started "
                                "name=node-1 port=7001\n");
}

static void event_without_pairs_has_no_trailing_space(void **state)
{
    (void)state;
    start_capture();
    quo_log(QUO_LOG_ERROR, "node.stopped", "%s", "");
    assert_shape(end_capture(), "ts=####-##-##T##:##:##.###Z level=error event=node.stopped\n");
}

static void lower_levels_are_dropped(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int lowest = QUO_LOG_DEBUG; lowest <= QUO_LOG_ERROR; lowest++) {
        quo_log_set_level((enum quo_log_level)lowest);
        for (int level = QUO_LOG_DEBUG; level <= QUO_LOG_ERROR; level++) {
            char wanted[32];
            start_capture();
            quo_log((enum quo_log_level)level, "e", "a=1");
            const char *line = end_capture();
            snprintf(wanted, sizeof wanted, " level=%s ", names[level]);
            if (level < lowest)
                assert_string_equal(line, "");
            else
                assert_non_null(strstr(line, wanted));
        }
    }
}

static void level_names_are_parsed(void **state)
{
    (void)state;
    enum quo_log_level level = QUO_LOG_DEBUG;
    assert_true(quo_log_level_parse("error", &level));
    assert_int_equal(level, QUO_LOG_ERROR);
    assert_false(quo_log_level_parse("ERROR", &level));
    assert_false(quo_log_level_parse("", &level));
    assert_int_equal(level, QUO_LOG_ERROR);
    assert_true(quo_log_level_parse("debug", &level));
    assert_int_equal(level, QUO_LOG_DEBUG);
}

static void long_lines_are_cut_and_still_end(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 'x', sizeof text - 1);
    start_capture();
    quo_log(QUO_LOG_WARN, "e", "a=%s", text);
    quo_log(QUO_LOG_WARN, "next", "b=2");
    const char *lines = end_capture();
    const char *end = strchr(lines, '\n');
    assert_non_null(end);
    assert_in_range(end + 1 - lines, 2000, 2048);
    assert_int_equal(end[-1], 'x');
    assert_memory_equal(end + 1, "ts=", 3);
    assert_non_null(strstr(end, " event=next b=2\n"));
}

/* Somebody else's bytes must not make a second line or move a terminal's cursor. */
static void control_bytes_cannot_split_a_line(void **state)
{
    (void)state;
    start_capture();
    quo_log(QUO_LOG_WARN, "e", "a=%s", "1\nts=fake\x1b[2J\x7f");
    const char *line = end_capture();
    assert_non_null(strstr(line, " a=1?ts=fake?[2J?\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void errno_survives(void **state)
{
    (void)state;
    start_capture();
    close(STDERR_FILENO);
    errno = ENOSPC;
    quo_log(QUO_LOG_WARN, "e", "a=1");
    int after = errno;
    end_capture();
    assert_int_equal(after, ENOSPC);
}

static void quoting_escapes(void **state)
{
    (void)state;
    char out[128];
    assert_string_equal(quo_log_quote(quo_slice_of("plain text"), out, sizeof out),
                        "\"plain text\"");
    assert_string_equal(quo_log_quote(quo_slice_of("a\"b\\c\n\r\t"), out, sizeof out),
                        "\"a\\\"b\\\\c\\n\\r\\t\"");
    assert_string_equal(quo_log_quote(quo_slice("\0\x1f\x7f\xc3\xa4", 5), out, sizeof out),
                        "\"\\x00\\x1f\\x7f\\xc3\\xa4\"");
    assert_string_equal(quo_log_quote(quo_slice(NULL, 0), out, sizeof out), "\"\"");
}

/* Whatever the room, the value is closed and no escape is cut in two. */
static void quoting_is_cut_to_fit(void **state)
{
    (void)state;
    static const char *const fits[] = {
        "",
        "",
        "",
        "\"\"",
        "\"a\"",
        "\"a\"",
        "\"a\\n\"",
        "\"a\\n\"",
        "\"a\\n\"",
        "\"a\\n\"",
        "\"a\\n\\x01\"",
        "\"a\\n\\x01b\"",
        "\"a\\n\\x01b\"",
    };
    for (size_t size = 0; size < QUO_COUNT(fits); size++) {
        char *out = malloc(size + 1);
        assert_non_null(out);
        out[size] = '#';
        assert_ptr_equal(quo_log_quote(quo_slice_of("a\n\x01"
                                                    "b"),
                                       out, size),
                         out);
        if (size > 0)
            assert_string_equal(out, fits[size]);
        assert_int_equal(out[size], '#');
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(line_is_logfmt_with_a_utc_time, default_level),
        cmocka_unit_test_setup(event_without_pairs_has_no_trailing_space, default_level),
        cmocka_unit_test_setup(lower_levels_are_dropped, default_level),
        cmocka_unit_test_setup(level_names_are_parsed, default_level),
        cmocka_unit_test_setup(long_lines_are_cut_and_still_end, default_level),
        cmocka_unit_test_setup(control_bytes_cannot_split_a_line, default_level),
        cmocka_unit_test_setup(errno_survives, default_level),
        cmocka_unit_test_setup(quoting_escapes, default_level),
        cmocka_unit_test_setup(quoting_is_cut_to_fit, default_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
