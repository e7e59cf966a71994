/* Bytes, named checks and checked arithmetic: what every other header stands on.
 *
 * Threads: everything here is a pure function of its arguments.
 */
#ifndef QUORATE_BASE_H
#define QUORATE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed run of bytes. Whoever hands one out says how long it stays valid.
 * `data` may be NULL only when `len` is 0. */
struct quo_slice {
    const uint8_t *data;
    size_t len;
};

static inline struct quo_slice quo_slice(const void *data, size_t len)
{
    return (struct quo_slice){.data = (const uint8_t *)data, .len = len};
}

static inline struct quo_slice quo_slice_of(const char *text)
{
    return quo_slice(text, strlen(text));
}

static inline bool quo_slice_equal(struct quo_slice a, struct quo_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Reports a broken check on stderr and aborts. Never returns. */
_Noreturn void quo_check_failed(const char *kind, const char *what, const char *file, int line);

#define QUO_CHECK_(kind, cond)                                                                     \
    ((__builtin_expect(!!(cond), 1)) ? (void)0 : quo_check_failed(kind, #cond, __FILE__, __LINE__))

/* The caller broke the contract of the function. Never used on bytes from outside. */
#define QUO_REQUIRE(cond) QUO_CHECK_("precondition", cond)
/* Our own state is not what the code just made it. */
#define QUO_INVARIANT(cond) QUO_CHECK_("invariant", cond)
/* A place that no input can reach. */
#define QUO_UNREACHABLE() quo_check_failed("unreachable", "reached", __FILE__, __LINE__)

/* Sums and products that fail instead of wrapping. `*ret` is set only on success. */
static inline bool quo_add_size(size_t a, size_t b, size_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

#define QUO_MIN(a, b) ((a) < (b) ? (a) : (b))
#define QUO_MAX(a, b) ((a) > (b) ? (a) : (b))
#define QUO_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The struct of `type` whose `member` is at `pointer`. */
#define QUO_CONTAINER_OF(pointer, type, member)                                                    \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Big-endian loads and stores: the byte order of everything on disk and on the wire. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the swaps below are for such machines");
static inline void quo_put_u16(uint8_t *at, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(at, &v, sizeof v);
}
static inline void quo_put_u32(uint8_t *at, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(at, &v, sizeof v);
}
static inline void quo_put_u64(uint8_t *at, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(at, &v, sizeof v);
}
static inline uint16_t quo_get_u16(const uint8_t *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap16(v);
}
static inline uint32_t quo_get_u32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap32(v);
}
static inline uint64_t quo_get_u64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap64(v);
}

#endif
