#!/usr/bin/env python3
"""quorate-bench-load and quorate-bench-delay against servers whose behaviour is known."""
import contextlib
import json
import os
import pathlib
import re
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
from systems import BIN, TAG, Redis, http_request, quorate_cluster, write_requests  # noqa: E402

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request with answer(number, bytes), in the order in which they come; None: not
    at all."""

    def __init__(self, answer):
        lock, numbers = threading.Lock(), iter(range(10 ** 9))

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(ConnectionError):
                    while request := self.request.recv(65536):
                        with lock:
                            reply = answer(next(numbers), request)
                        if reply:
                            self.request.sendall(reply)

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads, request_queue_size = True, 128

        self.server = Threads(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Load(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def load(self, answer, *options, requests=None, before=None):
        requests = requests or [http_request("GET", f"/{i}") for i in range(8)]
        files = ["--requests", write_requests(self.folder / "requests", requests)]
        if before:
            files += ["--before", write_requests(self.folder / "before", before)]
        with Server(answer) as server:
            run = subprocess.run([str(word) for word in [
                BIN / "quorate-bench-load", "--port", server.port, "--connections", 4, *files,
                *options]], capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    def test_a_stall_is_charged_to_all_that_were_due_meanwhile(self):
        def answer(number, _):
            if number == 20:
                time.sleep(0.5)
            return OK

        open_loop = self.load(answer, "--rate", 200)
        # About half of what was due in the second waited; those at the head of the queue for long.
        self.assertGreater(open_loop["p90_us"], 200000)
        self.assertEqual((open_loop["refused"], open_loop["broken"]), (0, 0))

    def test_what_is_never_answered_counts(self):
        result = self.load(lambda number, _: None, "--rate", 50)
        self.assertEqual((result["requests"], result["unanswered"]), (0, 50))
        self.assertGreater(result["p50_us"], 2000000)

    def test_statuses_and_bodies_are_checked(self):
        result = self.load(lambda number, _: OK.replace(b"200", b"404"))
        self.assertGreater(result["refused"], 0)
        self.assertEqual(self.load(lambda number, _: OK.replace(b"200", b"404"), "--expect",
                                   404)["refused"], 0)
        self.assertGreater(self.load(lambda number, _: OK, "--body", "fine")["refused"], 0)
        self.assertEqual(self.load(lambda number, _: OK, "--body", "ok")["refused"], 0)

    def test_a_connection_that_breaks_counts(self):
        self.assertEqual(self.load(lambda number, _: b"nonsense\r\n\r\n")["broken"], 4)

    def test_tags_go_into_the_next_request_of_the_same_key(self):
        tags, wrong = {}, []

        def answer(number, request):
            key = request.split()[1]
            shown = re.search(rb"If-Match: (\S+) *\r\n", request)
            if shown and shown[1] != tags[key] or not shown and key in tags:
                wrong.append(request)
            tags[key] = b'"%d"' % number
            return b"HTTP/1.1 204 No Content\r\netag: %b\r\n\r\n" % tags[key]

        result = self.load(
            answer, "--tag-after", "etag: ",
            requests=[http_request("PUT", f"/{i}", b"v", ["If-Match: " + TAG.decode()])
                      for i in range(9)],
            before=[http_request("PUT", f"/{i}", b"v") for i in range(9)])
        self.assertEqual(wrong, [])
        self.assertEqual(len(tags), 9)
        self.assertGreater(result["requests"], 9)

    def test_in_order_each_is_sent_before_any_is_sent_again(self):
        seen = []

        def answer(number, request):
            seen.append(request.split()[1])
            return OK

        self.load(answer, "--sequential", "--rate", 40,
                  requests=[http_request("GET", f"/{i}") for i in range(40)])
        self.assertEqual(len(set(seen)), 40)

    def test_resp_wants_as_many_replicas_as_it_is_told(self):
        commands = [Redis.commands((b"SET", b"k", b"v"), (b"WAIT", b"1", b"9"))] * 4
        for replicas, refused in ((1, False), (0, True)):
            result = self.load(lambda number, _, n=replicas: b"+OK\r\n:%d\r\n" % n, "--resp", 2,
                               "--least", 1, requests=commands)
            self.assertGreater(result["requests"], 0)
            self.assertEqual(result["refused"] > 0, refused)


class Delay(unittest.TestCase):
    def test_bytes_come_later_and_whole(self):
        ports = quorate_cluster.Ports()
        self.addCleanup(ports.release)
        port, sent = ports.take(), os.urandom(300000)
        with Server(lambda number, request: request) as server:
            relay = subprocess.Popen([BIN / "quorate-bench-delay", str(port), str(server.port),
                                      "100"])
            try:
                quorate_cluster.wait_until(lambda: self.listens(port), 30, "the relay listens")
                with socket.create_connection(("127.0.0.1", port), 60) as client:
                    start = time.monotonic()
                    client.sendall(sent)
                    received = client.recv(65536)
                    self.assertGreaterEqual(time.monotonic() - start, 0.19)
                    while len(received) < len(sent):
                        received += client.recv(65536)
                self.assertEqual(received, sent)
            finally:
                relay.kill()
                relay.wait()

    @staticmethod
    def listens(port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False


if __name__ == "__main__":
    unittest.main()
