#!/usr/bin/env python3
# labels: integration
"""POST /v1/batch: many requests in one, each answered as it would be alone."""
import base64
import http.client
import json
import random
import socket
import tempfile
import threading
import unittest

import http2
from client import curl, new_key
from cluster import ClusterTest, wait_until
from test_http import parse_metrics

LINES = {"Content-Type": "application/x-ndjson"}
LINES_MAX, LINE_MAX, BODY_MAX = 10000, 2 << 20, 8 << 20


class BatchTest(ClusterTest):
    def send(self, *lines, headers=None, client=None):
        """Sends lines, dicts or what stands for them; returns the answer."""
        body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n"
                       for line in lines)
        return (client or self.client).request("POST", "/v1/batch", body=body.encode(),
                                               headers={**LINES, **(headers or {})})

    def lines(self, *lines, **options):
        """The answers to lines, and the summary."""
        answer = self.send(*lines, **options)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"], LINES["Content-Type"])
        *answers, summary = map(json.loads, answer.body.decode().splitlines())
        self.assertEqual(list(summary), ["summary"])
        self.assertEqual(summary["summary"]["lines"], len(answers))
        return answers, summary["summary"]

    def line(self, op, key=None, ns=None, **members):
        return {"op": op, "ns": ns or self.namespace, "key": key or self.prefix, "timeout": "20s",
                **{name.replace("_", "-"): value for name, value in members.items()}}

    def begun(self):
        """Lines that the proxy has ever begun."""
        text = self.cluster.proxies[0].get("/metrics")[2].decode()
        return sum(parse_metrics(text)["quo_http_batch_lines_total"].values())

    def one(self, op, key=None, **members):
        answers, summary = self.lines(self.line(op, key, **members))
        self.assertEqual(summary["lines"], 1)
        return answers[0]


class Batch(BatchTest):
    def test_a_line_is_answered_as_the_request_it_stands_for(self):
        put = self.one("put", value="hello", content_type="text/plain", level="strong")
        self.assertEqual((put["status"], put["outcome"]), (204, "applied"), put)
        self.assertIn("level=strong", put["consistency-receipt"])
        self.assertRegex(put["operation-id"], "^[0-9a-f]{48}$")
        got = self.client.get(self.prefix)
        self.assertEqual((got.body, got.headers["ETag"]), (b"hello", put["etag"]))
        self.assertEqual(got.headers["Content-Type"], "text/plain")
        again = self.one("get")
        self.assertEqual((again["status"], again["value"], again["content-type"], again["etag"]),
                         (200, "hello", "text/plain", put["etag"]))
        self.assertNotIn("outcome", again)
        self.assertEqual(self.one("get", if_none_match=put["etag"])["status"], 304)
        deleted = self.one("delete")
        self.assertEqual((deleted["status"], deleted["outcome"]), (204, "applied"))
        gone = self.one("get")
        self.assertEqual(gone["status"], 404)
        self.assertEqual(gone["problem"]["type"], "/problems/key-not-found")

    def test_everything_a_single_write_knows(self):
        first = self.one("put", value="1", if_none_match="*", ttl="1h")
        self.assertEqual(first["status"], 204)
        self.assertTrue(3500 < float(first["quorate-ttl"]) <= 3600, first)
        failed = self.one("put", value="2", if_none_match="*")
        self.assertEqual((failed["status"], failed["outcome"], failed["etag"]),
                         (412, "not-applied", first["etag"]))
        shown = self.one("put", value="2", if_match='"x"', prefer="return=representation")
        self.assertEqual((shown["status"], shown["outcome"], shown["value"]),
                         (412, "not-applied", "1"))
        added = self.one("add", by=41, max=100)
        self.assertEqual((added["status"], added["document"]), (200, {"value": 42}), added)
        bound = self.one("add", by=100, max=100)
        self.assertEqual((bound["status"], bound["problem"]["value"]), (412, 42))
        self.one("put", value='{"a": 1}')
        patched = self.one("patch", value='{"b": 2}', prefer="return=representation")
        self.assertEqual((patched["status"], json.loads(patched["value"])),
                         (200, {"a": 1, "b": 2}))

    def test_an_idempotency_key_is_that_of_a_single_request(self):
        for key in ("a-token", 'one with "quotes" and \\'):
            line = self.line("add", by=1, idempotency_key=key)
            self.assertEqual(self.lines(line)[0][0]["status"], 200)
            replayed = self.lines(line)[0][0]
            self.assertEqual(replayed["idempotent-replayed"], "?1", replayed)
            escaped = key.replace("\\", "\\\\").replace('"', '\\"')
            single = self.client.add(self.prefix, 1, headers={"Idempotency-Key": f'"{escaped}"'})
            self.assertEqual(single.headers["Idempotent-Replayed"], "?1", single)

    def test_answers_come_in_the_order_of_the_lines(self):
        chance = random.Random(7)
        keys = [f"{self.prefix}{i}" for i in range(500)]
        answers, summary = self.lines(*(self.line("put", key, value=key) for key in keys))
        self.assertEqual({answer["status"] for answer in answers}, {204})
        self.assertEqual(summary, {"lines": 500, "succeeded": 500, "failed": 0, "unknown": 0})
        chance.shuffle(keys)
        answers, summary = self.lines(*(
            self.line("get", key, level=chance.choice(("eventual", "strong", "all")))
            for key in keys))
        for key, answer in zip(keys, answers):
            # An eventual read may come before the write has spread.
            self.assertIn((answer["status"], answer.get("value")), ((200, key), (404, None)))
        self.assertEqual(summary["lines"], 500)

    def test_a_bad_line_is_answered_and_the_others_go_on(self):
        good = self.line("put", value="x")
        bad = ["nonsense", "[]", "5", '"text"', "{", '{"op":"get"} {"op":"get"}',
               {**good, "op": "steal"}, {"ns": "default"}, {**good, "key": None},
               {**good, "key": 5}, {**good, "value": {"a": 1}}, {**good, "by": 1},
               {**good, "base64": "eA=="}, {**self.line("put"), "base64": "x"},
               {**self.line("get"), "value": "x"}, {**self.line("add"), "by": "1"},
               '{"op":"get","op":"get"}', {**good, "key-base64": "eA=="},
               json.dumps(good)[:-1] + ',"ns":"default"}']
        mixed = [line for each in bad for line in (each, good)]
        answers, summary = self.lines(*mixed)
        for line, answer in zip(bad, answers[::2]):
            with self.subTest(line):
                self.assertEqual((answer["status"], answer["outcome"]), (400, "not-applied"),
                                 answer)
                self.assertEqual(answer["problem"]["type"], "/problems/bad-body")
        self.assertEqual({answer["status"] for answer in answers[1::2]}, {204})
        self.assertEqual((summary["succeeded"], summary["failed"]), (len(bad), len(bad)))

    def test_what_the_request_would_be_refused_for(self):
        for members, slug in (({"level": "stronk"}, "bad-consistency"),
                              ({"w": 9}, "bad-consistency"),
                              ({"w": 1.5}, "bad-query"), ({"colour": "red"}, "bad-query"),
                              ({"ttl": "5"}, "bad-query"),
                              ({"ns": "nowhere"}, "namespace-not-found"),
                              ({"if_match": "x"}, "bad-header"),
                              ({"idempotency_key": "\u00e9"}, "bad-header"),
                              ({"content_type": "a\nb: c"}, "bad-header"),
                              ({"content_type": "x" * 256}, "bad-header"),
                              ({"session_token": "forged"}, "bad-session-token"),
                              ({"key": "k" * 4097}, "key-too-long"), ({"key": ""}, "bad-key")):
            with self.subTest(members):
                line = self.line("put", value="x", **{k: v for k, v in members.items()
                                                      if k not in ("ns", "key")})
                line.update({k: v for k, v in members.items() if k in ("ns", "key")})
                answer = self.lines(line)[0][0]
                self.assertEqual(answer["problem"]["type"].rsplit("/", 1)[1], slug, answer)
                self.assertEqual(answer["outcome"], "not-applied")

    def test_any_key_and_any_value(self):
        key = bytes(range(256))
        text = "".join(map(chr, range(1, 0x300))) + "\u2028\U0001f600\"\\/"
        for value in b"", bytes(range(256)), b"\xff\xfe", text.encode(), b"\x00", b"a\tb\r\n":
            line = {"op": "put", "ns": self.namespace,
                    "key-base64": base64.b64encode(key).decode(),
                    "base64": base64.b64encode(value).decode()}
            self.assertEqual(self.lines(line)[0][0]["status"], 204)
            self.assertEqual(self.client.get(key).body, value)
            del line["base64"]
            got = self.lines({**line, "op": "get"})[0][0]
            found = got["value"].encode() if "value" in got else base64.b64decode(got["base64"])
            self.assertEqual(found, value)
        self.one("put", self.prefix, value=text)
        self.assertEqual(self.client.get(self.prefix).body, text.encode())
        self.one("put", "a/b c?d=e&f#\u00e9", value="odd")
        self.assertEqual(self.client.get("a/b c?d=e&f#\u00e9").body, b"odd")

    def test_sessions(self):
        put = self.one("put", value="mine", level="session")
        got = self.one("get", level="session", session_token=put["session-token"])
        self.assertEqual((got["status"], got["value"]), (200, "mine"), got)

    def test_lines_are_counted(self):
        before = self.begun()
        self.lines(*[self.line("get")] * 7)
        self.assertEqual(self.begun(), before + 7)


class Collections(BatchTest):
    namespace = "social"

    def test_entries_and_counters(self):
        name = new_key()["Idempotency-Key"].strip('"')
        lines = [self.line("append", value="first", content_type="text/plain",
                           idempotency_key=name), self.line("append", base64="/w=="),
                 self.line("add", by=5), self.line("add", by=-2, idempotency_key=name)]
        answers, summary = self.lines(*lines)
        self.assertEqual([answer["status"] for answer in answers], [201, 201, 204, 204], answers)
        self.assertEqual(summary["succeeded"], 4)
        path = f"/{self.namespace}/{self.prefix}"
        self.assertTrue(answers[0]["location"].startswith(f"/v1/timelines{path}/entries/"))
        self.assertEqual(self.client.request("GET", answers[0]["location"]).body, b"first")
        page = self.client.request("GET", f"/v1/timelines{path}?level=all").json["entries"]
        self.assertEqual(len(page), 2)
        counter = self.client.request("GET", f"/v1/counters{path}?level=all")
        self.assertEqual(counter.json["value"], 3)
        # Again, as after a lost answer.
        answers, _ = self.lines(lines[0], lines[3])
        self.assertEqual([answer["idempotent-replayed"] for answer in answers], ["?1"] * 2, answers)
        counter = self.client.request("GET", f"/v1/counters{path}?level=all")
        self.assertEqual(counter.json["value"], 3)

    def test_kinds_are_told_apart(self):
        refused = self.lines(self.line("append", ns="bank", value="x"))[0][0]
        self.assertEqual((refused["status"], refused["problem"]["type"]),
                         (409, "/problems/kind-mismatch"))
        refused = self.one("put", value="x", if_match="*")
        self.assertEqual(refused["problem"]["type"], "/problems/kind-mismatch")


class Limits(BatchTest):
    def test_nothing_at_all(self):
        for body in ("", "\n", "\r\n \n\n"):
            answers, summary = self.lines(body)
            self.assertEqual((answers, summary["lines"]), ([], 0))
        # Blank lines between, and no newline at the end.
        line = json.dumps(self.line("get"))
        answer = self.client.request("POST", "/v1/batch", body=f"\n{line}\r\n\n  {line}".encode())
        self.assertEqual(len(answer.body.splitlines()), 3)

    def test_a_batch_is_for_its_type_and_says_nothing_itself(self):
        line = self.line("put", value="x")
        self.assertEqual(self.send(line, headers={"Content-Type": "text/plain"}).slug,
                         "body-type-unsupported")
        for name, value in (("Consistency", "strong"), ("If-Match", "*"), ("Session-Token", "x"),
                            ("If-None-Match", "*"), *new_key().items()):
            answer = self.send(line, headers={name: value})
            self.assertEqual((answer.status, answer.slug), (400, "bad-header"), answer)
        answer = self.client.request("GET", "/v1/batch")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "POST, OPTIONS"))
        self.assertEqual(self.client.request("POST", "/v1/batch?level=strong", body=b"").slug,
                         "bad-query")
        self.assertEqual(self.client.get(self.prefix).status, 404)

    def test_too_many_lines_are_refused_whole(self):
        answer = self.send(self.line("put", value="x"), *["{}"] * LINES_MAX)
        self.assertEqual((answer.status, answer.slug), (413, "value-too-large"), answer)
        self.assertEqual(self.client.get(self.prefix).status, 404)
        answers, summary = self.lines(*["{}"] * LINES_MAX)
        self.assertEqual((len(answers), summary["failed"]), (LINES_MAX, LINES_MAX))

    def test_too_long(self):
        answer = self.send(self.line("put", value="x" * BODY_MAX))
        self.assertEqual((answer.status, answer.slug), (413, "value-too-large"), answer)
        self.assertEqual(answer.problem["limit"], BODY_MAX)
        answers, _ = self.lines(self.line("put", value="x" * LINE_MAX),
                                self.line("put", value="short"))
        self.assertEqual(answers[0]["problem"]["limit"], LINE_MAX)
        self.assertEqual((answers[0]["status"], answers[1]["status"]), (413, 204))
        too_large = self.one("put", value="x" * ((1 << 20) + 1))
        self.assertEqual((too_large["status"], too_large["problem"]["limit"]), (413, 1 << 20))

    def test_large_answers_wait_for_their_client(self):
        value = "v" * (1 << 20)
        self.one("put", value=value)
        lines = [self.line("get", level="quorum")] * 300
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        before = self.begun()
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.proxies[0].http_port,
                                                timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/batch", body=body, headers=LINES)
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        # Others are served, and no more is begun than sockets and the window hold.
        for _ in range(50):
            self.assertEqual(self.client.get(self.prefix).status, 200)
        self.assertLess(self.begun() - before, 100)
        *answers, summary = map(json.loads, response)
        self.assertEqual([answer for answer in answers if answer.get("value") != value], [])
        self.assertEqual((len(answers), summary["summary"]["succeeded"]), (300, 300))

    def test_clients_that_go_leave_nothing_behind(self):
        body = "".join(json.dumps(self.line("add", by=1)) + "\n" for _ in range(5000)).encode()
        for _ in range(5):
            with socket.create_connection(
                    ("127.0.0.1", self.cluster.proxies[0].http_port)) as raw:
                raw.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                            % len(body) + body)
                raw.recv(100)
        value = wait_until(self.settled, 30, "the lines end")
        self.assertLessEqual(value, 25000)

    def settled(self):
        """The counter, once it stands still."""
        first = int(self.client.get(self.prefix).body)
        threading.Event().wait(0.3)
        return first == int(self.client.get(self.prefix).body) and first


class Multiplexed(BatchTest):
    """Over HTTP/2."""

    def test_a_batch_is_a_stream_like_any(self):
        lines = [self.line("put", f"{self.prefix}{i}", value="x" * 3000) for i in range(200)]
        lines += [self.line("get", f"{self.prefix}{i}") for i in range(200)]
        with tempfile.NamedTemporaryFile() as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
            file.flush()
            status, version, body = curl(
                "--http2-prior-knowledge", "-X", "POST", "--data-binary", f"@{file.name}",
                "-H", "Content-Type: application/x-ndjson",
                f"http://127.0.0.1:{self.cluster.proxies[0].http_port}/v1/batch")
        self.assertEqual((status, version), (200, "2"))
        *answers, summary = map(json.loads, body.splitlines())
        self.assertEqual([answer["status"] for answer in answers[:200]], [204] * 200)
        self.assertEqual(summary["summary"]["lines"], 400)
        self.assertEqual(summary["summary"]["unknown"], 0)


    def test_streams_that_are_reset_leave_nothing_behind(self):
        line = json.dumps(self.line("add", by=1)) + "\n"
        port = self.cluster.proxies[0].http_port
        for after in (http2.HEADERS, http2.DATA):
            for _ in range(10):
                with http2.connect(port) as raw:
                    raw.sendall(http2.headers(1, "POST", "/v1/batch", http2.END_HEADERS))
                    for number in range(50):
                        raw.sendall(http2.frame(http2.DATA, http2.END_STREAM * (number == 49), 1,
                                                (line * 10).encode()))
                    for kind, _, stream, _ in http2.frames(raw):
                        if kind == after and stream == 1:
                            break
                    raw.sendall(http2.frame(http2.RST_STREAM, 0, 1,
                                            http2.CANCEL.to_bytes(4, "big")))
                    raw.sendall(http2.headers(3, "GET", "/livez"))
                    self.assertTrue(any(stream == 3 and flags & http2.END_STREAM
                                        for _, flags, stream, _ in http2.frames(raw)))
        self.assertEqual(self.client.get(self.prefix).status, 200)
        self.assertLess(int(self.client.get(self.prefix).body), 10000)


class Timeouts(BatchTest):
    options = {"proxy_settings": "loops = 1; idle_timeout = 2; write_timeout = 2;"}

    def test_who_takes_nothing_is_cut_and_who_takes_slowly_is_not(self):
        value = "v" * (1 << 18)
        self.one("put", value=value)
        body = (json.dumps(self.line("get")) + "\n").encode() * 100
        head = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", self.cluster.proxies[0].http_port))
            raw.sendall(head + body)
            wait_until(self.stuck, 15, "the connection is cut")
        # Twice as long as any part of it may take.
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.proxies[0].http_port,
                                                timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/batch", body=body, headers=LINES)
        response, rows = connection.getresponse(), []
        for row in response:
            rows.append(row)
            threading.Event().wait(0.04)
        self.assertEqual(json.loads(rows[-1])["summary"]["succeeded"], 100)
        self.assertEqual(self.stuck(), 1)

    def stuck(self):
        text = self.cluster.proxies[0].get("/metrics")[2].decode()
        return sum(parse_metrics(text)["quo_http_stuck_responses_total"].values())


class Unavailable(BatchTest):
    def test_lines_fail_one_by_one(self):
        self.one("put", value="x")
        for node in self.cluster.nodes[1:]:
            node.kill()
        wait_until(lambda: self.client.get(self.prefix).status == 503, 10, "no quorum")
        answers, summary = self.lines(self.line("put", value="y"),
                                      self.line("get", level="eventual"),
                                      self.line("get", level="strong"))
        self.assertEqual([answer["status"] for answer in answers], [503, 200, 503])
        self.assertEqual((answers[0]["outcome"], answers[0]["retry-after"]), ("not-applied", "1"))
        self.assertEqual((summary["succeeded"], summary["failed"]), (1, 2))
        for node in self.cluster.nodes[1:]:
            node.start()
        wait_until(self.cluster.reaches_all, 30, "all three answer again")


if __name__ == "__main__":
    unittest.main()
