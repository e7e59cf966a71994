/* What was accepted anywhere reaches every replica by itself: once all is healed and nobody writes,
 * the replicas of a partition must come to hold the same bytes, and each node's hash trees must say
 * what its disk holds. Nothing is read or written meanwhile that could help. */
#include "sim.h"

/* Of two replicas one asks, every period or up to half a period later. One round finds what
 * differs; another one what a proxy had to settle first; the third allows for one that met a node
 * which was still making its trees. */
#define ROUNDS 3u
#define ALLOWANCE_US (20 * SIM_S) /* pauses, timeouts, trees that a read error makes wait */
#define LOOK_US (100 * SIM_MS)

static uint64_t limit_us(const struct sim *sim)
{
    uint32_t every_ms = sim->swarm.exchange_every_ms;
    if (every_ms == 0)
        every_ms = QUO_EXCHANGE_EVERY_MS;
    return ROUNDS * (uint64_t)every_ms * SIM_MS * 3 / 2 + ALLOWANCE_US;
}

/* The newest entry of the partition if it is over with moving, and the epoch before with it. */
static const struct quo_entry *entry_of(const struct sim *sim, uint32_t partition)
{
    const struct quo_entry *entry = &sim->maps[sim->map_count - 1]->entries[partition];
    if (entry->state != QUO_ENTRY_NORMAL || (sim->map_count > 1 && !sim->moved))
        return NULL;
    return entry;
}

static const struct sim_disk *disk_of(const struct sim *sim, const struct quo_entry *entry,
                                      uint8_t member)
{
    int node = quo_map_node(sim->maps[0], entry->replicas[member]);
    QUO_REQUIRE(node >= 0);
    return sim->disks[node].wiped ? NULL : &sim->disks[node];
}

/* Whether what is left of the replicas hold the same; else *ret_key is one that differs, or
 * SIM_KEYS_MAX. */
static bool is_equal(struct sim *sim, uint32_t partition, uint32_t *ret_key)
{
    const struct quo_entry *entry = entry_of(sim, partition);
    const struct sim_disk *first = NULL;
    for (uint8_t i = 0; entry != NULL && i < QUO_MIN(entry->n, sim->swarm.n); i++) {
        const struct sim_disk *disk = disk_of(sim, entry, i);
        if (disk == NULL)
            continue;
        if (first != NULL && !sim_disk_same(first, disk, partition, ret_key)) {
            sim_note(sim, "node%u and node%u differ in partition %u", first->node, disk->node,
                     partition);
            return false;
        }
        first = disk;
    }
    return true;
}

static bool all_equal(struct sim *sim, uint32_t *ret_key)
{
    for (uint32_t i = 0; i < sim->swarm.partitions; i++)
        if (!is_equal(sim, i, ret_key))
            return false;
    return true;
}

/* How many partitions the node holds, as far as that can be said. */
static uint32_t partitions_of(const struct sim *sim, uint32_t node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->swarm.partitions; i++) {
        const struct quo_entry *entry = entry_of(sim, i);
        count += entry != NULL && quo_entry_has(entry, sim->maps[0]->nodes[node].replica);
    }
    return count;
}

/* Whether the idle ones among the nodes have trees of all that they hold. Accuses if one has
 * others.
 */
static bool have_trees(struct sim *sim)
{
    bool all = true;
    for (uint32_t n = 0; n < sim->swarm.nodes; n++) {
        const struct sim_process *node = sim_node(sim, n);
        uint32_t ready;
        if (!node->alive || sim->disks[n].wiped || !quo_server_idle(node->server))
            continue;
        if (!quo_server_check_trees(node->server, &ready))
            sim_violate(sim, SIM_CONSISTENCY, SIM_KEYS_MAX,
                        "%s: its hash trees are not those of what it holds",
                        sim_process_name(node));
        all &= ready >= partitions_of(sim, n);
    }
    return all;
}

void sim_converge_trees(struct sim *sim)
{
    uint64_t until = sim->now + ALLOWANCE_US;
    /* Keys that one replica has are compared with nobody, who would also bring it the newest epoch.
     */
    if (!sim->swarm.mesh || sim->clients_only || sim->swarm.n < 2)
        return;
    while (!have_trees(sim) && !sim_failed(sim) && sim->now < until)
        sim_advance(sim, sim->now + SIM_S);
    if (!sim_failed(sim) && sim->now >= until)
        sim_violate(sim, SIM_LIVENESS, SIM_KEYS_MAX,
                    "some node has no hash trees of what it holds");
}

void sim_converge(struct sim *sim)
{
    uint64_t until = sim->now + limit_us(sim);
    uint32_t key = SIM_KEYS_MAX;
    if (!sim->swarm.mesh || sim->clients_only)
        return;
    while (!all_equal(sim, &key) && !sim_failed(sim) && sim->now < until)
        sim_advance(sim, sim->now + LOOK_US);
    if (!sim_failed(sim) && sim->now >= until)
        sim_violate(sim, SIM_LIVENESS, key, "replicas differ %llu ms after all was healed",
                    (unsigned long long)(limit_us(sim) / SIM_MS));
}
