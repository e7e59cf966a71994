#include "quorate/cluster.h"

/* Offsets; the two lists of replicas follow. */
enum { AT_EPOCH = 0, AT_STATE = 4, AT_N = 5, AT_N_NEXT = 6, AT_REPLICAS = 7 };

_Static_assert(AT_REPLICAS + 2 * QUO_REPLICAS_MAX * 8 == QUO_ENTRY_SIZE_MAX, "two full lists");

size_t quo_entry_size(const struct quo_entry *entry)
{
    QUO_REQUIRE(entry->n <= QUO_REPLICAS_MAX && entry->n_next <= QUO_REPLICAS_MAX);
    return AT_REPLICAS + 8u * entry->n + 8u * entry->n_next;
}

void quo_entry_encode(const struct quo_entry *entry, uint8_t *out)
{
    quo_put_u32(out + AT_EPOCH, entry->epoch);
    out[AT_STATE] = entry->state;
    out[AT_N] = entry->n;
    out[AT_N_NEXT] = entry->n_next;
    out += AT_REPLICAS;
    for (uint8_t i = 0; i < entry->n; i++, out += 8)
        quo_put_u64(out, entry->replicas[i]);
    for (uint8_t i = 0; i < entry->n_next; i++, out += 8)
        quo_put_u64(out, entry->next[i]);
}

/* A replica named twice would be counted twice towards one quorum. */
static bool decode_list(const uint8_t *in, uint8_t count, uint64_t *ret)
{
    for (uint8_t i = 0; i < count; i++) {
        ret[i] = quo_get_u64(in + 8u * i);
        if (ret[i] == 0)
            return false;
        for (uint8_t j = 0; j < i; j++) {
            if (ret[j] == ret[i])
                return false;
        }
    }
    return true;
}

enum quo_status quo_entry_decode(struct quo_slice bytes, struct quo_entry *ret)
{
    if (bytes.len < AT_REPLICAS)
        return QUO_MALFORMED;
    struct quo_entry entry = {
        .epoch = quo_get_u32(bytes.data + AT_EPOCH),
        .state = bytes.data[AT_STATE],
        .n = bytes.data[AT_N],
        .n_next = bytes.data[AT_N_NEXT],
    };
    if (entry.epoch == 0 || entry.n == 0 || entry.n > QUO_REPLICAS_MAX)
        return QUO_MALFORMED;
    if (entry.state != QUO_ENTRY_NORMAL && entry.state != QUO_ENTRY_JOINT)
        return QUO_MALFORMED;
    if ((entry.state == QUO_ENTRY_JOINT) != (entry.n_next > 0) || entry.n_next > QUO_REPLICAS_MAX)
        return QUO_MALFORMED;
    if (bytes.len != quo_entry_size(&entry))
        return QUO_MALFORMED;
    if (!decode_list(bytes.data + AT_REPLICAS, entry.n, entry.replicas) ||
        !decode_list(bytes.data + AT_REPLICAS + 8u * entry.n, entry.n_next, entry.next))
        return QUO_MALFORMED;
    *ret = entry;
    return QUO_OK;
}

bool quo_entry_equal(const struct quo_entry *a, const struct quo_entry *b)
{
    /* List by list: what stands behind the counts means nothing. */
    return a->epoch == b->epoch && a->state == b->state && a->n == b->n && a->n_next == b->n_next &&
           memcmp(a->replicas, b->replicas, a->n * sizeof a->replicas[0]) == 0 &&
           memcmp(a->next, b->next, a->n_next * sizeof a->next[0]) == 0;
}

static bool list_has(const uint64_t *list, uint8_t count, uint64_t replica)
{
    for (uint8_t i = 0; i < count; i++) {
        if (list[i] == replica)
            return true;
    }
    return false;
}

bool quo_entry_has(const struct quo_entry *entry, uint64_t replica)
{
    return list_has(entry->replicas, entry->n, replica) ||
           list_has(entry->next, entry->n_next, replica);
}
