#!/usr/bin/env python3
# labels: integration full
"""The life of client connections: what comes while a request waits, limits, floods, the end."""
import json
import re
import resource
import socket
import struct
import time
import unittest

import http2
from client import target
from cluster import PATIENCE, Cluster, ClusterTest, Threads, wait_until

LIVE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 10)


def read_exactly(s, size):
    received = b""
    while len(received) < size:
        piece = s.recv(size - len(received))
        if not piece:
            raise ConnectionError(f"closed after {received!r}")
        received += piece
    return received


def read_answer(s):
    """The status and body of the next HTTP/1 answer, which has a Content-Length or no body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(s, 1)
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return int(head.split()[1]), read_exactly(s, int(length.group(1)) if length else 0)


def wait_closed(s, seconds):
    s.settimeout(seconds * PATIENCE)
    try:
        while s.recv(65536):
            pass
    except ConnectionError:
        pass


def metric(process, name):
    body = process.get("/metrics")[2].decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)$", body, re.M).group(1))


def cpu_seconds(process):
    return metric(process, "process_cpu_seconds_total")


class WhileARequestWaits(ClusterTest):
    """The proxy reads on while replicas are asked; what comes harms neither question nor answer."""

    options = {"proxy_settings": "loops = 1; access_log = true;"}

    def setUp(self):
        super().setUp()
        self.port = self.cluster.proxies[0].http_port
        self.client.put(self.prefix, b"value", "level=all")
        self.get = (f"GET {target('default', self.prefix, 'level=strong&timeout=20s')} HTTP/1.1\r\n"
                    "Host: x\r\n\r\n").encode()

    def ask_all_while_waiting(self, then):
        """Twenty requests wait for paused nodes while `then` is done to each connection."""
        sockets = [connect(self.port) for _ in range(20)]
        for node in self.cluster.nodes:
            node.pause()
        try:
            for s in sockets:
                s.sendall(self.get)
            for s in sockets:
                then(s)
        finally:
            for node in self.cluster.nodes:
                node.resume()
        for s in sockets:
            s.settimeout(30 * PATIENCE)
            self.assertEqual(read_answer(s), (200, b"value"))
        return sockets

    def end(self, sockets):
        for s in sockets:
            s.close()

    def test_a_client_that_closes_its_half_gets_its_answer(self):
        sockets = self.ask_all_while_waiting(lambda s: s.shutdown(socket.SHUT_WR))
        for s in sockets:
            self.assertEqual(s.recv(1), b"")
        self.end(sockets)

    def test_further_requests_are_answered_in_turn(self):
        sockets = self.ask_all_while_waiting(lambda s: s.sendall(self.get * 2))
        for s in sockets:
            self.assertEqual([read_answer(s), read_answer(s)], [(200, b"value")] * 2)
        self.end(sockets)

    def test_a_flood_of_further_requests(self):
        def flood(s):
            s.setblocking(False)
            try:
                s.send(self.get * 50000)
            except BlockingIOError:
                pass
            s.setblocking(True)
        self.end(self.ask_all_while_waiting(flood))

    def test_clients_that_are_gone(self):
        sockets = [connect(self.port) for _ in range(20)]
        for node in self.cluster.nodes:
            node.pause()
        try:
            for s in sockets:
                s.sendall(self.get)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()
        finally:
            for node in self.cluster.nodes:
                node.resume()
        wait_until(self.cluster.reaches_all, 30, "all three nodes answer")
        self.assertEqual(self.client.get(self.prefix, "level=strong&timeout=20s").body, b"value")


class TheLibrarysOwnErrors(ClusterTest):
    """What is refused before a request is whole is refused with a problem document as well."""

    def test_documents(self):
        put = f"PUT {target('default', self.prefix)} HTTP/1.1\r\nHost: x\r\n"
        for fields, status, slug in (
                ("Content-Length: 1099511627776\r\n", 413, "value-too-large"),
                ("Content-Length: 5\r\nExpect: nonsense\r\n", 417, "expectation-failed"),
                ("Transfer-Encoding: gzip\r\n", 400, "bad-request")):
            with self.subTest(slug), connect(self.cluster.proxies[0].http_port) as s:
                s.sendall(f"{put}{fields}\r\n".encode())
                got, body = read_answer(s)
                problem = json.loads(body)
                self.assertEqual((got, problem["status"]), (status, status))
                self.assertEqual(problem["type"], f"/problems/{slug}")
                self.assertEqual(problem["outcome"], "not-applied")
                if status == 413:
                    self.assertEqual(problem["limit"], 1024 * 1024)
                self.assertEqual(s.recv(1), b"")


class Limits(unittest.TestCase):
    def test_connections_over_the_limit_wait_for_room(self):
        with Cluster(nodes=1, proxy_settings="loops = 1; connections_max = 20;") as cluster:
            proxy = cluster.proxies[0]
            for client in cluster.clients:
                client.close()
            sockets = [connect(proxy.http_port) for _ in range(30)]
            for s in sockets:
                s.sendall(LIVE)
            served = [s for s in sockets if self.is_served(s)]
            self.assertTrue(0 < len(served) <= 20)
            for s in served:
                s.close()
            for s in sockets:
                if s not in served:
                    s.settimeout(10 * PATIENCE)
                    self.assertEqual(read_answer(s)[0], 200)
                    s.close()
            self.assertGreater(metric(proxy, "quo_http_accept_pauses_total"), 0)

    @staticmethod
    def is_served(s):
        s.settimeout(0.5)
        try:
            return read_answer(s)[0] == 200
        except socket.timeout:
            return False

    def test_without_descriptors_the_proxy_waits_and_recovers(self):
        with Cluster(nodes=1) as cluster:
            proxy = cluster.proxies[0]
            before = cpu_seconds(proxy)
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (40, 40))
            sockets = [connect(proxy.http_port) for _ in range(100)]
            time.sleep(2)
            for s in sockets:
                s.close()
            wait_until(lambda: proxy.get("/livez")[0] == 200, 20, "served again")
            self.assertGreater(metric(proxy, "quo_http_accept_failures_total"), 0)
            self.assertLess(cpu_seconds(proxy) - before, 1.0 * PATIENCE, "it span")


class Timeouts(ClusterTest):
    options = {"proxy_settings":
               "loops = 1; idle_timeout = 2; request_timeout = 2; write_timeout = 2;"}

    def setUp(self):
        super().setUp()
        self.proxy = self.cluster.proxies[0]

    def assert_cut(self, counter, payload):
        before = metric(self.proxy, counter)
        with connect(self.proxy.http_port) as s:
            s.sendall(payload)
            wait_closed(s, 10)
        self.assertEqual(metric(self.proxy, counter) - before, 1)

    def test_idle_connections(self):
        for payload in (b"", LIVE):
            self.assert_cut("quo_http_idle_connections_closed_total", payload)

    def test_requests_that_do_not_arrive(self):
        for payload in (b"GET /v1/kv/", b"PR", LIVE + b"PUT / HT",
                        b"PUT /v1/kv/default/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"):
            with self.subTest(payload):
                self.assert_cut("quo_http_slow_requests_total", payload)

    def test_an_idle_http2_connection_is_told(self):
        with http2.connect(self.proxy.http_port) as s:
            s.settimeout(10 * PATIENCE)
            self.assertIn(http2.GOAWAY, [kind for kind, _, _, _ in http2.frames(s)])

    def test_responses_that_are_not_taken(self):
        self.client.put(self.prefix, bytes(1024 * 1024), "level=all")
        path = target("default", self.prefix)
        no_window = http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
        # More than the kernel keeps for a socket.
        for payload in (f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 20,
                        http2.PREFACE + no_window + http2.headers(1, "GET", path)):
            before = metric(self.proxy, "quo_http_stuck_responses_total")
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.connect(("127.0.0.1", self.proxy.http_port))
                s.sendall(payload)
                wait_until(lambda n=before: metric(self.proxy, "quo_http_stuck_responses_total")
                           == n + 1, 10, "the connection is cut")


class Floods(ClusterTest):
    """Each flood ends its own connection soon, and nobody else notices."""

    def flood(self, first, again):
        """Sends `again(i)` until the proxy closes; returns the bytes that were sent."""
        with http2.connect(self.cluster.proxies[0].http_port) as s:
            sent = 0
            try:
                s.sendall(first)
                for i in range(20000):
                    piece = again(i)
                    s.sendall(piece)
                    sent += len(piece)
                wait_closed(s, 5)
            except ConnectionError:
                pass
            return sent

    def assert_flood(self, kind, again, first=b""):
        proxy = self.cluster.proxies[0]
        name = f'quo_http_floods_total{{kind="{kind}"}}'
        before, cpu = metric(proxy, name), cpu_seconds(proxy)
        self.flood(first, again)
        self.assertEqual(metric(proxy, name) - before, 1)
        self.assertLess(cpu_seconds(proxy) - cpu, 5 * PATIENCE)
        self.assertEqual(self.client.get(self.prefix, "level=strong").status, 404)

    def get(self, i):
        return http2.headers(2 * i + 1, "GET", target("default", self.prefix))

    def test_rapid_reset(self):
        cancel = struct.pack(">I", http2.CANCEL)
        self.assert_flood("resets", lambda i: self.get(i) + http2.frame(
            http2.RST_STREAM, 0, 2 * i + 1, cancel))

    def test_resets_provoked_from_our_side(self):
        too_much = struct.pack(">I", 0x7fffffff)
        self.assert_flood("resets", lambda i: self.get(i) + http2.frame(
            0x8, 0, 2 * i + 1, too_much))

    def test_control_frames(self):
        for frame in (http2.frame(http2.PING, 0, 0, b"12345678"),
                      http2.frame(http2.SETTINGS, 0, 0), http2.frame(0xbb, 0, 0)):
            self.assert_flood("control", lambda i, frame=frame: frame * 100)

    def test_empty_data(self):
        self.assert_flood("control", lambda i: http2.frame(http2.DATA, 0, 1) * 100,
                          http2.headers(1, "PUT", "/v1/kv/default/x", http2.END_HEADERS))

    def test_continuation_without_end(self):
        for payload in (b"", b"\x10\x01a\x01b" * 3000):
            self.assert_flood("headers", lambda i, p=payload: http2.frame(0x9, 0, 1, p),
                              http2.headers(1, "GET", "/livez", http2.END_STREAM))

    def test_bodies_that_are_never_finished(self):
        def piece(i):
            stream = 2 * (i % 90) + 1
            begin = http2.headers(stream, "PUT", "/v1/kv/default/x", http2.END_HEADERS)
            return (begin if i < 90 else b"") + http2.frame(http2.DATA, 0, stream, bytes(16384)) * 8
        self.assert_flood("bodies", piece)


class TheEnd(unittest.TestCase):
    def test_requests_under_way_are_finished(self):
        with Cluster(proxy_settings="loops = 2;") as cluster:
            proxy = cluster.proxies[0]
            put = cluster.client().put("key", b"value", "level=strong&timeout=10s")
            self.assertEqual(put.status, 204)
            idle = [connect(proxy.http_port) for _ in range(10)]
            idle[0].sendall(LIVE)
            read_answer(idle[0])
            answers = []

            def get(_):
                answers.append(cluster.client().get("key", "level=strong&timeout=8s"))

            for node in cluster.nodes:
                node.pause()
            with Threads(get, 5):
                wait_until(lambda: metric(proxy, "quo_http_requests_waiting") == 6, 10,
                           "all wait, and the one that asks")
                proxy.process.terminate()
                wait_until(lambda: "proxy.stopping" in proxy.log(), 10, "it stops")
                wait_until(lambda: not self.accepts(proxy), 10, "nobody is accepted")
                for node in cluster.nodes:
                    node.resume()
            self.assertEqual([a.body for a in answers], [b"value"] * 5)
            self.assertEqual({a.headers["Connection"] for a in answers}, {"close"})
            self.assertEqual(proxy.process.wait(15), 0)
            self.assertIn("drained=true", proxy.log())
            for s in idle:
                s.close()

    @staticmethod
    def accepts(proxy):
        try:
            connect(proxy.http_port).close()
            return True
        except ConnectionError:
            return False

    def test_a_header_block_under_way_does_not_keep_the_proxy(self):
        with Cluster(nodes=1) as cluster:
            proxy = cluster.proxies[0]
            s = http2.connect(proxy.http_port)
            self.addCleanup(s.close)
            s.sendall(http2.headers(1, "PUT", "/v1/kv/default/x", http2.END_HEADERS))
            next(http2.frames(s))
            proxy.process.terminate()
            kinds = []
            for kind, _, _, _ in http2.frames(s):
                kinds.append(kind)
                if kinds.count(http2.GOAWAY) == 2:
                    break
            # Trailers in two frames: the library would never get past the second.
            s.sendall(http2.frame(http2.HEADERS, http2.END_STREAM, 1, b"\x10\x01a\x01b") +
                      http2.frame(0x9, http2.END_HEADERS, 1))
            self.assertEqual(proxy.process.wait(15), 0)
            self.assertIn("drained=true", proxy.log())


if __name__ == "__main__":
    unittest.main()
