"""What is to be reached, beside what was measured in the same run."""
import dataclasses
import typing


@dataclasses.dataclass
class Goal:
    """`value(m)` with m(row, field): the median of a row. `sign`: ">=" or "<="."""
    text: str
    sign: str
    limit: float
    value: typing.Callable
    unit: str = "x"


def ratio(first, second, field="per_second"):
    return lambda m: m(first, field) / m(second, field)


def http2_goal(m):
    """1 is reached: 300,000 a second or 60 % of the ceiling, whichever is less."""
    ours = m("quorate: HTTP/2, eventual GET", "per_second")
    return ours / min(300000, 0.6 * m("null engine: HTTP/2, eventual GET", "per_second"))


def mebibytes(field):
    return lambda m: m("idle: memory", field) / 2 ** 20


PUT, GET = "quorate: strong PUT", "quorate: strong GET"
GOALS = [
    Goal("strong PUT, to etcd put", ">=", 5, ratio(PUT, "etcd: put")),
    Goal("strong PUT, to Redis SET + WAIT 1", ">=", 1.3, ratio(PUT, "redis: SET + WAIT 1")),
    Goal("strong PUT, p99, to etcd put", "<=", 0.5, ratio(PUT, "etcd: put", "p99_us")),
    Goal("strong GET, to etcd linearizable range", ">=", 7, ratio(GET, "etcd: linearizable range")),
    Goal("strong GET, p99, to etcd linearizable range", "<=", 1 / 3,
         ratio(GET, "etcd: linearizable range", "p99_us")),
    Goal("eventual GET, to etcd serializable range", ">=", 6,
         ratio("quorate: eventual GET", "etcd: serializable range")),
    Goal("eventual GET, to the fan-out without storage", ">=", 0.7,
         ratio("quorate: eventual GET", "null engine: eventual GET")),
    Goal("HTTP/2, eventual GET, to the lesser of 300,000/s and 60 % of the fan-out without storage",
         ">=", 1, http2_goal),
    Goal("eventual PUT on one disk, to the engines alone", ">=", 0.6,
         ratio("quorate: eventual PUT", "engine alone: PUT on disk")),
    Goal("compare and set, spread keys, warm, to etcd txn", ">=", 5,
         ratio("quorate: compare and set, spread, warm", "etcd: compare and set, spread")),
    Goal("strong GET, p99, one of three nodes 100 ms slow, to none", "<=", 1.5,
         ratio("relay, 100 ms: strong GET", "relay, 0 ms: strong GET", "p99_us")),
    Goal("strong PUT, p99, one of three nodes 100 ms slow, to none", "<=", 1.5,
         ratio("relay, 100 ms: strong PUT", "relay, 0 ms: strong PUT", "p99_us")),
    Goal("node at start, resident", "<=", 40, mebibytes("node_bytes"), " MiB"),
    Goal("proxy at start, resident", "<=", 12, mebibytes("proxy_bytes"), " MiB"),
    Goal("idle connection, of 10,000", "<=", 12,
         lambda m: m("idle: memory", "connection_bytes") / 1024, " KiB"),
    Goal("instructions of a proxy, 30 nodes to 3", "<=", 1.05,
         lambda m: m("counts: instructions", "proxy_growth")),
    Goal("instructions of a node, 100,000 keys to 1,000", "<=", 1.05,
         lambda m: m("counts: instructions", "node_growth")),
]


def judge(goal, medians):
    """(value or None, whether it is reached or None)."""
    try:
        value = goal.value(medians)
    except (KeyError, ZeroDivisionError):
        return None, None
    return value, value >= goal.limit if goal.sign == ">=" else value <= goal.limit
