/* What /proc says about this process, under the names that Prometheus' own clients use. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "quorate/base.h"
#include "quorate/metrics.h"

/* Reads the beginning of a small file as text. */
static bool read_text(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t len = fread(out, 1, size - 1, file);
    fclose(file);
    out[len] = '\0';
    return len > 0;
}

static bool memory_bytes(uint64_t *ret_virtual, uint64_t *ret_resident)
{
    char text[128];
    uint64_t all, resident;

    if (!read_text("/proc/self/statm", text, sizeof text) ||
        sscanf(text, "%" SCNu64 " %" SCNu64, &all, &resident) != 2)
        return false;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *ret_virtual = all * page;
    *ret_resident = resident * page;
    return true;
}

static bool open_descriptors(uint64_t *ret)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return false;
    uint64_t count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    *ret = count - 1; /* the directory's own */
    return true;
}

/* Field 22 of /proc/self/stat is the start in ticks since boot. The second field is the program's
 * name in parentheses and may hold anything, hence the last one is looked for. */
static bool start_ticks(uint64_t *ret)
{
    char text[1024];

    if (!read_text("/proc/self/stat", text, sizeof text))
        return false;
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at, ' ');
        if (at != NULL)
            at++;
    }
    return at != NULL && sscanf(at, "%" SCNu64, ret) == 1;
}

static bool boot_seconds(uint64_t *ret)
{
    bool found = false;
    char line[512];
    FILE *file = fopen("/proc/stat", "re");

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "btime %" SCNu64, ret) == 1;
    fclose(file);
    return found;
}

static void add(struct quo_text *text, const char *name, const char *type, const char *help,
                uint64_t value)
{
    quo_metric_head(text, name, type, help);
    quo_metric_value(text, name, "", value);
}

static void add_cpu(struct quo_text *text)
{
    struct timespec used;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
        return;
    quo_metric_head(text, "process_cpu_seconds_total", "counter",
                    "CPU time spent in user and system mode.");
    quo_text_add(text, "process_cpu_seconds_total %lld.%02ld\n", (long long)used.tv_sec,
                 used.tv_nsec / 10000000);
}

void quo_metric_process(struct quo_text *text)
{
    uint64_t all, resident, descriptors, ticks, boot;
    struct rlimit limit;

    add_cpu(text);
    if (memory_bytes(&all, &resident)) {
        add(text, "process_resident_memory_bytes", "gauge", "Resident memory.", resident);
        add(text, "process_virtual_memory_bytes", "gauge", "Virtual memory.", all);
    }
    if (open_descriptors(&descriptors))
        add(text, "process_open_fds", "gauge", "Open file descriptors.", descriptors);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add(text, "process_max_fds", "gauge", "Limit of open file descriptors.", limit.rlim_cur);
    if (start_ticks(&ticks) && boot_seconds(&boot))
        add(text, "process_start_time_seconds", "gauge", "Start of the process since 1970.",
            boot + ticks / (uint64_t)sysconf(_SC_CLK_TCK));
}
