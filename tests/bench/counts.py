"""What operations cost, counted and not timed: programs that count what they do (counts.c, or
valgrind for instructions), and a load that is the same each time.

One after the other: N operations over one connection. At once: rounds of one operation from each of
many connections; the proxy stands still while the requests of a round are sent, so it finds all of
them at once, however slow the machine is.
"""
import collections
import mmap
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import cluster as quorate_cluster  # noqa: E402

LIBRARY = quorate_cluster.BIN / "tests" / "libbench-counts.so"
TRIES = 3
HEAD_BYTES = 4096  # as in counts.c
VALUE = b"v" * 100
# Nothing is given up because the machine is busy.
NAMESPACES = [{"id": number, "name": name, "kind": kind, "timeout_ms": 60000}
              for number, name, kind in ((1, "default", "lww"), (2, "bank", "cas"),
                                         (3, "social", "crdt"))]
KEYS, LANES, STRIDE = 256, 64, 7919
WARM = 34  # over QUO_RING_UNKEYED_MAX
FOUND = (200, 201, 204)
SYSCALLS = ("socket_reads", "socket_writes", "file_reads", "file_writes", "other_reads",
            "other_writes", "epoll_waits", "epoll_ctls", "syncs", "range_syncs", "randoms")
ENDS = ("proxy.socket_reads", "nodes.syncs")  # what the end of a write shows in
FRAMES = {"sent": "quo_peer_frames_out_total", "received": "quo_peer_frames_in_total"}


class Operation:
    """`method` and `path`, with {key} in it, are those of each request. `own`: each connection asks
    for a key of its own, which remembers its latest writers, and so costs more until it has WARM of
    them; others go through all keys."""

    def __init__(self, method, path, value=b"", own=False, conditional=False):
        self.method, self.path, self.value = method, path, value
        self.own, self.conditional = own, conditional

    def request(self, key, tag):
        condition = f"If-Match: {tag}\r\n" if self.conditional else ""
        head = (f"{self.method} {self.path.format(key=key)} HTTP/1.1\r\nHost: x\r\n{condition}"
                f"Content-Length: {len(self.value)}\r\n\r\n")
        return head.encode() + self.value


def operations(value=VALUE):
    add = b'{"by":1}'
    return {
        "strong GET": Operation("GET", "/v1/kv/default/{key}?level=strong"),
        "eventual GET": Operation("GET", "/v1/kv/default/{key}?level=eventual"),
        "strong PUT": Operation("PUT", "/v1/kv/default/{key}?level=strong", value),
        "eventual PUT": Operation("PUT", "/v1/kv/default/{key}?level=eventual", value),
        "warm CAS": Operation("PUT", "/v1/kv/bank/{key}", value, own=True, conditional=True),
        "strong add": Operation("POST", "/v1/counters/bank/sum-{key}:add", add, own=True),
        "eventual add": Operation("POST", "/v1/counters/social/{key}:add", add),
        "append": Operation("POST", "/v1/timelines/social/{key}?level=eventual", value),
    }


class Refused(AssertionError):
    """An answer of another status than a lane accepts."""


class Lane:
    """A connection with a key of its own, which insists on an `accepted` status. `tag`: of the last
    answer, if it had one."""

    HEAD = re.compile(rb"HTTP/1\.1 (\d{3})[^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)
    LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
    TAG = re.compile(rb"^etag: *([^\r\n]+)", re.IGNORECASE | re.MULTILINE)

    def __init__(self, port, key, accepted):
        self.socket = socket.create_connection(("127.0.0.1", port), 120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.key, self.accepted, self.tag = key, accepted, None

    def send(self, operation, key):
        self.socket.sendall(operation.request(key, self.tag))

    def receive(self):
        data = bytearray()
        while not (head := self.HEAD.match(data)):
            self._more(data)
        if int(head.group(1)) not in self.accepted:
            raise Refused(bytes(data))
        length = self.LENGTH.search(head.group(2))
        while len(data) < head.end() + int(length.group(1) if length else 0):
            self._more(data)
        tag = self.TAG.search(head.group(2))
        self.tag = tag.group(1).decode() if tag else None

    def _more(self, data):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise AssertionError(f"closed after {bytes(data)!r}")
        data += piece

    def close(self):
        self.socket.close()


class Load:
    """Many connections to the only proxy of a cluster. They go through the keys; what needs a tag
    stays with the connection's own."""

    def __init__(self, cluster, accepted):
        self.proxy = cluster.proxies[0]
        self.lanes = [Lane(self.proxy.http_port, f"key-{i}", accepted) for i in range(LANES)]
        self.keys, self.sent = KEYS, 0

    def prepare(self, operation):
        """Brings the keys of the operation to where further ones cost the same."""
        first = operation
        if operation.conditional or operation.method == "GET":
            first = Operation("PUT", operation.path, VALUE, own=operation.own)
        if operation.own:
            self._round(first)
            for _ in range(WARM):
                self._round(operation)
        else:
            self.fill(first, self.keys)
            self._round(operation)

    def fill(self, operation, keys):
        for first in range(0, keys, LANES):
            used = [lane for lane, _ in zip(self.lanes, range(first, keys))]
            for number, lane in enumerate(used, first):
                lane.send(operation, f"key-{number}")
            for lane in used:
                lane.receive()
        self.keys = keys

    def one_by_one(self, operation, count):
        for _ in range(count):
            self._send(operation, self.lanes[0])
            self.lanes[0].receive()
        return count

    def at_once(self, operation, rounds):
        for _ in range(rounds):
            os.kill(self.proxy.pid, signal.SIGSTOP)
            while self.proxy.state() not in "Tt":
                pass
            self._round(operation, lambda: os.kill(self.proxy.pid, signal.SIGCONT))
        return rounds * len(self.lanes)

    def _round(self, operation, when_sent=lambda: None):
        for lane in self.lanes:
            self._send(operation, lane)
        when_sent()
        for lane in self.lanes:
            lane.receive()

    def _send(self, operation, lane):
        self.sent += 1
        spread = f"key-{self.sent * STRIDE % self.keys}"
        lane.send(operation, lane.key if operation.own else spread)

    def close(self):
        for lane in self.lanes:
            lane.close()


class Counted:
    """What one process has counted so far."""

    def __init__(self, process):
        self.path = process.config.with_suffix(".counts")
        process.environment.update({"LD_PRELOAD": str(LIBRARY), "QUORATE_COUNTS": str(self.path)})
        self.map = None

    def now(self):
        """Of all threads."""
        if self.map is None:
            with open(self.path, "rb") as file:
                self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            self.names = self.map[:self.map.find(b"\n\n")].decode().split("\n")
        total = collections.Counter()
        for row in struct.iter_unpack(f"={len(self.names)}Q", self.map[HEAD_BYTES:]):
            if not any(row):
                break  # nor has any thread after this one counted anything
            total.update(dict(zip(self.names, row)))
        total["syscalls"] = sum(total[name] for name in SYSCALLS)
        return total


class BenchCluster:
    """A proxy of one loop, and nodes. Reads ask whom they need and nobody else."""

    def __init__(self, nodes=3, engine="rocksdb"):
        # The null engine keeps nothing.
        self.accepted = (*FOUND, 404) if engine == "null" else FOUND
        self.cluster = quorate_cluster.Cluster(
            nodes=nodes, namespaces=NAMESPACES, node_settings=f'engine = "{engine}";',
            proxy_settings="loops = 1; hedge_percent = 0;")
        self.proxy = self.cluster.proxies[0]

    def __enter__(self):
        self.cluster.__enter__()
        self.load = Load(self.cluster, self.accepted)
        return self

    def __exit__(self, *error):
        self.load.close()
        self.cluster.__exit__(*error)


class CountedCluster(BenchCluster):
    """All programs count what they ask of the kernel and the allocator."""

    def __init__(self):
        super().__init__()
        self.counted = [("proxy", Counted(self.proxy))]
        self.counted += [("nodes", Counted(node)) for node in self.cluster.nodes]

    def _now(self):
        counts = collections.Counter()
        for prefix, process in self.counted:
            counts.update({f"{prefix}.{name}": n for name, n in process.now().items()})
        return counts

    def _frames(self):
        text = self.proxy.get("/metrics")[2].decode()
        return {f"proxy.frames_{name}": int(re.search(rf"^{metric} (\d+)$", text, re.M).group(1))
                for name, metric in FRAMES.items()}

    def _settled(self):
        """The counts, once the replicas that nobody waits for are done. Something stirs always."""
        before, now = None, self._now()
        for _ in range(50):
            if before and all(before[name] == now[name] for name in ENDS):
                break
            time.sleep(0.02)
            before, now = now, self._now()
        return now

    def cost(self, run, *arguments):
        """Counts of each operation; those of the nodes are of all together. run(*arguments) does
        some and returns how many. Of each count the least of some tries: what happens in the
        background comes in addition, now and then."""
        tries = [self._cost(run, *arguments) for _ in range(TRIES)]
        return {name: min(counts[name] for counts in tries) for name in tries[0]}

    def _cost(self, run, *arguments):
        frames, before = self._frames(), self._settled()
        count = run(*arguments)
        after = self._settled()
        after.update(self._frames())
        before.update(frames)
        return {name: (after[name] - before[name]) / count for name in after}


class Instructions:
    """Those of one process, which runs in valgrind: several times as slow, fifty times once it has
    begun."""

    def __init__(self, process):
        self.process = process
        self.out = process.config.with_suffix(".callgrind")
        wrapper = process.config.with_suffix(".sh")
        wrapper.write_text("#!/bin/sh\nexec valgrind -q --tool=callgrind --instr-atstart=no "
                           f"--callgrind-out-file={self.out} "
                           f'{quorate_cluster.BIN / process.program} "$@"\n')
        wrapper.chmod(0o700)
        process.program = wrapper

    def begin(self):
        self._control("--instr=on")

    def _control(self, command):
        run = subprocess.run(["callgrind_control", command, str(self.process.pid)],
                             capture_output=True, text=True, check=False)
        if run.returncode != 0 or "OK" not in run.stdout:
            raise AssertionError(f"callgrind_control {command}: {run.stdout}{run.stderr}")

    def cost(self, run, *arguments):
        """Of each operation, the least of some tries; run(*arguments) does some and returns how
        many."""
        # The first is charged for what came before.
        return min(self._cost(run, *arguments) for _ in range(TRIES + 1))

    def _cost(self, run, *arguments):
        count = run(*arguments)
        self._control("--dump")  # and begin at zero
        newest = max(self.out.parent.glob(f"{self.out.name}.*"), key=lambda p: p.stat().st_mtime_ns)
        return int(re.search(r"^totals: (\d+)", newest.read_text(), re.M).group(1)) / count
