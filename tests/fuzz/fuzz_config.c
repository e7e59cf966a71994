/* Configuration files. Accepted values are within their ranges; a refusal has a reason with a line.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quorate/base.h"
#include "quorate/config.h"

static struct {
    char name[QUO_CONFIG_TEXT_MAX];
    uint64_t port, large;
    bool verify;
} values;

static const struct quo_config_key keys[] = {
    {"name", QUO_CONFIG_TEXT, values.name, "node", 0, 0, NULL, ""},
    {"listen.port", QUO_CONFIG_NUMBER, &values.port, "8080", 1, 65535, NULL, ""},
    {"listen.tls.verify", QUO_CONFIG_SWITCH, &values.verify, "true", 0, 0, NULL, ""},
    {"large", QUO_CONFIG_NUMBER, &values.large, "5", 5, UINT64_MAX, NULL, ""},
};

/* libconfig 1.5 forgets a text it was reading when it meets a syntax error. A program ends then. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], why[200] = "";

    int fd = memfd_create("config", MFD_CLOEXEC);
    QUO_REQUIRE(fd >= 0 && (size == 0 || write(fd, data, size) == (ssize_t)size));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (quo_config_read(keys, QUO_COUNT(keys), path, why, sizeof why) == QUO_OK) {
        QUO_INVARIANT(values.port >= 1 && values.port <= 65535 && values.large >= 5);
        QUO_INVARIANT(strnlen(values.name, sizeof values.name) < sizeof values.name);
    } else {
        QUO_INVARIANT(strncmp(why, path, strlen(path)) == 0 && why[strlen(path)] == ':');
    }
    close(fd);
    return 0;
}
