#!/usr/bin/env python3
# labels: integration full
"""Peers that hang up, dribble, flood or speak nonsense harm nobody but themselves."""
import os
import random
import socket
import struct
import time
import unittest

import http2
from client import target
from cluster import PATIENCE, ClusterTest, Threads, wait_until

# The longest that a connection may sit in a request without getting on.
CUT_SECONDS = 20
# What bystanders may have to wait: they may be slowed down, not starved.
SERVED_SECONDS = 5


def is_closed(s):
    """Whether the peer has closed or reset; reads and drops what it sent before."""
    s.setblocking(False)
    try:
        while True:
            if not s.recv(65536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


class Bystanders(ClusterTest):
    """Whatever happened in a test, everybody else is served afterwards, by all three nodes."""

    options = {"proxy_settings": "loops = 1; request_timeout = 3; write_timeout = 5;"}

    def setUp(self):
        super().setUp()
        self.port = self.cluster.proxies[0].http_port
        self.client.put(self.prefix, b"value", "level=all")
        self.random = random.Random(self.prefix)

    def tearDown(self):
        for process in self.cluster.processes():
            self.assertIsNone(process.process.poll(), process.log_tail())
        wait_until(self.cluster.reaches_all, 30, "all three nodes answer")
        got = self.client.get(self.prefix, "level=all&timeout=10s")
        self.assertEqual((got.status, got.body), (200, b"value"))

    def assert_served(self):
        wait_until(lambda: self.client.get(self.prefix, "level=strong&timeout=5s").status == 200,
                   SERVED_SECONDS, "bystanders are served")


class HostileClients(Bystanders):
    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), 10)
        self.addCleanup(s.close)
        return s

    def request(self, method="GET", headers=""):
        return (f"{method} {target('default', self.prefix)} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
                ).encode()

    def test_clients_that_hang_up_at_any_moment(self):
        get = self.request()
        put = self.request("PUT", "Content-Length: 5\r\n") + b"value"
        for i in range(600):
            bytes_ = get * 3 if i % 3 == 0 else get if i % 3 == 1 else put
            s = self.connect()
            s.sendall(bytes_[:self.random.randrange(1, len(bytes_) + 1)])
            if i % 2:
                # Reset instead of an orderly end.
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()

    def test_clients_that_hang_up_while_replicas_are_slow(self):
        for node in self.cluster.nodes[:2]:
            node.pause()
        try:
            for i in range(200):
                s = self.connect()
                s.sendall(self.request() if i % 2 else
                          self.request("PUT", "Content-Length: 5\r\n") + b"value")
                s.close()
        finally:
            for node in self.cluster.nodes[:2]:
                node.resume()

    def test_a_client_that_hangs_up_in_the_middle_of_a_body_writes_nothing(self):
        for _ in range(20):
            s = self.connect()
            s.sendall(self.request("PUT", "Content-Length: 100\r\n") + b"half")
            s.close()
        self.assertEqual(self.client.get(self.prefix, "level=all").body, b"value")

    def test_slow_writers_are_cut(self):
        sockets = [self.connect() for _ in range(20)]
        for i, s in enumerate(sockets):
            s.sendall(self.request("PUT", "Content-Length: 1000\r\n") if i % 2 else b"GET /v1/kv/")
        deadline = time.monotonic() + CUT_SECONDS
        open_ones = sockets
        while open_ones and time.monotonic() < deadline:
            for s in open_ones:
                try:
                    s.send(b"a")
                except OSError:
                    pass
            self.assert_served()
            time.sleep(0.5)
            open_ones = [s for s in open_ones if not is_closed(s)]
        self.assertEqual(len(open_ones), 0, "connections that dribble are still open")

    def test_slow_readers_are_cut(self):
        self.client.put(self.prefix + "large", os.urandom(1024 * 1024), "level=all")
        before = self.cluster.proxies[0].memory()
        sockets = []
        for _ in range(20):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", self.port))
            self.addCleanup(s.close)
            path = target("default", self.prefix + "large")
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 20)
            sockets.append(s)
        for _ in range(50):
            self.assert_served()
        # An answer at a time, not twenty of them, waits in memory for each.
        grown = self.cluster.proxies[0].memory() - before
        self.assertLess(grown, 20 * 8 * 1024 * 1024 * PATIENCE)
        wait_until(lambda: all(self.is_gone(s) for s in sockets), CUT_SECONDS,
                   "connections that do not read are cut")

    def is_gone(self, s):
        """Without reading: does the proxy's side of the connection still exist?"""
        s.settimeout(5)
        try:
            s.send(b"G")
        except OSError:
            return True
        return False

    def test_rapid_reset(self):
        path = target("default", self.prefix)
        s = http2.connect(self.port)
        self.addCleanup(s.close)
        ended = None
        try:
            for stream in range(1, 40001, 2):
                s.sendall(http2.headers(stream, "GET", path) +
                          http2.frame(http2.RST_STREAM, 0, stream,
                                      struct.pack(">I", http2.CANCEL)))
            for kind, _, _, _ in http2.frames(s):
                if kind == http2.GOAWAY:
                    ended = "goaway"
            ended = ended or "closed"
        except (ConnectionError, BrokenPipeError):
            ended = "reset"
        except socket.timeout:
            ended = None
        self.assertIsNotNone(ended, "20,000 resets and the connection is still served")

    def test_http2_nonsense(self):
        for payload in (http2.frame(http2.DATA, 0, 1, b"x"), http2.frame(0x1, 0x4, 1, b"\xff" * 50),
                        http2.frame(http2.SETTINGS, 0, 0, b"abc"), b"\xff" * 4096,
                        http2.frame(http2.PING, 0, 0, b"short")):
            s = http2.connect(self.port)
            s.sendall(payload)
            try:
                for _ in http2.frames(s):
                    pass
            except OSError:
                pass
            s.close()

    def test_nonsense_instead_of_http(self):
        for payload in (b"\0" * 100, b"\xff" * 10000, b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01",
                        b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                        b"PUT /v1/kv/default/x HTTP/1.1\r\nContent-Length: 1\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                        b"GET / HTTP/1.1\r\nX: " + b"y" * 1000000):
            s = self.connect()
            try:
                s.sendall(payload)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(CUT_SECONDS)
                while s.recv(65536):
                    pass
            except OSError:
                pass


class HostilePeers(Bystanders):
    """The port where nodes expect proxies."""

    def frame(self, kind, ident, body, version=1, checksum=None):
        head = struct.pack(">IBBHQII", 24 + len(body), version, kind, 0, ident, checksum or 0,
                           len(body))
        return head + body

    def payloads(self):
        hello = struct.pack(">BBQQI", 1, 1, int(self.cluster.cluster_id, 16), 0, 1)
        yield b""
        yield b"\0" * 100
        yield b"\xff" * 100000
        yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        yield struct.pack(">I", 0xffffffff) + b"\1" * 60
        yield struct.pack(">I", 23) + b"\1" * 60
        yield self.frame(1, 0, hello)
        yield self.frame(1, 0, hello, version=99)
        yield self.frame(17, 1, b"\xff" * 500)
        yield self.frame(200, 1, b"")
        for _ in range(100):
            yield self.random.randbytes(self.random.randrange(1, 5000))

    def test_garbage_on_the_nodes_port(self):
        for node in self.cluster.nodes:
            for payload in self.payloads():
                with socket.create_connection(("127.0.0.1", node.port), 10) as s:
                    s.settimeout(5)
                    try:
                        s.sendall(payload)
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536):
                            pass
                    except OSError:
                        pass

    def test_garbage_while_clients_work(self):
        def flood(_):
            while not flooders.stop.is_set():
                for payload in self.payloads():
                    try:
                        with socket.create_connection(
                                ("127.0.0.1", self.random.choice(self.cluster.nodes).port), 5) as s:
                            s.sendall(payload)
                    except OSError:
                        pass

        flooders = Threads(flood, 2)
        with flooders:
            for i in range(300):
                put = self.client.put(f"{self.prefix}{i}", b"%d" % i, "level=strong&timeout=10s")
                self.assertEqual(put.status, 204, put)


if __name__ == "__main__":
    unittest.main()
