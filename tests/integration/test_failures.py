#!/usr/bin/env python3
# labels: integration full
"""Nodes that die, hang and come back: what was acknowledged stays, what cannot be is said."""
import time
import unittest

from cluster import PATIENCE, Cluster, ClusterTest, Threads, wait_until

# What an answer may take beyond the timeout it was given, on a busy machine.
SLACK = 2 * PATIENCE


def slug(answer):
    return answer.problem["type"].rsplit("/", 1)[1]


class OneOfThree(ClusterTest):
    def setUp(self):
        super().setUp()
        self.client.put(self.prefix, b"before", "level=all")

    def tearDown(self):
        for node in self.cluster.nodes:
            if node.process.poll() is not None:
                node.start()
        wait_until(self.cluster.reaches_all, 30, "all three answer again")

    def refused(self, query):
        answer = self.client.get(self.prefix, query)
        return answer if answer.status == 503 else None

    def test_strong_and_eventual_go_on_without_any_one(self):
        for node in self.cluster.nodes:
            with self.subTest(killed=node.name):
                node.kill()
                for i in range(50):
                    for level in ("strong", "quorum", "eventual"):
                        key = f"{self.prefix}{node.name}-{level}-{i}"
                        put = self.client.put(key, b"%d" % i, f"level={level}&timeout=5s")
                        self.assertEqual(put.status, 204, put)
                        # What quorum asks of a write is what strong does.
                        self.assertIn(put.receipt["level"],
                                      (level, level.replace("quorum", "strong")))
                        if level != "eventual":
                            got = self.client.get(key, f"level={level}&timeout=5s")
                            self.assertEqual((got.status, got.body), (200, b"%d" % i), got)
                self.bring_back(node)

    def bring_back(self, node):
        node.start()
        wait_until(self.cluster.reaches_all, 30, f"{node.name} answers the proxy again")

    def test_all_is_refused_and_not_downgraded(self):
        self.cluster.nodes[1].kill()
        self.assertEqual(self.cluster.proxies[0].get("/readyz")[0], 200)
        got = wait_until(lambda: self.refused("level=all"), 10, "level=all refused")
        self.assertEqual(slug(got), "quorum-unavailable")
        self.assertEqual(got.problem["need"], 3)
        self.assertLess(got.problem["got"], 3)
        self.assertEqual(got.problem["outcome"], "not-applied")
        put = self.client.put(self.prefix, b"after", "level=all")
        self.assertEqual((put.status, put.problem["outcome"]), (503, "not-applied"))
        self.assertEqual(self.client.get(self.prefix, "level=strong").body, b"before")
        self.assertEqual(self.client.get(self.prefix, "r=3").status, 503)

    def test_a_node_that_hangs_costs_no_timeout(self):
        for node in self.cluster.nodes:
            with self.subTest(paused=node.name):
                node.pause()
                try:
                    for i in range(30):
                        key = f"{self.prefix}{node.name}-{i}"
                        put = self.client.put(key, b"%d" % i, "level=strong&timeout=2s")
                        self.assertEqual(put.status, 204, put)
                        got = self.client.get(key, "level=strong&timeout=2s")
                        self.assertEqual((got.status, got.body), (200, b"%d" % i), got)
                finally:
                    node.resume()
                # The next one to hang must be the only one away.
                wait_until(self.cluster.reaches_all, 30, f"{node.name} answers again")

    def test_what_a_node_missed_is_read_through_it(self):
        # node-1 misses the writes, then another node is away: every quorum includes node-1.
        self.cluster.nodes[0].kill()
        for i in range(50):
            put = self.client.put(f"{self.prefix}{i}", b"new", "level=strong&timeout=5s")
            self.assertEqual(put.status, 204, put)
        self.bring_back(self.cluster.nodes[0])
        self.cluster.nodes[1].kill()
        for i in range(50):
            got = self.client.get(f"{self.prefix}{i}", "level=strong&timeout=10s")
            self.assertEqual((got.status, got.body), (200, b"new"), got)


class OneOfThreeBlindly(OneOfThree):
    namespace = "cache"


class TwoOfThree(ClusterTest):
    def setUp(self):
        super().setUp()
        self.client.put(self.prefix, b"before", "level=all")

    def test_strong_fails_in_time_and_says_what_became_of_it(self):
        for node in self.cluster.nodes[1:]:
            node.kill()
        for query in ("level=strong&timeout=300ms", "level=quorum&timeout=300ms"):
            start = time.monotonic()
            put = self.client.put(self.prefix, b"after", query)
            got = self.client.get(self.prefix, query)
            self.assertLess(time.monotonic() - start, 2 * 0.3 + SLACK)
            self.assertIn(put.status, (503, 504), put)
            if put.status == 503:
                self.assertEqual(put.problem["outcome"], "not-applied")
            else:
                self.assertIn(put.problem["outcome"], ("unknown", "not-applied"))
            self.assertIn(got.status, (503, 504), got)
        # One replica is enough for this, and it has every write that all of them had.
        got = self.client.get(self.prefix, "level=eventual")
        self.assertEqual(got.status, 200, got)
        put = self.client.put(self.prefix + "e", b"alone", "level=eventual")
        self.assertEqual(put.status, 204, put)
        self.assertEqual(self.client.get(self.prefix + "e", "level=eventual").body, b"alone")
        self.assertEqual(self.cluster.proxies[0].get("/readyz")[0], 503)
        for node in self.cluster.nodes[1:]:
            node.start()
        wait_until(self.cluster.reaches_all, 30, "all three answer again")
        self.assertTrue(self.cluster.proxies[0].is_ready())
        self.assertEqual(self.client.get(self.prefix + "e", "level=all&timeout=5s").body, b"alone")

    def test_a_write_that_hangs_ends_as_unknown_or_not_applied_for_good(self):
        for round_number in range(5):
            key = f"{self.prefix}{round_number}"
            self.client.put(key, b"before", "level=all&timeout=10s")
            for node in self.cluster.nodes[1:]:
                node.pause()
            start = time.monotonic()
            put = self.client.put(key, b"after", "level=strong&timeout=200ms")
            self.assertLess(time.monotonic() - start, 0.2 + SLACK)
            for node in self.cluster.nodes[1:]:
                node.resume()
            self.assertEqual(put.status, 504, put)
            first = self.client.get(key, "level=strong&timeout=10s").body
            if put.problem["outcome"] == "not-applied":
                self.assertEqual(first, b"before")
            # Whatever a strong read has shown once stays.
            for _ in range(20):
                self.assertEqual(self.client.get(key, "level=strong&timeout=10s").body, first)


class TwoOfThreeBlindly(TwoOfThree):
    namespace = "cache"


class AllOfThree(unittest.TestCase):
    namespace = "default"

    def test_every_acknowledged_write_survives_kill_9_of_everything(self):
        with Cluster() as cluster:
            client = cluster.client(namespace=self.namespace)
            for i in range(1000):
                level = "strong" if i % 4 else "eventual"
                put = client.put(f"key-{i}", b"value-%d" % i, f"level={level}&timeout=10s")
                self.assertEqual(put.status, 204, put)
            for process in cluster.processes():
                process.process.kill()
            for process in cluster.processes():
                process.process.wait()
            cluster.start()
            client = cluster.client(namespace=self.namespace)
            for i in range(1000):
                # An eventual write was promised one disk; only asking all is sure to find it.
                level = "strong" if i % 4 else "all"
                got = client.get(f"key-{i}", f"level={level}&timeout=10s")
                self.assertEqual((got.status, got.body), (200, b"value-%d" % i), f"{i} {got}")


class AllOfThreeBlindly(AllOfThree):
    namespace = "cache"


class RollingRestart(unittest.TestCase):
    namespace = "default"

    def test_writers_notice_nothing(self):
        with Cluster(proxies=1) as cluster:
            problems, written = [], {}

            def write(number):
                client = cluster.client(namespace=self.namespace)
                i = 0
                while not writers.stop.is_set():
                    key, value = f"{number}-{i % 20}", b"%d" % i
                    answer = client.put(key, value, "level=strong&timeout=10s")
                    if answer.status != 204:
                        problems.append(repr(answer))
                    written[key] = value
                    i += 1

            writers = Threads(write, 4)
            with writers:
                for node in cluster.nodes:
                    self.assertEqual(node.terminate(), 0)
                    node.start()
                    wait_until(cluster.reaches_all, 30, f"{node.name} answers the proxy again")
            self.assertEqual(problems, [])
            client = cluster.client(namespace=self.namespace)
            for key, value in written.items():
                self.assertEqual(client.get(key, "level=strong").body, value)


class RollingRestartBlindly(RollingRestart):
    namespace = "cache"


if __name__ == "__main__":
    unittest.main()
