/* Chance: xoshiro256** (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2018),
 * seeded through splitmix64. Every process of the simulation has its own stream, so that what one
 * draws does not shift another's. */
#ifndef QUORATE_SIM_RNG_H
#define QUORATE_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct sim_rng {
    uint64_t s[4];
};

static inline uint64_t sim_splitmix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline void sim_rng_seed(struct sim_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = sim_splitmix(&seed);
}

static inline uint64_t sim_random(struct sim_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t x = s[1] * 5;
    uint64_t result = ((x << 7) | (x >> 57)) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

/* 0 to n - 1. Requires n > 0, and far below 2^64: then the bias of the remainder does not matter.
 */
static inline uint64_t sim_below(struct sim_rng *rng, uint64_t n)
{
    return sim_random(rng) % n;
}

/* lo to hi, both included. */
static inline uint64_t sim_between(struct sim_rng *rng, uint64_t lo, uint64_t hi)
{
    return lo + sim_below(rng, hi - lo + 1);
}

/* True `permille` times in a thousand. */
static inline bool sim_chance(struct sim_rng *rng, uint64_t permille)
{
    return sim_below(rng, 1000) < permille;
}

#endif
