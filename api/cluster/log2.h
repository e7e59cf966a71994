/* The logarithm of placement, in integers so that every machine and compiler computes the same. */
#ifndef QUORATE_API_CLUSTER_LOG2_H
#define QUORATE_API_CLUSTER_LOG2_H

#include <stdint.h>

__extension__ typedef unsigned __int128 quo_u128;

#define QUO_LOG2_FRACTION 40u /* bits after the point */

/* Returns -log2(x / 2^64) in units of 2^-40, from 1 (x = 2^64 - 1) to 64 * 2^40 (x <= 1; 0
 * counts as 1, for it has no logarithm). Never below the true value, and less than two units above.
 * Algorithm: bit by bit by repeated squaring (Knuth, TAOCP 1, 1.2.2, exercise 25 and answer). */
uint64_t quo_log2_deficit(uint64_t x);

#endif
