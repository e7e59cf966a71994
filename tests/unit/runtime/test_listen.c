#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "quorate/base.h"
#include "quorate/listen.h"

static bool can_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

    close(fd);
    return connected;
}

static void all_sockets_share_the_port(void **state)
{
    int sockets[3];
    uint16_t port = 0;
    char why[256] = "";

    (void)state;
    assert_int_equal(quo_listen("127.0.0.1", 0, 3, sockets, &port, why, sizeof why), QUO_OK);
    assert_int_not_equal(port, 0);
    for (size_t i = 0; i < QUO_COUNT(sockets); i++) {
        struct sockaddr_in name;
        socklen_t len = sizeof name;

        assert_int_equal(getsockname(sockets[i], (struct sockaddr *)&name, &len), 0);
        assert_int_equal(ntohs(name.sin_port), port);
    }
    assert_true(can_connect(port));
    for (size_t i = 0; i < QUO_COUNT(sockets); i++)
        close(sockets[i]);
    assert_false(can_connect(port));
}

static void a_port_in_use_is_refused_even_when_it_could_be_shared(void **state)
{
    int first[2], second[2] = {-7, -7};
    uint16_t port = 0, other = 9;
    char why[256] = "", number[8];

    (void)state;
    for (uint32_t count = 1; count <= 2; count++) {
        assert_int_equal(quo_listen("127.0.0.1", 0, count, first, &port, why, sizeof why), QUO_OK);
        assert_int_equal(quo_listen("127.0.0.1", port, 2, second, &other, why, sizeof why),
                         QUO_UNAVAILABLE);
        snprintf(number, sizeof number, "%u", port);
        assert_non_null(strstr(why, number));
        for (uint32_t i = 0; i < count; i++)
            close(first[i]);
        /* And free again. */
        assert_int_equal(quo_listen("127.0.0.1", port, 1, second, &other, why, sizeof why), QUO_OK);
        assert_int_equal(other, port);
        close(second[0]);
    }
}

static void a_host_that_is_not_here_is_refused(void **state)
{
    int sockets[1];
    uint16_t port = 0;
    char why[256] = "";

    (void)state;
    assert_int_equal(quo_listen("192.0.2.1", 0, 1, sockets, &port, why, sizeof why),
                     QUO_UNAVAILABLE);
    assert_non_null(strstr(why, "192.0.2.1"));
    assert_int_equal(quo_listen("no such host", 0, 1, sockets, &port, why, sizeof why),
                     QUO_UNAVAILABLE);
    assert_non_null(strstr(why, "no such host"));
    assert_int_equal(port, 0);
}

static void hosts_may_be_names(void **state)
{
    int sockets[2];
    uint16_t port = 0;
    char why[256];

    (void)state;
    assert_int_equal(quo_listen("localhost", 0, 2, sockets, &port, why, sizeof why), QUO_OK);
    assert_true(can_connect(port));
    close(sockets[0]);
    close(sockets[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sockets_share_the_port),
        cmocka_unit_test(a_port_in_use_is_refused_even_when_it_could_be_shared),
        cmocka_unit_test(a_host_that_is_not_here_is_refused),
        cmocka_unit_test(hosts_may_be_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
