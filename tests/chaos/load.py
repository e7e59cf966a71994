"""What clients want, how they go about it, and what each of them saw as a history.

A record says what the answers said and nothing more. A write without an answer is unknown, a
request that certainly never left is no operation. A write with an Idempotency-Key is sent again,
through changing proxies, until an answer is definite: all of that is one operation.
"""
import asyncio
import collections
import json
import random
import re
import time

import resolve
from timelines import Timelines
from wire import Connections, Refused, body_of, now_us, value_of

OPERATION_MS = 700
CLIENT_SECONDS = 2.0  # patience beyond the operation's own timeout: proxies are paused too
HASTY_SHARE, HASTY_SECONDS = 0.1, 0.02  # of those who send again: they do not wait for an answer
HURRIED_SHARE, HURRIED_MS = 0.1, 20  # of writes through consensus: the proxy has hardly any time
RETRY_SECONDS = 17  # below the namespaces' retention
RECENT_SECONDS = 4
RACE_SHARE = 0.2  # of writes that are sent again while somebody has them resolved

_RECEIPT = {name: re.compile(pattern) for name, pattern in (
    ("level", r"\blevel=([a-z]+)"), ("version", r'\bversion="([0-9a-f]{32})"'),
    ("w", r"\bw=(\d+)"), ("dw", r"\bdw=(\d+)"), ("r", r"\br=(\d+)"), ("acks", r"\backs=(\d+)"),
    ("disk", r"\bdisk=(\d+)"), ("replies", r"\breplies=(\d+)"))}
_STRENGTH = {"eventual": 0, "session": 1, "quorum": 2, "strong": 3, "all": 4}
WEAK = ("eventual", "session")
TOKEN_MAX = 256  # bytes
_MAY_REFUSE = {"contention", "operation-fenced", "history-lost", "too-many-idempotency-keys",
               "too-many-in-flight"}


class Key:
    """`space` is its namespace; `model` what the checker takes it for."""

    def __init__(self, name, workload, space, model="register"):
        self.name, self.workload, self.space, self.model = name, workload, space, model
        self.full = False  # its record had no room for another Idempotency-Key
        self.unknown = 0


class Session:
    """What one client has met: a number for the checker, and the token of the last answer."""

    def __init__(self, number):
        self.number, self.token, self.left = number, None, 0


class Wish:
    """One operation, however many requests it takes.

    `expected` with `tag`: what a cas wants to replace; both None: nothing. `name`: its
    Idempotency-Key. `session`: the Session it belongs to.
    """

    def __init__(self, op, key, level="strong", value=None, **more):
        self.op, self.key, self.level, self.value = op, key, level, value
        self.expected, self.tag = more.get("expected"), more.get("tag")
        self.by, self.least, self.name = more.get("by"), more.get("least"), more.get("name")
        self.session = more.get("session")

    def request(self, milliseconds):
        """(method, path, fields, body)"""
        query = f"?level={self.level}&timeout={milliseconds}ms"
        fields = [("Idempotency-Key", f'"{self.name}"')] if self.name else []
        if self.session and self.session.token:
            fields.append(("Session-Token", self.session.token))
        if self.op == "add":
            body = {"by": self.by} | ({"min": self.least} if self.least is not None else {})
            fields.append(("Content-Type", "application/json"))
            path = f"/v1/counters/{self.key.space}/{self.key.name}:add{query}"
            return "POST", path, fields, json.dumps(body).encode()
        path = f"/v1/kv/{self.key.space}/{self.key.name}{query}"
        method = self.op.upper()
        if self.op == "cas":
            method = "DELETE" if self.value is None else "PUT"
            fields.append(("Prefer", "return=representation"))
            fields.append(("If-Match", f'"{self.tag}"') if self.tag else ("If-None-Match", "*"))
        return method, path, fields, body_of(self.value) if method == "PUT" else b""

    def is_write(self):
        return self.op != "get"

    def is_conditional(self):
        return self.op in ("cas", "add")

    def is_consensus(self):
        """Whether it can be resolved: the rest of the writes are blind."""
        return self.is_write() and (self.key.space == "bank" or self.key.space == "mixed"
                                    and (self.level not in WEAK or self.is_conditional()))


class Client:
    """One at a time; changes the proxy now and then."""

    def __init__(self, load, number):
        self.load, self.number, self.random = load, number, load.random
        self.connections = Connections(load.proxies)
        self.proxy = number % len(load.proxies)

    def wander(self):
        """To another proxy."""
        count = len(self.load.proxies)
        self.proxy = (self.proxy + self.random.randrange(1, max(2, count))) % count

    def timeout(self, wish):
        """Milliseconds that the proxy gets."""
        if wish.is_consensus() and self.random.random() < HURRIED_SHARE:
            return self.random.randint(1, HURRIED_MS)
        return OPERATION_MS

    def patience(self, wish, milliseconds):
        if wish.name and self.random.random() < HASTY_SHARE:
            return self.random.random() * HASTY_SECONDS
        return milliseconds / 1000 + CLIENT_SECONDS

    async def operate(self, wish, proxy=None, timeout=None):
        """Does the operation and records it. Returns the record, None if nothing was sent."""
        if proxy is None and self.random.random() < 0.1:
            self.wander()
        story = Story(self.load, wish, self.number)
        until = time.monotonic() + RETRY_SECONDS
        while not story.over:
            try:
                call, milliseconds = now_us(), timeout or self.timeout(wish)
                answer = await self.connections.ask(
                    self.proxy if proxy is None else proxy, *wish.request(milliseconds),
                    seconds=self.patience(wish, milliseconds))
            except Refused:
                self.load.refused += 1
                self.wander()
                await asyncio.sleep(0.05)
                if story.record is None:
                    return None
            else:
                story.hear(call, answer)
                if answer is None:
                    self.wander()
            if story.over or not wish.name or time.monotonic() > until:
                break
            self.wander()
            await asyncio.sleep(story.pause())
        return await story.end(proxy is None)


class Story:
    """How one operation goes: from its first request to what became of it."""

    def __init__(self, load, wish, process):
        self.load, self.wish, self.process = load, wish, process
        self.record = None  # from the first request on
        self.over = False  # the answer was definite
        self.maybe = False  # a request may have taken effect, or may yet
        self.links = []  # to the operation, as answers gave them
        self.race = None  # who resolves it meanwhile
        self.full = False
        self.tally = load.tallies[wish.key.workload]

    def hear(self, call, answer):
        """An answer, or None for none."""
        load, wish = self.load, self.wish
        if self.record is None:
            self.record = load.begin(self.process, wish, call)
        self.full = False
        self.tally["requests"] += wish.is_write()
        if answer is None:
            self.maybe = True
            return
        self.record["return"] = answer.time
        if answer.header(b"idempotent-replayed"):
            self.tally["replays"] += 1
        if answer.status in (200, 204) or wish.op == "get" and answer.slug() == "key-not-found":
            self.over = True
            self.record["outcome"] = "ok"
            load.take(self.record, wish, answer)
        else:
            self.hear_failure(answer)

    def hear_failure(self, answer):
        load, wish = self.load, self.wish
        slug = answer.slug()
        name = f"{answer.status} {slug}".strip()
        load.statuses[name] = load.statuses.get(name, 0) + 1
        self.tally[answer.status] += 1
        load.suspect(wish, answer)
        if not wish.is_write():
            self.maybe = True
            return
        said = answer.problem().get("outcome") if answer.status != 412 else "failed"
        operation = answer.problem().get("operation", "")
        if wish.is_consensus() and operation and "/operations/v" not in operation:
            self.links.append(operation)
        if said == "failed" and wish.is_conditional():
            self.over = True
            self.record["outcome"] = "failed"
            load.take_refusal(self.record, wish, answer)
        elif slug == "operation-fenced" and wish.name:
            self.over = True
            self.record["outcome"] = "not-applied"
        elif slug == "too-many-idempotency-keys":
            self.full = self.wish.key.full = True
        elif slug == "history-lost":
            self.over = True  # this request did nothing; of those before nobody can tell
        elif said != "not-applied":
            self.maybe = True
            if self.links and wish.name and self.race is None \
                    and load.random.random() < RACE_SHARE:
                self.race = asyncio.ensure_future(
                    resolve.resolve(load, wish, self.links[-1], load.resolve_seconds))

    def pause(self):
        """Seconds until it is sent again."""
        if self.full:
            return self.load.random.uniform(0.5, 2)
        return self.load.random.uniform(0.01, 0.2)

    def link(self):
        """One that can still be resolved: what is long ago cannot, by any but the latest link."""
        recent = now_us() - self.record["call"] < RECENT_SECONDS * 1e6
        return self.load.random.choice(self.links) if recent else self.links[-1]

    async def end(self, may_resolve):
        """Nothing more is sent. Returns the record as it goes into the history."""
        load, wish, record = self.load, self.wish, self.record
        if record["outcome"] == "unknown" and wish.is_write() and not self.maybe:
            record["outcome"] = "not-applied"
        first = record["outcome"]
        decision = await self.race if self.race else None
        if first == "unknown" and wish.is_write():
            self.tally["unknown at first"] += 1
            if self.links and may_resolve and decision is None:
                decision = await resolve.resolve(load, wish, self.link(),
                                                 load.resolve_seconds)
        if decision:
            resolve.settle(load, wish, record, decision)
        elif first == "unknown" and self.links:
            load.unresolved.append((wish, record, self.links[-1]))
        wish.key.unknown += record["outcome"] == "unknown" and wish.is_write()
        load.keep(wish, record)
        return record


class Load:
    """The shared side: the pace, the history, the counts."""

    def __init__(self, proxies, rate, seed, retention):
        self.proxies, self.rate, self.retention = proxies, rate, retention
        # How long somebody insists on a decision while faults go on: until it is too late.
        self.resolve_seconds = min(20, retention / 2 - 4)
        self.random = random.Random(f"load-{seed}")
        self.histories = {}  # workload -> key's name -> records
        self.keys = {}  # name -> Key
        self.tallies = collections.defaultdict(collections.Counter)  # by workload
        self.unresolved = []  # (wish, record, link)
        self.timelines = Timelines(self)
        self.next_id = 1
        self.refused = 0
        self.outcomes = {}  # (op, outcome) -> count
        self.statuses = {}
        self.successes = {"read": [], "write": []}  # when strong ones succeeded, in µs
        self.problems = []
        self.stopping = False
        self.slot = time.monotonic()
        self.clients = 0

    def client(self):
        self.clients += 1
        return Client(self, self.clients - 1)

    def fresh(self):
        self.next_id += 1
        return str(self.next_id)

    def own(self, key):
        self.keys[key.name] = key
        self.histories.setdefault(key.workload, {})[key.name] = []
        return key

    async def turn(self):
        """Waits for the next slot of the common pace. A backlog of over a second is let go."""
        now = time.monotonic()
        self.slot = max(self.slot + 1 / self.rate, now - 1)
        if self.slot > now:
            await asyncio.sleep(self.slot - now)

    def begin(self, process, wish, call):
        self.next_id += 1
        record = {"id": self.next_id, "process": process, "key": wish.key.name, "op": wish.op,
                  "level": wish.level, "value": wish.value, "call": call, "return": None,
                  "outcome": "unknown"}
        if wish.op == "cas":
            record["expected"] = wish.expected
        if wish.name:
            record["keyed"] = True
        if wish.session:
            record["session"] = wish.session.number
        if wish.level in WEAK:
            record["level"] = "eventual"
        if wish.op == "add":
            record["by"] = wish.by
            if wish.least is not None:
                record["min"] = wish.least
        return record

    def keep(self, wish, record):
        """The operation is over: into the history with it."""
        self.histories[wish.key.workload][wish.key.name].append(record)
        self.tallies[wish.key.workload]["operations"] += 1
        outcome = record["outcome"]
        counted = ("write" if wish.is_write() else "read", outcome)
        self.outcomes[counted] = self.outcomes.get(counted, 0) + 1
        if outcome in ("ok", "failed") and _STRENGTH[record["level"]] >= _STRENGTH["strong"]:
            self.successes[counted[0]].append(record["return"])

    def take(self, record, wish, answer):
        """What a success says."""
        receipt = self.receipt(wish, answer)
        level = receipt.get("level", wish.level)
        record["level"] = "eventual" if level in WEAK else level
        self.take_token(wish, answer)
        version = answer.etag() if wish.is_consensus() else receipt.get("version")
        if version:
            record["version"] = version
        if wish.op == "get":
            record["value"] = self.value_seen(wish, answer) if answer.status == 200 else None
        elif wish.op == "add":
            record["value"] = json.loads(answer.body)["value"]
        elif answer.status == 200 and value_of(answer.body) != wish.value:
            self.problems.append(f"{wish.op} {wish.key.name} of {wish.value} was answered "
                                 f"{value_of(answer.body)}")

    def take_token(self, wish, answer):
        token = answer.header(b"session-token")
        if wish.level == "session" and not token or token and len(token) > TOKEN_MAX:
            self.problems.append(f"{wish.op} {wish.key.name} was answered with token {token}")
        if wish.session and token:
            wish.session.token = token

    def value_seen(self, wish, answer):
        if wish.key.model == "register":
            return value_of(answer.body)
        if re.fullmatch(rb"0|-?[1-9][0-9]*", answer.body):
            return int(answer.body)
        self.problems.append(f"the counter {wish.key.name} is {answer.body!r}")
        return None

    def take_refusal(self, record, wish, answer):
        """What was there instead of what a condition wanted. A replay shows what is there now."""
        if wish.op == "add":
            record["seen"] = answer.problem()["value"]
        elif answer.header(b"idempotent-replayed") is None:
            record["seen"] = None if answer.problem() else value_of(answer.body)
            if answer.problem() and answer.etag():
                self.problems.append(f"a 412 of {wish.key.name} without the value: {answer.body!r}")
            if answer.etag():
                record["version"] = answer.etag()

    def suspect(self, wish, answer):
        """Complains of a failure that no fault excuses."""
        slug, outcome = answer.slug(), answer.problem().get("outcome")
        said = f"{wish.op} {wish.key.name} level={wish.level} was answered {answer.status}: "
        said += repr(answer.body)
        blind_neighbours = wish.key.workload == "mixed-cas"
        if answer.status == 412 and wish.is_conditional():
            return
        if answer.status < 500 and slug not in _MAY_REFUSE or answer.status == 500:
            self.problems.append(said)
        elif slug == "operation-fenced" and not wish.name \
                or slug == "history-lost" and not (wish.name and blind_neighbours):
            self.problems.append(f"nobody gave a reason for that: {said}")
        elif answer.status == 503 and wish.is_write() and outcome != "not-applied":
            self.problems.append(f"503 without not-applied: {said}")

    def receipt(self, wish, answer):
        """Reads the receipt and holds it against what was asked: never less."""
        field = answer.header(b"consistency-receipt") or ""
        found = {name: match.group(1) for name, match in
                 ((name, pattern.search(field)) for name, pattern in _RECEIPT.items()) if match}
        number = {name: int(found.get(name, 0)) for name in
                  ("w", "dw", "r", "acks", "disk", "replies")}
        level = wish.level
        short = (_STRENGTH.get(found.get("level"), 0) < _STRENGTH[level]
                 or number["acks"] < number["w"] or number["disk"] < number["dw"]
                 or number["replies"] < number["r"] and wish.op == "get"
                 or level in ("strong", "all") and "stable" not in field and "version" in found)
        if short:
            self.problems.append(f"a receipt that shows less than level={level} for a {wish.op}: "
                                 f"{field}")
        return found
