/* What can go wrong in a simulated world. */
#ifndef QUORATE_SIM_NEMESIS_H
#define QUORATE_SIM_NEMESIS_H

#include <stdint.h>

enum sim_fault_kind {
    SIM_FAULT_HALVES,     /* the network falls into two parts */
    SIM_FAULT_ONE_WAY,    /* one direction of some links is dead */
    SIM_FAULT_ISOLATE,    /* one node is alone */
    SIM_FAULT_BRIDGE,     /* each proxy sees nodes of its own */
    SIM_FAULT_FLAP,       /* connections break */
    SIM_FAULT_CRASH,      /* a node crashes and comes back */
    SIM_FAULT_STORM,      /* most nodes crash at once */
    SIM_FAULT_DISK_FULL,  /* for a while */
    SIM_FAULT_DISK_SLOW,  /* for a while */
    SIM_FAULT_DISK_ERROR, /* commits and reads fail for a while */
    SIM_FAULT_CLOCK,      /* a wall clock jumps */
    SIM_FAULT_FREEZE,     /* a process stands still for longer than timeouts */
    SIM_FAULT_PROXY,      /* a proxy dies and another takes its place */
    SIM_FAULT_WIPE,       /* a node loses its disk for good */
    SIM_FAULT_PROMISE,    /* a proxy dies with a proposal under way (kinds with consensus) */
    SIM_FAULT_DRAIN,      /* a node is told to stop, takes no writes for a while, and restarts */
    SIM_FAULT_KINDS,
};

extern const char *const sim_fault_names[SIM_FAULT_KINDS];

#endif
