/* Map files. An accepted map passes its own check and is placed on its own nodes; a refused one has
 * a reason. */
#include "tests/fuzz/fuzz.h"

#include "quorate/map_file.h"

static struct quo_map map;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[200] = "";

    memset(&map, 0, offsetof(struct quo_map, entries));
    if (quo_map_parse(quo_slice(data, size), &map, why, sizeof why) != QUO_OK) {
        QUO_INVARIANT(why[0] != '\0' && strlen(why) < sizeof why);
        return 0;
    }
    QUO_INVARIANT(quo_map_check(&map, why, sizeof why) == QUO_OK);
    const struct quo_entry *last = &map.entries[map.partition_count - 1];
    QUO_INVARIANT(last->n == map.replicas && last->epoch == map.epoch);
    for (uint8_t i = 0; i < last->n; i++)
        QUO_INVARIANT(quo_map_node(&map, last->replicas[i]) >= 0);
    return 0;
}
