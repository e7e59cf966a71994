"""What the clients do, in groups of a few on the same keys."""
import asyncio

from load import Key, Session, Wish
from timelines import TimelineGroup

OPERATIONS_PER_KEY = 200
UNKNOWN_PER_KEY = 24  # open-ended writes are what makes a verdict expensive
CLIENTS_PER_KEY = 6
COUNTERS = 20  # of a group at a time: a record remembers no more than 240 Idempotency-Keys
TAGS_KEPT = 8
OPERATIONS_PER_SESSION = 60

# (share, what, level). A cas names the tag of what was seen last, or sometimes of something older.
MIXES = {
    "register": ((46, "get", "strong"), (5, "get", "quorum"), (2, "get", "all"),
                 (35, "put", "strong"), (2, "put", "quorum"), (2, "put", "all"),
                 (8, "delete", "strong")),
    "mixed": ((38, "get", "strong"), (8, "get", "eventual"), (22, "put", "strong"),
              (22, "put", "eventual"), (5, "delete", "strong"), (5, "delete", "eventual")),
    "recreate": ((25, "get", "strong"), (40, "put", "strong"), (35, "delete", "strong")),
    "cas": ((34, "get", "strong"), (3, "get", "quorum"), (2, "get", "all"),
            (26, "replace", "strong"), (3, "replace", "quorum"), (2, "replace", "all"),
            (6, "remove", "strong"), (8, "create", "strong"), (11, "put", "strong"),
            (5, "delete", "strong")),
    "mixed-cas": ((32, "get", "strong"), (8, "get", "eventual"), (24, "replace", "strong"),
                  (5, "remove", "strong"), (6, "create", "strong"), (10, "put", "strong"),
                  (9, "put", "eventual"), (3, "delete", "strong"), (3, "delete", "eventual")),
}
KEYED_SHARE = {"cas": 0.3, "mixed-cas": 0.1}  # of the writes through consensus
WORKLOADS = ("register", "set", "mixed", "recreate", "cas", "mixed-cas", "counter", "bank-single",
             "session", "spread", "timeline")


def space_of(workload, round_number):
    """The namespace that a group works in; some take turns."""
    if workload in ("cas", "counter"):
        return ("bank", "mixed")[round_number % 2]
    return {"mixed-cas": "mixed", "bank-single": "bank"}.get(workload, "lww")


class Group:
    """A few clients; `space` is their namespace."""

    def __init__(self, load, workload, number, space):
        self.load, self.workload, self.number, self.space = load, workload, number, space
        self.random = load.random
        self.keys = 0

    def fresh_key(self, model="register"):
        self.keys += 1
        name = f"{self.workload}-{self.number}-{self.keys}"
        return self.load.own(Key(name, self.workload, self.space, model))

    def is_spent(self, key):
        """Whether the key has room for nothing more, for as long as the run lasts."""
        return (key.unknown >= UNKNOWN_PER_KEY
                or key.full and self.load.retention > RETENTION_SHORT)

    async def run(self, client):
        while not self.load.stopping:
            await self.load.turn()
            await self.act(client)


RETENTION_SHORT = 600  # seconds; up to that a record has room again while a long run lasts


class RegisterGroup(Group):
    """One key at a time; a new one when it has seen enough."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        mix = MIXES[self.workload]
        self.shares, self.choices = [m[0] for m in mix], [m[1:] for m in mix]
        self.key, self.left, self.tags = None, 0, []

    def next_key(self):
        if self.left == 0 or self.is_spent(self.key):
            self.key, self.left, self.tags = self.fresh_key(), OPERATIONS_PER_KEY, []
        self.left -= 1
        return self.key

    def wish(self, what, level):
        key, op = self.next_key(), what
        more = {}
        if what in ("replace", "remove", "create"):
            op = "cas"
        if what in ("replace", "remove") and self.tags:
            older = self.random.random() < 0.1
            at = self.random.randrange(len(self.tags)) if older else -1
            more["tag"], more["expected"] = self.tags[at]
        value = self.load.fresh() if what in ("put", "replace", "create") or \
            op == "cas" and "tag" not in more else None
        wish = Wish(op, key, level, value, **more)
        if wish.is_consensus() and self.random.random() < KEYED_SHARE[self.workload]:
            wish.name = f"key-{self.load.fresh()}"
        return wish

    def note(self, record):
        """What the group has seen last."""
        if record["key"] != self.key.name or record["outcome"] not in ("ok", "failed"):
            return
        if record["op"] == "get" and record["level"] in ("eventual", "quorum"):
            return  # nobody has promised that it stays
        seen = record.get("seen") if record["outcome"] == "failed" else record["value"]
        if seen is None:
            self.tags = []
        elif "version" in record:
            self.tags = self.tags[-TAGS_KEPT:] + [(record["version"], seen)]

    async def act(self, client):
        (what, level), = self.random.choices(self.choices, self.shares)
        record = await client.operate(self.wish(what, level))
        if record and self.workload in KEYED_SHARE:
            self.note(record)


class CounterGroup(Group):
    """Additions of whole numbers above 0: on every other counter all with an Idempotency-Key, so
    that none of them stays unknown."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.counters = [self.fresh_key("counter") for _ in range(COUNTERS)]

    async def act(self, client):
        at, dice = self.random.randrange(COUNTERS), self.random.random()
        if self.is_spent(self.counters[at]):
            self.counters[at] = self.fresh_key("counter")
        key = self.counters[at]
        if dice < 0.1:
            await client.operate(Wish("get", key))
            return
        wish = Wish("add", key, by=self.random.choice((1, 1, 1, 2, 3, 5, 8)))
        if at % 2 == 0 or dice < 0.7:
            wish.name = f"key-{self.load.fresh()}"
        await client.operate(wish)


class BankGroup(Group):
    """Deposits, and withdrawals that never go below 0, most of both with an Idempotency-Key: one
    account at a time."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.key, self.left = None, 0

    async def act(self, client):
        if self.left == 0 or self.is_spent(self.key):
            self.key, self.left = self.fresh_key("counter"), OPERATIONS_PER_KEY
        self.left -= 1
        dice, amount = self.random.random(), self.random.randint(1, 60)
        if dice < 0.1:
            wish = Wish("get", self.key)
        elif dice < 0.55:
            wish = Wish("add", self.key, by=amount)
        else:
            wish = Wish("add", self.key, by=-amount, least=0)
        if wish.is_write() and self.random.random() < 0.8:
            wish.name = f"key-{self.load.fresh()}"
        await client.operate(wish)


class SessionGroup(Group):
    """A session for each client, on a few keys that all of them read and write through whatever
    proxy comes."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.current, self.left, self.sessions = [], 0, {}

    def next_key(self):
        if self.left == 0:
            self.current, self.left = [self.fresh_key() for _ in range(4)], OPERATIONS_PER_KEY
        self.left -= 1
        return self.random.choice(self.current)

    def session(self, client):
        session = self.sessions.get(client)
        if session is None or session.left == 0:
            self.load.next_id += 1
            session = self.sessions[client] = Session(self.load.next_id)
            session.left = OPERATIONS_PER_SESSION
        session.left -= 1
        return session

    async def act(self, client):
        dice, key, session = self.random.random(), self.next_key(), self.session(client)
        client.proxy = self.random.randrange(len(self.load.proxies))
        if dice < 0.6:
            wish = Wish("get", key, "session", session=session)
        elif dice < 0.93:
            wish = Wish("put", key, "session", self.load.fresh(), session=session)
        else:
            wish = Wish("delete", key, "session", session=session)
        await client.operate(wish)


class SpreadGroup(Group):
    """Keys that are written once, at level eventual: what one replica has acknowledged must be on
    all of them in the end, though nobody asks for it at any other level."""

    async def act(self, client):
        key = self.fresh_key()
        record = await client.operate(Wish("put", key, "eventual", self.load.fresh()))
        if record is None:
            del self.load.histories[self.workload][key.name]


class SetGroup(Group):
    """Keys that are written once; now and then one is read at once."""

    async def act(self, client):
        key = self.fresh_key()
        record = await client.operate(Wish("put", key, value=self.load.fresh()))
        if record is None:
            del self.load.histories[self.workload][key.name]
        elif self.random.random() < 0.1:
            await client.operate(Wish("get", key))


GROUPS = {"set": SetGroup, "counter": CounterGroup, "bank-single": BankGroup,
          "session": SessionGroup, "spread": SpreadGroup}


def start_clients(load, workloads, groups):
    """Returns the tasks of all clients: `groups` groups, shared among the workloads."""
    tasks = []
    for number in range(groups):
        workload = workloads[number % len(workloads)]
        if workload == "timeline":
            group = TimelineGroup(load, number)
        else:
            make = GROUPS.get(workload, RegisterGroup)
            group = make(load, workload, number, space_of(workload, number // len(workloads)))
        for _ in range(CLIENTS_PER_KEY):
            tasks.append(asyncio.ensure_future(group.run(load.client())))
    return tasks
