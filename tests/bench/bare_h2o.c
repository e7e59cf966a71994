/* quorate-bench-bare-h2o PORT: what the HTTP library does with nothing behind it, on one loop: 200
 * and 100 bytes to every request. It bounds what any handler in it can reach.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <h2o.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accept_context;
static char value[100];

static int answer(h2o_handler_t *self, h2o_req_t *request)
{
    (void)self;
    static h2o_generator_t generator;
    h2o_iovec_t body = h2o_iovec_init(value, sizeof value);
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = sizeof value;
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/octet-stream"));
    h2o_start_response(request, &generator);
    h2o_send(request, &body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    for (h2o_socket_t *client; !error && (client = h2o_evloop_socket_accept(listener)) != NULL;) {
        h2o_accept(&accept_context, client);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    address.sin_port = htons((uint16_t)(argc == 2 ? strtoul(argv[1], NULL, 10) : 0));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (argc != 2 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 4096) != 0) {
        err(2, "usage: quorate-bench-bare-h2o PORT");
    }
    signal(SIGPIPE, SIG_IGN);
    memset(value, 'v', sizeof value);
    h2o_config_init(&config);
    h2o_hostconf_t *host =
        h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = answer;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accept_context = (h2o_accept_ctx_t){.ctx = &context, .hosts = config.hosts};
    h2o_socket_read_start(h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ),
                          on_accept);
    for (;;) {
        if (h2o_evloop_run(context.loop, INT32_MAX) != 0 && errno != EINTR) {
            err(1, "loop");
        }
    }
}
