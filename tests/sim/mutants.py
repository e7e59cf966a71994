#!/usr/bin/env python3
"""mutants.py QUORATE-SIM [ARGUMENTS]: switches off one rule after the other and demands that the
simulator notices.

For each rule of mutants.def, and for each way in which the simulated world can lie, it prints how
many seeds it took: with all checkers, and judged by what clients saw alone. A survivor fails. The
budgets are some ten times what was measured, so that a change of the swarm does not make this test
a lottery. Further arguments go to the simulator.
"""
import json
import subprocess
import sys

VIOLATION = (127, 128, 129)
BUDGET = 3000
BUDGET_CLIENTS = 10000

# Rules that need other seeds than lww's: their arguments, and their budgets (all, clients).
LWW, CAS, MIXED = (["--kind", kind] for kind in ("lww", "cas", "mixed"))
SPECIAL = {
    "SUPERSEDED_NOT_RESTARTED": (LWW, 10000, 40000),
    "RETAG_AFTER_EPOCH": (LWW, 3000, 100000),
    "RETAG_AFTER_SKEW": (LWW, 3000, 40000),
    "ANSWER_BEFORE_ADOPTED": (MIXED, 3000, 100000),
    "ACC_IGNORES_PROMISE": (CAS, 100, 100),
    "ACC_KEEPS_PROMISE": (MIXED, 300, 0),
    "NEXT_WITHOUT_STORE": (CAS, 1000, 0),
    "PROMISE_NOT_SYNCED": (MIXED, 100, 0),
    "BLIND_CLEARS_PROMISE": (MIXED, 300, 10000),
    "NO_RING": (CAS, 100, 100),
    "HIST_IGNORED": (MIXED, 300, 300),
    "FAILURE_NOT_RECORDED": (CAS, 3000, 3000),
    "FENCE_NOT_WRITTEN": (CAS, 1000, 1000),
    "NO_ACCEPT_AFTER_KEEP": (CAS, 100, 300),
    "WARM_IN_MIXED": (MIXED, 300, 300),
    "WARM_ANSWERS": (CAS, 100, 300),
    "ACC_ACROSS_EPOCHS": (CAS, 1000, 0),
    "SEND_AFTER_DEADLINE": (CAS, 1000, 0),
    "STALE_BALLOT": (CAS, 10000, 10000),
    "SESSION_SHOWN_UNDONE": (MIXED, 20000, 20000),
    "REBUILD_MISSES_WRITES": (LWW, 15000, 0),
    "MEND_NOT_ASKED": (CAS, 300, 0),
    "EPOCH_NOT_TOLD": (LWW, 60000, 0),
    "SETTLE_IGNORES_FLOOR": (MIXED, 15000, 0),
}

# Clients cannot see these, or hardly ever: a version from the future only makes writers wait, the
# refusal of a kind protects what does not exist yet, only the receipt itself tells what a receipt
# claims, a promise that is broken once in a while needs two proposers who notice, and what nodes do
# among themselves they may do at any time.
HIDDEN_FROM_CLIENTS = {
    "NO_SKEW_GUARD",
    "NO_KIND_MASK",
    "NON_DURABLE_COUNTS",
    "RECEIPT_OVERCLAIMS",
    "ACC_KEEPS_PROMISE",
    "NEXT_WITHOUT_STORE",
    "PROMISE_NOT_SYNCED",
    "ACC_ACROSS_EPOCHS",
    "SEND_AFTER_DEADLINE",
    "EXCHANGE_ONCE",
    "TREE_MISSES_DELETE",
    "TREE_MISSES_OVERWRITE",
    "TREE_MARK_STAYS",
    "REBUILD_MISSES_WRITES",
    "MEND_NOT_ASKED",
    "EPOCH_NOT_TOLD",
    "HINT_DROPPED_EARLY",
    "HINT_RETAGGED",
    "FLOOR_NOT_ON_ALL",
    "SEAL_WITHOUT_EQUAL",
    "DROP_UNSEALED",
    "ABSENT_IS_FLOOR",
    "GATE_STOPS_COPIES",
    "SETTLE_IGNORES_FLOOR",
}

# Random seeds miss these for millions, or nothing reaches them yet: test_schedules.c plays them.
DIRECTED = {"RETAG_AFTER_NACK", "ACCEPT_SKIPPED_AFTER_SENT", "SETTLE_IGNORES_PROMISE"}

# Values with a time to live, which the simulated clients do not write: mutants of
# tests/unit/change and tests/unit/service.
ELSEWHERE = {"EXPIRED_IS_THERE", "EXPIRED_IS_SHOWN", "TTL_OF_BALLOT"}
# Likewise those of bounded reads, there and in tests/unit/server/mutants.
ELSEWHERE |= {"BOUND_NOT_PROVEN", "BOUND_IGNORES_VERSION", "FRESH_BY_ONE_PEER",
              "FRESH_ACROSS_EPOCHS", "BOUND_FROM_THE_END"}
# Likewise those of counters' slots: tests/unit/coordinator/mutants.
ELSEWHERE |= {"SLOT_FORGETS", "SLOT_REUSES_VERSION", "SLOT_ANYWHERE", "SLOT_SENT_AGAIN"}
# Likewise those of timelines and sets: tests/unit/service/mutants.
ELSEWHERE |= {"DOT_SHARED", "CLAIM_IGNORED", "CLAIM_BEFORE_ENTRY", "CLAIM_NOT_SOUGHT",
              "PAGE_READ_ONCE"}
# Likewise those of scans: tests/unit/service/mutants. Of writes that are handed on, what needs a
# proxy that answers late is played there as well.
ELSEWHERE |= {"FENCE_FORGOTTEN", "HANDED_TWICE"}
ELSEWHERE |= {"SCAN_PAST_A_PAGE", "SCAN_DROPS_TOMBSTONES", "SCAN_UNREPAIRED"}
# Of collecting deletes, those that need a message late by more than its sender waits, or a promise
# that nobody follows up for as long as a delete is kept: tests/unit/server/mutants.
ELSEWHERE |= {"DROP_IGNORES_PROMISE", "COPY_BELOW_SEAL"}
# Or one that is just there before a gate: likewise.
ELSEWHERE |= {"EQUAL_TO_ONE"}


def run(program, arguments, budget):
    """Returns (seeds, what was found), seeds being None when nothing was."""
    command = [program, "--seeds", str(budget)] + arguments + sys.argv[2:]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    summary = json.loads(done.stdout.splitlines()[-1])
    if done.returncode not in VIOLATION:
        return None, ""
    found = [line for line in done.stdout.splitlines() if "violation:" in line]
    return summary["seeds"], found[-1].split(": ", 1)[1]


def show(seeds, budget):
    return f"> {budget}" if seeds is None else str(seeds)


def judge(program, name, arguments, budgets, by_clients):
    everyone, found = run(program, arguments, budgets[0])
    clients, text = None, "-"
    if by_clients:
        clients, _ = run(program, arguments + ["--clients-only"], budgets[1])
        text = show(clients, budgets[1])
    print(f"{name:26} {show(everyone, budgets[0]):>8} {text:>8}  {found}", flush=True)
    return everyone is not None and (clients is not None or not by_clients)


def main():
    program = sys.argv[1]
    listed = subprocess.run([program, "--list-mutants"], capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    print(f"{'rule switched off':26} {'seeds':>8} {'clients':>8}")
    survivors = []
    for name in [name for name in names if name not in ELSEWHERE | DIRECTED]:
        extra, *budgets = SPECIAL.get(name, (LWW, BUDGET, BUDGET_CLIENTS))
        arguments = ["--mutant", name] + extra
        if not judge(program, name, arguments, budgets, name not in HIDDEN_FROM_CLIENTS):
            survivors.append(name)
    for lie in ("disk", "amnesia"):
        budgets = (BUDGET, BUDGET_CLIENTS)
        if not judge(program, f"(unsafe {lie})", ["--unsafe", lie] + LWW, budgets, True):
            survivors.append(lie)
    if survivors:
        print("survived:", ", ".join(survivors), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
