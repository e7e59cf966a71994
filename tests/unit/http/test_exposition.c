#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proxy/http/stats.h"

static struct quo_service_stats service[2];
static struct quo_net_stats net[2];
static struct quo_http_stats http[2];

static void assert_has(const struct quo_text *text, const char *line)
{
    if (strstr(text->data, line) == NULL)
        fail_msg("missing: %s", line);
}

static void loops_are_summed(void **state)
{
    struct quo_http_sources sources = {.loops = 2};
    struct quo_text text = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sources.at[i].service = &service[i];
        sources.at[i].net = &net[i];
        sources.at[i].http = &http[i];
        quo_count(&service[i].hedges, 1 + i);
        quo_count(&service[i].verdicts[1][QUO_LEVEL_ALL][QUO_VERDICT_WRITTEN], 5);
        quo_count(&service[i].verdicts[0][QUO_LEVEL_QUORUM][QUO_VERDICT_TIMEOUT], 7);
        quo_histogram_record(&service[i].latency[0][QUO_LEVEL_STRONG], 300);
        quo_count(&service[i].verdicts[1][QUO_LEVEL_STRONG][QUO_VERDICT_DECLINED], 1);
        quo_count(&service[i].warm_hits, 2);
        quo_count(&service[i].replays, 1 + i);
        quo_count(&service[i].scan_verdicts[QUO_VERDICT_FOUND], 6);
        quo_count(&service[i].scan_items, 50);
        quo_histogram_record(&service[i].scan_latency, 300);
        quo_count(&net[i].frames_in, 100);
        quo_count(&http[i].accepted, 10);
        quo_count(&http[i].closed, 4);
        quo_count(&http[i].requests, 30);
        quo_count(&http[i].cancelled, 3);
        quo_count(&http[i].lacking, 5 + i);
        quo_count(&http[i].responses[504], 2);
        quo_count(&http[i].floods[QUO_FLOOD_RESETS], 1);
    }
    quo_http_exposition(&sources, &text);
    assert_false(text.failed);
    assert_has(&text, "\nquo_hedges_total 3\n");
    assert_has(&text, "\nquo_requests_total{op=\"write\",level=\"all\",verdict=\"written\"} 10\n");
    assert_has(&text,
               "\nquo_requests_total{op=\"read\",level=\"quorum\",verdict=\"timeout\"} 14\n");
    assert_has(&text, "\nquo_request_duration_seconds_count{op=\"read\",level=\"strong\"} 2\n");
    assert_has(&text,
               "\nquo_requests_total{op=\"write\",level=\"strong\",verdict=\"declined\"} 2\n");
    assert_has(&text, "\nquo_consensus_warm_hits_total 4\n");
    assert_has(&text, "\nquo_consensus_replays_total 3\n");
    assert_null(strstr(text.data, "op=\"read\",level=\"strong\",verdict=\"declined\""));
    assert_null(strstr(text.data, "op=\"write\",level=\"strong\",verdict=\"found\""));
    assert_has(&text, "\nquo_scans_total{verdict=\"found\"} 12\n");
    assert_has(&text, "\nquo_scans_total{verdict=\"timeout\"} 0\n");
    assert_has(&text, "\nquo_scan_keys_total 100\n");
    assert_has(&text, "\nquo_scan_duration_seconds_count 2\n");
    assert_has(&text, "\nquo_peer_frames_in_total 200\n");
    assert_has(&text, "\nquo_http_connections_accepted_total 20\n");
    assert_has(&text, "\nquo_http_connections 12\n");
    assert_has(&text, "\nquo_http_requests_waiting 50\n");
    assert_has(&text, "\nquo_partitions_lacking_quorum 6\n");
    assert_has(&text, "\nquo_http_responses_total{code=\"504\"} 4\n");
    assert_has(&text, "\nquo_http_floods_total{kind=\"resets\"} 2\n");
    assert_has(&text, "\nquo_http_floods_total{kind=\"bodies\"} 0\n");
    assert_has(&text, "\nprocess_resident_memory_bytes ");
    assert_null(strstr(text.data, "verdict=\"written\",op=\"read\""));
    quo_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loops_are_summed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
