/* Port: time and chance, as a driver sees them. One instance per thread.
 * Real: api/runtime/. Simulated: tests/sim/. */
#ifndef QUORATE_ENV_H
#define QUORATE_ENV_H

#include <stdint.h>

struct quo_env;

struct quo_env_ops {
    /* Monotonic microseconds since some fixed moment; the value of the current loop turn. */
    uint64_t (*mono_us)(struct quo_env *env);
    /* Wall clock, milliseconds since 1970. May jump in both directions. */
    uint64_t (*wall_ms)(struct quo_env *env);
    /* 64 random bits, unpredictable enough to name a process. Cannot fail. */
    uint64_t (*random)(struct quo_env *env);
};

struct quo_env {
    const struct quo_env_ops *ops;
};

static inline uint64_t quo_mono_us(struct quo_env *env)
{
    return env->ops->mono_us(env);
}
static inline uint64_t quo_wall_ms(struct quo_env *env)
{
    return env->ops->wall_ms(env);
}
static inline uint64_t quo_random(struct quo_env *env)
{
    return env->ops->random(env);
}

#endif
