"""Every row that can be measured: which system, with which data, under which load."""
import dataclasses
import json
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import typing

import generators
from systems import (BIN, HERE, ROOT, TAG, VALUE_BYTES, BareH2o, Etcd, Nginx, Quorate, Redis, fill,
                     http_request, quorate_cluster, tools, value, write_requests)

CONNECTIONS = 64
READS = {"eventual": "eventual", "session": "session", "bounded": "bounded&max-stale=500ms",
         "quorum": "quorum", "strong": "strong", "all": "all"}
WRITES = ("eventual", "session", "quorum", "strong", "all")
# Bytes, keys, connections.
SIZES = {"10 B": (10, 10000, 64), "1 KiB": (1 << 10, 10000, 64), "64 KiB": (1 << 16, 1000, 64),
         "1 MiB": (1 << 20, 64, 8)}
CONNECTION_COUNTS = (1, 8, 64, 512, 4096)
RATES = (1000, 2000, 4000, 8000, 16000, 32000)
KEY_COUNTS = (10 ** 3, 10 ** 4, 10 ** 6)
NODE_COUNTS = (5, 9)
CAS_KEYS = 2000  # within what a proxy holds promises for (QUO_WARM_MAX)
CACHE = ("cached", 100000, 1 << 10)
IDLE_CONNECTIONS = 10000
QUORATE = "quorate"
SYSTEMS = {
    QUORATE: lambda name: Quorate(name),
    "null engine": lambda name: Quorate(name, engine="null"),
    "etcd": Etcd,
    "redis": Redis,
    "bare h2o": BareH2o,
    "nginx": Nginx,
    "relay, 0 ms": lambda name: Quorate(name, relay=0),
    "relay, 100 ms": lambda name: Quorate(name, relay=50),
    "one node dead": lambda name: Quorate(name, dead=1),
    "small cache": lambda name: Quorate(
        name, settings="cache_bytes = 8388608;\nwrite_buffer_bytes = 8388608;"),
    "repair": lambda name: Quorate(name),
    "TLS": lambda name: Quorate(name, tls=True),
    "idle": lambda name: Quorate(name),
    "engine alone": None,
    "counts": None,
    **{f"{count} nodes": lambda name, count=count: Quorate(name, nodes=count)
       for count in NODE_COUNTS},
    **{f"{count:,} keys": lambda name: Quorate(name) for count in KEY_COUNTS},
}
PEERS = ("etcd", "redis", "nginx", "bare h2o")


@dataclasses.dataclass
class Row:
    """`run(context)` measures once. `data`: (name, count, size) of what has to be there before.
    `expect`: whether answers other than those expected are a fault. `once`: it counts and does not
    time, so that one round tells all."""
    system: str
    name: str
    group: str
    run: typing.Callable
    data: tuple = ()
    goal: bool = False
    expect: bool = True
    once: bool = False

    @property
    def id(self):
        return f"{self.system}: {self.name}"


@dataclasses.dataclass
class Context:
    """What a row is given: `system` runs, `folder` is for files of requests, `seen` for what rows
    want to know of each other."""
    system: typing.Any
    seconds: int
    folder: typing.Any
    seen: dict

    def file(self, name, requests):
        """A file of requests, made when it is first asked for."""
        path = self.folder / "".join(c if c.isalnum() else "-" for c in name)
        if not path.exists():
            write_requests(path, requests())
        return path


def closed(name, requests, connections=CONNECTIONS, expect=2, tls=False):
    """wrk on the requests, which `name` names for good."""
    def run(context):
        path = context.file(name, requests)
        port = context.system.tls_port if tls else context.system.port
        return generators.wrk(port, ["requests.lua", path], context.seconds, connections,
                              expect=expect, scheme="https" if tls else "http")
    return run


def own_load(name, requests, *options, connections=CONNECTIONS, before=None):
    def run(context):
        more = ["--before", context.file(name + " before", before)] if before else []
        return generators.load(context.system.port, context.file(name, requests), context.seconds,
                               connections, *options, *more)
    return run


def ours(method, query, data, namespace="default"):
    name, count, size = data
    body = value(size) if method == "PUT" else b""
    return lambda: (http_request(method, f"/v1/kv/{namespace}/{name}-{i}?{query}", body)
                    for i in range(count))


def theirs(make, data, *arguments):
    name, count, _ = data
    return lambda: (make(f"{name}-{i}", *arguments) for i in range(count))


def simple(group, data, level, method, system=QUORATE, name=None, **options):
    """GET or PUT of the data's keys at a level."""
    query = f"level={READS[level]}"
    made = f"{method} {level} {data}"
    goal = options.pop("goal", False)
    expect = 404 if system == "null engine" and method == "GET" else 2
    return Row(system, name or f"{level} {method}", group,
               closed(made, ours(method, query, data), expect=expect, **options), (data,), goal)


def with_session(data, method):
    """Each request shows the token of a session that has written once."""
    def run(context):
        token = context.system.session_token()
        path = write_requests(context.folder / "session", (
            http_request(method, f"/v1/kv/default/{data[0]}-{i}?level=session",
                         value() if method == "PUT" else b"", [f"Session-Token: {token}"])
            for i in range(data[1])))
        return generators.wrk(context.system.port, ["requests.lua", path], context.seconds,
                              CONNECTIONS)
    return Row(QUORATE, f"session {method}", "levels", run, (data,))


def with_groups(row):
    """And how many records the nodes put on disk at once meanwhile."""
    def run(context):
        before = context.system.committed()
        result = row.run(context)
        groups, records = (after - start for after, start in
                           zip(context.system.committed(), before))
        context.seen["at_once"] = result["at_once"] = records / max(1, groups)
        return result
    return dataclasses.replace(row, run=run)


def level_rows(data):
    goals = {"eventual GET", "strong GET", "eventual PUT", "strong PUT"}
    for method, levels in (("GET", READS), ("PUT", WRITES)):
        for level in levels:
            if level == "session":
                yield with_session(data, method)
            elif (level, method) == ("eventual", "PUT"):
                yield with_groups(simple("levels", data, level, method, goal=True))
            else:
                yield simple("levels", data, level, method, goal=f"{level} {method}" in goals)
    gone = ("gone", data[1], VALUE_BYTES)
    for level in ("eventual", "strong"):
        yield simple("levels", gone, level, "DELETE")
    yield Row("etcd", "serializable range", "levels",
              closed("etcd serializable", theirs(Etcd.range, data, True)), (data,), True)
    yield Row("etcd", "linearizable range", "levels",
              closed("etcd range", theirs(Etcd.range, data)), (data,), True)
    yield Row("etcd", "put", "levels", closed("etcd put", theirs(Etcd.put, data)), (data,), True)
    yield Row("redis", "GET", "levels", redis_load("redis get", lambda i: [(b"GET", i)], data),
              (data,))
    yield Row("redis", "SET", "levels", redis_load("redis set", redis_set, data), (data,))
    yield Row("redis", "SET + WAIT 1", "levels", redis_load("redis wait", redis_wait, data, 2),
              (data,), True)


def redis_set(key, size=VALUE_BYTES):
    return [(b"SET", key, value(size))]


def redis_wait(key, size=VALUE_BYTES):
    return [(b"SET", key, value(size)), (b"WAIT", b"1", b"1000")]


def redis_load(made, commands, data, replies=1, more=(), **options):
    """`commands(key)` are one request; of WAIT's answer, how many replicas have it, 1 is wanted."""
    name, count, _ = data
    least = ["--least", 1] if replies == 2 else []
    return own_load(made, lambda: (Redis.commands(*commands(f"{name}-{i}".encode()))
                                   for i in range(count)),
                    "--resp", replies, *least, *more, **options)


def condition_rows(data):
    swapped = ("cas", CAS_KEYS, VALUE_BYTES)
    tag = "If-Match: " + TAG.decode()
    yield Row(QUORATE, "compare and set, spread, warm", "conditions", own_load(
        "cas", lambda: (http_request("PUT", f"/v1/kv/bank/cas-{i}", value(), [tag])
                        for i in range(CAS_KEYS)),
        "--tag-after", "etag: ", before=ours("PUT", "level=strong", swapped, "bank")), goal=True)
    yield Row(QUORATE, "create, spread, cold", "conditions", created(
        lambda key: http_request("PUT", f"/v1/kv/bank/{key}", value(), ["If-None-Match: *"])))
    yield Row("etcd", "compare and set, spread", "conditions", own_load(
        "etcd cas", theirs(Etcd.swap, swapped), "--tag-after", '"revision":', "--body",
        '"succeeded":true', before=theirs(Etcd.put, swapped)), goal=True)
    for system in (QUORATE, "etcd"):
        for mode, name in (("add", "one key, add"), ("cas", "one key, compare and set")):
            yield Row(system, name, "conditions", hot(system, mode), (("hot", 1, 1),))
    add = b'{"by":1}'
    for namespace, kind in (("bank", "consensus"), ("social", "crdt")):
        level = "strong" if kind == "consensus" else "eventual"
        for spread, count in (("one key", 1), ("spread", CAS_KEYS)):
            if (kind, spread) == ("consensus", "one key"):
                continue  # measured above, beside etcd
            yield Row(QUORATE, f"counter, {kind}, {spread}", "conditions", closed(
                f"counter {namespace} {spread}",
                lambda count=count, namespace=namespace, level=level: (
                    http_request("POST", f"/v1/counters/{namespace}/n-{i}:add?level={level}", add)
                    for i in range(count))))


def hot(system, mode):
    """Each connection is a thread of wrk's, so that what each client gets done is seen."""
    def run(context):
        return generators.wrk(context.system.port, ["hot.lua", system, mode], context.seconds,
                              CONNECTIONS, CONNECTIONS)
    return run


def created(make):
    """Each request makes a key that was never there."""
    def run(context):
        count, mark = 40000 * context.seconds, time.time_ns()
        path = write_requests(context.folder / "created",
                              (make(f"new-{mark}-{i}") for i in range(count)))
        return generators.load(context.system.port, path, context.seconds, CONNECTIONS,
                               "--sequential")
    return run


def timeline_rows():
    many, entries = 1000, 100000
    for level in ("eventual", "strong"):
        yield Row(QUORATE, f"append, {level}", "timelines", closed(
            f"append {level}", lambda level=level: (
                http_request("POST", f"/v1/timelines/social/many-{i}?level={level}", value())
                for i in range(many))))
    for count, connections in ((1000, 1), (entries, 1), (entries, CONNECTIONS)):
        name = f"timeline-{count}"
        clients = "1 client" if connections == 1 else f"{connections} clients"
        yield Row(QUORATE, f"page of 50 of {count:,}, {clients}", "timelines", closed(
            f"page {count}", lambda name=name: [http_request(
                "GET", f"/v1/timelines/social/{name}?limit=50&level=eventual")] * 4,
            connections=connections), ((name, count, VALUE_BYTES),))
    yield Row("redis", "ZADD", "timelines", own_load("zadd", lambda: (
        Redis.commands((b"ZADD", b"many-%d" % (i % many), b"%d" % i, value() + b"%d" % i))
        for i in range(entries)), "--resp", 1))


def size_rows():
    for label, (size, count, connections) in SIZES.items():
        data = (f"size{size}", count, size)
        for method in ("GET", "PUT"):
            yield simple("values", data, "strong", method, name=f"strong {method}, {label}",
                         connections=connections)
        yield Row("etcd", f"linearizable range, {label}", "values",
                  closed(f"etcd range {size}", theirs(Etcd.range, data), connections), (data,))
        yield Row("etcd", f"put, {label}", "values",
                  closed(f"etcd put {size}", theirs(Etcd.put, data, size), connections), (data,))
        yield Row("redis", f"SET + WAIT 1, {label}", "values", redis_load(
            f"redis wait {size}", lambda key, size=size: redis_wait(key, size), data, 2,
            connections=connections), (data,))


def connection_rows(data):
    """By our own generator, which is connected before it begins to count."""
    for count in CONNECTION_COUNTS:
        label = f"{count} connections"
        for method in ("GET", "PUT"):
            yield Row(QUORATE, f"strong {method}, {label}", "connections", own_load(
                f"{method} strong {data}", ours(method, "level=strong", data),
                connections=count), (data,))
        yield Row("etcd", f"linearizable range, {label}", "connections", own_load(
            "etcd range", theirs(Etcd.range, data), connections=count), (data,))
        yield Row("etcd", f"put, {label}", "connections", own_load(
            "etcd put", theirs(Etcd.put, data), connections=count), (data,))
        yield Row("redis", f"SET + WAIT 1, {label}", "connections", redis_load(
            "redis wait", redis_wait, data, 2, connections=count), (data,))


def rate_rows(data):
    """An open loop. A system that cannot keep up says so by what it did in a second."""
    for rate in RATES:
        fixed = ["--rate", rate]
        for method in ("GET", "PUT"):
            yield Row(QUORATE, f"strong {method}, {rate}/s", "rates", own_load(
                f"{method} strong {data}", ours(method, "level=strong", data), *fixed), (data,),
                expect=False)
        if rate <= 8000:
            yield Row("etcd", f"linearizable range, {rate}/s", "rates", own_load(
                "etcd range", theirs(Etcd.range, data), *fixed), (data,), expect=False)
            yield Row("etcd", f"put, {rate}/s", "rates", own_load(
                "etcd put", theirs(Etcd.put, data), *fixed), (data,), expect=False)
        yield Row("redis", f"SET + WAIT 1, {rate}/s", "rates", redis_load(
            "redis wait", redis_wait, data, 2, fixed), (data,), expect=False)


def http2(made, paths, *options, method="GET", expect=2, tls=False):
    def run(context):
        urls = context.folder / f"paths-{made}"
        if not urls.exists():
            urls.write_text("\n".join(paths()) + "\n")
        more = list(options)
        if method == "PUT":
            body = context.folder / "value"
            body.write_bytes(value())
            more += ["-d", body, "-H", ":method: PUT"]
        port = context.system.tls_port if tls else context.system.port
        return generators.h2load(port, urls, context.seconds, 8, 32, *more, expect=expect,
                                 scheme="https" if tls else "http")
    return run


def tls_rows(data):
    """As rows of `levels` and `protocols`, with TLS 1.3 or what wrk makes of it."""
    for level, method in (("eventual", "GET"), ("strong", "GET"), ("strong", "PUT")):
        yield simple("tls", data, level, method, "TLS", tls=True)
    yield Row("TLS", "HTTP/2, eventual GET", "tls",
              http2("eventual", http2_paths(data, "eventual"), tls=True), (data,))


def http2_paths(data, level):
    return lambda: (f"/v1/kv/default/{data[0]}-{i}?level={level}"
                    for i in range(min(data[1], 10000)))


def http2_rows(data):
    for level, method, goal in (("eventual", "GET", True), ("strong", "GET", False),
                                ("strong", "PUT", False)):
        yield Row(QUORATE, f"HTTP/2, {level} {method}", "protocols",
                  http2(level, http2_paths(data, level), method=method), (data,), goal)
    yield Row("null engine", "HTTP/2, eventual GET", "protocols",
              http2("eventual", http2_paths(data, "eventual"), expect=4), (data,), True)
    yield Row("bare h2o", "HTTP/2, any GET", "protocols", http2("any", lambda: ["/"]))
    for call, make in (("Put", grpc_put), ("Range", grpc_range),
                       ("serializable Range", grpc_serializable)):
        yield Row("etcd", f"gRPC, {call}", "protocols", grpc(call, make), (data,))


def field(number, payload):
    """A protobuf field of bytes (below 128) or a number."""
    if isinstance(payload, int):
        return bytes([number << 3, payload])
    return bytes([number << 3 | 2, len(payload)]) + payload


def grpc_put():
    return field(1, b"grpc") + field(2, value())


def grpc_range():
    return field(1, b"grpc")


def grpc_serializable():
    return field(1, b"grpc") + field(7, 1)


def grpc(call, make):
    """h2load sends one request again and again, so it is always one key: the best case. gRPC's own
    status comes after the body, where h2load does not look: what was put is read by other means,
    and what is read has to have its size."""
    def run(context):
        body = context.folder / "grpc"
        urls = context.folder / "grpc-paths"
        mark = b"%d" % time.time_ns()
        if call == "Put":
            message = field(1, b"grpc") + field(2, (mark + value())[:VALUE_BYTES])
        else:
            Etcd.ask(context.system.port, "/v3/kv/put", {
                "key": Etcd.key("grpc"), "value": Etcd.key(value().decode())})
            message = make()
        body.write_bytes(b"\0" + struct.pack(">I", len(message)) + message)
        urls.write_text("/etcdserverpb.KV/" + call.split()[-1] + "\n")
        result = generators.h2load(
            context.system.port, urls, context.seconds, CONNECTIONS, 1, "-d", body,
            "-H", "content-type: application/grpc", "-H", "te: trailers")
        if call == "Put":
            found = Etcd.ask(context.system.port, "/v3/kv/range", {"key": Etcd.key("grpc")})
            good = found["kvs"][0]["value"].startswith(Etcd.key(mark.decode())[:16])
        else:
            good = result["body_bytes"] > VALUE_BYTES
        return result if good else {**result, "refused": result["requests"]}
    return run


def failure_rows(data):
    for method in ("GET", "PUT"):
        for system in ("relay, 0 ms", "relay, 100 ms", "one node dead"):
            yield simple("failures", data, "strong", method, system,
                         goal=system.startswith("relay"))
        yield Row("repair", f"strong {method}", "failures", repairing(data, method), (data,))


def repairing(data, method):
    """The third node was away while keys were written, is back, and is given what it missed."""
    missed = 20000

    def run(context):
        system = context.system
        node = system.cluster.nodes[2]
        quorate_cluster.wait_until(lambda: system.debt() == 0, 300, "nothing is owed")
        node.kill()
        fill(system.port, (http_request("PUT", f"/v1/kv/default/missed-{i}?level=eventual", value())
                           for i in range(missed)))
        node.start()
        owed = system.debt()
        result = closed(f"{method} strong {data}", ours(method, "level=strong", data))(context)
        return {**result, "owed_before": owed, "owed_after": system.debt()}
    return run


def ceiling_rows(data):
    yield simple("ceilings", data, "eventual", "GET", "null engine", goal=True)
    yield simple("ceilings", data, "strong", "GET", "null engine")
    yield simple("ceilings", data, "strong", "PUT", "null engine")
    yield Row("bare h2o", "any GET", "ceilings", closed("root", lambda: [http_request("GET", "/")]))
    yield Row("nginx", "file of 100 bytes", "ceilings",
              closed("file", lambda: [http_request("GET", "/value")]))
    if "engine" in tools():
        yield Row("engine alone", "PUT on disk", "ceilings", engine_alone(data[1]),
                  goal=True)


def engine_alone(keys):
    """Three at once on this disk, as three nodes are, with the groups that the nodes of `quorate`
    made of eventual PUTs, if that was measured before; else with a group of all connections."""
    def run(context):
        window = max(1, round(context.seen.get("at_once", CONNECTIONS)))
        folders = [tempfile.mkdtemp(prefix="engine-") for _ in range(3)]
        processes = [subprocess.Popen(
            [BIN / "quorate-bench-engine", "--window", str(window), "--keys", str(keys),
             "--seconds", str(context.seconds), folder], stdout=subprocess.PIPE, text=True,
            preexec_fn=quorate_cluster.die_with_parent) for folder in folders]
        outputs = [process.communicate()[0] for process in processes]
        for folder in folders:
            shutil.rmtree(folder)
        if any(process.returncode for process in processes):
            raise RuntimeError(f"an engine failed: {outputs}")
        runs = [json.loads(output) for output in outputs]
        return {"per_second": statistics.mean(run["puts_per_second"] for run in runs),
                "gets_per_second": statistics.mean(run["gets_per_second"] for run in runs),
                "at_once": window, "refused": 0, "broken": 0}
    return run


def scale_rows(keys):
    for count in NODE_COUNTS:
        data = ("key", min(keys, 20000), VALUE_BYTES)
        for method in ("GET", "PUT"):
            yield simple("nodes", data, "strong", method, f"{count} nodes")
    for count in KEY_COUNTS:
        data = ("key", count, VALUE_BYTES)
        for method in ("GET", "PUT"):
            yield simple("keys", data, "strong", method, f"{count:,} keys")
    yield simple("cache", CACHE, "strong", "GET", name="strong GET, 100 MB within the cache")
    yield simple("cache", CACHE, "strong", "GET", "small cache",
                 name="strong GET, 100 MB beyond the cache")


def idle(context):
    """Resident bytes once started, and what 10,000 connections add that do nothing."""
    cluster = context.system.cluster
    node = max(node.memory() for node in cluster.nodes)
    proxy = cluster.proxies[0]
    before = proxy.memory()
    connections = generators.open_idle(context.system.port, IDLE_CONNECTIONS)
    after = proxy.memory()
    for connection in connections:
        connection.close()
    return {"node_bytes": node, "proxy_bytes": before, "refused": 0, "broken": 0,
            "connection_bytes": (after - before) / IDLE_CONNECTIONS}


def growth(_):
    """The most that instructions grew by: of a proxy with the nodes, of a node with the keys."""
    output = generators.run_tool([sys.executable, HERE / "smoke", "--growth", "--print"])
    grown = re.findall(r"^\S.*(?:alone|64) +([\d.]+) +([\d.]+)$", output, re.M)
    proxy, node = (max(map(float, column)) for column in zip(*grown))
    return {"proxy_growth": proxy, "node_growth": node, "refused": 0, "broken": 0}


def all_rows(keys):
    data = ("key", keys, VALUE_BYTES)
    rows = [*level_rows(data), *condition_rows(data), *timeline_rows(), *http2_rows(data),
            *ceiling_rows(data), *failure_rows(("key", min(keys, 20000), VALUE_BYTES)),
            *connection_rows(data), *rate_rows(data), *scale_rows(keys), *size_rows()]
    if "tls.port" in (ROOT / "proxy" / "config.def").read_text():
        rows += tls_rows(data)
    rows.append(Row("idle", "memory", "memory", idle, goal=True))
    rows.append(Row("counts", "instructions", "memory", growth, goal=True, once=True))
    return rows
