#include "linear.h"

#include <stdlib.h>

/* One operation as the search sees it. */
struct item {
    const struct quo_history_op *op;
    uint64_t call, ret;
    int64_t value; /* what it leaves, unless it adds */
    bool read;     /* leaves what is there as it is */
    bool plain;    /* a write whatever is there */
    bool unseen;   /* a put that took effect, and that nobody can have seen */
    bool open;     /* may be left out */
    uint32_t twin; /* of a write: one that is alike and comes before it, or NO_TWIN */
};

/* A call or a return in the list of what is not yet linearized. */
struct entry {
    uint32_t prev, next;
    uint32_t item;
    bool is_return;
};

/* A visited configuration: `words` words of linearized items, then the state, in `configs`. */
struct quo_linear {
    size_t memory_max;
    uint64_t *configs;
    size_t config_count, config_room, words;
    uint32_t *table; /* index + 1 into configs */
    size_t table_size;
    struct item *items;
    size_t item_count, item_room;
    struct entry *entries; /* [0] is the head */
    uint64_t *times;       /* scratch for sorting entries */
    uint32_t *order;
    uint32_t *return_of; /* per item: its return entry, 0 for none */
    uint32_t *stack;     /* entries of calls taken */
    int64_t *states;     /* and the state before each */
    bool *forced;        /* and whether there was a choice */
    bool *idle;          /* per operation: it says nothing that another does not */
    size_t depth;        /* operations taken */
    size_t required;     /* operations that still have to be */
    int64_t state;
    uint64_t *taken;   /* bits */
    uint64_t *scratch; /* one configuration */
};

#define TABLE_START 1024u
#define NO_TWIN UINT32_MAX
#define ANYTHING INT64_MIN /* a value that nobody names */

struct quo_linear *quo_linear_new(size_t memory_max)
{
    struct quo_linear *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    l->memory_max = memory_max;
    return l;
}

void quo_linear_free(struct quo_linear *l)
{
    if (l == NULL)
        return;
    free(l->configs);
    free(l->table);
    free(l->items);
    free(l->entries);
    free(l->times);
    free(l->order);
    free(l->return_of);
    free(l->stack);
    free(l->states);
    free(l->forced);
    free(l->idle);
    free(l->taken);
    free(l->scratch);
    free(l);
}

/* Grows one array. A checker that cannot have memory cannot judge: it says so and stops. */
static void *grown(void *old, size_t bytes)
{
    void *new = realloc(old, bytes);
    QUO_REQUIRE(new != NULL);
    return new;
}

static void make_room(struct quo_linear *l, size_t count)
{
    if (count <= l->item_room)
        return;
    size_t room = QUO_MAX(count, (size_t)64);
    l->items = grown(l->items, room * sizeof *l->items);
    l->entries = grown(l->entries, (2 * room + 1) * sizeof *l->entries);
    l->times = grown(l->times, 2 * room * sizeof *l->times);
    l->order = grown(l->order, 2 * room * sizeof *l->order);
    l->return_of = grown(l->return_of, room * sizeof *l->return_of);
    l->stack = grown(l->stack, room * sizeof *l->stack);
    l->states = grown(l->states, room * sizeof *l->states);
    l->forced = grown(l->forced, room * sizeof *l->forced);
    l->idle = grown(l->idle, room * sizeof *l->idle);
    l->taken = grown(l->taken, (room / 64 + 1) * sizeof *l->taken);
    l->scratch = grown(l->scratch, (room / 64 + 2) * sizeof *l->scratch);
    l->item_room = room;
}

/* A get, or a cas or add that met something else than it wanted: says what was there. */
static bool linear_read(const struct quo_history_op *op)
{
    if (op->outcome == QUO_HISTORY_FAILED)
        return quo_history_is_write(op);
    return op->type == QUO_HISTORY_GET && op->outcome == QUO_HISTORY_OK &&
           (op->level == QUO_LEVEL_STRONG || op->level == QUO_LEVEL_ALL);
}

/* Whether the read may stand where the key holds `held`. */
static bool reads(const struct quo_history_op *op, int64_t held)
{
    if (op->type == QUO_HISTORY_GET)
        return op->value == held;
    return (!op->saw || op->seen == held) && !quo_history_holds(op, held);
}

static bool open_write(const struct quo_history_op *op)
{
    return op->outcome == QUO_HISTORY_UNKNOWN || op->level < QUO_LEVEL_QUORUM ||
           op->ret == QUO_HISTORY_NEVER;
}

/* Whether the operation must have stood directly behind one that left `value`. */
static bool must_have_seen(const struct quo_history_op *op, int64_t value)
{
    if (op->outcome == QUO_HISTORY_FAILED)
        return op->saw && op->seen == value;
    if (op->type == QUO_HISTORY_GET)
        return linear_read(op) && op->value == value;
    return op->type == QUO_HISTORY_CAS && op->outcome == QUO_HISTORY_OK && op->expected == value;
}

/* Whether it may have, or must not: an open cas, or a cas or add that does not say what it met. */
static bool may_have_seen(const struct quo_history_op *op, int64_t value)
{
    bool silent = op->outcome == QUO_HISTORY_FAILED && !op->saw;
    if (op->type == QUO_HISTORY_ADD)
        return silent;
    return op->type == QUO_HISTORY_CAS && op->expected == value &&
           (silent || op->outcome == QUO_HISTORY_UNKNOWN);
}

static bool is_within(const struct quo_history_op *inner, const struct quo_history_op *outer)
{
    return inner != outer && inner->call >= outer->call && inner->ret <= outer->ret;
}

/* A failure that does not say what it met. */
static bool is_silent(const struct quo_history_op *op)
{
    return op->type == QUO_HISTORY_CAS && op->outcome == QUO_HISTORY_FAILED && !op->saw;
}

/* Whether the key held something else than `value` when the operation had taken place. */
static bool leaves_other(const struct quo_history_op *op, int64_t value)
{
    if (op->outcome == QUO_HISTORY_FAILED)
        return op->saw && op->seen != value;
    if (op->type == QUO_HISTORY_GET)
        return linear_read(op) && op->value != value;
    return op->outcome == QUO_HISTORY_OK && !open_write(op) && op->type != QUO_HISTORY_ADD &&
           op->value != value;
}

/* Likewise, or just before. */
static bool shows_other(const struct quo_history_op *op, int64_t value)
{
    bool changed = op->type == QUO_HISTORY_CAS && op->outcome == QUO_HISTORY_OK;
    return leaves_other(op, value) || (changed && !open_write(op) && op->expected != value);
}

/* From when on the value cannot be written any more. */
static uint64_t last_written(const struct quo_history_op *ops, size_t count, int64_t value)
{
    uint64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        if (!quo_history_may_change(&ops[i]) || ops[i].value != value)
            continue;
        last = QUO_MAX(last, open_write(&ops[i]) ? QUO_HISTORY_NEVER : ops[i].ret);
    }
    return last;
}

/* Whether a silent failure can stand beside another operation, whatever the order is: one that took
 * place while it was under way, or before that when what it wanted could not come back. */
static bool is_idle(const struct quo_history_op *ops, size_t count,
                    const struct quo_history_op *failure)
{
    uint64_t gone = last_written(ops, count, failure->expected);
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *op = &ops[i];
        bool early = op->ret <= failure->ret && op->call > gone;
        if (op != failure && early && leaves_other(op, failure->expected))
            return true;
        if (is_within(op, failure) && shows_other(op, failure->expected))
            return true;
    }
    return false;
}

static void mark_idle(struct quo_linear *l, const struct quo_history_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        l->idle[i] = is_silent(&ops[i]) && is_idle(ops, count, &ops[i]);
}

/* Who can have seen the value of a put or cas. */
struct sight {
    bool shared;    /* it is not this operation's alone: nothing can be said */
    uint64_t first; /* return of the first who must have seen it */
    bool perhaps;   /* somebody may have */
    bool something; /* somebody saw that it was not what he wanted, whatever it was */
};

static struct sight sight_of(const struct quo_linear *l, const struct quo_history_op *ops,
                             size_t count, const struct quo_history_op *put)
{
    struct sight sight = {.first = QUO_HISTORY_NEVER};
    for (size_t i = 0; i < count && !sight.shared; i++) {
        const struct quo_history_op *op = &ops[i];
        if (op == put || l->idle[i])
            continue;
        sight.shared =
            quo_history_may_change(op) && (op->type == QUO_HISTORY_ADD || op->value == put->value);
        if (must_have_seen(op, put->value))
            sight.first = QUO_MIN(sight.first, op->ret);
        sight.perhaps |= may_have_seen(op, put->value);
        sight.something |= is_silent(op) && op->ret >= put->call && op->expected != put->value;
    }
    return sight;
}

/* An open put or cas whose value nobody can have seen may be left out: had it taken effect, nobody
 * looked before the next write. If somebody looked who only says that it was not what he wanted,
 * one such value is as good as another. One that must have been seen took effect before the first
 * who saw it returned. Returns whether it stays. */
static bool tighten(const struct sight *sight, struct item *item)
{
    if (sight->shared)
        return true;
    if (sight->first != QUO_HISTORY_NEVER) {
        item->ret = sight->first;
        item->open = false;
    } else if (!sight->perhaps && sight->something) {
        item->value = ANYTHING;
    }
    return sight->first != QUO_HISTORY_NEVER || sight->perhaps || sight->something;
}

/* Whether the write has to be looked at; narrows what it may do. */
static bool takes_part(const struct quo_linear *l, const struct quo_history_op *ops, size_t count,
                       const struct quo_history_op *op, struct item *item)
{
    bool put = op->type == QUO_HISTORY_PUT;
    item->plain = put || op->type == QUO_HISTORY_DELETE;
    item->open = open_write(op);
    if (item->open)
        item->ret = QUO_HISTORY_NEVER;
    if (op->value == 0 || (!put && (op->type != QUO_HISTORY_CAS || !item->open)))
        return true;
    struct sight sight = sight_of(l, ops, count, op);
    if (item->open)
        return tighten(&sight, item);
    item->unseen =
        !sight.shared && sight.first == QUO_HISTORY_NEVER && !sight.perhaps && !sight.something;
    return true;
}

static void collect(struct quo_linear *l, const struct quo_history_op *ops, size_t count)
{
    l->item_count = 0;
    mark_idle(l, ops, count);
    for (size_t i = 0; i < count; i++) {
        const struct quo_history_op *op = &ops[i];
        struct item item = {.op = op, .call = op->call, .ret = op->ret};
        item.value = op->type == QUO_HISTORY_DELETE ? 0 : op->value;
        item.read = linear_read(op);
        bool counts = item.read
                          ? !l->idle[i]
                          : quo_history_may_change(op) && takes_part(l, ops, count, op, &item);
        if (counts)
            l->items[l->item_count++] = item;
    }
}

/* Calls sort before returns of the same time: equal times count as concurrent. */
static bool before(const struct quo_linear *l, uint32_t a, uint32_t b)
{
    if (l->times[a] != l->times[b])
        return l->times[a] < l->times[b];
    return (a & 1) < (b & 1);
}

static void sort_entries(struct quo_linear *l, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t e = l->order[i];
        size_t at = i;
        for (; at > 0 && before(l, e, l->order[at - 1]); at--)
            l->order[at] = l->order[at - 1];
        l->order[at] = e;
    }
}

/* Links the entries of all items in order of time behind the head. */
static void link_entries(struct quo_linear *l)
{
    size_t n = 0;
    for (uint32_t i = 0; i < l->item_count; i++) {
        l->times[2 * i] = l->items[i].call;
        l->times[2 * i + 1] = l->items[i].ret;
        l->return_of[i] = 0;
        l->order[n++] = 2 * i;
        if (!l->items[i].open)
            l->order[n++] = 2 * i + 1;
    }
    sort_entries(l, n);
    uint32_t last = 0;
    for (size_t at = 0; at < n; at++) {
        uint32_t e = (uint32_t)at + 1;
        uint32_t item = l->order[at] / 2;
        bool is_return = l->order[at] & 1;
        l->entries[e] = (struct entry){.prev = last, .item = item, .is_return = is_return};
        l->entries[last].next = e;
        if (is_return)
            l->return_of[item] = e;
        last = e;
    }
    l->entries[last].next = 0;
}

/* Whether it is an addition that says what it came to. */
static bool says_sum(const struct quo_history_op *op)
{
    return op->type == QUO_HISTORY_ADD && op->outcome == QUO_HISTORY_OK && !op->is_untold;
}

/* Whether two writes can do the same, but for when they were called. */
static bool alike(const struct item *x, const struct item *y)
{
    const struct quo_history_op *a = x->op, *b = y->op;
    bool plain_a = a->type == QUO_HISTORY_PUT || a->type == QUO_HISTORY_DELETE;
    bool plain_b = b->type == QUO_HISTORY_PUT || b->type == QUO_HISTORY_DELETE;
    if (plain_a || plain_b)
        return plain_a && plain_b && x->value == y->value;
    if (a->type != b->type)
        return false;
    if (a->type == QUO_HISTORY_CAS)
        return a->expected == b->expected && x->value == y->value;
    return !says_sum(a) && !says_sum(b) && a->by == b->by && a->min == b->min && a->max == b->max;
}

/* Of two writes that are alike, what the one can do that was called and had to be done earlier, the
 * other can do in its place: they are used in this order. Without it, n open deletes are 2^n
 * configurations. */
static void link_twins(struct quo_linear *l)
{
    for (uint32_t i = 0; i < l->item_count; i++) {
        struct item *item = &l->items[i];
        item->twin = NO_TWIN;
        for (uint32_t j = 0; j < l->item_count && !item->read; j++) {
            const struct item *other = &l->items[j];
            bool same = other->call == item->call && other->ret == item->ret;
            bool earlier = other->call <= item->call && other->ret <= item->ret;
            if (j == i || other->read || !earlier || (same && j > i) || !alike(other, item))
                continue;
            if (item->twin == NO_TWIN || other->call >= l->items[item->twin].call)
                item->twin = j;
        }
    }
}

static int64_t leaves(const struct item *item, int64_t held)
{
    return item->op->type == QUO_HISTORY_ADD ? held + item->op->by : item->value;
}

static void unlink_entry(struct quo_linear *l, uint32_t e)
{
    l->entries[l->entries[e].prev].next = l->entries[e].next;
    if (l->entries[e].next != 0)
        l->entries[l->entries[e].next].prev = l->entries[e].prev;
}

static void relink_entry(struct quo_linear *l, uint32_t e)
{
    l->entries[l->entries[e].prev].next = e;
    if (l->entries[e].next != 0)
        l->entries[l->entries[e].next].prev = e;
}

static uint64_t config_hash(const uint64_t *config, size_t words)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < words; i++) {
        h = (h ^ config[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static void table_add(struct quo_linear *l, size_t index)
{
    size_t mask = l->table_size - 1;
    size_t at = config_hash(l->configs + index * l->words, l->words) & mask;
    while (l->table[at] != 0)
        at = (at + 1) & mask;
    l->table[at] = (uint32_t)index + 1;
}

static bool table_has(const struct quo_linear *l, const uint64_t *config)
{
    size_t mask = l->table_size - 1;
    for (size_t at = config_hash(config, l->words) & mask; l->table[at] != 0;
         at = (at + 1) & mask) {
        const uint64_t *other = l->configs + (l->table[at] - 1) * l->words;
        if (memcmp(other, config, l->words * sizeof *config) == 0)
            return true;
    }
    return false;
}

static void table_resize(struct quo_linear *l, size_t size)
{
    if (l->table_size != size) {
        l->table = grown(l->table, size * sizeof *l->table);
        l->table_size = size;
    }
    memset(l->table, 0, size * sizeof *l->table);
    for (size_t i = 0; i < l->config_count; i++)
        table_add(l, i);
}

enum visit { VISIT_NEW, VISIT_SEEN, VISIT_FULL };

/* Remembers the configuration (taken, state). */
static enum visit visit(struct quo_linear *l, int64_t state)
{
    memcpy(l->scratch, l->taken, (l->words - 1) * sizeof *l->scratch);
    l->scratch[l->words - 1] = (uint64_t)state;
    if (table_has(l, l->scratch))
        return VISIT_SEEN;
    size_t words = (l->config_count + 1) * l->words;
    if (words * sizeof *l->configs + 2 * l->table_size * sizeof *l->table > l->memory_max)
        return VISIT_FULL;
    if (words > l->config_room) {
        l->config_room = 2 * words + 1024;
        l->configs = grown(l->configs, l->config_room * sizeof *l->configs);
    }
    memcpy(l->configs + l->config_count * l->words, l->scratch, l->words * sizeof *l->scratch);
    table_add(l, l->config_count++);
    if (2 * l->config_count > l->table_size)
        table_resize(l, 2 * l->table_size);
    return VISIT_NEW;
}

static void flip(struct quo_linear *l, uint32_t item)
{
    l->taken[item / 64] ^= UINT64_C(1) << (item % 64);
}

/* Takes the operation of a call out of the list, or puts it back. */
static void lift(struct quo_linear *l, uint32_t call)
{
    unlink_entry(l, call);
    uint32_t ret = l->return_of[l->entries[call].item];
    if (ret != 0)
        unlink_entry(l, ret);
}

static void unlift(struct quo_linear *l, uint32_t call)
{
    uint32_t ret = l->return_of[l->entries[call].item];
    if (ret != 0)
        relink_entry(l, ret);
    relink_entry(l, call);
}

/* With `hidden`, what it leaves is overwritten by what was taken before it. */
static void take(struct quo_linear *l, uint32_t call, bool forced, bool hidden)
{
    const struct item *item = &l->items[l->entries[call].item];
    l->stack[l->depth] = call;
    l->states[l->depth] = l->state;
    l->forced[l->depth++] = forced;
    if (!item->read && !hidden)
        l->state = leaves(item, l->state);
    l->required -= !item->open;
    lift(l, call);
}

/* Takes back the last operation; returns its entry. */
static uint32_t take_back(struct quo_linear *l)
{
    uint32_t call = l->stack[--l->depth];
    const struct item *item = &l->items[l->entries[call].item];
    l->state = l->states[l->depth];
    flip(l, l->entries[call].item);
    l->required += !item->open;
    unlift(l, call);
    return call;
}

/* A get that may stand next and sees what is there may as well stand here: whatever order of the
 * rest exists, it exists with the get in front of it. So there is no choice to come back to. */
static void take_reads(struct quo_linear *l)
{
    uint32_t at = l->entries[0].next;
    while (at != 0 && !l->entries[at].is_return) {
        uint32_t next = l->entries[at].next;
        const struct item *item = &l->items[l->entries[at].item];
        if (item->read && reads(item->op, l->state)) {
            /* Its return may be what comes next. */
            if (next == l->return_of[l->entries[at].item])
                next = l->entries[next].next;
            flip(l, l->entries[at].item);
            take(l, at, true, false);
        }
        at = next;
    }
}

/* Whether the write may be tried here. An open one that would change nothing is better kept for
 * later. */
static bool worth_trying(const struct quo_linear *l, const struct item *item)
{
    const struct quo_history_op *op = item->op;
    if (!quo_history_holds(op, l->state))
        return false;
    int64_t left = leaves(item, l->state);
    if (says_sum(op) && left != op->value)
        return false;
    if (item->open && left == l->state)
        return false;
    uint32_t twin = item->twin;
    return twin == NO_TWIN || ((l->taken[twin / 64] >> (twin % 64)) & 1) != 0;
}

/* Puts that nobody can have seen and that may stand here do not matter directly before a plain
 * write: whatever order of the rest exists, it exists with them there. They go with it; without
 * this, n such puts are 2^n configurations. Flips the write and them, and notes them where
 * take_with will take them from. Returns how many they are. */
static size_t flip_with(struct quo_linear *l, uint32_t write)
{
    size_t n = 0;
    bool plain = l->items[l->entries[write].item].plain;
    flip(l, l->entries[write].item);
    for (uint32_t at = l->entries[0].next; plain && at != 0 && !l->entries[at].is_return;
         at = l->entries[at].next) {
        if (at == write || !l->items[l->entries[at].item].unseen)
            continue;
        flip(l, l->entries[at].item);
        l->stack[l->depth + ++n] = at;
    }
    return n;
}

/* The write comes first, so that whoever takes it back has taken back all. */
static void take_with(struct quo_linear *l, uint32_t write, size_t n)
{
    take(l, write, false, false);
    for (size_t i = 0; i < n; i++)
        take(l, l->stack[l->depth], true, true);
}

static enum quo_linear_verdict search(struct quo_linear *l)
{
    take_reads(l);
    uint32_t entry = l->entries[0].next;
    while (l->required > 0) {
        if (entry != 0 && !l->entries[entry].is_return) {
            const struct item *item = &l->items[l->entries[entry].item];
            if (!item->read && worth_trying(l, item)) {
                size_t with = flip_with(l, entry);
                enum visit seen = visit(l, leaves(item, l->state));
                if (seen == VISIT_FULL)
                    return QUO_LINEAR_UNDECIDED;
                if (seen == VISIT_NEW) {
                    take_with(l, entry, with);
                    take_reads(l);
                    entry = l->entries[0].next;
                    continue;
                }
                flip_with(l, entry);
            }
            entry = l->entries[entry].next;
            continue;
        }
        while (l->depth > 0 && l->forced[l->depth - 1])
            take_back(l);
        if (l->depth == 0)
            return QUO_LINEAR_VIOLATION;
        entry = l->entries[take_back(l)].next;
    }
    return QUO_LINEAR_OK;
}

enum quo_linear_verdict quo_linear_check(struct quo_linear *l, const struct quo_history_op *ops,
                                         size_t count)
{
    make_room(l, count);
    collect(l, ops, count);
    if (l->item_count == 0)
        return QUO_LINEAR_OK;
    link_entries(l);
    link_twins(l);
    l->required = l->depth = 0;
    l->state = 0;
    for (size_t i = 0; i < l->item_count; i++)
        l->required += !l->items[i].open;
    l->words = l->item_count / 64 + 2;
    memset(l->taken, 0, (l->words - 1) * sizeof *l->taken);
    l->config_count = 0;
    table_resize(l, TABLE_START);
    return search(l);
}

/* Marks `at` and what rests on it: who must or may have seen its value, and who rests on those.
 * Returns false when that cannot be told or is too much: a value that is not one operation's alone,
 * an add, or a failure that does not say what it met. */
static bool mark_resting(const struct quo_history_op *ops, size_t count, size_t at, bool *gone)
{
    int64_t value = ops[at].value;
    gone[at] = true;
    if (!quo_history_may_change(&ops[at]))
        return true;
    if (value == 0 || ops[at].type == QUO_HISTORY_ADD)
        return false;
    for (size_t i = 0; i < count; i++) {
        bool unclear =
            ops[i].type == QUO_HISTORY_ADD || (ops[i].outcome == QUO_HISTORY_FAILED && !ops[i].saw);
        if (gone[i])
            continue;
        if (unclear)
            return false;
        if ((must_have_seen(&ops[i], value) || may_have_seen(&ops[i], value)) &&
            !mark_resting(ops, count, i, gone))
            return false;
    }
    return true;
}

/* Leaves out ops[at] and what rests on it. A delete stays: a get that saw nothing may rest on it.
 * Returns the new count, or `count` when nothing may be left out. */
static size_t without(const struct quo_history_op *ops, size_t count, size_t at, bool *gone,
                      struct quo_history_op *out)
{
    size_t n = 0;
    memset(gone, 0, count * sizeof *gone);
    if (!mark_resting(ops, count, at, gone))
        return count;
    for (size_t i = 0; i < count; i++)
        if (!gone[i])
            out[n++] = ops[i];
    return n;
}

/* The history as it was at `time`: later calls are not there, later answers not known. What is
 * linearizable was so at any time before. */
static size_t until(const struct quo_history_op *ops, size_t count, uint64_t time,
                    struct quo_history_op *out)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].call > time)
            continue;
        out[n] = ops[i];
        if (ops[i].ret > time) {
            out[n].ret = QUO_HISTORY_NEVER;
            out[n].saw = false;
            if (ops[i].outcome != QUO_HISTORY_NOT_APPLIED)
                out[n].outcome = QUO_HISTORY_UNKNOWN;
        }
        n++;
    }
    return n;
}

/* Cuts the history off behind the earliest answer that is too much. */
static size_t cut_off(struct quo_linear *l, struct quo_history_op *ops, size_t count,
                      struct quo_history_op *trial)
{
    uint64_t low = 0, high = 0; /* by `high` it is a violation */
    for (size_t i = 0; i < count; i++) {
        high = QUO_MAX(high, ops[i].call);
        if (ops[i].ret != QUO_HISTORY_NEVER)
            high = QUO_MAX(high, ops[i].ret);
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        size_t n = until(ops, count, middle, trial);
        if (quo_linear_check(l, trial, n) == QUO_LINEAR_VIOLATION)
            high = middle;
        else
            low = middle + 1;
    }
    size_t n = until(ops, count, high, trial);
    if (quo_linear_check(l, trial, n) != QUO_LINEAR_VIOLATION)
        return count;
    memcpy(ops, trial, n * sizeof *ops);
    return n;
}

size_t quo_linear_minimise(struct quo_linear *l, struct quo_history_op *ops, size_t count)
{
    struct quo_history_op *trial = calloc(count + 1, sizeof *trial);
    bool *gone = calloc(count + 1, sizeof *gone);
    QUO_REQUIRE(trial != NULL && gone != NULL);
    count = cut_off(l, ops, count, trial);
    bool shrunk = true;
    while (shrunk) {
        shrunk = false;
        for (size_t i = count; i-- > 0;) {
            size_t n = without(ops, count, i, gone, trial);
            if (n < count && quo_linear_check(l, trial, n) == QUO_LINEAR_VIOLATION) {
                memcpy(ops, trial, n * sizeof *ops);
                count = n;
                shrunk = true;
                i = QUO_MIN(i, count);
            }
        }
    }
    free(gone);
    free(trial);
    return count;
}
