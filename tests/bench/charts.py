"""Which pictures are drawn of which rows."""
import re

from picture import line_chart

READ, WRITE = r"GET|range", r"PUT|put|SET"
SIZES = {"10 B": 10, "100 B": 100, "1 KiB": 1 << 10, "64 KiB": 1 << 16, "1 MiB": 1 << 20}
PERCENTILES = {"p50_us": "p50", "p90_us": "p90", "p99_us": "p99", "p999_us": "p99.9",
               "max_us": "max"}
COMPARED = ("quorate: strong GET", "etcd: linearizable range", "quorate: strong PUT", "etcd: put",
            "redis: SET + WAIT 1")


def series(results, pattern, place, base, y):
    """{name: [(x, y)]} of the rows whose whole id is `pattern`, with groups `name` and `x`, and of
    the rows that have just these names, at `base`."""
    found = {}
    for row_id in results.runs:
        match = re.fullmatch(pattern, row_id)
        if match:
            name = match["name"]
            found.setdefault(name, []).append((place(match["x"]), y(row_id)))
    for name, points in found.items():
        if base is not None and name in results.runs:
            points.append((base, y(name)))
    return found


def scaled(results, keys):
    def rate(row_id):
        return max(1, results.median(row_id, "per_second"))

    def number(text):
        return int(text.replace(",", ""))

    yield ("values", "Throughput and the size of values", "bytes of a value", series(
        results, r"(?P<name>.*), (?P<x>\d+ (B|KiB|MiB))", SIZES.get, 100, rate))
    yield ("connections", "Throughput and connections", "connections", series(
        results, r"(?P<name>.*), (?P<x>\d+) connections", number, None, rate))
    for what, x_label, base in (("keys", "keys", keys), ("nodes", "nodes, three replicas", 3)):
        points = {}
        for name in ("strong GET", "strong PUT"):
            own = series(results, rf"(?P<x>[\d,]+) {what}: (?P<name>{name})", number, None, rate)
            if own and f"quorate: {name}" in results.runs:
                own[name].append((base, rate(f"quorate: {name}")))
            points |= own
        yield what, f"Throughput and {what}", x_label, points


def at_rates(results, words):
    """{name: [(done a second, p99)]}, in the order of the rates, until one is not kept up with."""
    offered = {}
    for row_id in results.runs:
        match = re.fullmatch(rf"(.*({words}).*), (\d+)/s", row_id)
        if match:
            offered.setdefault(match[1], []).append((int(match[3]), row_id))
    found = {}
    for name, rows in offered.items():
        for rate, row_id in sorted(rows):
            done = max(1, results.median(row_id, "per_second"))
            found.setdefault(name, []).append((done, results.median(row_id, "p99_us") / 1000))
            if done < 0.95 * rate:
                break
    return found


def charts(results, keys):
    """(file name, title, SVG) of every picture that there are rows for."""
    for name, title, x_label, points in scaled(results, keys):
        if points:
            yield f"{name}.svg", title, line_chart(
                title, x_label, "requests a second",
                {row: sorted(places) for row, places in points.items()}, log_x=True, log_y=True)
    for kind, words in (("writes", WRITE), ("reads", READ)):
        points = at_rates(results, words)
        if points:
            title = f"Latency and throughput of {kind} at fixed rates"
            yield f"rates-{kind}.svg", title, line_chart(
                title, "requests a second, done", "p99 since they were due, ms", points,
                log_x=True, log_y=True)
    points = {row_id: [(place, max(0.001, results.median(row_id, field) / 1000))
                       for place, field in enumerate(PERCENTILES)]
              for row_id in COMPARED if row_id in results.runs}
    if points:
        title = "Latency, 64 connections"
        yield "latency.svg", title, line_chart(title, "percentile", "ms", points, log_y=True,
                                               names=list(PERCENTILES.values()))
