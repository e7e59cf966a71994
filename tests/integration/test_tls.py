#!/usr/bin/env python3
# labels: integration full
"""HTTPS: the same service behind TLS, whoever may connect, and whatever they do instead."""
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time
import unittest
from unittest import mock

import http2
import test_connections
import test_main_job
from client import curl, target
from cluster import BIN, PATIENCE, ROOT, ClusterTest, in_threads, wait_until
from test_connections import LIVE, metric, read_answer, wait_closed

MIB = 1024 * 1024


class Certificates:
    """What deploy/make-certificate makes, in a folder that goes with the object."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quorate-tls-"))
        self.make()

    def make(self):
        """Others than before, with the same names."""
        shutil.rmtree(self.folder)
        subprocess.run([ROOT / "deploy" / "make-certificate", self.folder], check=True,
                       stdout=subprocess.DEVNULL)

    def __getattr__(self, name):
        return self.folder / name.replace("_", ".")

    def remove(self):
        shutil.rmtree(self.folder)

    def context(self, protocols=(), version=None, certified=False):
        """Of a client that trusts the authority and no other."""
        context = ssl.create_default_context(cafile=self.authority_pem)
        if protocols:
            context.set_alpn_protocols(protocols)
        if version:
            context.minimum_version = context.maximum_version = version
        if certified:
            context.load_cert_chain(self.client_pem, self.client_key)
        return context


class Stream:
    """TLS by hand over a socket: what it sends and when is up to the test."""

    def __init__(self, port, context):
        self.socket = socket.create_connection(("127.0.0.1", port), 10 * PATIENCE)
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.socket.close()

    def hello(self):
        """The client's first flight, unsent."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.output.read()

    def flush(self):
        self.socket.sendall(self.output.read())

    def _until_done(self, step):
        while True:
            try:
                result = step()
                self.flush()
                return result
            except ssl.SSLWantReadError:
                self.flush()
                piece = self.socket.recv(65536)
                if not piece:
                    raise ConnectionError("closed") from None
                self.input.write(piece)

    def handshake(self):
        self._until_done(self.tls.do_handshake)
        return self

    def encrypt(self, data):
        """What would be sent for it."""
        self.tls.write(data)
        return self.output.read()

    def goodbye(self):
        """The alert that says that no more will come, unsent."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.output.read()

    def sendall(self, data):
        self.socket.sendall(self.encrypt(data))

    def recv(self, size):
        try:
            return self._until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def settimeout(self, seconds):
        self.socket.settimeout(seconds)

    def reset(self):
        """Hangs up without another word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class TlsTest(ClusterTest):
    """One cluster that is served over TLS beside plain HTTP. `tls`: more settings of the group."""

    settings = "loops = 1;"
    tls = ""

    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates()
        cls.addClassCleanup(cls.certificates.remove)
        folder = cls.certificates.folder
        cls.options = {**cls.options, "proxy_settings":
                       f'{cls.settings} tls : {{ port = 0; certificate = "{folder}/proxy.pem"; '
                       f'key = "{folder}/proxy.key"; {cls.tls.format(folder=folder)} }};'}
        super().setUpClass()
        cls.proxy = cls.cluster.proxies[0]
        cls.port = cls.port_of(cls.proxy)
        cls.context = cls.certificates.context()

    @staticmethod
    def port_of(proxy):
        return int(re.findall(r"event=proxy.started .* tls_port=(\d+)", proxy.log())[-1])

    def setUp(self):
        super().setUp()
        self.get = (f"GET {target('default', self.prefix)} HTTP/1.1\r\nHost: x\r\n\r\n").encode()

    def connect(self, port=None, context=None):
        s = socket.create_connection(("127.0.0.1", port or self.port), 10 * PATIENCE)
        try:
            return (context or self.context).wrap_socket(s, server_hostname="localhost")
        except BaseException:
            s.close()
            raise

    def secure_client(self, context=None):
        client = self.cluster.client(namespace=self.namespace, context=context or self.context)
        client.connection.port = self.port
        self.addCleanup(client.close)
        return client

    def assert_serves(self, context=None):
        with self.connect(context=context) as s:
            s.sendall(LIVE)
            self.assertEqual(read_answer(s)[0], 200)

    def assert_refused(self, context):
        """In the handshake, or at once after it: TLS 1.3 clients are done first."""
        failures = metric(self.proxy, "quo_tls_handshake_failures_total")
        with self.assertRaises(OSError):
            self.assert_serves(context)
        wait_until(lambda: metric(self.proxy, "quo_tls_handshake_failures_total") == failures + 1,
                   10, "the failure is counted")

    def wait_all_closed(self):
        """Only the connection that asks is left, and no request."""
        def alone():
            return metric(self.proxy, "quo_tls_connections") == 0 and \
                metric(self.proxy, "quo_http_requests_waiting") == 1
        wait_until(alone, 20, "all TLS connections are closed")


class MainJob(TlsTest, test_main_job.Values):
    """Everything of the main job, over HTTPS."""

    def setUp(self):
        super().setUp()
        self.client = self.secure_client()


class Handshakes(TlsTest):
    def test_protocols_are_agreed_upon(self):
        for offered, agreed in ((("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"),
                                (("http/1.1",), "http/1.1"), (("h2",), "h2"),
                                (("x", "http/1.1"), "http/1.1"), ((), None)):
            context = self.certificates.context(offered)
            with self.subTest(offered), self.connect(context=context) as s:
                self.assertEqual(s.selected_alpn_protocol(), agreed)
                if agreed == "h2":
                    s.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) +
                              http2.headers(1, "GET", "/livez"))
                    kinds = (kind for kind, _, stream, _ in http2.frames(s) if stream == 1)
                    self.assertEqual(next(kinds), http2.HEADERS)
                else:
                    s.sendall(LIVE)
                    self.assertEqual(read_answer(s)[0], 200)

    def test_no_protocol_in_common(self):
        self.assert_refused(self.certificates.context(("spdy/3", "imap")))

    def test_what_was_agreed_upon_holds(self):
        with self.connect() as s:
            s.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
            self.assertEqual(s.recv(9)[:9], b"HTTP/1.1 ")
        with self.connect(context=self.certificates.context(("h2",))) as s:
            s.sendall(LIVE)
            self.assertNotIn(http2.HEADERS, [kind for kind, _, _, _ in http2.frames(s)])

    def test_versions(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                              (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            context = self.certificates.context(version=version)
            with self.subTest(name), self.connect(context=context) as s:
                self.assertEqual(s.version(), name)
                if name == "TLSv1.2":
                    self.assertRegex(s.cipher()[0], "^ECDHE-.*(GCM|POLY1305)")
                s.sendall(LIVE)
                self.assertEqual(read_answer(s)[0], 200)

    def test_old_versions_and_suites_are_refused(self):
        for settings in ("-tls1_1 -cipher DEFAULT:@SECLEVEL=0", "-tls1_2 -cipher AES128-SHA",
                         "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA"):
            with self.subTest(settings):
                run = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}",
                                      *settings.split()], capture_output=True, check=False,
                                     stdin=subprocess.DEVNULL, timeout=30 * PATIENCE)
                self.assertNotEqual(run.returncode, 0)
                self.assertIn(b"Cipher is (NONE)", run.stdout)

    def test_sessions_are_resumed(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.certificates.context(version=version)
            before = metric(self.proxy, "quo_tls_resumptions_total")
            with self.subTest(version):
                with self.connect(context=context) as s:
                    s.sendall(LIVE)
                    read_answer(s)  # tickets come with it
                    session = s.session
                with socket.create_connection(("127.0.0.1", self.port)) as plain, \
                        context.wrap_socket(plain, server_hostname="localhost",
                                            session=session) as s:
                    s.sendall(LIVE)
                    self.assertEqual(read_answer(s)[0], 200)
                    self.assertTrue(s.session_reused)
                self.assertEqual(metric(self.proxy, "quo_tls_resumptions_total"), before + 1)

    def test_a_client_that_does_not_trust(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.connect(context=ssl.create_default_context())
        self.assert_serves()

    def test_renegotiation_is_refused(self):
        with subprocess.Popen(["openssl", "s_client", "-tls1_2", "-connect",
                               f"127.0.0.1:{self.port}"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            client.stdin.write(b"R\n")
            client.stdin.flush()
            # It would go on reading from its standard input if it had been renegotiated.
            out = client.communicate(timeout=30 * PATIENCE)[0]
        self.assertIn(b"RENEGOTIATING", out)
        self.assertNotIn(b"HTTP/1.1", out)
        self.wait_all_closed()

    def test_keys_are_updated(self):
        with subprocess.Popen(["openssl", "s_client", "-tls1_3", "-quiet", "-no_ign_eof",
                               "-connect", f"127.0.0.1:{self.port}"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
            client.stdin.write(b"K\n")
            client.stdin.flush()
            wait_until(lambda: metric(self.proxy, "quo_tls_connections") == 1, 10, "connected")
            client.stdin.write(LIVE)
            client.stdin.flush()
            select.select([client.stdout], [], [], 10 * PATIENCE)
            self.assertTrue(client.stdout.read1(100).startswith(b"HTTP/1.1 "))
            client.stdin.close()


class Instead(TlsTest):
    """What comes instead of a handshake, or in its middle."""

    settings = "loops = 1; request_timeout = 2; idle_timeout = 2;"

    def test_garbage(self):
        pieces = [b"\0", b"\x16", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\0\0" * 1000, LIVE,
                  http2.PREFACE, b"\x15\x03\x03\0\x02\x02\x28", b"\x80\x2e\x01\x03\x01",
                  b"\x16\x03\x01\x00\x04\x01\xff\xff\xff"]
        chance = random.Random(7)
        pieces += [b"\x16\x03\x01" + struct.pack(">H", 512) + chance.randbytes(512)
                   for _ in range(50)]
        for piece in pieces:
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                s.sendall(piece)
                s.shutdown(socket.SHUT_WR)
                wait_closed(s, 10)
        self.assert_serves()
        self.wait_all_closed()

    def test_each_part_of_a_handshake_and_then_nothing(self):
        with Stream(self.port, self.context) as stream:
            hello = stream.hello()
        for size in list(range(0, len(hello), 7)) + [len(hello)]:
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                s.sendall(hello[:size])
                if size % 2:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.assert_serves()
        self.wait_all_closed()

    def test_a_hello_with_any_bit_changed(self):
        with Stream(self.port, self.context) as stream:
            hello = bytearray(stream.hello())
        chance = random.Random(11)
        for _ in range(100):
            at, bit = chance.randrange(len(hello)), 1 << chance.randrange(8)
            hello[at] ^= bit
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                s.sendall(hello)
                s.shutdown(socket.SHUT_WR)
                wait_closed(s, 10)
            hello[at] ^= bit
        self.assert_serves()

    def test_a_handshake_byte_by_byte(self):
        with Stream(self.port, self.context) as stream:
            for byte in stream.hello():
                stream.socket.sendall(bytes([byte]))
            stream.handshake()
            for byte in stream.encrypt(LIVE):
                stream.socket.sendall(bytes([byte]))
            self.assertEqual(read_answer(stream)[0], 200)

    def test_handshakes_that_are_not_finished_in_time(self):
        with Stream(self.port, self.context) as stream:
            hello = stream.hello()
        before = metric(self.proxy, "quo_tls_slow_handshakes_total")
        sockets = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(3)]
        for s, part in zip(sockets, (b"", hello[:50], hello)):
            s.sendall(part)
        for s in sockets:
            wait_closed(s, 10)
            s.close()
        self.assertEqual(metric(self.proxy, "quo_tls_slow_handshakes_total"), before + 3)
        self.assertIn('why="too slow"', self.proxy.log())

    def test_handshakes_over_the_limit_wait_for_room(self):
        before = metric(self.proxy, "quo_http_accept_pauses_total")
        sockets = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(2100)]
        wait_until(lambda: metric(self.proxy, "quo_http_accept_pauses_total") > before, 10,
                   "the proxy accepts no more, but those who speak plain HTTP")
        self.assert_serves()
        for s in sockets:
            s.close()
        self.wait_all_closed()

    def test_a_handshake_that_trickles_in(self):
        with Stream(self.port, self.context) as stream:
            begun = time.monotonic()
            with self.assertRaises(OSError):
                for byte in stream.hello():
                    stream.socket.sendall(bytes([byte]))
                    time.sleep(0.1)
                stream.handshake()
            self.assertLess(time.monotonic() - begun, 10 * PATIENCE)

    def test_idle_connections_are_told(self):
        before = metric(self.proxy, "quo_http_idle_connections_closed_total")
        for payload in (b"", LIVE):
            with self.subTest(payload), Stream(self.port, self.context).handshake() as stream:
                stream.sendall(payload or b"")
                if payload:
                    read_answer(stream)
                # b"" stands for the alert; without it there is an exception.
                self.assertEqual(stream.recv(1), b"")
        self.assertEqual(metric(self.proxy, "quo_http_idle_connections_closed_total"), before + 2)

    def test_requests_that_do_not_arrive(self):
        before = metric(self.proxy, "quo_http_slow_requests_total")
        with self.connect() as s:
            s.sendall(b"GET /v1/kv/")
            wait_closed(s, 10)
        self.assertEqual(metric(self.proxy, "quo_http_slow_requests_total"), before + 1)

    def test_an_idle_http2_connection_is_told(self):
        with self.connect(context=self.certificates.context(("h2",))) as s:
            s.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
            s.settimeout(10 * PATIENCE)
            self.assertIn(http2.GOAWAY, [kind for kind, _, _, _ in http2.frames(s)])


class Load(TlsTest):
    settings = "loops = 2;"

    def test_large_bodies_both_ways(self):
        folder = self.certificates.folder
        for number, version in enumerate(("--http1.1", "--http2")):
            value = os.urandom(MIB)
            (folder / "value").write_bytes(value)
            url = (f"https://127.0.0.1:{self.port}"
                   f"{target('default', f'{self.prefix}{number}', 'level=strong&timeout=10s')}")
            trust = ("--cacert", str(folder / "authority.pem"), version)
            with self.subTest(version):
                put = curl(*trust, "-T", str(folder / "value"), url)
                self.assertEqual((put[0], put[1]), (204, "2" if number else "1.1"))
                got = curl(*trust, url)
                self.assertEqual((got[0], got[2]), (200, value))

    def test_many_connections_at_once(self):
        value = os.urandom(1000)
        self.client.put(self.prefix, value, "level=all")
        sockets = [self.connect() for _ in range(200)]
        self.assertEqual(metric(self.proxy, "quo_tls_connections"), 200)

        def work(number):
            for s in sockets[number::8]:
                for count in (1, 2, 5):
                    s.sendall(self.get * count)
                    for _ in range(count):
                        self.assertEqual(read_answer(s), (200, value))

        in_threads(work, 8)
        for s in sockets:
            s.close()
        self.wait_all_closed()

    def test_streams_of_http2(self):
        self.client.put(self.prefix, b"value", "level=all")
        with self.connect(context=self.certificates.context(("h2",))) as s:
            s.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) + b"".join(
                http2.headers(2 * i + 1, "GET", target("default", self.prefix))
                for i in range(100)))
            values = []
            for kind, _, _, payload in http2.frames(s):
                if kind == http2.DATA:
                    values.append(payload)
                if len(values) == 100:
                    break
            self.assertEqual(values, [b"value"] * 100)


class HangUps(TlsTest):
    """Clients that go away at any moment, while nobody can answer them."""

    settings = "loops = 1; access_log = true;"

    def setUp(self):
        super().setUp()
        self.client.put(self.prefix, b"value", "level=all")
        path = target("default", self.prefix, "level=strong&timeout=20s")
        self.get = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        self.path = path

    def while_nodes_are_paused(self, act):
        for node in self.cluster.nodes:
            node.pause()
        try:
            act()
        finally:
            for node in self.cluster.nodes:
                node.resume()

    def test_while_a_request_waits(self):
        streams = [Stream(self.port, self.context).handshake() for _ in range(40)]

        def act():
            for number, stream in enumerate(streams):
                stream.sendall(self.get * (1 + number % 3))
                if number % 4 == 0:
                    stream.socket.sendall(stream.goodbye())
                if number % 4 == 1:
                    stream.socket.sendall(b"no record of TLS")
                if number % 2:
                    stream.reset()
                else:
                    stream.socket.close()
        self.while_nodes_are_paused(act)
        self.wait_all_closed()
        self.assertEqual(self.secure_client().get(self.prefix, "level=strong").body, b"value")

    def test_while_streams_wait(self):
        streams = [Stream(self.port, self.certificates.context(("h2",))).handshake()
                   for _ in range(20)]

        def act():
            for number, stream in enumerate(streams):
                stream.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0) + b"".join(
                    http2.headers(2 * i + 1, "GET", self.path) for i in range(10)))
                if number % 3 == 0:
                    stream.socket.sendall(stream.goodbye())
                if number % 2:
                    stream.reset()
                else:
                    stream.socket.close()
        self.while_nodes_are_paused(act)
        self.wait_all_closed()

    def test_in_the_middle_of_anything(self):
        chance = random.Random(5)
        put = (f"PUT {target('default', self.prefix + 'p')} HTTP/1.1\r\nHost: x\r\n"
               "Content-Length: 3000\r\n\r\n").encode() + bytes(3000)
        for _ in range(150):
            stream = Stream(self.port, self.context)
            flights = stream.hello()
            if chance.randrange(4):
                stream.socket.sendall(flights)
                stream.handshake()
                flights = stream.encrypt(chance.choice((self.get, put, put + self.get * 3)))
            stream.socket.sendall(flights[:chance.randrange(len(flights) + 1)])
            if chance.randrange(2):
                stream.reset()
            else:
                stream.socket.close()
        self.wait_all_closed()
        self.assertEqual(self.secure_client().get(self.prefix, "level=strong").body, b"value")

    def test_who_has_said_goodbye_gets_all_answers(self):
        with Stream(self.port, self.context).handshake() as stream:
            def act():
                stream.socket.sendall(stream.encrypt(self.get * 3) + stream.goodbye())
            self.while_nodes_are_paused(act)
            for _ in range(3):
                self.assertEqual(read_answer(stream), (200, b"value"))
            self.assertEqual(stream.recv(1), b"")

    def test_nothing_is_kept_of_what_comes_after_a_goodbye(self):
        begun = b"PUT /v1/kv/default/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        for before in (b"", LIVE[:9], begun + b"\r\n1", begun + b"Expect: 100-continue\r\n\r\n"):
            with self.subTest(before), Stream(self.port, self.context).handshake() as stream:
                memory = self.proxy.memory()
                if before:
                    stream.sendall(before)
                stream.socket.sendall(stream.goodbye())
                try:
                    for _ in range(64):
                        stream.socket.sendall(bytes(MIB))
                    wait_closed(stream.socket, 10)
                except OSError:
                    pass
                self.assertLess(self.proxy.memory() - memory, 40 * MIB)
        self.wait_all_closed()

    def test_answers_that_are_not_taken(self):
        self.client.put(self.prefix, bytes(MIB), "level=all")
        streams = [Stream(self.port, self.context).handshake() for _ in range(5)]
        for stream in streams:
            stream.sendall(self.get * 20)
        wait_until(lambda: metric(self.proxy, "quo_http_requests_waiting") <= 1 + 5, 20,
                   "the first are answered as far as there is room")
        for stream in streams:
            stream.reset()
        self.wait_all_closed()


class Floods(TlsTest, test_connections.Floods):
    """The guard of HTTP/2 sees what comes through TLS."""

    def setUp(self):
        super().setUp()

        def connect(_port, timeout=10):
            stream = Stream(self.port, self.certificates.context(("h2",))).handshake()
            stream.settimeout(timeout * PATIENCE)
            stream.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
            return stream

        patch = mock.patch.object(http2, "connect", connect)
        patch.start()
        self.addCleanup(patch.stop)
        self.get = lambda i: http2.headers(2 * i + 1, "GET", target("default", self.prefix))


class Clients(TlsTest):
    """Who must show a certificate."""

    tls = 'client_ca = "{folder}/authority.pem";'

    def test_with_a_certificate(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                context = self.certificates.context(version=version, certified=True)
                self.assert_serves(context)

    def test_without_one(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                self.assert_refused(self.certificates.context(version=version))

    def test_with_that_of_another_authority(self):
        others = Certificates()
        self.addCleanup(others.remove)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.certificates.context(version=version)
            context.load_cert_chain(others.client_pem, others.client_key)
            with self.subTest(version):
                self.assert_refused(context)

    def test_with_one_that_is_for_servers(self):
        context = self.certificates.context()
        context.load_cert_chain(self.certificates.proxy_pem, self.certificates.proxy_key)
        self.assert_refused(context)

    def test_a_resumed_session(self):
        context = self.certificates.context(certified=True)
        with self.connect(context=context) as s:
            s.sendall(LIVE)
            read_answer(s)
            session = s.session
        with socket.create_connection(("127.0.0.1", self.port)) as plain, \
                context.wrap_socket(plain, server_hostname="localhost", session=session) as s:
            s.sendall(LIVE)
            self.assertEqual(read_answer(s)[0], 200)
            self.assertTrue(s.session_reused)

    def test_plain_http_asks_for_none(self):
        self.assertEqual(self.proxy.get("/livez")[0], 200)


class Reload(TlsTest):
    settings = "loops = 2;"

    def setUp(self):
        super().setUp()
        self.certificates.make()
        self.hup("event=tls.certificate ")

    def hup(self, event):
        before = self.proxy.log().count(event)
        os.kill(self.proxy.pid, signal.SIGHUP)
        wait_until(lambda: self.proxy.log().count(event) > before, 10, event)

    def test_connections_from_then_on(self):
        old = self.certificates.context()
        with self.connect(context=old) as s:
            s.sendall(LIVE)
            read_answer(s)
            self.certificates.make()
            self.assert_serves(old)  # what is on disk counts when it is read
            self.hup("event=tls.certificate ")
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.connect(context=old)
            self.assert_serves(self.certificates.context())
            s.sendall(LIVE)
            self.assertEqual(read_answer(s)[0], 200, "who was connected stays so")

    def test_what_cannot_be_used_changes_nothing(self):
        context = self.certificates.context()
        key = self.certificates.proxy_key.read_bytes()
        for content, why in ((b"", "no private key"),
                             (self.certificates.client_key.read_bytes(), "does not belong")):
            self.certificates.proxy_key.write_bytes(content)
            with self.subTest(why):
                self.hup("event=tls.not_reloaded")
                self.assertIn(why, self.proxy.log())
                self.assert_serves(context)
        self.certificates.proxy_key.unlink()
        self.hup("event=tls.not_reloaded")
        self.assertIn("No such file", self.proxy.log())
        self.certificates.proxy_key.write_bytes(key)
        self.hup("event=tls.certificate ")
        self.assert_serves(context)

    def test_sessions_begin_anew(self):
        context = self.certificates.context()
        with self.connect(context=context) as s:
            s.sendall(LIVE)
            read_answer(s)
            session = s.session
        self.hup("event=tls.certificate ")
        with socket.create_connection(("127.0.0.1", self.port)) as plain, \
                context.wrap_socket(plain, server_hostname="localhost", session=session) as s:
            s.sendall(LIVE)
            self.assertEqual(read_answer(s)[0], 200)
            self.assertFalse(s.session_reused)

    def test_under_load(self):
        context = self.certificates.context()
        done = []

        def work(number):
            if number == 0:
                for _ in range(20):
                    self.hup("event=tls.certificate ")
                done.append(True)
            while not done:
                self.assert_serves(context)

        in_threads(work, 4)

    def test_connections_that_have_not_begun_yet(self):
        streams = [Stream(self.port, self.certificates.context()) for _ in range(20)]
        for stream in streams:
            hello = stream.hello()
            stream.socket.sendall(hello[:100])
            self.hup("event=tls.certificate ")
            stream.socket.sendall(hello[100:])
            with stream.handshake():
                stream.sendall(LIVE)
                self.assertEqual(read_answer(stream)[0], 200)


class Settings(unittest.TestCase):
    """What is wrong with them is said before anything starts."""

    def setUp(self):
        self.certificates = Certificates()
        self.addCleanup(self.certificates.remove)
        self.folder = self.certificates.folder
        (self.folder / "map.json").write_text(
            '{"cluster": "00000000000000aa", "epoch": 1, "replicas": 1, "nodes": [{"name": "a", '
            '"replica": "00000000000000ab", "host": "127.0.0.1", "port": 1}], '
            '"namespaces": [{"id": 1, "name": "default", "kind": "lww"}]}')

    def check(self, **settings):
        environment = {f"QUORATE_PROXY_{name.upper()}": str(value)
                       for name, value in settings.items()}
        run = subprocess.run([BIN / "quorate-proxy", "--check", "--map", self.folder / "map.json"],
                             env={**os.environ, **environment}, capture_output=True, text=True,
                             check=False)
        return run.returncode, run.stderr

    def complete(self, **changes):
        return {"tls_certificate": self.certificates.proxy_pem,
                "tls_key": self.certificates.proxy_key, **changes}

    def test_good_ones(self):
        self.assertEqual(self.check()[0], 0)
        for settings in (self.complete(), self.complete(listen_plain="false"),
                         self.complete(tls_client_ca=self.certificates.authority_pem)):
            status, said = self.check(**settings)
            self.assertEqual(status, 0, said)
            self.assertIn("state=valid", said)

    def test_bad_ones(self):
        empty, missing = self.folder / "empty", self.folder / "missing"
        empty.write_bytes(b"")
        encrypted = self.folder / "encrypted"
        subprocess.run(["openssl", "pkey", "-in", self.certificates.proxy_key, "-aes128",
                        "-passout", "pass:secret", "-out", encrypted], check=True)
        for settings, said in (
                (self.complete(tls_certificate=missing),
                 f"certificate {missing}: No such file or directory"),
                (self.complete(tls_certificate=empty),
                 f"certificate {empty}: there is no certificate in PEM form in it"),
                (self.complete(tls_key=missing), f"key {missing}: No such file or directory"),
                (self.complete(tls_key=empty),
                 f"key {empty}: there is no private key in PEM form in it"),
                (self.complete(tls_key=self.certificates.proxy_pem),
                 f"key {self.certificates.proxy_pem}: there is no private key"),
                (self.complete(tls_key=self.certificates.client_key),
                 f"key {self.certificates.client_key}: it does not belong to the certificate"),
                (self.complete(tls_key=encrypted), f"key {encrypted}: it needs a passphrase"),
                (self.complete(tls_client_ca=missing),
                 f"client CA {missing}: No such file or directory"),
                (self.complete(tls_client_ca=empty),
                 f"client CA {empty}: there is no certificate in PEM form in it"),
                (self.complete(tls_key=""), "tls.certificate needs tls.key"),
                (self.complete(tls_certificate=""), "of no use without tls.certificate"),
                ({"listen_plain": "false"}, "listen.plain is false")):
            with self.subTest(said):
                status, error = self.check(**settings)
                self.assertEqual(status, 1)
                self.assertIn(said, error)


class Only(TlsTest):
    """No plain HTTP at all, and the end of a proxy."""

    def test_without_plain_http(self):
        proxy = self.cluster.proxies[0]
        config = proxy.config.read_text()
        self.addCleanup(self.again, config)
        proxy.terminate()
        proxy.config.write_text(config.replace("listen : {", "listen : { plain = false;"))
        before = proxy.log().count("event=proxy.started")
        proxy.start(wait=False)
        wait_until(lambda: proxy.log().count("event=proxy.started") > before, 20, "started")
        self.assertRegex(proxy.log().splitlines()[-1] + proxy.log(), " port=0 tls_port=[1-9]")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.http_port))
        type(self).port = self.port_of(proxy)
        self.assert_serves()

    def again(self, config):
        self.proxy.terminate()
        self.proxy.config.write_text(config)
        self.proxy.start()
        type(self).port = self.port_of(self.proxy)

    def test_who_is_connected_is_told_of_the_end(self):
        idle = [Stream(self.port, self.context).handshake() for _ in range(5)]
        half = Stream(self.port, self.context)
        half.socket.sendall(half.hello())
        idle[0].sendall(LIVE)
        read_answer(idle[0])
        begun = time.monotonic()
        self.assertEqual(self.proxy.terminate(), 0)
        self.assertLess(time.monotonic() - begun, 8 * PATIENCE)
        self.assertIn("event=proxy.stopped drained=true", self.proxy.log())
        for stream in idle:
            self.assertEqual(stream.recv(1), b"")
            stream.socket.close()
        half.socket.close()
        self.proxy.start()
        type(self).port = self.port_of(self.proxy)


if __name__ == "__main__":
    unittest.main()
