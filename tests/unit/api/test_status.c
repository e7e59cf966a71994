#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quorate/base.h"
#include "quorate/status.h"

static void names_follow_the_table(void **state)
{
    (void)state;
    static const struct {
        enum quo_status status;
        const char *name, *text;
    } rows[] = {
#define QUO_STATUS(name, value, text) {QUO_##name, #name, text},
#include "quorate/status.def"
#undef QUO_STATUS
    };
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        char expected[64] = "";
        for (size_t c = 0; rows[i].name[c] != '\0'; c++)
            expected[c] = rows[i].name[c] == '_' ? '-' : (char)tolower(rows[i].name[c]);
        assert_string_equal(quo_status_name(rows[i].status), expected);
        assert_string_equal(quo_status_text(rows[i].status), rows[i].text);
    }
}

static void values_outside_the_table_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(quo_status_name((enum quo_status)31), "unknown");
    assert_string_equal(quo_status_text((enum quo_status)255), "unknown status");
}

static void only_replica_codes_go_on_the_wire(void **state)
{
    (void)state;
    assert_true(quo_status_on_wire(QUO_OK));
    assert_true(quo_status_on_wire(QUO_HISTORY_LOST));
    assert_false(quo_status_on_wire(QUO_HISTORY_LOST + 1));
    assert_false(quo_status_on_wire(QUO_STATUS_WIRE_MAX));
    assert_false(quo_status_on_wire(QUO_NOT_FOUND));
    assert_false(quo_status_on_wire(255));
}

/* A broken check must say where it stands, in one line, and abort. */
static void broken_check_reports_and_aborts(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        QUO_REQUIRE(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    char text[512] = "";
    size_t len = 0;
    ssize_t got;
    while ((got = read(ends[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    close(ends[0]);
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT);
    assert_non_null(strstr(text, "test_status.c:"));
    assert_non_null(strstr(text, ": precondition failed: 1 + 1 == 3\n"));
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_table),
        cmocka_unit_test(values_outside_the_table_are_unknown),
        cmocka_unit_test(only_replica_codes_go_on_the_wire),
        cmocka_unit_test(broken_check_reports_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
