#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quorate/base.h"
#include "quorate/config.h"
#include "quorate/limits.h"

static struct {
    char name[QUO_CONFIG_TEXT_MAX], host[QUO_CONFIG_TEXT_MAX];
    uint64_t port, bytes;
    bool verify;
} values;

static const struct quo_config_key keys[] = {
    {"name", QUO_CONFIG_TEXT, values.name, "node", 0, 0, "QUO_TEST_NAME", "Name of the node."},
    {"listen.host", QUO_CONFIG_TEXT, values.host, "127.0.0.1", 0, 0, "QUO_TEST_LISTEN_HOST",
     "Address to listen on."},
    {"listen.port", QUO_CONFIG_NUMBER, &values.port, "8080", 1, 65535, "QUO_TEST_LISTEN_PORT",
     "Port to listen on."},
    {"listen.tls.verify", QUO_CONFIG_SWITCH, &values.verify, "true", 0, 0, "QUO_TEST_VERIFY",
     "Whether to ask for a certificate."},
    {"bytes", QUO_CONFIG_NUMBER, &values.bytes, "0", 0, UINT64_MAX, NULL, "Room."},
};

static char why[512], path[64];
static int fd = -1;

static int fresh(void **state)
{
    (void)state;
    unsetenv("QUO_TEST_NAME");
    unsetenv("QUO_TEST_LISTEN_HOST");
    unsetenv("QUO_TEST_LISTEN_PORT");
    unsetenv("QUO_TEST_VERIFY");
    memset(&values, 0x5a, sizeof values);
    why[0] = '\0';
    return 0;
}

static enum quo_status read_bytes(const char *text, size_t len)
{
    if (fd >= 0)
        close(fd);
    fd = memfd_create("config", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return quo_config_read(keys, QUO_COUNT(keys), path, why, sizeof why);
}

static enum quo_status read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

/* Expects `text` to be refused at `line` with exactly this sentence. */
static void expect_refused(const char *text, int line, const char *sentence)
{
    char expected[512];
    assert_int_equal(read_text(text), QUO_INVALID);
    snprintf(expected, sizeof expected, "%s:%d: %s", path, line, sentence);
    assert_string_equal(why, expected);
}

static void presets_stand_without_a_file(void **state)
{
    (void)state;
    assert_int_equal(quo_config_read(keys, QUO_COUNT(keys), NULL, why, sizeof why), QUO_OK);
    assert_string_equal(values.name, "node");
    assert_string_equal(values.host, "127.0.0.1");
    assert_int_equal(values.port, 8080);
    assert_int_equal(values.bytes, 0);
    assert_true(values.verify);
}

static void file_overrides_presets(void **state)
{
    (void)state;
    assert_int_equal(read_text("# a comment\n"
                               "name = \"other\";\n"
                               "listen: { port = 0x1F90; tls = { verify = false; }; };\n"
                               "bytes = 5000000000L;\n"),
                     QUO_OK);
    assert_string_equal(values.name, "other");
    assert_string_equal(values.host, "127.0.0.1");
    assert_int_equal(values.port, 8080);
    assert_int_equal(values.bytes, 5000000000);
    assert_false(values.verify);
}

static void empty_file_is_fine(void **state)
{
    (void)state;
    assert_int_equal(read_text(""), QUO_OK);
    assert_int_equal(values.port, 8080);
}

static void environment_overrides_the_file(void **state)
{
    (void)state;
    setenv("QUO_TEST_NAME", "", 1);
    setenv("QUO_TEST_LISTEN_PORT", "65535", 1);
    setenv("QUO_TEST_VERIFY", "false", 1);
    assert_int_equal(read_text("name = \"other\";\nlisten = { port = 7; };\n"), QUO_OK);
    assert_string_equal(values.name, "");
    assert_int_equal(values.port, 65535);
    assert_false(values.verify);
}

static void unknown_keys_are_errors_everywhere(void **state)
{
    (void)state;
    expect_refused("name = \"a\";\n\nnmae = \"b\";\n", 3, "unknown key 'nmae'");
    expect_refused("listen = {\n  prot = 1;\n};\n", 2, "unknown key 'listen.prot'");
    expect_refused("listen = {\n  tls = {\n\n    x = 1;\n  };\n};\n", 4,
                   "unknown key 'listen.tls.x'");
    expect_refused("other = {\n  deep = { deeper = 1; };\n};\n", 1, "unknown key 'other'");
    /* The beginning of a group's name is no group. */
    expect_refused("liste = { port = 1; };\n", 1, "unknown key 'liste'");
}

static void wrong_types_are_errors(void **state)
{
    (void)state;
    static const char number[] = "'listen.port' must be a whole number from 1 to 65535";
    static const char text[] = "'name' must be text of at most 4095 bytes";
    static const char flag[] = "'listen.tls.verify' must be true or false";
    expect_refused("listen = { port = \"80\"; };", 1, number);
    expect_refused("listen = { port = 80.0; };", 1, number);
    expect_refused("listen = { port = true; };", 1, number);
    expect_refused("listen = { port = [ 1 ]; };", 1, number);
    expect_refused("listen = { port = { a = 1; }; };", 1, number);
    expect_refused("\nname = 5;", 2, text);
    expect_refused("name = ( \"a\" );", 1, text);
    expect_refused("listen = { tls = { verify = 1; }; };", 1, flag);
    expect_refused("listen = { tls = { verify = \"true\"; }; };", 1, flag);
    expect_refused("\n\nlisten = 5;", 3, "'listen' must be a group: { ... }");
    expect_refused("listen = ( { port = 1; } );", 1, "'listen' must be a group: { ... }");
}

static void numbers_out_of_range_are_errors(void **state)
{
    (void)state;
    static const char port[] = "'listen.port' must be a whole number from 1 to 65535";
    expect_refused("listen = { port = 0; };", 1, port);
    expect_refused("listen = { port = 65536; };", 1, port);
    expect_refused("listen = { port = -1; };", 1, port);
    expect_refused("listen = { port = 4294967297L; };", 1, port); /* 1 in 32 bits */
    expect_refused("listen = { port = 2147483647; };", 1, port);
    expect_refused("bytes = -1;", 1,
                   "'bytes' must be a whole number from 0 to 18446744073709551615");
}

/* libconfig by itself would make 1 of 4294967297. */
static void numbers_that_would_be_cut_are_errors(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "4294967297",           "2147483648",
        "0x100000001",          "0xFFFFFFFF",
        "-4294967297",          "9223372036854775808L",
        "18446744073709551617", "36893488147419103233L",
        "0x10000000000000001L",
    };
    for (size_t i = 0; i < QUO_COUNT(wrong); i++) {
        char text[128];
        snprintf(text, sizeof text, "/* 1 */ # 2\nlisten = { port = %s; };", wrong[i]);
        expect_refused(text, 2, "number too large; one above 2147483647 needs an L behind it");
    }
    assert_int_equal(read_text("# 99999999999\n// 99999999999\n/* 9999999999999 */\n"
                               "name = \"\\\"99999999999\"; bytes = 9223372036854775807L;"),
                     QUO_OK);
    assert_string_equal(values.name, "\"99999999999");
    assert_int_equal(values.bytes, INT64_MAX);
    expect_refused("a99999999999 = 1;", 1, "unknown key 'a99999999999'");
}

static void too_long_text_is_an_error(void **state)
{
    (void)state;
    static char text[QUO_CONFIG_TEXT_MAX + 32];
    for (int over = 0; over < 2; over++) {
        int len =
            snprintf(text, sizeof text, "name = \"%0*d\";", (int)QUO_CONFIG_TEXT_MAX - 1 + over, 7);
        assert_int_equal(read_bytes(text, (size_t)len), over ? QUO_INVALID : QUO_OK);
    }
}

static void syntax_errors_name_the_line(void **state)
{
    (void)state;
    expect_refused("name = \"a\";\nlisten = { port = ;\n", 2, "syntax error");
    assert_int_equal(read_text("name = \"a\";\nname = \"b\";\n"), QUO_INVALID);
    assert_non_null(strstr(why, ":2: duplicate setting name"));
}

static void includes_are_refused(void **state)
{
    (void)state;
    expect_refused("name = \"a\";\n \t@include \"/etc/passwd\"\n", 2, "@include is not supported");
    /* As text or comment it is harmless. */
    assert_int_equal(read_text("name = \"@include\"; # @include\n/*\n@include \"/dev/null\"\n*/"),
                     QUO_OK);
}

static void odd_bytes_are_refused(void **state)
{
    (void)state;
    char expected[512];
    assert_int_equal(read_bytes("name = \"a\";\n\0", 13), QUO_INVALID);
    snprintf(expected, sizeof expected, "%s:2: a NUL byte", path);
    assert_string_equal(why, expected);
    assert_int_equal(read_bytes("\xff\xfe", 2), QUO_INVALID);
}

static void unreadable_files_are_errors(void **state)
{
    (void)state;
    assert_int_equal(quo_config_read(keys, QUO_COUNT(keys), "/nonexistent/q.conf", why, sizeof why),
                     QUO_INVALID);
    assert_string_equal(why, "/nonexistent/q.conf: No such file or directory");
    assert_int_equal(quo_config_read(keys, QUO_COUNT(keys), "/tmp", why, sizeof why), QUO_INVALID);
    assert_string_equal(why, "/tmp: Is a directory");
    assert_int_equal(quo_config_read(keys, QUO_COUNT(keys), "/dev/zero", why, sizeof why),
                     QUO_INVALID);
    assert_string_equal(why, "/dev/zero: larger than 1048576 bytes");
}

static void expect_environment_refused(const char *variable, const char *value,
                                       const char *sentence)
{
    char expected[512];
    fresh(NULL);
    setenv(variable, value, 1);
    assert_int_equal(quo_config_read(keys, QUO_COUNT(keys), NULL, why, sizeof why), QUO_INVALID);
    snprintf(expected, sizeof expected, "%s: must be %s, not '%s'", variable, sentence, value);
    assert_string_equal(why, expected);
}

static void environment_is_checked_alike(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "0",
                                        "65536",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "0x10",
                                        "1.0",
                                        "18446744073709551617",
                                        "99999999999999999999999"};
    for (size_t i = 0; i < QUO_COUNT(wrong); i++)
        expect_environment_refused("QUO_TEST_LISTEN_PORT", wrong[i],
                                   "a whole number from 1 to 65535");
    expect_environment_refused("QUO_TEST_VERIFY", "yes", "true or false");
    expect_environment_refused("QUO_TEST_VERIFY", "", "true or false");
}

static void reason_is_cut_to_fit(void **state)
{
    (void)state;
    char small[8] = "#######";
    setenv("QUO_TEST_LISTEN_PORT", "x", 1);
    assert_int_equal(quo_config_read(keys, QUO_COUNT(keys), NULL, small, 5), QUO_INVALID);
    assert_memory_equal(small, "QUO_\0##", 8);
}

static void help_shows_every_key(void **state)
{
    (void)state;
    static char text[4096];
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), out = memfd_create("stdout", MFD_CLOEXEC);
    dup2(out, STDOUT_FILENO);
    quo_config_print_help(keys, QUO_COUNT(keys));
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    assert_true(pread(out, text, sizeof text - 1, 0) > 0);
    close(out);
    for (size_t i = 0; i < QUO_COUNT(keys); i++) {
        assert_non_null(strstr(text, keys[i].name));
        assert_non_null(strstr(text, keys[i].help));
    }
    assert_non_null(strstr(text, "  listen.port\n"
                                 "      Port to listen on.\n"
                                 "      A whole number from 1 to 65535; default: 8080; "
                                 "environment: QUO_TEST_LISTEN_PORT\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(presets_stand_without_a_file, fresh),
        cmocka_unit_test_setup(file_overrides_presets, fresh),
        cmocka_unit_test_setup(empty_file_is_fine, fresh),
        cmocka_unit_test_setup(environment_overrides_the_file, fresh),
        cmocka_unit_test_setup(unknown_keys_are_errors_everywhere, fresh),
        cmocka_unit_test_setup(wrong_types_are_errors, fresh),
        cmocka_unit_test_setup(numbers_out_of_range_are_errors, fresh),
        cmocka_unit_test_setup(numbers_that_would_be_cut_are_errors, fresh),
        cmocka_unit_test_setup(too_long_text_is_an_error, fresh),
        cmocka_unit_test_setup(syntax_errors_name_the_line, fresh),
        cmocka_unit_test_setup(includes_are_refused, fresh),
        cmocka_unit_test_setup(odd_bytes_are_refused, fresh),
        cmocka_unit_test_setup(unreadable_files_are_errors, fresh),
        cmocka_unit_test_setup(environment_is_checked_alike, fresh),
        cmocka_unit_test_setup(reason_is_cut_to_fit, fresh),
        cmocka_unit_test_setup(help_shows_every_key, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
