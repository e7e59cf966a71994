/* How long a proposer that was preempted waits before it tries again: a random time of a window
 * that doubles with each preemption ("full jitter"), so that of several proposers one gets through
 * (Metcalfe & Boggs, "Ethernet: distributed packet switching", 1976).
 *
 * Pure.
 */
#ifndef QUORATE_COORDINATOR_BACKOFF_H
#define QUORATE_COORDINATOR_BACKOFF_H

#include <stdint.h>

/* The longest window, in units. */
#define QUO_BACKOFF_CAP 32u

/* Returns 1 to max(1, unit_us * min(2^(preempted - 1), QUO_BACKOFF_CAP)) microseconds; the unit is
 * a typical round trip. *chance is the state of the draw (splitmix64) and changes. Requires
 * preempted > 0. */
uint64_t quo_backoff_us(uint64_t *chance, uint32_t preempted, uint64_t unit_us);

#endif
