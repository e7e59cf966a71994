#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/preferences.h"
#include "tests/unit/http/header_lines.h"

enum { HEADERS_MAX = 8 };

static void the_first_return_counts(void **state)
{
    static const struct {
        const char *headers;
        bool representation;
    } rows[] = {
        {NULL, false},
        {"prefer: return=representation", true},
        {"prefer: Return = Representation", true},
        {"prefer: return=\"representation\"", true},
        {"prefer: return=representation; x=\"a,b\"", true},
        {"prefer: wait=10, return=representation", true},
        {"prefer: foo=\"a,b=\\\"return=minimal\", return=representation", true},
        {"prefer: wait=10\nprefer: return=representation", true},
        {"prefer: return=minimal", false},
        {"prefer: return=minimal, return=representation", false},
        {"prefer: return=representation, return=minimal", true},
        {"prefer: return=minimal\nprefer: return=representation", false},
        {"prefer: return", false},
        {"prefer: returns=representation", false},
        {"prefer: foo=\"return=representation\"", false},
        {"prefer: foo; return=representation", false},
        {"prefer: \"return=representation", false},
        {"prefer: ,;=,,", false},
        {"prefer: ", false},
        {"x: return=representation", false},
    };

    (void)state;
    for (size_t i = 0; i < QUO_COUNT(rows); i++) {
        struct quo_http_header list[HEADERS_MAX];
        struct quo_http_request request = {.headers = list};

        request.header_count = split_headers(rows[i].headers, list);
        if (quo_prefers_representation(&request) != rows[i].representation)
            fail_msg("%s", rows[i].headers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_return_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
