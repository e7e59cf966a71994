"""A cluster of real processes on loopback, in a directory of its own, for one test file.

    with Cluster(nodes=3, proxies=2) as cluster:
        client = cluster.client()
        cluster.nodes[1].kill()

The programs come from QUORATE_BIN. Everything is started directly, killed by process id and gone
when the test is, however it ends. After a clean end every process must have exited with 0 at
SIGTERM, and no sanitizer may have spoken.
"""
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from client import Client, target

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("QUORATE_BIN", ROOT / "build" / "release")).resolve()
# Sanitizers make everything slower; waiting longer costs nothing when nothing is wrong.
PATIENCE = float(os.environ.get("QUORATE_PATIENCE", "1"))
READY_SECONDS = 30 * PATIENCE
STOP_SECONDS = 30 * PATIENCE
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:)")
PR_SET_PDEATHSIG = 1
# Name and kind of those that a cluster has unless it is given others.
NAMESPACES = {"default": "mixed", "bank": "cas", "social": "crdt", "cache": "lww"}
_libc = ctypes.CDLL(None)


def wait_until(condition, seconds, what):
    """Polls until condition() is true and returns it; fails after `seconds` times PATIENCE."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Threads:
    """Runs function(0) to function(count - 1) beside a block. At its end `stop` is set, for those
    who go on until then; all are waited for, and the first exception of theirs is raised."""

    def __init__(self, function, count):
        self.stop, self.problems = threading.Event(), []
        self.threads = [threading.Thread(target=self._run, args=(function, number))
                        for number in range(count)]

    def _run(self, function, number):
        try:
            function(number)
        except BaseException as problem:  # raised again where it can fail the test
            self.problems.append(problem)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.problems and kind is None:
            raise self.problems[0]


def in_threads(function, count):
    """Runs function(0) to function(count - 1) at once and waits for all."""
    with Threads(function, count):
        pass


class Ports:
    """Free ports below the range from which the kernel takes ports for connections.

    A lock file per port keeps test programs that run at the same time apart, as long as they live.
    """

    LOW, HIGH = 10000, 32000

    def __init__(self):
        self.folder = pathlib.Path(tempfile.gettempdir(), f"quorate-ports-{os.getuid()}")
        self.folder.mkdir(exist_ok=True)
        self.locks = []

    def take(self):
        while True:
            port = random.randrange(self.LOW, self.HIGH)
            lock = open(self.folder / str(port), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:
                lock.close()
                continue
            self.locks.append(lock)
            return port

    def release(self):
        for lock in self.locks:
            lock.close()


def die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One program. `exited_with` is the status of its last end, None while it runs."""

    def __init__(self, cluster, name, program, http_port):
        self.cluster, self.name, self.program, self.http_port = cluster, name, program, http_port
        self.config = cluster.folder / f"{name}.conf"
        self.log_path = cluster.folder / f"{name}.log"
        self.process = None
        self.environment = {}

    @property
    def pid(self):
        return self.process.pid

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BIN / self.program, "--config", self.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, cwd=self.cluster.folder, preexec_fn=die_with_parent,
                env={**os.environ, **self.environment})
        if wait:
            self.wait_ready()
        return self

    def get(self, path):
        """(status, headers, body) from the program's HTTP port; status None if nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException):
            return None, None, b""
        finally:
            connection.close()

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} exited with {self.process.returncode}:\n"
                                 f"{self.log_tail()}")
        return self.get("/readyz")[0] == 200

    def wait_ready(self):
        try:
            wait_until(self.is_ready, READY_SECONDS / PATIENCE, f"{self.name} ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from None

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: self.state() in "Tt", 5, f"{self.name} stopped")

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def state(self):
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0]

    def memory(self):
        """Resident bytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def terminate(self):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop:\n{self.log_tail()}") from None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=30):
        return f"--- {self.name}\n" + "\n".join(self.log().split("\n")[-lines:])


class Cluster:
    def __init__(self, nodes=3, proxies=1, namespaces=None, replicas=None, node_settings="",
                 proxy_settings="loops = 1;", environment=None):
        self.ports = Ports()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quorate-"))
        self.cluster_id = random_id()
        self.replicas = replicas or min(3, nodes)
        self.namespaces = namespaces or [
            {"id": number, "name": name, "kind": kind, "timeout_ms": int(1000 * PATIENCE)}
            for number, (name, kind) in enumerate(NAMESPACES.items(), 1)]
        self.clients, self.nodes, self.proxies = [], [], []
        try:
            for number in range(1, nodes + 1):
                self.nodes.append(self._make_node(number, node_settings))
            self.write_map()
            for number in range(1, proxies + 1):
                self.proxies.append(self._make_proxy(number, proxy_settings))
        except BaseException:
            self._end()
            raise
        for process in self.processes():
            process.environment.update(environment or {})

    def _make_node(self, number, settings):
        node = Process(self, f"node-{number}", "quorate-node", self.ports.take())
        node.data = self.folder / node.name
        node.port = self.ports.take()
        node.replica = self.init_node(node.data, self.cluster_id)
        node.config.write_text(f'data = "{node.data}";\nmap = "{self.folder}/map.json";\n'
                               f'admin : {{ host = "127.0.0.1"; port = {node.http_port}; }};\n'
                               f"{settings}\n")
        return node

    def _make_proxy(self, number, settings):
        proxy = Process(self, f"proxy-{number}", "quorate-proxy", self.ports.take())
        proxy.config.write_text(f'map = "{self.folder}/map.json";\n'
                                f'listen : {{ host = "127.0.0.1"; port = {proxy.http_port}; }};\n'
                                f"{settings}\n")
        return proxy

    def init_node(self, data, cluster_id):
        run = subprocess.run([BIN / "quorate-node", "--init", "--data", data, "--cluster",
                              cluster_id], capture_output=True, text=True)
        if run.returncode != 0:
            raise AssertionError(f"--init failed: {run.stderr}")
        return run.stdout.strip()

    def write_map(self, **changes):
        document = {
            "cluster": self.cluster_id, "epoch": 1, "replicas": self.replicas,
            "nodes": [{"name": n.name, "replica": n.replica, "host": "127.0.0.1", "port": n.port}
                      for n in self.nodes],
            "namespaces": self.namespaces,
        }
        document.update(changes)
        (self.folder / "map.json").write_text(json.dumps(document))

    def processes(self):
        return self.nodes + self.proxies

    def start(self):
        for process in self.processes():
            process.start(wait=False)
        for process in self.processes():
            process.wait_ready()
        # A proxy is ready with a quorum; a test may want everybody.
        for number in range(len(self.proxies)):
            wait_until(lambda n=number: self.reaches_all(n), READY_SECONDS / PATIENCE,
                       f"proxy-{number + 1} reaches all nodes")
        return self

    def reaches_all(self, proxy=0):
        """Whether all replicas of a spread of keys answer this proxy."""
        client = Client(self.proxies[proxy].http_port, timeout=30 * PATIENCE, contract=None)
        try:
            return all(client.get(f"probe-{i}", "level=all", namespace=self.namespaces[0]["name"])
                       .status == 404 for i in range(3 * len(self.nodes)))
        finally:
            client.close()

    def client(self, proxy=0, **options):
        """A connection of its own, closed with the cluster."""
        client = Client(self.proxies[proxy].http_port, timeout=30 * PATIENCE, **options)
        self.clients.append(client)
        return client

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self._end()
            raise

    def __exit__(self, kind, error, trace):
        problems = []
        try:
            for client in self.clients:
                client.close()
            if kind is None:
                problems = self._stop_cleanly()
        finally:
            if kind is not None or problems:
                for process in self.processes():
                    print(process.log_tail())
            self._end()
        if problems:
            raise AssertionError("\n".join(problems))

    def _stop_cleanly(self):
        problems = []
        for process in reversed(self.processes()):
            if process.process and process.process.poll() is None:
                if process.state() == "T":
                    process.resume()
                status = process.terminate()
                if status != 0:
                    problems.append(f"{process.name} exited with {status} at SIGTERM")
            if SANITIZER.search(process.log()):
                problems.append(f"a sanitizer spoke in {process.name}:\n{process.log()}")
        return problems

    def _end(self):
        for process in self.processes():
            if process.process and process.process.poll() is None:
                process.kill()
        self.ports.release()
        if os.environ.get("QUORATE_KEEP") != "1":
            shutil.rmtree(self.folder, ignore_errors=True)


def random_id():
    """16 hexadecimal digits, not zero."""
    return f"{secrets.randbits(64) | 1:016x}"


class ClusterTest(unittest.TestCase):
    """Tests that share one cluster, made with `options` once a class. A failure shows the logs.

    `namespace` is what their clients speak to; a derived class may repeat them with another kind.
    """

    options = {}
    namespace = "default"
    cluster = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(**cls.options)
        cls.cluster.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    def setUp(self):
        self.client = self.cluster.client(namespace=self.namespace)
        self.addCleanup(self.client.close)
        # Tests of one class share the cluster, not their keys.
        self.prefix = f"{self.id().rsplit('.', 1)[1]}-{secrets.token_hex(4)}-"

    def target(self, key, query=""):
        return target(self.namespace, key, query)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before and self.cluster:
            for process in self.cluster.processes():
                print(process.log_tail(), file=sys.stderr)
