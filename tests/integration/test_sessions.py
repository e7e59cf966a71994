#!/usr/bin/env python3
# labels: integration full
"""Sessions: read your writes and the rest of it, through any proxy, while nodes come and go."""
import json
import random
import secrets
import subprocess
import time
import unittest

from client import new_key, target
from cluster import BIN, PATIENCE, Cluster, ClusterTest, wait_until

PROXIES = 3
NAMESPACE = "cache"
TIMEOUT = f"timeout={int(1000 * PATIENCE)}ms"
NAMESPACES = [{"id": number, "name": name, "kind": kind, "timeout_ms": int(1000 * PATIENCE)}
              for number, (name, kind) in enumerate({"default": "mixed", "bank": "cas",
                                                     "social": "crdt", "cache": "lww"}.items(), 1)]


class Session:
    """A client that sends the last token it was given, each time through some proxy. Records what
    it saw if there is a history for it."""

    def __init__(self, clients, number=0, history=None):
        self.clients, self.number, self.history = clients, number, history
        self.token = None

    def request(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.token:
            headers["Session-Token"] = self.token
        began = time.monotonic_ns()
        answer = random.choice(self.clients).request(method, path, body=body, headers=headers)
        if answer.headers["Session-Token"]:
            self.token = answer.headers["Session-Token"]
        return answer, began, time.monotonic_ns()

    def get(self, key, query="level=session", namespace=NAMESPACE):
        answer, began, ended = self.request("GET", target(namespace, key, f"{query}&{TIMEOUT}"))
        if answer.status in (200, 404):
            value = answer.body.decode() if answer.status == 200 else None
            self.record("get", key, value, "ok", answer, began, ended)
        return answer

    def put(self, key, value, query="level=session", namespace=NAMESPACE, **options):
        answer, began, ended = self.request("PUT", target(namespace, key, f"{query}&{TIMEOUT}"),
                                            body=value, **options)
        outcome = "ok" if answer.status == 204 else (answer.problem or {}).get("outcome", "unknown")
        self.record("put", key, value, outcome, answer, began, ended)
        return answer

    def record(self, kind, key, value, outcome, answer, began, ended):
        if self.history is None:
            return
        version = (answer.receipt or {}).get("version") if outcome == "ok" else None
        self.history.append({"id": len(self.history) + 1, "process": self.number,
                             "session": self.number, "key": key, "op": kind, "level": "session",
                             "value": value, "call": began, "return": ended, "outcome": outcome,
                             "version": version})


class Sessions(ClusterTest):
    options = {"proxies": PROXIES, "namespaces": NAMESPACES}
    namespace = NAMESPACE

    def session(self):
        return Session([self.cluster.client(p) for p in range(PROXIES)])

    def test_a_session_reads_what_it_wrote(self):
        session = self.session()
        for number in range(30):
            key = f"{self.prefix}{number % 5}"
            put = session.put(key, f"{number}")
            self.assertEqual((put.status, put.receipt["level"]), (204, "session"), put)
            self.assertEqual((put.receipt["w"], put.receipt["dw"]), (1, 1))
            got = session.get(key)
            self.assertEqual((got.status, got.body), (200, b"%d" % number), got)
            self.assertEqual((got.receipt["level"], got.receipt["r"]), ("session", 1))

    def test_a_session_begins_without_a_token(self):
        answer = self.client.get(self.prefix, "level=session")
        self.assertEqual(answer.status, 404, answer)
        self.assertTrue(answer.headers["Session-Token"])
        plain = self.client.get(self.prefix, "level=strong")
        self.assertIsNone(plain.headers["Session-Token"])

    def test_any_level_brings_a_token_up_to_date(self):
        session = self.session()
        session.get(self.prefix)
        before = session.token
        for query in ("level=strong", "level=eventual", "w=3"):
            put = session.put(self.prefix, query, query)
            self.assertEqual(put.status, 204, put)
            self.assertNotEqual(session.token, before)
            before = session.token
            got = session.get(self.prefix)
            self.assertEqual(got.body, query.encode())
        got = session.get(self.prefix, "level=strong")
        self.assertEqual(got.receipt["level"], "strong")
        self.assertTrue(got.headers["Session-Token"])

    def test_writes_of_a_session_are_above_all_it_met(self):
        session, last = self.session(), ""
        session.get(self.prefix)
        for number in range(60):
            key = f"{self.prefix}{random.randrange(20)}"
            query = random.choice(["level=session", "level=eventual", "level=strong"])
            namespace = random.choice([NAMESPACE, "default", "bank", "social"])
            if namespace == "bank" and query == "level=eventual":
                query = "level=session"
            put = session.put(key, f"{number}", query, namespace)
            self.assertEqual(put.status, 204, put)
            self.assertGreater(put.receipt["version"], last)
            last = put.receipt["version"]
            self.assertLessEqual(len(session.token), 256)

    def test_where_consensus_decides_the_receipt_says_so(self):
        session = self.session()
        put = session.put(self.prefix, "1", namespace="bank")
        self.assertEqual((put.status, put.receipt["asked"], put.receipt["level"]),
                         (204, "session", "strong"), put)
        got = session.get(self.prefix, namespace="bank")
        self.assertEqual((got.body, got.receipt["level"]), (b"1", "session"))
        keyed = session.put(self.prefix, "2", namespace="default", headers=new_key())
        self.assertEqual((keyed.status, keyed.receipt["asked"], keyed.receipt["level"]),
                         (204, "session", "strong"), keyed)
        failed, _, _ = session.request("PUT", target("bank", self.prefix, "level=session"),
                                       body="3", headers={"If-None-Match": "*"})
        self.assertEqual((failed.status, failed.slug), (412, "precondition-failed"), failed)
        self.assertTrue(failed.headers["Session-Token"])

    def test_deletions_are_seen(self):
        session = self.session()
        session.get(self.prefix)
        session.put(self.prefix, "x", "level=all")
        gone, _, _ = session.request("DELETE", target(NAMESPACE, self.prefix, "level=session"))
        self.assertEqual(gone.status, 204, gone)
        for _ in range(10):
            self.assertEqual(session.get(self.prefix).status, 404)

    def test_tokens_are_merged(self):
        one, two = self.session(), self.session()
        one.put(f"{self.prefix}1", "one")
        two.put(f"{self.prefix}2", "two")
        tokens = [one.token, two.token]
        merged = self.client.request("POST", "/v1/sessions:merge", body=json.dumps(
            {"tokens": tokens}), headers={"Content-Type": "application/json"})
        self.assertEqual(merged.status, 200, merged)
        self.assertEqual(merged.json["token"], merged.headers["Session-Token"])
        by_header = self.client.request("POST", "/v1/sessions:merge",
                                        headers={"Session-Token": ", ".join(tokens)})
        self.assertEqual(by_header.json, merged.json)
        both = self.session()
        both.token = merged.json["token"]
        for number, value in ((1, b"one"), (2, b"two")):
            for _ in range(5):
                self.assertEqual(both.get(f"{self.prefix}{number}").body, value)
        both.token = ",".join(tokens)
        self.assertEqual(both.get(f"{self.prefix}1").body, b"one")

    def assert_refused(self, answer, slug="bad-session-token", status=400):
        self.assertEqual((answer.status, answer.slug), (status, slug), answer)

    def test_bad_tokens_are_refused(self):
        session = self.session()
        session.put(self.prefix, "x")
        token = session.token
        flipped = ("B" if token[40] == "A" else "A").join((token[:40], token[41:]))
        for bad in (flipped, token[:-1], token + "A", "x", ""):
            with self.subTest(bad):
                headers = {"Session-Token": bad}
                self.assert_refused(self.client.get(self.prefix, headers=headers))
                self.assert_refused(self.client.put(self.prefix, "y", headers=headers))
                self.assert_refused(self.client.request("POST", "/v1/sessions:merge",
                                                        headers=headers))
        self.assertEqual(self.client.get(self.prefix).body, b"x")
        self.assert_refused(self.client.request("POST", "/v1/sessions:merge"), "bad-body")
        self.assert_refused(self.client.request("POST", "/v1/sessions:merge", body="[]"),
                            "bad-body")
        self.assert_refused(self.client.request(
            "POST", "/v1/sessions:merge", body="x", headers={"Content-Type": "text/plain"}),
            "body-type-unsupported", 415)
        self.assertEqual(self.client.request("GET", "/v1/sessions:merge").status, 405)

    def test_the_token_of_another_cluster_is_refused(self):
        with Cluster(nodes=1, namespaces=NAMESPACES) as other:
            theirs = other.client(namespace=NAMESPACE).put("k", b"v", "level=session")
            answer = self.client.get(self.prefix, headers={
                "Session-Token": theirs.headers["Session-Token"]})
        self.assert_refused(answer)
        self.assertIn("another cluster", answer.problem["detail"])


class Keyed(unittest.TestCase):
    def test_proxies_share_a_key_or_refuse_each_other(self):
        with Cluster(nodes=1, proxies=3, namespaces=NAMESPACES,
                     proxy_settings="loops = 1;") as cluster:
            for proxy, key in zip(cluster.proxies, ("ab" * 16, "ab" * 16, "cd" * 16)):
                proxy.terminate()
                with proxy.config.open("a") as config:
                    config.write(f'session_key = "{key}";\n')
                proxy.start()
            first, second, third = (cluster.client(p, namespace=NAMESPACE) for p in range(3))
            token = first.put("k", b"v", "level=session").headers["Session-Token"]
            self.assertEqual(second.get("k", headers={"Session-Token": token}).status, 200)
            self.assertEqual(third.get("k", headers={"Session-Token": token}).slug,
                             "bad-session-token")

    def test_a_bad_key_is_no_setting(self):
        with Cluster(nodes=1, namespaces=NAMESPACES) as cluster:
            for key in ("ab", "xy" * 16, "a" * 33):
                run = subprocess.run(
                    [BIN / "quorate-proxy", "--config", cluster.proxies[0].config, "--check"],
                    env={"QUORATE_PROXY_SESSION_KEY": key}, capture_output=True, text=True)
                self.assertNotEqual(run.returncode, 0)
                self.assertIn("session_key", run.stderr)


class Faults(unittest.TestCase):
    """One node after the other is killed or paused while sessions go on."""

    SESSIONS, KEYS, OPERATIONS = 4, 6, 700

    def step(self, session):
        key = f"key-{random.randrange(self.KEYS)}"
        if random.random() < 0.4:
            answer = session.put(key, secrets.token_hex(8))
            self.assertIn(answer.status, (204, 503, 504), answer)
        else:
            answer = session.get(key)
            self.assertIn(answer.status, (200, 404, 503, 504), answer)
        return answer

    def disturb(self, cluster, at):
        """Each node is away for a while: the first killed, the second paused, the third killed."""
        length = self.OPERATIONS // 8
        turn, phase = divmod(at, 2 * length)
        if turn >= len(cluster.nodes):
            return
        node = cluster.nodes[turn]
        if phase == length // 2:
            node.pause() if turn == 1 else node.kill()
        elif phase == length // 2 + length:
            node.resume() if turn == 1 else node.start()

    def check(self, cluster, history):
        path = cluster.folder / "sessions.ndjson"
        path.write_text("".join(json.dumps(line) + "\n" for line in history))
        run = subprocess.run([BIN / "tests" / "sim" / "quorate-check", path], capture_output=True,
                             text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        return path

    def test_guarantees_hold_through_failures(self):
        history = []
        with Cluster(proxies=PROXIES, namespaces=NAMESPACES) as cluster:
            clients = [cluster.client(p) for p in range(PROXIES)]
            sessions = [Session(clients, number, history)
                        for number in range(1, self.SESSIONS + 1)]
            answers = []
            for at in range(self.OPERATIONS):
                self.disturb(cluster, at)
                answers.append(self.step(random.choice(sessions)))
            self.check(cluster, history)
            escalated = sum(1 for a in answers if a.receipt and a.status == 200
                            and a.receipt["replies"] > 1)
            self.assertGreater(escalated, 0)
            self.check_that_it_would_notice(cluster, history)

    def check_that_it_would_notice(self, cluster, history):
        """The same history, but one read is told to have seen nothing."""
        spoilt = [dict(line) for line in history]
        for at in range(len(spoilt) - 1, 0, -1):
            line = spoilt[at]
            if line["op"] != "get" or not line["version"]:
                continue
            line["version"] = f"{1:032x}"
            break
        path = cluster.folder / "spoilt.ndjson"
        path.write_text("".join(json.dumps(line) + "\n" for line in spoilt))
        run = subprocess.run([BIN / "tests" / "sim" / "quorate-check", path], capture_output=True,
                             text=True)
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)

    def test_what_only_a_node_that_is_gone_has_is_not_papered_over(self):
        with Cluster(namespaces=NAMESPACES) as cluster:
            session = Session([cluster.client()])
            session.put("key", "old", "level=all")
            for node in cluster.nodes[1:]:
                node.kill()
            wait_until(lambda: session.put("key", "new").status == 204, 20, "one ack")
            cluster.nodes[0].kill()
            for node in cluster.nodes[1:]:
                node.start(wait=False)
            answer = wait_until(lambda: self.unsatisfied(session), 30, "the others are back")
            self.assertEqual(answer.problem["outcome"], "not-applied")
            self.assertTrue(answer.headers["Retry-After"])
            plain = cluster.client(namespace=NAMESPACE).get("key", "level=eventual")
            self.assertEqual(plain.body, b"old")
            cluster.nodes[0].start()
            wait_until(lambda: session.get("key").body == b"new", 20, "what was written")
            for node in cluster.nodes:
                node.wait_ready()

    @staticmethod
    def unsatisfied(session):
        answer = session.get("key")
        return answer if answer.slug == "session-unsatisfied" else None


if __name__ == "__main__":
    unittest.main()
