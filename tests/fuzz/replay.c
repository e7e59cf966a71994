/* Runs a fuzzer over its kept corpus, without libFuzzer: every file, and every beginning of the
 * small ones.
 *
 *   fuzz.NAME DIRECTORY
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1024u * 1024)
#define BEGINNINGS_MAX 4096u

/* Memory of exactly this size, so that a sanitizer sees the first byte read too far. */
static void run(const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    if (exact == NULL)
        abort();
    memcpy(exact, bytes, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static bool run_file(const char *directory, const char *name)
{
    static uint8_t bytes[INPUT_MAX];
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        return false;
    }
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (len <= BEGINNINGS_MAX) {
        for (size_t beginning = 0; beginning < len; beginning++)
            run(bytes, beginning);
    }
    run(bytes, len);
    return true;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;

    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    int count = scandir(argv[1], &entries, visible, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no corpus\n", argv[1]);
        return 1;
    }
    bool good = true;
    for (int i = 0; i < count; i++) {
        good = run_file(argv[1], entries[i]->d_name) && good;
        free(entries[i]);
    }
    free(entries);
    printf("%d inputs\n", count);
    return good ? 0 : 1;
}
