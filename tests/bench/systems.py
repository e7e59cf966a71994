"""The systems that are compared, how they are started, filled and asked.

Each keeps its data while it is stopped, so that every round starts it anew, alone on the machine.
"""
import base64
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "integration"))
os.environ.setdefault("QUORATE_BIN", str(ROOT / "build" / "bench"))

import cluster as quorate_cluster  # noqa: E402

BIN = quorate_cluster.BIN
VALUE_BYTES = 100
FILL_CONNECTIONS, FILL_BATCH, FILL_BYTES = 64, 50, 1 << 22  # at most so much under way
NAMESPACES = [{"id": 1, "name": "default", "kind": "lww"}, {"id": 2, "name": "bank", "kind": "cas"},
              {"id": 3, "name": "social", "kind": "crdt"}]
TAG = b"@" * 40  # where the load generator puts the tag of the last answer


def value(size=VALUE_BYTES):
    return b"v" * size


def http_request(method, path, body=b"", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers]
    if body or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def write_requests(path, requests):
    """The form that load.c and requests.lua read."""
    with open(path, "wb") as file:
        for request in requests:
            file.write(b"%d\n" % len(request) + request)
    return path


def fill(port, requests, size=VALUE_BYTES, good=b"HTTP/1.1 2", bad=(b"HTTP/1.1 4", b"HTTP/1.1 5")):
    """Sends every request once, over many connections at a time, and insists on success."""
    count = min(FILL_CONNECTIONS, FILL_BYTES // size)
    sockets = [socket.create_connection(("127.0.0.1", port), 60) for _ in range(count)]
    requests = iter(requests)
    batch_max = max(1, min(FILL_BATCH, FILL_BYTES // count // size))
    more = True
    while more:
        sent = []
        for s in sockets:
            batch = list(itertools.islice(requests, batch_max))
            more = len(batch) == batch_max
            if batch:
                s.sendall(b"".join(batch))
                sent.append((s, len(batch)))
            if not more:
                break
        for s, count in sent:
            received = b""
            while received.count(good) < count:
                piece = s.recv(1 << 16)
                received += piece
                if not piece or any(word in received for word in bad):
                    raise SystemExit(f"a write was refused: {received[-500:]!r}")
    for s in sockets:
        s.close()


class System:
    """`processes` are those whose time counts as the system's own."""

    def __init__(self, name):
        self.name = name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="system-"))
        self.ports = quorate_cluster.Ports()
        self.processes, self.filled = [], set()
        self.port = None

    def spawn(self, *command):
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, preexec_fn=quorate_cluster.die_with_parent)
        self.processes.append(process)
        return process

    def pids(self):
        return [process.pid for process in self.processes]

    def fill_once(self, data):
        """data: (name, count, size)."""
        if data not in self.filled:
            self.fill(*data)
            self.filled.add(data)

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(60)
        self.processes = []

    def remove(self):
        self.stop()
        self.ports.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def accepts(self, port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    def await_port(self, port):
        quorate_cluster.wait_until(lambda: self.accepts(port), 30, f"{self.name} listens")


class Quorate(System):
    """`relay`: milliseconds by which a relay delays the third node, each way; None: no relay.
    `dead`: nodes killed once all are up. `tls`: HTTPS at tls_port, beside HTTP."""

    def __init__(self, name, engine="rocksdb", nodes=3, settings="", relay=None, dead=0, tls=False):
        super().__init__(name)
        self.engine, self.node_count, self.relay, self.dead = engine, nodes, relay, dead
        self.settings, self.tls_port = settings, self.ports.take() if tls else None
        self.cluster = None

    def tls_settings(self):
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "9",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        return (f'tls : {{ port = {self.tls_port}; certificate = "{certificate}"; '
                f'key = "{key}"; }};')

    def start(self):
        if self.cluster is None:
            self.cluster = quorate_cluster.Cluster(
                nodes=self.node_count, namespaces=NAMESPACES,
                node_settings=f'engine = "{self.engine}";\n{self.settings}',
                proxy_settings="loops = 1;\n" + (self.tls_settings() if self.tls_port else ""))
            if self.relay is not None:
                self.relay_port = self.ports.take()
                with open(self.cluster.nodes[2].config, "a") as config:
                    config.write(f"listen : {{ port = {self.relay_port}; }};\n")
        if self.relay is not None:
            self.spawn(BIN / "quorate-bench-delay", self.cluster.nodes[2].port, self.relay_port,
                       self.relay)
            self.await_port(self.cluster.nodes[2].port)
        self.cluster.start()
        self.port = self.cluster.proxies[0].http_port
        for node in self.cluster.nodes[self.node_count - self.dead:]:
            node.kill()

    def pids(self):
        return super().pids() + [p.pid for p in self.cluster.processes()
                                 if p.process.poll() is None]

    def fill(self, name, count, size):
        paths = {"timeline": ("POST", f"/v1/timelines/social/{name}", "?level=eventual"),
                 "hot": ("PUT", "/v1/kv/bank/hot", "?level=strong")}
        kind = name.split("-")[0]
        method, path, query = paths.get(kind, ("PUT", f"/v1/kv/default/{name}-",
                                               "?level=strong&timeout=30s"))
        # All entries of a timeline go to one name.
        body = b"1" if kind == "hot" else value(size)
        fill(self.port, (http_request(method, f"{path}{'' if kind in paths else i}{query}", body)
                         for i in range(count)), size)

    def check(self, name, count, size):
        """What was filled in is still there."""
        if self.engine == "null" or name.split("-")[0] in ("timeline", "hot"):
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for i in (0, count - 1):
            connection.request("GET", f"/v1/kv/default/{name}-{i}?level=strong")
            response = connection.getresponse()
            found = response.read()
            if response.status != 200 or len(found) != size:
                raise SystemExit(f"{self.name}: {name}-{i}: {response.status}, {len(found)} bytes")
        connection.close()

    def debt(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/v1/cluster/debt?timeout=5s")
        owed = json.loads(connection.getresponse().read())
        connection.close()
        return (owed["hints"] + owed["pairs_differing"] + owed["trees_not_ready"]
                + owed["unreachable"])

    def committed(self):
        """(groups, records in them) that the nodes have put on disk."""
        pages = [node.get("/metrics")[2].decode() for node in self.cluster.nodes]
        return [sum(int(re.search(rf"^quorate_node_{name}_total (\d+)", page, re.M)[1])
                    for page in pages) for name in ("commits", "committed")]

    def session_token(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("PUT", "/v1/kv/default/session?level=session", b"s")
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.headers["Session-Token"]

    def stop(self):
        if self.cluster:
            for process in reversed(self.cluster.processes()):
                if process.process and process.process.poll() is None:
                    process.terminate()
        super().stop()

    def remove(self):
        if self.cluster:
            self.cluster.__exit__(None, None, None)
        super().remove()


class Etcd(System):
    """Three members, asked at their leader, which answers linearizable requests without a hop."""

    def __init__(self, name="etcd"):
        super().__init__(name)
        self.members = [(f"m{i}", self.ports.take(), self.ports.take()) for i in range(3)]

    def start(self):
        peers = ",".join(f"{name}=http://127.0.0.1:{peer}" for name, _, peer in self.members)
        for name, client, peer in self.members:
            self.spawn("etcd", "--name", name, "--data-dir", self.folder / name,
                       "--listen-client-urls", f"http://127.0.0.1:{client}",
                       "--advertise-client-urls", f"http://127.0.0.1:{client}",
                       "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                       "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                       "--initial-cluster", peers, "--initial-cluster-state", "new",
                       "--quota-backend-bytes", str(8 << 30))
        self.port = quorate_cluster.wait_until(self.leader, 60, "etcd has a leader")

    def leader(self):
        for _, port, _ in self.members:
            with contextlib.suppress(OSError, ValueError, KeyError):
                status = self.ask(port, "/v3/maintenance/status", {})
                if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                    return port
        return None

    @staticmethod
    def ask(port, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", path, json.dumps(body))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    @staticmethod
    def key(name):
        return base64.b64encode(name.encode()).decode()

    @classmethod
    def put(cls, name, size=VALUE_BYTES):
        return cls.post("put", f'{{"key":"{cls.key(name)}",'
                        f'"value":"{base64.b64encode(value(size)).decode()}"}}')

    @classmethod
    def range(cls, name, serializable=False):
        more = ',"serializable":true' if serializable else ""
        return cls.post("range", f'{{"key":"{cls.key(name)}"{more}}}')

    @classmethod
    def swap(cls, name):
        """A put on condition that nobody else has put since the last."""
        key, text = cls.key(name), base64.b64encode(value()).decode()
        return cls.post("txn", f'{{"compare":[{{"target":"MOD","key":"{key}","result":"EQUAL",'
                        f'"mod_revision":{TAG.decode()}}}],"success":[{{"request_put":'
                        f'{{"key":"{key}","value":"{text}"}}}}]}}')

    @staticmethod
    def post(what, body):
        return http_request("POST", f"/v3/kv/{what}", body.encode(),
                            ["Content-Type: application/json"])

    def fill(self, name, count, size):
        if name == "hot":
            self.ask(self.port, "/v3/kv/put", {"key": self.key("hot"), "value": self.key("1")})
            return
        fill(self.port, (self.put(f"{name}-{i}", size) for i in range(count)), size)

    def check(self, name, count, size):
        if name == "hot":
            return
        for i in (0, count - 1):
            answer = self.ask(self.port, "/v3/kv/range", {"key": self.key(f"{name}-{i}")})
            if len(base64.b64decode(answer.get("kvs", [{}])[0].get("value", ""))) != size:
                raise SystemExit(f"etcd: {name}-{i} is not there: {str(answer)[:200]}")


class Redis(System):
    """One that takes writes and syncs each before it answers, and two replicas that do likewise."""

    def __init__(self, name="redis"):
        super().__init__(name)
        self.members = [self.ports.take() for _ in range(3)]
        self.port = self.members[0]

    def start(self):
        for number, port in enumerate(self.members):
            (self.folder / str(number)).mkdir(exist_ok=True)
            follow = ["--replicaof", f"127.0.0.1 {self.port}"] if number else []
            self.spawn("redis-server", "--port", port, "--dir", self.folder / str(number),
                       "--appendonly", "yes", "--appendfsync", "always", "--save", "",
                       "--repl-diskless-sync-delay", "0", *follow)
        quorate_cluster.wait_until(
            lambda: self.ask(b"INFO replication\r\n").count(b"state=online") == 2, 60,
            "redis has two replicas")
        # Replicas that have just taken everything over write it all to a new log first.
        quorate_cluster.wait_until(
            lambda: all(b"aof_rewrite_in_progress:0" in answer
                        and b"aof_rewrite_scheduled:0" in answer
                        for answer in (self.ask(b"INFO persistence\r\n", port)
                                       for port in self.members)), 60, "redis has its logs")

    def stop(self):
        """Killed: while one writes its first log it does not hear SIGTERM, and all is on disk."""
        for process in self.processes:
            process.kill()
        super().stop()

    def ask(self, command, port=None):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", port or self.port), 5) as s:
                s.sendall(command)
                return s.recv(1 << 20)
        return b""

    @staticmethod
    def commands(*commands):
        pieces = []
        for words in commands:
            pieces.append(b"*%d\r\n" % len(words))
            pieces += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
        return b"".join(pieces)

    def fill(self, name, count, size):
        fill(self.port, (self.commands((b"SET", f"{name}-{i}".encode(), value(size)))
                         for i in range(count)), size, good=b"+OK", bad=(b"-",))

    def check(self, name, count, size):
        for i in (0, count - 1):
            answer = self.ask(self.commands((b"STRLEN", f"{name}-{i}".encode())))
            if answer != b":%d\r\n" % size:
                raise SystemExit(f"redis: {name}-{i} is not there: {answer!r}")


class BareH2o(System):
    def start(self):
        self.port = self.port or self.ports.take()
        self.spawn(BIN / "quorate-bench-bare-h2o", self.port)
        self.await_port(self.port)


class Nginx(System):
    """One worker, a file of as many bytes as the others' values."""

    def start(self):
        self.port = self.port or self.ports.take()
        (self.folder / "value").write_bytes(value())
        (self.folder / "conf").write_text(
            f"daemon off; master_process off; error_log {self.folder}/error; pid {self.folder}/pid;"
            f" events {{ worker_connections 8192; }} http {{ access_log off; open_file_cache max=9;"
            f" keepalive_requests 1000000000; server {{ listen 127.0.0.1:{self.port};"
            f" root {self.folder}; }} }}\n")
        self.spawn("nginx", "-p", self.folder, "-c", self.folder / "conf", "-e",
                   self.folder / "error")
        self.await_port(self.port)


def prepare():
    """Installs what is needed and builds the programs, unless QUORATE_BIN names others."""
    subprocess.run([ROOT / "deploy" / "install-packages", "build", "bench"], check=True)
    if BIN != ROOT / "build" / "bench":
        return
    log = BIN / "log"
    BIN.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as output:
        for command in (["cmake", "--preset", "release", "-S", ROOT, "-B", BIN],
                        ["cmake", "--build", BIN, "--target", "quorate-node", "quorate-proxy",
                         *(f"quorate-bench-{name}" for name in tools())]):
            if subprocess.run(command, cwd=ROOT, stdout=output, stderr=output).returncode != 0:
                raise SystemExit(f"the build failed, see {log}")



def tools():
    """Programs that are built to measure with. That of the engine is there where its source is."""
    engine = ["engine"] if (HERE / "engine.c").exists() else []
    return ["load", "delay", "bare-h2o", *engine]
