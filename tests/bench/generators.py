"""What makes the load and says how it went. Each result has at least `per_second`, `refused`
(answers other than those expected) and `broken` (connections and time-outs)."""
import json
import os
import re
import resource
import socket
import subprocess

from systems import BIN, HERE

HUGE = 10 ** 9


def run_tool(command, environment=None):
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                         check=False, env={**os.environ, **(environment or {})})
    if run.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    return run.stdout


def with_rate(result):
    return {**result, "per_second": result["requests"] * 1e6 / result["us"]}


def wrk(port, script, seconds, connections, threads=1, scheme="http", expect=2):
    """A closed loop: each connection sends as soon as it has its answer. `script` is a file and
    its arguments. What wrk calls an error is any status from 400 on."""
    output = run_tool(["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout",
                       "10s", "-s", HERE / script[0], f"{scheme}://127.0.0.1:{port}", "--",
                       *script[1:]], {"QUORATE_BENCH_LUA": str(HERE)})
    line = next(text for text in output.splitlines() if text.startswith("RESULT "))
    result = with_rate(json.loads(line[len("RESULT "):]))
    if expect != 2:
        result["refused"] = result["requests"] - result["refused"]
    return result


def load(port, requests, seconds, connections, *options):
    """Our own generator (load.c): a fixed rate, answers that go into the next request, or RESP."""
    return with_rate(json.loads(run_tool(
        [BIN / "quorate-bench-load", "--port", port, "--requests", requests, "--seconds", seconds,
         "--connections", connections, *options])))


def parse_h2load(output, expect=2):
    """The result of h2load's text; it gives a mean and no percentiles."""
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", output)
    codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
    counts = re.search(r"(\d+) errored, (\d+) timeout", output)
    times = re.search(r"time for request: +\S+ +(\S+) +(\S+)", output)
    data = re.search(r"\), [\d.]+[KMG]?B \((\d+)\) data", output)
    if not (rate and codes and counts and times and data):
        raise RuntimeError(f"h2load said {output[-2000:]}")
    classes = [int(n) for n in codes.groups()]
    answered = sum(classes)
    return {"requests": answered, "per_second": float(rate.group(1)),
            "mean_us": in_us(times.group(2)), "max_us": in_us(times.group(1)),
            "refused": answered - classes[0 if expect == 2 else 2],
            "broken": sum(int(n) for n in counts.groups()),
            "body_bytes": int(data.group(1)) / max(1, answered)}


def in_us(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1000, "s": 1e6}[unit]


def h2load(port, urls, seconds, clients, streams, *options, expect=2, scheme="http"):
    """HTTP/2: so many clients with so many streams each. `urls` is a file of paths."""
    output = run_tool(["h2load", "-c", clients, "-m", streams, "-D", seconds, "-i", urls,
                       "-B", f"{scheme}://127.0.0.1:{port}", *options])
    return parse_h2load(output, expect)


def percentile(ordered, share):
    """The value that `share` of an ordered list is at or below, by rank."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def open_idle(port, count):
    """So many connections that have had one answer each and stay."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 30)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("an idle connection was refused")
        connections.append(connection)
    return connections
