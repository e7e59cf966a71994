/* DEBT: what this node has still to deliver, compare and collect. */
#include "storage-node/server/internal.h"

static uint32_t trees_not_ready(const struct quo_server *server)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < server->partition_count; i++) {
        bool is_ours = quo_pairs_place(&server->partitions[i].entry, server->replica) >= 0;
        count += is_ours && !quo_trees_ready(server, i);
    }
    return count;
}

#define TARGET_SIZE 32u

/* Those for whom there is nothing now are left out. */
static struct quo_slice targets(const struct quo_server *server, uint8_t out[])
{
    struct quo_server_hints hints[QUO_NODES_MAX];
    size_t len = 0, count = quo_server_hints(server, hints);
    for (size_t i = 0; i < count; i++) {
        if (hints[i].count == 0)
            continue;
        quo_put_u64(out + len, hints[i].target);
        quo_put_u64(out + len + 8, hints[i].count);
        quo_put_u64(out + len + 16, hints[i].bytes);
        quo_put_u64(out + len + 24, hints[i].oldest_ms);
        len += TARGET_SIZE;
    }
    return quo_slice(out, len);
}

/* `hints` has room for TARGET_SIZE bytes of each node there can be. */
static void fill(const struct quo_server *server, uint8_t hints[], struct quo_msg_debts *ret)
{
    struct quo_pairs_sum sum = quo_pairs_sum(server);
    ret->hints = targets(server, hints);
    ret->drained = quo_server_hints_drained(server);
    ret->unequal_ms = sum.unequal_us / 1000;
    ret->pairs = sum.pairs;
    ret->differing = sum.differing;
    if (server->exchanges == NULL)
        return;
    ret->round_ms = (uint32_t)(server->exchanges->every_us / 1000);
    ret->trees = trees_not_ready(server);
    ret->tombstones = quo_server_tombstones(server);
    ret->tombstones = quo_server_tombstones(server);
}

static void send_debts(struct quo_server *server, uint64_t peer, uint64_t id,
                       const struct quo_msg_debts *message)
{
    struct quo_transport *transport = server->transport;
    uint8_t *body;
    if (transport->ops->reserve(transport, peer, quo_msg_debts_size(message), &body) != QUO_OK)
        return; /* who asked waits no longer than for any answer */
    quo_msg_debts_encode(message, body);
    transport->ops->seal(transport, peer, QUO_MESSAGE_DEBTS, id);
}

void quo_handle_debt(struct quo_server *server, uint64_t peer, uint64_t id, struct quo_slice body)
{
    struct quo_msg_debts answer = {.now_ms = quo_wall_ms(server->env)};
    struct quo_msg_debt asked;
    uint8_t hints[QUO_NODES_MAX * TARGET_SIZE];
    if (quo_msg_debt_decode(body, &asked) != QUO_OK) {
        answer.status = QUO_MALFORMED;
    } else if (!server->serving) {
        answer.status = QUO_BUSY;
    } else {
        answer.status = QUO_OK;
        answer.ahead_ms = answer.now_ms - asked.now_ms;
        fill(server, hints, &answer);
    }
    send_debts(server, peer, id, &answer);
}
