"""The systems that are compared, three members each, and how they are asked."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "integration"))
os.environ.setdefault("QUORATE_BIN", str(ROOT / "build" / "programs"))

import cluster as quorate_cluster  # noqa: E402

VALUE = b"v" * 100
FILL_CONNECTIONS, FILL_BATCH = 64, 50

WORKLOADS = {
    # name: (Quorate's method and query, etcd's)
    "eventual GET": (("GET", "level=eventual"), "serializable"),
    "strong GET": (("GET", "level=strong"), "range"),
    "strong PUT, on disk": (("PUT", "level=strong"), "put"),
}
# Everybody writes one key: each client is a thread of wrk's (hot.lua).
HOT = {"one key, add": "add", "one key, compare and set": "cas"}
NAMESPACES = [{"id": 1, "name": "default", "kind": "lww"}, {"id": 2, "name": "bank", "kind": "cas"},
              {"id": 3, "name": "social", "kind": "crdt"}]


class Quorate:
    def __init__(self, name, engine, keys):
        self.name, self.engine, self.keys = name, engine, keys
        self.cluster = None

    def start(self):
        self.cluster = quorate_cluster.Cluster(namespaces=NAMESPACES,
                                               node_settings=f'engine = "{self.engine}";')
        self.cluster.start()
        self.port = self.cluster.proxies[0].http_port

    def fill(self):
        fill(self.port, self.keys, lambda i: (
            f"PUT /v1/kv/default/key-{i}?level=strong HTTP/1.1\r\nHost: x\r\n"
            f"Content-Length: {len(VALUE)}\r\n\r\n").encode() + VALUE)
        fill(self.port, 1, lambda i: b"PUT /v1/kv/bank/hot HTTP/1.1\r\nHost: x\r\n"
             b"Content-Length: 1\r\n\r\n1")

    def wrk(self, workload):
        if workload in HOT:
            return ["hot.lua", "quorate", HOT[workload]]
        method, query = WORKLOADS[workload][0]
        return ["quorate.lua", method, str(self.keys), query]

    def stop(self):
        if self.cluster:
            self.cluster.__exit__(None, None, None)


class Etcd:
    name = "etcd"

    def __init__(self, folder, keys):
        self.folder, self.keys = folder / "etcd", keys
        self.folder.mkdir()
        self.ports = quorate_cluster.Ports()
        self.members = []
        self.processes = []
        for number in range(3):
            self.members.append((f"m{number}", self.ports.take(), self.ports.take()))

    def start(self):
        peers = ",".join(f"{name}=http://127.0.0.1:{peer}" for name, _, peer in self.members)
        for name, client, peer in self.members:
            with open(self.folder / f"{name}.log", "wb") as log:
                self.processes.append(subprocess.Popen(
                    ["etcd", "--name", name, "--data-dir", self.folder / name,
                     "--listen-client-urls", f"http://127.0.0.1:{client}",
                     "--advertise-client-urls", f"http://127.0.0.1:{client}",
                     "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                     "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                     "--initial-cluster", peers, "--initial-cluster-state", "new",
                     "--quota-backend-bytes", str(8 << 30)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    preexec_fn=quorate_cluster.die_with_parent))
        # The leader answers linearizable requests without a hop: the best case for etcd.
        self.port = quorate_cluster.wait_until(self.leader, 30, "etcd has a leader")
        self.write_bodies()

    def leader(self):
        for _, port, _ in self.members:
            with contextlib.suppress(OSError, ValueError, KeyError):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("POST", "/v3/maintenance/status", b"{}")
                status = json.loads(connection.getresponse().read())
                if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                    return port
        return None

    def write_bodies(self):
        bodies = {kind: open(self.folder / kind, "w") for kind in ("put", "range", "serializable")}
        value = base64.b64encode(VALUE).decode()
        for i in range(1, self.keys + 1):
            key = base64.b64encode(b"key-%d" % i).decode()
            bodies["put"].write(f'{{"key":"{key}","value":"{value}"}}\n')
            bodies["range"].write(f'{{"key":"{key}"}}\n')
            bodies["serializable"].write(f'{{"key":"{key}","serializable":true}}\n')
        for body in bodies.values():
            body.close()

    def fill(self):
        bodies = (self.folder / "put").read_bytes().split(b"\n")
        fill(self.port, self.keys, lambda i: (
            f"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(bodies[i - 1])}\r\n\r\n").encode() + bodies[i - 1])
        fill(self.port, 1, lambda i: b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\n"
             b"Content-Type: application/json\r\nContent-Length: 29\r\n\r\n"
             b'{"key":"aG90","value":"MQ=="}')

    def wrk(self, workload):
        if workload in HOT:
            return ["hot.lua", "etcd", HOT[workload]]
        return ["etcd.lua", WORKLOADS[workload][1], str(self.keys), str(self.folder)]

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(30)
        self.ports.release()


def fill(port, keys, request):
    """Writes every key once, over many connections at a time, and insists on success."""
    sockets = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(FILL_CONNECTIONS)]
    numbers = iter(range(1, keys + 1))
    more = True
    while more:
        sent = []
        for s in sockets:
            batch = [request(i) for _, i in zip(range(FILL_BATCH), numbers)]
            more = len(batch) == FILL_BATCH
            if batch:
                s.sendall(b"".join(batch))
                sent.append((s, len(batch)))
            if not more:
                break
        for s, count in sent:
            received = b""
            while received.count(b"HTTP/1.1 2") < count:
                piece = s.recv(1 << 16)
                if not piece or b"HTTP/1.1 4" in piece or b"HTTP/1.1 5" in piece:
                    raise SystemExit(f"a write was refused: {piece[:500]!r}")
                received += piece
    for s in sockets:
        s.close()


def prepare():
    """Installs what is needed and builds the programs, unless QUORATE_BIN names others."""
    subprocess.run([ROOT / "deploy" / "install-packages", "build", "bench"], check=True)
    if quorate_cluster.BIN == ROOT / "build" / "programs":
        subprocess.run([ROOT / "deploy" / "build-programs"], check=True)


def wrk(port, script, seconds, connections, threads=1):
    """Runs `script` ([file, arguments]) and returns its result."""
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
               "-s", HERE / script[0], f"http://127.0.0.1:{port}", "--", *script[1:]]
    run = subprocess.run(command, capture_output=True, text=True, check=False,
                         env={**os.environ, "QUORATE_BENCH_LUA": str(HERE)})
    for line in run.stdout.splitlines():
        if line.startswith("RESULT "):
            result = json.loads(line[len("RESULT "):])
            result["per_second"] = result["requests"] * 1e6 / result["us"]
            return result
    raise SystemExit(f"wrk failed: {run.stdout}{run.stderr}")
