#!/usr/bin/env python3
# labels: integration
"""Counters of kind crdt: each replica adds to its own part, and nothing is added twice."""
import random
import re
import time
import unittest

from client import new_key
from cluster import ClusterTest, Threads, in_threads, wait_until

MOST, LEAST = 2**63 - 1, -2**63


class CounterTest(ClusterTest):
    namespace = "social"
    options = {"proxies": 2}

    def read(self, key, query="level=quorum", client=None):
        return (client or self.client).counter(key, query)

    def assert_added(self, answer):
        self.assertEqual((answer.status, answer.body), (204, b""), answer)
        self.assertNotIn("ETag", answer.headers)
        self.assertNotIn("Operation-Id", answer.headers)

    def assert_value(self, key, value, query="level=quorum"):
        answer = self.read(key, query)
        self.assertEqual((answer.status, answer.json), (200, {"value": value}), answer)
        return answer


class Additions(CounterTest):
    def test_additions(self):
        self.assert_added(self.client.add(self.prefix, 5))
        self.assert_value(self.prefix, 5)
        self.assert_added(self.client.add(self.prefix, -7))
        self.assert_added(self.client.add(self.prefix, 0))
        self.assert_value(self.prefix, -2)
        self.assert_value(self.prefix, -2, "level=all")
        other = self.cluster.client(proxy=1, namespace=self.namespace)
        self.assert_added(other.add(self.prefix, 10))
        self.assert_value(self.prefix, 8)

    def test_nobody_added(self):
        for level in ("eventual", "quorum", "all"):
            answer = self.read(self.prefix, f"level={level}")
            self.assertEqual((answer.status, answer.slug), (404, "key-not-found"), answer)

    def test_head(self):
        self.client.add(self.prefix, 5)
        head = self.client.counter(self.prefix, method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_names(self):
        for name in (b"\0\xff/%", b":add", b"x" * 1024):
            self.assert_added(self.client.add(name, 3))
            self.assert_value(name, 3)
        # Neither the start of another's name nor a key is the same counter.
        self.client.add(self.prefix + "ab", 1)
        self.client.put(self.prefix + "a", b"100")
        self.client.add(self.prefix + "a", 2)
        self.assert_value(self.prefix + "ab", 1)
        self.assert_value(self.prefix + "a", 2)
        self.assertEqual(self.client.get(self.prefix + "a").body, b"100")
        self.assertEqual(self.client.add(b"x" * 1025, 3).slug, "key-too-long")

    def test_receipts(self):
        for level, w in (("eventual", 1), ("quorum", 2), ("all", 3)):
            answer = self.client.add(self.prefix, 1, f"level={level}")
            self.assert_added(answer)
            receipt = answer.receipt
            self.assertEqual((receipt["level"], receipt["w"], receipt["dw"]), (level, w, w))
            self.assertGreaterEqual(receipt["acks"], w)
            self.assertEqual(receipt["acks"], receipt["disk"])
            self.assertEqual(receipt["rtt"], 1 if w == 1 else 2)
            answer = self.assert_value(self.prefix, w, "level=all")
            self.assertEqual((answer.receipt["level"], answer.receipt["replies"]), ("all", 3))

    def test_what_needs_consensus(self):
        refused = (409, "kind-mismatch")
        for answer in (self.client.add(self.prefix, 1, min=0),
                       self.client.add(self.prefix, 1, max=9),
                       self.client.add(self.prefix, 1, headers={"If-None-Match": "*"}),
                       self.client.counter(self.prefix, namespace="cache")):
            self.assertEqual((answer.status, answer.slug), refused, answer)
        for level in ("strong", "session", "bounded"):
            for answer in (self.client.add(self.prefix, 1, f"level={level}"),
                           self.read(self.prefix, f"level={level}")):
                self.assertEqual((answer.status, answer.slug), (400, "bad-consistency"), answer)
        self.assertEqual(self.read(self.prefix).status, 404)

    def test_64_bits(self):
        self.assert_added(self.client.add(self.prefix, MOST))
        answer = self.client.add(self.prefix, 1)
        self.assertEqual((answer.status, answer.slug), (412, "counter-bound"), answer)
        self.assertEqual(answer.problem["outcome"], "not-applied")
        self.assert_added(self.client.add(self.prefix, -MOST))
        self.assert_value(self.prefix, 0)
        self.assert_added(self.client.add(self.prefix, LEAST))
        self.assert_value(self.prefix, LEAST)

    def test_of_other_kinds(self):
        for namespace in ("default", "bank"):
            added = self.client.add(self.prefix, 5, namespace=namespace)
            answer = self.client.counter(self.prefix, namespace=namespace)
            self.assertEqual((answer.status, answer.json), (200, {"value": 5}), answer)
            self.assertEqual(answer.headers["ETag"], added.headers["ETag"])
            self.client.put(self.prefix, b"ten", namespace=namespace)
            answer = self.client.counter(self.prefix, namespace=namespace)
            self.assertEqual((answer.status, answer.slug), (409, "not-a-counter"), answer)
            self.client.delete(self.prefix, namespace=namespace)
            self.assertEqual(self.client.counter(self.prefix, namespace=namespace).status, 404)

    def test_keys(self):
        key = new_key()
        first = self.client.add(self.prefix, 5, headers=key)
        self.assert_added(first)
        self.assertNotIn("Idempotent-Replayed", first.headers)
        for proxy in (0, 1, 0):
            client = self.cluster.client(proxy=proxy, namespace=self.namespace)
            again = client.add(self.prefix, 5, headers=key)
            self.assert_added(again)
            self.assertEqual(again.headers["Idempotent-Replayed"], "?1")
        reused = self.client.add(self.prefix, 6, headers=key)
        self.assertEqual((reused.status, reused.slug), (422, "idempotency-key-reused"), reused)
        # A key belongs to one counter.
        self.assert_added(self.client.add(self.prefix + "b", 6, headers=key))
        self.assert_value(self.prefix, 5)
        self.assert_value(self.prefix + "b", 6)

    def test_too_many_keys(self):
        def add(number):
            client = self.cluster.client(proxy=number % 2, namespace=self.namespace)
            for _ in range(240):
                statuses.append(client.add(self.prefix, 1, headers=new_key()).status)

        statuses = []
        in_threads(add, 4)
        # Each of the three parts remembers as many.
        self.assertEqual(statuses.count(204), 3 * 224)
        self.assertEqual(statuses.count(429), 960 - 3 * 224)
        self.assert_value(self.prefix, 3 * 224)

    def test_sessions(self):
        added = self.client.add(self.prefix, 5, headers={"Session-Token": self.token()})
        read = self.client.counter(self.prefix, headers={
            "Session-Token": added.headers["Session-Token"]})
        put = self.client.put(self.prefix, b"after", "level=session", headers={
            "Session-Token": read.headers["Session-Token"]})
        self.assertGreater(put.receipt["version"], added.receipt["version"])

    def token(self):
        return self.client.put(self.prefix + "-", b"", "level=session").headers["Session-Token"]


class Racing(CounterTest):
    def test_all_proxies_at_once(self):
        def add(number):
            client = self.cluster.client(proxy=number % 2, namespace=self.namespace)
            for i in range(100):
                level = ("eventual", "quorum")[i % 2]
                answer = client.add(self.prefix, number + 1, f"level={level}&timeout=20s")
                if answer.status != 204:
                    problems.append(answer)

        problems = []
        in_threads(add, 8)
        self.assertEqual(problems, [])
        self.assert_value(self.prefix, 100 * 36)
        # A single replica shows it all, once the background is done.
        wait_until(lambda: self.read(self.prefix, "level=eventual").json == {"value": 3600}, 10,
                   "all parts are there")


class AwayTest(CounterTest):
    """A replica goes away and comes back while additions with keys are tried again and again."""

    def test_one_part_alone(self):
        """Of additions with keys a third is refused while its replica is away, and none of the
        others'."""
        self.cluster.nodes[2].kill()
        try:
            keys = [new_key() for _ in range(60)]
            done = self.count_added(keys)
            self.assertTrue(20 <= done < 60, done)
            self.assert_value(self.prefix, done)
            # Nobody else takes it.
            self.assertEqual(self.count_added(keys), done)
            self.assert_value(self.prefix, done)
            # Without a key any replica will do.
            for _ in range(20):
                self.assert_added(self.client.add(self.prefix, 1, "level=quorum&timeout=5s"))
            self.assert_value(self.prefix, done + 20)
        finally:
            self.cluster.nodes[2].start()
        wait_until(lambda: self.count_added(keys) == 60, 30, "the replica takes its own")
        # Additions at eventual may be on one replica yet.
        self.assert_value(self.prefix, 80, "level=all&timeout=10s")

    def count_added(self, keys):
        done = 0
        for key in keys:
            answer = self.client.add(self.prefix, 1, "level=eventual&timeout=5s", headers=key)
            if answer.status == 204:
                done += 1
            else:
                self.assertEqual(answer.status, 503, answer)
                self.assertEqual(answer.problem["outcome"], "not-applied")
        return done

    def test_retries_through_all_proxies(self):
        """Whatever is killed, each addition counts once in the end."""
        counters = [f"{self.prefix}{i}" for i in range(10)]
        for counter in counters:
            self.assert_added(self.client.add(counter, 0, "level=quorum&timeout=10s"))
        sums = [dict.fromkeys(counters, 0) for _ in range(6)]
        problems = []

        def add(number):
            chance = random.Random(number)
            clients = [self.cluster.client(proxy=proxy, namespace=self.namespace)
                       for proxy in range(2)]
            while not adders.stop.is_set():
                counter, by = chance.choice(counters), chance.randrange(-100, 200)
                sums[number][counter] += by
                problems.extend(self.add_once(clients, chance, counter, by))

        adders = Threads(add, len(sums))
        with adders:
            # In the main thread: what another one starts dies with that.
            self.kill_one_after_the_other()
        self.assertEqual(problems, [])
        wait_until(self.cluster.reaches_all, 30, "all three answer")
        for counter in counters:
            value = sum(by[counter] for by in sums)
            self.assert_value(counter, value, "level=quorum&timeout=10s")
            self.assert_value(counter, value, "level=all&timeout=10s")

    def kill_one_after_the_other(self):
        for number in range(4):
            node = self.cluster.nodes[number % 3]
            time.sleep(0.3)
            node.kill()
            time.sleep(0.3)
            node.start()

    def add_once(self, clients, chance, counter, by):
        """Sends it until it is added, and sometimes once more all the same. Yields what went
        wrong."""
        key, deadline = new_key(), time.monotonic() + 60
        while time.monotonic() < deadline:
            level = chance.choice(("eventual", "quorum"))
            answer = chance.choice(clients).add(counter, by, f"level={level}&timeout=300ms",
                                                headers=key)
            # What was added on one replica only may still be on its way when the sums are read.
            if answer.status == 204 and level == "quorum" and chance.random() < 0.8:
                return
            if answer.status not in (204, 503, 504):
                yield answer
                return
            time.sleep(0.01)
        yield f"{counter} by {by} in vain: {answer}"

    def brought(self):
        """Records that nodes have passed on by themselves."""
        text = "".join(node.get("/metrics")[2].decode() for node in self.cluster.nodes)
        return sum(map(int, re.findall(
            r"^quorate_node_(?:mends_pulled|mends_pushed|hints_delivered)_total\S* (\d+)$", text,
            re.MULTILINE)))

    def test_a_replica_that_was_away_gets_all_parts(self):
        node, others = self.cluster.nodes[0], self.cluster.nodes[1:]
        before = self.brought()
        node.kill()
        for i in range(30):
            self.assert_added(self.client.add(f"{self.prefix}{i}", i, "level=quorum&timeout=5s"))
        node.start()
        wait_until(self.cluster.reaches_all, 30, "all three answer")
        wait_until(lambda: self.brought() >= before + 30, 60, "all parts have come")
        for other in others:
            other.kill()
        try:
            for i in range(30):
                self.assert_value(f"{self.prefix}{i}", i, "level=eventual&timeout=5s")
        finally:
            for other in others:
                other.start()
        wait_until(self.cluster.reaches_all, 30, "all three answer")


if __name__ == "__main__":
    unittest.main()
