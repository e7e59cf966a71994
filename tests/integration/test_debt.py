#!/usr/bin/env python3
# labels: integration full
"""What is known of replicas that lag: the debt page, reads with a bound, and the comparison of all
bytes."""
import subprocess
import time
import unittest

from client import ROOT
from cluster import ClusterTest, wait_until

KEYS = 60


class Debt(ClusterTest):
    namespace = "cache"

    def debt(self):
        answer = self.client.request("GET", "/v1/cluster/debt?timeout=2s")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def test_it_rises_with_a_node_away_and_falls_to_nothing(self):
        node = self.cluster.nodes[2]
        debt = wait_until(lambda: self.debt() if self.debt()["unreachable"] == 0 else None, 30,
                          "all nodes answer")
        self.assertEqual([one["node"] for one in debt["nodes"]],
                         [node.name for node in self.cluster.nodes])
        self.assertEqual(debt["hints"], 0)
        self.assertEqual(debt["partitions"], 1024)
        self.assertEqual(debt["pairs"], 3 * 1024)
        for one in debt["nodes"]:
            self.assertLess(abs(one["clock_ahead_ms"]), 5000)
        node.kill()
        for i in range(KEYS):
            put = self.client.put(f"{self.prefix}{i}", b"x" * 100, "level=eventual&timeout=2s")
            self.assertEqual(put.status, 204, put)
        debt = wait_until(lambda: self.debt() if self.debt()["hints"] >= KEYS / 2 else None, 30,
                          "hints are kept")
        self.assertEqual(debt["unreachable"], 1)
        self.assertIsNone(debt["converged_in_seconds"])
        self.assertGreater(debt["hint_bytes"], 100)
        targets = {hint["node"] for one in debt["nodes"] for hint in one.get("hints_for", [])}
        self.assertEqual(targets, {node.name})
        node.start()
        wait_until(lambda: self.debt()["converged_in_seconds"] == 0, 120, "nothing is owed")
        debt = self.debt()
        self.assertEqual((debt["hints"], debt["pairs_differing"], debt["unreachable"]), (0, 0, 0))

    def test_head_and_nonsense(self):
        head = self.client.request("HEAD", "/v1/cluster/debt")
        self.assertEqual((head.status, head.body), (200, b""))
        for query in ("level=strong", "timeout=5", "partition=1", "timeout=1s&timeout=1s", "x=1"):
            answer = self.client.request("GET", f"/v1/cluster/debt?{query}")
            self.assertEqual(answer.status == 400, query != "timeout=5", (query, answer))


class Equality(ClusterTest):
    namespace = "cache"

    def look(self, partition):
        answer = self.client.request("GET", f"/v1/cluster/equality?partition={partition}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def compare(self, *partitions):
        url = f"http://127.0.0.1:{self.cluster.proxies[0].http_port}"
        run = subprocess.run([ROOT / "deploy" / "compare-replicas", url, *map(str, partitions)],
                             capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def test_a_node_that_missed_writes_is_seen_to_differ_until_it_has_them(self):
        node = self.cluster.nodes[1]
        for i in range(KEYS):
            put = self.client.put(f"{self.prefix}{i}", b"old", "level=all&timeout=5s")
            self.assertEqual(put.status, 204, put)
        self.assertEqual(self.compare()[0], 0, self.compare())
        answer = self.look(0)
        self.assertIs(answer["equal"], True)
        self.assertEqual({one["node"] for one in answer["groups"][0]["nodes"]},
                         {node.name for node in self.cluster.nodes})
        node.kill()
        status, text = self.compare(0, 1)
        self.assertEqual(status, 2, text)
        self.assertIn(f"{node.name} did not answer", text)
        for i in range(KEYS):
            self.client.put(f"{self.prefix}{i}", b"new", "level=strong&timeout=5s")
        node.start()
        wait_until(lambda: self.compare()[0] == 0, 120, "all replicas hold the same bytes")
        status, text = self.compare()
        self.assertIn("1024 partitions", text)

    def test_nonsense_is_refused(self):
        for query in ("", "?partition=", "?partition=1024", "?partition=-1", "?partition=x",
                      "?partition=1&partition=1", "?partition=1&level=strong"):
            answer = self.client.request("GET", f"/v1/cluster/equality{query}")
            self.assertEqual((answer.status, answer.slug), (400, "bad-query"), (query, answer))


class Bounded(ClusterTest):
    """In the default namespace, by level, header and default."""

    # A replica that is behind, or slow, would have another one asked.
    options = {"proxy_settings": "loops = 1; hedge_percent = 0;", "namespaces": [
        {"id": 1, "name": "default", "kind": "mixed"},
        {"id": 2, "name": "lazy", "kind": "lww", "read": "bounded", "max_stale_ms": 60000}]}

    def test_a_hot_key_asks_one_replica(self):
        key = self.prefix
        self.assertEqual(self.client.put(key, b"v", "level=all&timeout=10s").status, 204)
        got = self.client.get(key, "level=bounded&max-stale=20s")
        self.assertEqual((got.status, got.body), (200, b"v"), got)
        self.assertEqual(got.receipt["level"], "bounded")
        self.assertEqual(got.receipt["replies"], 1)
        self.assertTrue(1 <= got.receipt["bound"] <= 20000, got)
        # What another loop, or nobody, has read is asked of a quorum.
        fresh = self.client.get(f"{key}-absent", "level=bounded&max-stale=500ms")
        self.assertEqual(fresh.status, 404, fresh)
        self.assertEqual((fresh.receipt["replies"], fresh.receipt["bound"]), (2, 0))
        again = self.client.get(f"{key}-absent", headers={"Consistency": "bounded;max-stale=9000"})
        self.assertEqual((again.status, again.receipt["replies"]), (404, 1), again)

    def test_its_own_default(self):
        put = self.client.put(self.prefix, b"v", "level=all&timeout=10s", namespace="lazy")
        self.assertEqual(put.status, 204, put)
        got = self.client.get(self.prefix, namespace="lazy")
        self.assertEqual((got.body, got.receipt["asked"]), (b"v", "bounded"), got)
        self.assertEqual(got.receipt["replies"], 1)

    def test_what_cannot_be_meant_is_refused(self):
        for query in ("level=bounded", "max-stale=1s", "level=strong&max-stale=1s",
                      "level=bounded&max-stale=0", "level=bounded&max-stale=2d"):
            got = self.client.get(self.prefix, query)
            self.assertEqual((got.status, got.slug), (400, "bad-consistency"), (query, got))
        put = self.client.put(self.prefix, b"v", "level=bounded&max-stale=1s")
        self.assertEqual((put.status, put.slug), (400, "bad-consistency"), put)

    def test_compared_replicas_answer_alone(self):
        """After a round of comparisons one replica will do, whatever the key."""
        def alone():
            got = self.client.get(f"{self.prefix}{time.monotonic_ns() % 10}x",
                                  "level=bounded&max-stale=1h")
            return got.receipt["replies"] == 1 and got.receipt["bound"] > 0
        wait_until(lambda: all(alone() for _ in range(5)), 60, "comparisons prove a bound")


class BoundedWithANodeBehind(ClusterTest):
    def test_it_is_never_older_than_allowed(self):
        """One replica is paused while the key is written again and again."""
        node = self.cluster.nodes[0]
        node.pause()
        try:
            for i in range(20):
                value = str(i).encode()
                self.assertEqual(
                    self.client.put(self.prefix, value, "level=strong&timeout=10s").status, 204)
        finally:
            node.resume()
        time.sleep(0.2)
        for _ in range(60):
            got = self.client.get(self.prefix, "level=bounded&max-stale=100ms&timeout=10s")
            self.assertEqual((got.status, got.body), (200, b"19"), got)
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
