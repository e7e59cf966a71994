"""Clients: many at once over raw sockets, and what each of them saw as a history.

A record says what the answer said and nothing more. A write without an answer is unknown; a request
that certainly never left is no operation.
"""
import asyncio
import json
import random
import re
import time
import zlib

HTTP_PORT = 7000
OPERATION_MS = 700
CLIENT_SECONDS = 2.0  # patience beyond the operation's own timeout: proxies are paused too
CONNECT_SECONDS = 1.0
OPERATIONS_PER_KEY = 200
UNKNOWN_PER_KEY = 24  # open-ended writes are what makes a verdict expensive
CLOCK_SKEW = "503 clock-skew"
LARGE = 6000  # bytes: more than rides in every replica's reply

_RECEIPT = {name: re.compile(pattern) for name, pattern in (
    ("level", rb"\blevel=([a-z]+)"), ("version", rb'\bversion="([0-9a-f]{32})"'),
    ("w", rb"\bw=(\d+)"), ("dw", rb"\bdw=(\d+)"), ("r", rb"\br=(\d+)"), ("acks", rb"\backs=(\d+)"),
    ("disk", rb"\bdisk=(\d+)"), ("replies", rb"\breplies=(\d+)"))}
_STRENGTH = {"eventual": 1, "quorum": 2, "strong": 3, "all": 4}


def body_of(tag):
    """The bytes written for the value `tag`; one in sixteen is large."""
    text = tag.encode()
    return text if int(tag) % 16 else text.ljust(LARGE, b".")


def value_of(body):
    """The inverse; anything else than what some client wrote is named by its hash."""
    tag = body.rstrip(b".")
    if tag.isdigit() and body_of(tag.decode()) == body:
        return tag.decode()
    return f"corrupt-{len(body)}-{zlib.crc32(body):08x}"


class Refused(Exception):
    """Nothing left this client."""


class Lost(Exception):
    """No answer, and the request may have arrived."""


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one request at a time."""

    def __init__(self):
        self.transport, self.waiter, self.buffer, self.open = None, None, b"", True

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        self.open = False
        self._finish(None)

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15:].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        answer = (int(self.buffer[9:12]), self.buffer[:end], self.buffer[end + 4:end + 4 + length])
        self.buffer = self.buffer[end + 4 + length:]
        if b"connection: close" in head:
            self.close()
        self._finish(answer)

    def _finish(self, answer):
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(answer)

    def close(self):
        self.open = False
        if self.transport:
            self.transport.abort()

    async def ask(self, request, seconds):
        loop = asyncio.get_running_loop()
        self.waiter = loop.create_future()
        timer = loop.call_later(seconds, self._finish, None)
        self.transport.write(request)
        answer = await self.waiter
        timer.cancel()
        if answer is None:
            self.close()
            raise Lost
        return answer


class Client:
    """One at a time; changes the proxy now and then."""

    def __init__(self, load, number):
        self.load, self.number = load, number
        self.connections = {}
        self.proxy = number % len(load.proxies)

    async def connection(self, proxy):
        connection = self.connections.get(proxy)
        if connection and connection.open:
            return connection
        try:
            _, connection = await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(
                    Connection, self.load.proxies[proxy], HTTP_PORT), CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError):
            raise Refused from None
        self.connections[proxy] = connection
        return connection

    async def operate(self, op, key, level, value=None, proxy=None, milliseconds=OPERATION_MS):
        """Does one operation and records it. Returns the record, None if nothing was sent."""
        if proxy is None:
            if self.load.random.random() < 0.1:
                self.proxy = self.load.random.randrange(len(self.load.proxies))
            proxy = self.proxy
        body = body_of(value) if op == "put" else b""
        request = (f"{op.upper()} /v1/kv/default/{key}?level={level}&timeout={milliseconds}ms "
                   f"HTTP/1.1\r\nHost: q\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
        try:
            connection = await self.connection(proxy)
            call = time.monotonic_ns() // 1000
            answer = await connection.ask(request, milliseconds / 1000 + CLIENT_SECONDS)
        except Refused:
            self.proxy = self.load.random.randrange(len(self.load.proxies))
            self.load.refused += 1
            await asyncio.sleep(0.05)
            return None
        except Lost:
            self.proxy = self.load.random.randrange(len(self.load.proxies))
            return self.load.record(self.number, key, op, level, value, call, None, None)
        now = time.monotonic_ns() // 1000
        return self.load.record(self.number, key, op, level, value, call, now, answer)


class Load:
    """The shared side: the pace, the history, the counts."""

    def __init__(self, proxies, rate, seed):
        self.proxies, self.rate = proxies, rate
        self.random = random.Random(f"load-{seed}")
        self.histories = {}  # workload -> key -> records
        self.key_workload = {}
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

    def own(self, workload, key):
        self.key_workload[key] = workload
        self.histories.setdefault(workload, {})[key] = []

    async def turn(self):
        """Waits for the next slot of the common pace. A backlog of over a second is let go."""
        now = time.monotonic()
        self.slot = max(self.slot + 1 / self.rate, now - 1)
        if self.slot > now:
            await asyncio.sleep(self.slot - now)

    def record(self, process, key, op, level, value, call, now, answer):
        status, head, body = answer or (None, b"", b"")
        outcome, version, reached = "unknown", None, level
        if status in (200, 204) or (status == 404 and op == "get" and b"key-not-found" in body):
            outcome = "ok"
            receipt = self.receipt(op, level, head)
            version, reached = receipt.get("version"), receipt.get("level", level)
            if op == "get":
                value = value_of(body) if status == 200 else None
        elif status is not None:
            if op != "get" and b'"outcome"' in body:
                said = json.loads(body)["outcome"]
                outcome = "not-applied" if said == "not-applied" else "unknown"
            if status < 500 and status not in (429,):
                self.problems.append(f"{op} {key} level={level} was answered {status}: {body!r}")
            if status == 503 and op != "get" and outcome != "not-applied":
                self.problems.append(f"503 without not-applied: {op} {key}: {body!r}")
            if status == 500:
                self.problems.append(f"{op} {key} level={level} was answered 500: {body!r}")
            slug = re.search(rb"/problems/([a-z-]+)", body)
            name = f"{status} {slug.group(1).decode() if slug else ''}".strip()
            self.statuses[name] = self.statuses.get(name, 0) + 1
        if op == "delete":
            value = None
        entry = {"id": self.next_id, "process": process, "key": key, "op": op, "level": reached,
                 "value": value, "call": call, "return": now, "outcome": outcome}
        self.next_id += 1
        if version:
            entry["version"] = version
        self.histories[self.key_workload[key]][key].append(entry)
        counted = ("read" if op == "get" else "write", outcome)
        self.outcomes[counted] = self.outcomes.get(counted, 0) + 1
        if outcome == "ok" and _STRENGTH[reached] >= _STRENGTH["strong"]:
            self.successes[counted[0]].append(now)
        return entry

    def receipt(self, op, level, head):
        """Reads the receipt and holds it against what was asked: never less."""
        start = head.lower().find(b"consistency-receipt:")
        field = head[start:].split(b"\r\n", 1)[0] if start >= 0 else b""
        found = {name: match.group(1).decode() for name, match in
                 ((name, pattern.search(field)) for name, pattern in _RECEIPT.items()) if match}
        number = {name: int(found.get(name, 0)) for name in
                  ("w", "dw", "r", "acks", "disk", "replies")}
        short = (_STRENGTH.get(found.get("level"), 0) < _STRENGTH[level]
                 or number["acks"] < number["w"] or number["disk"] < number["dw"]
                 or number["replies"] < number["r"] and op == "get"
                 or _STRENGTH[level] > 2 and b"stable" not in field and "version" in found)
        if short:
            self.problems.append(f"a receipt that shows less than level={level} for a {op}: "
                                 f"{field.decode(errors='replace')}")
        return found


# What the clients of a group do: (share, operation, level).
MIXES = {
    "register": ((46, "get", "strong"), (5, "get", "quorum"), (2, "get", "all"),
                 (35, "put", "strong"), (2, "put", "quorum"), (2, "put", "all"),
                 (8, "delete", "strong")),
    "mixed": ((38, "get", "strong"), (8, "get", "eventual"), (22, "put", "strong"),
              (22, "put", "eventual"), (5, "delete", "strong"), (5, "delete", "eventual")),
    "recreate": ((25, "get", "strong"), (40, "put", "strong"), (35, "delete", "strong")),
}
WORKLOADS = ("register", "set", "mixed", "recreate")
CLIENTS_PER_KEY = 6


class Group:
    """A few clients on one key at a time; a new key when it has seen enough."""

    def __init__(self, load, workload, number):
        self.load, self.workload, self.number = load, workload, number
        self.keys, self.left, self.unknown = 0, 0, 0
        self.key = None
        mix = MIXES[workload]
        self.shares, self.choices = [m[0] for m in mix], [m[1:] for m in mix]

    def next_key(self):
        if self.left == 0 or self.unknown >= UNKNOWN_PER_KEY:
            self.keys += 1
            self.key = f"{self.workload}-{self.number}-{self.keys}"
            self.left, self.unknown = OPERATIONS_PER_KEY, 0
            self.load.own(self.workload, self.key)
        self.left -= 1
        return self.key

    async def run(self, client):
        while not self.load.stopping:
            await self.load.turn()
            (op, level), = self.load.random.choices(self.choices, self.shares)
            key = self.next_key()
            entry = await client.operate(op, key, level,
                                         self.load.fresh() if op == "put" else None)
            if entry and key == self.key and op != "get" and entry["outcome"] == "unknown":
                self.unknown += 1


async def run_set(load, client, number):
    """Unique keys, each written once; now and then one is read at once."""
    count = 0
    while not load.stopping:
        await load.turn()
        count += 1
        key = f"set-{number}-{count}"
        load.own("set", key)
        entry = await client.operate("put", key, "strong", load.fresh())
        if entry is None:
            del load.histories["set"][key]
        elif load.random.random() < 0.1:
            await client.operate("get", key, "strong")


def start_clients(load, workloads, groups):
    """Returns the tasks of all clients: `groups` groups, shared among the workloads."""
    tasks = []
    for number in range(groups):
        workload = workloads[number % len(workloads)]
        group = None if workload == "set" else Group(load, workload, number)
        for _ in range(CLIENTS_PER_KEY):
            client = load.client()
            tasks.append(asyncio.ensure_future(
                group.run(client) if group else run_set(load, client, client.number)))
    return tasks


async def count_future(load, readers=24):
    """How many keys cannot be read strongly because a wrong clock gave them a version in the
    future, which right clocks refuse to spread."""
    work = iter([key for workload, histories in load.histories.items() for key in histories])
    refused = []

    async def read():
        client = load.client()
        for key in work:
            before = load.statuses.get(CLOCK_SKEW, 0)
            entry = await client.operate("get", key, "strong", milliseconds=5000)
            if entry and entry["outcome"] != "ok" and load.statuses.get(CLOCK_SKEW, 0) > before:
                refused.append(key)

    await asyncio.gather(*(read() for _ in range(readers)))
    return len(set(refused))


async def read_everything(load, readers=24):
    """After the faults: every key strongly through every proxy (keys of a set through one), at
    level all, and once more at level eventual through every proxy, which must show the same."""
    keys = [(workload, key) for workload, histories in load.histories.items() for key in histories]
    work = iter(enumerate(keys))
    stale = []

    async def insist(client, key, level, proxy):
        for _ in range(20):
            entry = await client.operate("get", key, level, proxy=proxy, milliseconds=5000)
            if entry and entry["outcome"] == "ok":
                return entry
            await asyncio.sleep(0.25)
        load.problems.append(f"after everything was healed, get {key} level={level} through proxy-"
                             f"{proxy + 1} does not succeed: {entry}")
        return None

    async def converged(client, key, proxy, value):
        """Late messages of writes that nobody waits for may still change it: look again."""
        for _ in range(10):
            seen = await insist(client, key, "eventual", proxy)
            if seen is None or seen["value"] == value:
                return
            again = await insist(client, key, "all", proxy)
            value = again["value"] if again else value
        stale.append(f"the replicas do not agree on {key} after reads at level all")

    async def read():
        client = load.client()
        for number, (workload, key) in work:
            proxies = range(len(load.proxies))
            if workload == "set":
                await insist(client, key, "strong", number % len(proxies))
                continue
            for proxy in proxies:
                await insist(client, key, "strong", proxy)
            last = await insist(client, key, "all", number % len(proxies))
            if last:
                for proxy in proxies:
                    await converged(client, key, proxy, last["value"])
            if len(load.problems) > 100:
                return

    await asyncio.gather(*(read() for _ in range(readers)))
    load.problems += stale
    return len(keys)
