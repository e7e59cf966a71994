"""After the faults: what is still open is resolved, everything is read again, and counted."""
import asyncio
import json
import time

import resolve
from load import Wish
from wire import Refused

# Every pair of replicas is compared once a minute, and mended where it differs; an unclean start
# has the hash trees made anew first.
CONVERGED_SECONDS = 180
CLOCK_SKEW = "503 clock-skew"
RESOLVE_SECONDS = 20
READ_MS = 5000
ASKED_EACH = 3


async def _spread(work, workers, task):
    """Runs task(item) for all of `work`, `workers` at a time."""
    items = iter(work)

    async def worker():
        for item in items:
            await task(item)

    await asyncio.gather(*(worker() for _ in range(workers)))


async def resolve_rest(load, workers=24):
    """What could not be resolved while faults went on. What is too long ago stays unknown."""
    work, load.unresolved = load.unresolved, []

    async def decide(item):
        wish, record, link = item
        decision = await resolve.resolve(load, wish, link, RESOLVE_SECONDS)
        if decision:
            resolve.settle(load, wish, record, decision)
        elif not wish.key.full:  # else there may be no room for a fence
            load.problems.append(f"after everything was healed, {link} cannot be resolved")

    await _spread(work, workers, decide)


def last_unknown(load):
    """Counts the writes that are unknown for ever."""
    for workload, histories in load.histories.items():
        for records in histories.values():
            load.tallies[workload]["unknown"] += sum(
                r["outcome"] == "unknown" and r["op"] != "get" for r in records)


async def count_future(load, readers=24):
    """How many keys cannot be read strongly because a wrong clock gave them a version in the
    future, which right clocks refuse to spread."""
    refused = set()
    clients = [load.client() for _ in range(readers)]

    async def read(key):
        client = clients.pop()
        before = load.statuses.get(CLOCK_SKEW, 0)
        record = await client.operate(Wish("get", key), timeout=READ_MS)
        if record and record["outcome"] != "ok" and load.statuses.get(CLOCK_SKEW, 0) > before:
            refused.add(key.name)
        clients.append(client)

    await _spread(every_key(load), readers, read)
    return len(refused)


async def converge(load):
    """Waits until all replicas hold the same by themselves: no hints are left, and every pair was
    found equal after all was healed. Returns how many seconds that took."""
    client, began, owed = load.client(), time.monotonic(), None
    while time.monotonic() - began < CONVERGED_SECONDS:
        try:
            answer = await client.connections.ask(client.proxy, "GET", "/v1/cluster/debt")
        except Refused:
            answer = None
        if answer and answer.status == 200:
            owed = {name: value for name, value in json.loads(answer.body).items()
                    if name != "nodes"}
            age = time.monotonic() - began
            if owed["unreachable"] + owed["hints"] + owed["pairs_differing"] + \
                    owed["trees_not_ready"] == 0 and owed["unequal_seconds"] + 1 < age:
                return age
        client.wander()
        await asyncio.sleep(0.5)
    load.problems.append(f"replicas are not the same {CONVERGED_SECONDS} s after healing: {owed}")
    return CONVERGED_SECONDS


def every_key(load):
    return [load.keys[name] for histories in load.histories.values() for name in histories]


class Reader:
    """Reads keys until it is answered, and notes those whose replicas do not agree."""

    def __init__(self, load):
        self.load, self.client = load, load.client()

    async def insist(self, key, level, proxy):
        for _ in range(20):
            record = await self.client.operate(Wish("get", key, level), proxy, READ_MS)
            if record and record["outcome"] == "ok":
                return record
            await asyncio.sleep(0.25)
        self.load.problems.append(f"after everything was healed, get {key.name} level={level} "
                                  f"through proxy-{proxy + 1} does not succeed: {record}")
        return None

    async def converged(self, key, proxy, value):
        """Late messages of writes that nobody waits for may still change it: look again."""
        for _ in range(10):
            seen = await self.insist(key, "eventual", proxy)
            if seen is None or seen["value"] == value:
                return
            again = await self.insist(key, "all", proxy)
            value = again["value"] if again else value
        self.load.problems.append(f"the replicas do not agree on {key.name} after reads at level "
                                  "all")

    async def spread(self, key, proxy):
        """What one replica has acknowledged is everywhere, without a read that would bring it
        there: whichever replica is asked."""
        written = self.load.histories[key.workload][key.name][0]
        for _ in range(ASKED_EACH):
            seen = await self.insist(key, "eventual", proxy)
            if seen and seen["value"] != written["value"] and written["outcome"] == "ok":
                self.load.problems.append(f"{key.name} was acknowledged and is {seen['value']}")
                return

    async def read(self, key, number):
        proxies = range(len(self.load.proxies))
        if key.workload == "set":
            await self.insist(key, "strong", number % len(proxies))
            return
        if key.workload == "spread":
            await self.spread(key, number % len(proxies))
            return
        for proxy in proxies:
            await self.insist(key, "strong", proxy)
        last = await self.insist(key, "all", number % len(proxies))
        if last:
            for proxy in proxies:
                await self.converged(key, proxy, last["value"])


async def read_everything(load, readers=24):
    """Every key strongly through every proxy (keys of a set through one), at level all, and once
    more at level eventual through every proxy, which must show the same."""
    keys = every_key(load)
    free = [Reader(load) for _ in range(readers)]

    async def read(item):
        if len(load.problems) > 100:
            return
        reader = free.pop()
        await reader.read(item[1], item[0])
        free.append(reader)

    await _spread(enumerate(keys), readers, read)
    return len(keys)


def count_counters(load):
    """Holds the last value of every counter against what was answered: each addition that took
    effect is in it once, those that are unknown at most once, and nothing else."""
    total = dict.fromkeys(("counters", "exact", "additions", "keyed", "took effect", "did not",
                           "unknown", "unknown and keyed", "requests"), 0)
    for workload, histories in load.histories.items():
        counters = {name: records for name, records in histories.items()
                    if load.keys[name].model == "counter"}
        for name, records in counters.items():
            adds = [r for r in records if r["op"] == "add"]
            done = [r["by"] for r in adds if r["outcome"] == "ok"]
            open_ = [r["by"] for r in adds if r["outcome"] == "unknown"]
            keyed = [r["outcome"] for r in adds if "keyed" in r]
            total["keyed"] += len(keyed)
            total["unknown and keyed"] += keyed.count("unknown")
            total["counters"] += 1
            total["exact"] += not open_
            total["additions"] += len(adds)
            total["took effect"] += len(done)
            total["unknown"] += len(open_)
            _hold(load, name, records, sum(done), open_)
        if counters:
            total["requests"] += load.tallies[workload]["requests"]
    total["did not"] = total["additions"] - total["took effect"] - total["unknown"]
    return total


def _hold(load, name, records, sure, open_):
    last = max((r for r in records if r["op"] == "get" and r["level"] == "all"
                and r["outcome"] == "ok"), key=lambda r: r["return"], default=None)
    if last is None:
        return  # the reads after healing have complained
    least = sure + sum(by for by in open_ if by < 0)
    most = sure + sum(by for by in open_ if by > 0)
    if not least <= (last["value"] or 0) <= most:
        load.problems.append(f"the counter {name} is {last['value']} in the end; what took effect "
                             f"makes {least}" + (f" to {most}" if most != least else ""))
