#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "quorate/limits.h"
#include "quorate/metrics.h"

/* The n-th growth from now fails; the code under test is compiled in here to see this realloc. */
static int failing_growth;

static void *counted_realloc(void *old, size_t size)
{
    if (failing_growth > 0 && --failing_growth == 0)
        return NULL;
    return realloc(old, size);
}
#define realloc counted_realloc
#include "api/runtime/metrics.c"
#undef realloc

static void text_grows(void **state)
{
    (void)state;
    struct quo_text text = {0};
    for (int i = 0; i < 20000; i++)
        quo_text_add(&text, "%05d", i);
    assert_false(text.failed);
    assert_int_equal(text.size, 100000);
    assert_int_equal(strlen(text.data), 100000);
    assert_memory_equal(text.data + 5 * 12345, "12345", 5);
    quo_text_free(&text);
    assert_null(text.data);
    quo_text_free(&text);
    quo_text_free(NULL);
}

static void bytes_are_appended_as_they_are(void **state)
{
    (void)state;
    struct quo_text text = {0};

    quo_text_append(&text, NULL, 0);
    assert_int_equal(text.size, 0);
    quo_text_append(&text, "a\0%s", 4);
    quo_text_add(&text, "%d", 5);
    assert_int_equal(text.size, 5);
    assert_memory_equal(text.data, "a\0%s5", 6);
    quo_text_free(&text);
    text.size = QUO_TEXT_MAX - 1;
    quo_text_append(&text, "b", 1);
    assert_true(text.failed);
    quo_text_append(&text, "b", 1);
    assert_int_equal(text.size, QUO_TEXT_MAX - 1);
}

static void every_failed_growth_is_noticed(void **state)
{
    (void)state;
    int fail_at = 1;
    for (;; fail_at++) {
        struct quo_text text = {0};
        failing_growth = fail_at;
        for (int i = 0; i < 20000; i++)
            quo_text_add(&text, "%05d", i);
        bool reached = failing_growth == 0;
        failing_growth = 0;
        assert_int_equal(text.failed, reached);
        if (reached && text.data != NULL) /* what came before is whole */
            assert_int_equal(strlen(text.data), text.size);
        quo_text_free(&text);
        if (!reached)
            break;
    }
    assert_int_equal(fail_at, 7); /* 4 KiB doubles to 128 KiB in six steps */
}

static void text_is_limited(void **state)
{
    (void)state;
    struct quo_text text = {0};
    static char mebibyte[1024 * 1024 + 1];
    memset(mebibyte, 'm', sizeof mebibyte - 1);
    for (int i = 0; i < 100; i++)
        quo_text_add(&text, "%s", mebibyte);
    assert_true(text.failed);
    assert_int_equal(text.size, QUO_TEXT_MAX - 1024 * 1024);
    quo_text_free(&text);
}

static void samples_are_written(void **state)
{
    (void)state;
    struct quo_text text = {0};
    quo_metric_head(&text, "quorate_ops_total", "counter", "Operations by level.");
    quo_metric_value(&text, "quorate_ops_total", "level=\"strong\"", 7);
    quo_metric_value(&text, "quorate_ops_total", "", UINT64_MAX);
    assert_string_equal(text.data, "# HELP quorate_ops_total Operations by level.\n"
                                   "# TYPE quorate_ops_total counter\n"
                                   "quorate_ops_total{level=\"strong\"} 7\n"
                                   "quorate_ops_total 18446744073709551615\n");
    quo_text_free(&text);
}

/* The histograms of several loops become one, in seconds, each bucket with all below it. */
static void histograms_are_summed_and_cumulative(void **state)
{
    (void)state;
    struct quo_histogram a = {0}, b = {0};
    const struct quo_histogram *both[] = {&a, &b};
    struct quo_text text = {0};
    quo_histogram_record(&a, 10);
    quo_histogram_record(&a, 150);
    quo_histogram_record(&b, 150);
    quo_histogram_record(&b, 4000000);
    quo_histogram_record(&b, 30000000);
    quo_metric_histogram(&text, "h", "level=\"strong\"", both, 2);
    assert_string_equal(text.data, "h_bucket{level=\"strong\",le=\"5e-05\"} 1\n"
                                   "h_bucket{level=\"strong\",le=\"0.0001\"} 1\n"
                                   "h_bucket{level=\"strong\",le=\"0.0002\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.0005\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.001\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.002\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.005\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.01\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.02\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.05\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.1\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.2\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"0.5\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"1\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"2\"} 3\n"
                                   "h_bucket{level=\"strong\",le=\"5\"} 4\n"
                                   "h_bucket{level=\"strong\",le=\"10\"} 4\n"
                                   "h_bucket{level=\"strong\",le=\"+Inf\"} 5\n"
                                   "h_sum{level=\"strong\"} 34.000310\n"
                                   "h_count{level=\"strong\"} 5\n");
    quo_text_free(&text);
}

static void histogram_without_labels(void **state)
{
    (void)state;
    struct quo_text text = {0};
    quo_metric_histogram(&text, "h", "", NULL, 0);
    assert_memory_equal(text.data, "h_bucket{le=\"5e-05\"} 0\n", 23);
    assert_non_null(strstr(text.data, "\nh_bucket{le=\"+Inf\"} 0\nh_sum 0.000000\nh_count 0\n"));
    quo_text_free(&text);
}

/* Reads a sample of this process' metrics. */
static double process_value(const char *name)
{
    struct quo_text text = {0};
    char start[128];
    quo_metric_process(&text);
    assert_false(text.failed);
    snprintf(start, sizeof start, "\n%s ", name);
    const char *at = strstr(text.data, start);
    assert_non_null(at);
    double value = strtod(at + strlen(start), NULL);
    quo_text_free(&text);
    return value;
}

static void process_is_described(void **state)
{
    (void)state;
    double resident = process_value("process_resident_memory_bytes");
    assert_true(resident > 100e3);
    assert_true(resident <= process_value("process_virtual_memory_bytes"));

    double before = process_value("process_open_fds");
    int fd = open("/dev/null", O_RDONLY);
    assert_true(process_value("process_open_fds") == before + 1);
    close(fd);
    assert_true(process_value("process_max_fds") >= before);

    /* Whole seconds, and the kernel rounds the boot time apart from the start. */
    double now = (double)time(NULL), started = process_value("process_start_time_seconds");
    assert_true(started <= now + 2 && started > now - 300);
}

static void cpu_seconds_grow(void **state)
{
    (void)state;
    double first = process_value("process_cpu_seconds_total");
    while (process_value("process_cpu_seconds_total") < first + 0.03) {
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_grows),
        cmocka_unit_test(bytes_are_appended_as_they_are),
        cmocka_unit_test(every_failed_growth_is_noticed),
        cmocka_unit_test(text_is_limited),
        cmocka_unit_test(samples_are_written),
        cmocka_unit_test(histograms_are_summed_and_cumulative),
        cmocka_unit_test(histogram_without_labels),
        cmocka_unit_test(process_is_described),
        cmocka_unit_test(cpu_seconds_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
