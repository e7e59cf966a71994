"""Faults: when, on whom, and how they are taken back. All choices come from the seed."""
import asyncio
import random
import time

KINDS = ("partition", "loss", "slow", "kill", "power", "pause", "skew", "disk")
SKEW_MAX = 3600  # seconds


def names(machines):
    return "+".join(m.name for m in machines) or "nobody"


class Fault:
    """One fault. begin() and end() act on the world; `needs` names what it must have for itself."""

    def __init__(self, kind, text, needs=(), hold=(1, 5)):
        self.kind, self.text, self.needs, self.hold = kind, text, set(needs), hold
        self.begin = self.end = lambda: None
        self.strobe = None  # called again and again while the fault lasts


class Nemesis:
    def __init__(self, world, kinds, seed, log):
        self.world, self.kinds, self.log = world, kinds, log
        self.random = random.Random(f"nemesis-{seed}")
        self.busy = set()
        self.done = []  # (kind, text, begin µs, end µs)
        self.stopping = False

    # --- who

    def majority(self):
        return len(self.world.nodes) // 2 + 1

    def some(self, machines, least=1, most=None):
        free = [m for m in machines if m.name not in self.busy]
        most = min(most or len(free), len(free))
        return self.random.sample(free, self.random.randint(min(least, most), most)) if most else []

    def victims(self):
        """Mostly one machine or a minority of nodes, sometimes proxies, seldom everything."""
        world, dice = self.world, self.random.random()
        if dice < 0.55:
            return self.some(world.nodes, 1, len(world.nodes) - self.majority())
        if dice < 0.8:
            return self.some(world.proxies, 1, len(world.proxies) - 1)
        if dice < 0.92:
            return self.some(world.nodes, self.majority())
        return self.some(world.machines, len(world.machines))

    def halves(self):
        nodes, proxies = self.world.nodes[:], self.world.proxies[:]
        self.random.shuffle(nodes)
        self.random.shuffle(proxies)
        small, cut = len(nodes) - self.majority(), self.random.randint(0, len(proxies))
        return nodes[:small] + proxies[:cut], nodes[small:] + proxies[cut:]

    # --- partitions and loss

    def cut(self, kind, text, pairs, share=1.0, hold=(1, 5)):
        fault = Fault(kind, text, hold=hold)
        lost = {(a.name, b.name): share for a, b in pairs}

        def begin():
            self.world.cut[fault] = lost
            self.world.apply_cuts()

        def end():
            self.world.cut.pop(fault, None)
            self.world.apply_cuts()

        fault.begin, fault.end = begin, end
        return fault

    def partition(self):
        shape = self.random.choice(("halves", "one-way", "ring", "isolate"))
        world = self.world
        if shape == "ring":
            return self.cut("partition", "ring: every proxy sees another majority", [
                pair for i, proxy in enumerate(world.proxies)
                for j in range(len(world.nodes) - self.majority())
                for node in [world.nodes[(i + j) % len(world.nodes)]]
                for pair in ((proxy, node), (node, proxy))])
        if shape == "isolate":
            one = self.random.choice(world.machines)
            others = [m for m in world.machines if m is not one]
            return self.cut("partition", f"{one.name} alone",
                            [p for m in others for p in ((m, one), (one, m))])
        left, right = self.halves()
        pairs = [(a, b) for a in left for b in right]
        back = [(b, a) for a, b in pairs]
        if shape == "one-way":
            deaf, way = self.random.choice(((pairs, "from"), (back, "to")))
            return self.cut("partition", f"one way: nothing {way} {names(left)}", deaf)
        return self.cut("partition", f"halves: {names(left)} | the rest", pairs + back)

    def loss(self):
        share = self.random.choice((0.02, 0.1, 0.25, 0.5))
        victims = self.some(self.world.machines, 1)
        machines = self.world.machines
        pairs = [p for m in machines for v in victims if m is not v for p in ((m, v), (v, m))]
        return self.cut("loss", f"{share:.0%} at {names(victims)}", pairs, share)

    # --- slow links

    def slow(self):
        how = self.random.choice(("delay", "delay", "jitter", "throttle", "stall"))
        setting = {
            "delay": {"delay": self.random.choice((0.005, 0.02, 0.1, 0.3, 1.0))},
            "jitter": {"delay": 0.001, "jitter": self.random.choice((0.02, 0.2, 0.8))},
            "throttle": {"rate": self.random.choice((2000, 20000, 200000))},
            "stall": {"delay": -1},
        }[how]
        nodes = range(len(self.world.nodes))
        chosen = self.random.sample(nodes, self.random.choice((1, 1, 2, len(nodes))))
        directions = self.random.choice(((0, 1), (0, 1), (0,), (1,)))
        proxies = [p for p in self.world.proxies if p.relay]
        if self.random.random() < 0.3:
            proxies = [self.random.choice(proxies)]
        text = (f"{how} {setting} between {names(proxies)} and "
                f"{names([self.world.nodes[i] for i in chosen])}, directions {directions}")
        fault = Fault("slow", text, hold=(1, 5))

        def give(**orders):
            for proxy in proxies:
                for node in chosen:
                    for direction in directions:
                        proxy.slow(node, direction, **orders)

        fault.needs = {f"slow-{p.name}-{i}" for p in proxies for i in chosen}
        fault.begin, fault.end = (lambda: give(**setting)), give
        return fault

    # --- processes

    def kill(self):
        victims = self.victims()
        return self._downed("kill", victims, lambda m: m.kill())

    def power(self):
        dice = self.random.random()
        nodes = self.world.nodes
        victims = (self.some(nodes, 1, len(nodes) - self.majority()) if dice < 0.5
                   else self.some(nodes, self.majority()) if dice < 0.75
                   else self.some(nodes, len(nodes)))
        return self._downed("power", victims, lambda m: m.lose_power())

    def _downed(self, kind, victims, strike):
        hold = self.random.choice(((0, 0.2), (0.5, 2), (2, 6)))
        fault = Fault(kind, names(victims), [v.name for v in victims], hold)
        if kind == "power":
            fault.needs |= {f"disk-{v.name}" for v in victims}

        def begin():
            # Stopped first, so that several lose what they had at one moment.
            for machine in victims:
                machine.pause()
            for machine in victims:
                strike(machine)

        def end():
            for machine in victims:
                if not machine.wanted:
                    machine.start()

        fault.begin, fault.end = begin, end
        return fault

    def pause(self):
        victims = self.victims()
        fault = Fault("pause", names(victims), [v.name for v in victims],
                      self.random.choice(((0.3, 1.5), (1, 4), (4, 10))))
        fault.begin = lambda: [v.pause() for v in victims]
        fault.end = lambda: [v.resume() for v in victims]
        return fault

    # --- clocks

    def skew(self):
        victims = self.random.choice((
            self.some(self.world.machines, 1, 1), self.some(self.world.proxies, 1),
            self.some(self.world.nodes, 1), self.some(self.world.machines, 1)))
        largest = self.random.choice((0.3, 4, 30, 600, SKEW_MAX))
        offsets = {v: self.random.uniform(-largest, largest) for v in victims}
        strobes = self.random.random() < 0.3
        text = ("strobing " if strobes else "") + " ".join(
            f"{v.name}{offset:+.1f}s" for v, offset in offsets.items())
        fault = Fault("skew", text, [f"clock-{v.name}" for v in victims], (1, 5))
        fault.begin = lambda: [v.set_clock(offset) for v, offset in offsets.items()]
        fault.end = lambda: [v.set_clock(0) for v in victims]
        if strobes:
            fault.strobe = lambda: [v.set_clock(self.random.choice((0, offset)))
                                    for v, offset in offsets.items()]
        return fault

    # --- disks

    def disk(self):
        nodes = self.world.nodes
        victims = self.random.sample(nodes, self.random.choice(
            (1, 1, len(nodes) - self.majority(), self.majority(), len(nodes))))
        leave = self.random.choice((0, 0, 64 << 10, 1 << 20, 17 << 20))
        fault = Fault("disk", f"{leave >> 10} KiB left at {names(victims)}",
                      [f"disk-{v.name}" for v in victims], (1, 5))

        def begin():
            for node in victims:
                node.fill(leave)

        def end():
            for node in victims:
                node.empty()

        fault.begin, fault.end = begin, end
        return fault

    # --- when

    def pick(self):
        """A fault whose needs nobody else has at the moment."""
        for _ in range(50):
            fault = getattr(self, self.random.choice(self.kinds))()
            if not fault.needs & self.busy and (fault.needs or fault.kind in ("partition", "loss")):
                return fault
        return None

    async def run(self, rest):
        """One fault after the other, with a pause of rest=(from, to) seconds between them."""
        while not self.stopping:
            await asyncio.sleep(self.random.uniform(*rest))
            fault = self.pick()
            if fault is None or self.stopping:
                continue
            self.busy |= fault.needs
            begin = time.monotonic_ns() // 1000
            self.log(f"{fault.kind} {fault.text}")
            fault.begin()
            try:
                until = time.monotonic() + self.random.uniform(*fault.hold)
                while time.monotonic() < until and not self.stopping:
                    await asyncio.sleep(min(0.3, max(0, until - time.monotonic())))
                    if fault.strobe:
                        fault.strobe()
            finally:
                fault.end()
                self.busy -= fault.needs
                self.done.append((fault.kind, fault.text, begin, time.monotonic_ns() // 1000))
                self.log(f"{fault.kind} is over")
