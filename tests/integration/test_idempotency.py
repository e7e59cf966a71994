#!/usr/bin/env python3
# labels: integration
"""Idempotency-Key: a write that is sent again, anywhere, takes effect once."""
import unittest
import uuid

from client import new_key
from cluster import (NAMESPACES, PATIENCE, Cluster, ClusterTest, Threads, in_threads,
                     wait_until)

REPLAYED = "Idempotent-Replayed"
KEYS_MAX = 224  # that one record remembers
KEEP = {"Prefer": "return=representation"}


class Replays(ClusterTest):
    options = {"proxies": 2}

    def setUp(self):
        super().setUp()
        self.other = self.cluster.client(proxy=1, namespace=self.namespace)
        self.addCleanup(self.other.close)

    def assert_replayed(self, first, again):
        self.assertIsNone(first.headers[REPLAYED], first)
        self.assertEqual(again.headers[REPLAYED], "?1", again)
        for what in ("status", "json", "slug"):
            self.assertEqual(getattr(again, what), getattr(first, what), again)

    def test_through_the_same_proxy_and_another(self):
        for client in (self.client, self.other):
            key, name = f"{self.prefix}{client.port}", new_key()
            first = self.client.put(key, b"once", headers=name)
            self.assertEqual(first.status, 204, first)
            again = client.put(key, b"once", headers=name)
            self.assert_replayed(first, again)
            self.assertEqual(again.headers["ETag"], first.headers["ETag"])
            # Also when others have written since; theirs is not overwritten.
            between = self.client.put(key, b"between")
            again = client.put(key, b"once", headers={**name, **KEEP})
            self.assert_replayed(first, again)
            self.assertEqual(again.headers["ETag"], first.headers["ETag"])
            got = client.get(key)
            self.assertEqual((got.body, got.headers["ETag"]), (b"between", between.headers["ETag"]))

    def test_every_method(self):
        self.client.put(self.prefix, b'{"a":1}')
        for what in (lambda c, name: c.patch(self.prefix, {"b": 2}, headers=name),
                     lambda c, name: c.delete(self.prefix, headers=name),
                     lambda c, name: c.add(self.prefix, 7, headers=name),
                     lambda c, name: c.put(self.prefix, b"x", headers=name)):
            name = new_key()
            first = what(self.client, name)
            self.assertIn(first.status, (200, 204), first)
            before = self.client.get(self.prefix)
            self.assert_replayed(first, what(self.other, name))
            self.assertEqual(self.client.get(self.prefix).headers["ETag"], before.headers["ETag"])

    def test_the_counter_is_told_as_it_was_then(self):
        name = new_key()
        first = self.client.add(self.prefix, 5, headers=name)
        self.client.add(self.prefix, 10)
        again = self.other.add(self.prefix, 5, headers=name)
        self.assert_replayed(first, again)
        self.assertEqual(again.json, {"value": 5})
        self.assertEqual(self.client.get(self.prefix).body, b"15")

    def test_failures_are_decisions_as_well(self):
        self.client.put(self.prefix, b"5")
        only_new = {"If-None-Match": "*"}
        cases = ((lambda c, name: c.put(self.prefix, b"x", headers={**only_new, **name}),
                  "precondition-failed"),
                 (lambda c, name: c.add(self.prefix, -9, headers=name, min=0), "counter-bound"))
        for what, slug in cases:
            name = new_key()
            first = what(self.client, name)
            self.assertEqual((first.status, first.slug), (412, slug), first)
            self.client.delete(self.prefix)
            # Now it could be done; but the answer was given.
            self.assert_replayed(first, what(self.other, name))
            self.assertEqual(self.client.get(self.prefix).status, 404)
            self.client.put(self.prefix, b"5")

    def test_a_key_is_for_one_request(self):
        name = new_key()
        self.client.put(self.prefix, b"one", headers={"Content-Type": "a/b", **name})
        tag = self.client.get(self.prefix).headers["ETag"]
        other = [self.other.put(self.prefix, b"two", headers={"Content-Type": "a/b", **name}),
                 self.other.put(self.prefix, b"one", headers={"Content-Type": "a/c", **name}),
                 self.other.put(self.prefix, b"one", headers={"Content-Type": "a/b",
                                                              "If-Match": "*", **name}),
                 self.other.delete(self.prefix, headers=name),
                 self.other.patch(self.prefix, {}, headers=name),
                 self.other.add(self.prefix, 1, headers=name)]
        for answer in other:
            self.assertEqual((answer.status, answer.slug), (422, "idempotency-key-reused"), answer)
            self.assertEqual(answer.problem["outcome"], "not-applied")
        got = self.client.get(self.prefix)
        self.assertEqual((got.body, got.headers["ETag"]), (b"one", tag))
        # Another key of the namespace is another story, and consistency does not matter.
        self.assertEqual(self.client.put(self.prefix + "2", b"two", headers=name).status, 204)
        again = self.other.put(self.prefix, b"one", "level=all&timeout=9s",
                               headers={"Content-Type": "a/b", **name})
        self.assertEqual((again.status, again.headers[REPLAYED]), (204, "?1"))

    def test_quotes_make_no_difference(self):
        name = str(uuid.uuid4())
        self.client.put(self.prefix, b"x", headers={"Idempotency-Key": name})
        again = self.client.put(self.prefix, b"x", headers={"Idempotency-Key": f'"{name}"'})
        self.assertEqual(again.headers[REPLAYED], "?1")

    def test_many_at_once_are_one(self):
        name, answers = new_key(), []

        def add(number):
            client = self.cluster.client(proxy=number % 2, namespace=self.namespace)
            answers.append(client.add(self.prefix, 1, "timeout=20s", headers=name))

        in_threads(add, 8)
        self.assertEqual([(a.status, a.json) for a in answers], [(200, {"value": 1})] * 8)
        # The first one itself is a replay if it lost its way and found what it had done.
        self.assertLessEqual(sum(a.headers[REPLAYED] is None for a in answers), 1)
        self.assertEqual(self.client.get(self.prefix).body, b"1")

    def test_a_full_record_takes_no_more_keys(self):
        names = [new_key() for _ in range(KEYS_MAX + 1)]
        for i, name in enumerate(names[:KEYS_MAX]):
            answer = self.client.put(self.prefix, b"%d" % i, headers=name)
            self.assertEqual(answer.status, 204, answer)
        answer = self.client.put(self.prefix, b"more", headers=names[-1])
        self.assertEqual((answer.status, answer.slug), (429, "too-many-idempotency-keys"), answer)
        self.assertEqual(answer.problem["outcome"], "not-applied")
        self.assertTrue(answer.headers["Retry-After"])
        self.assertEqual(self.client.get(self.prefix).body, b"%d" % (KEYS_MAX - 1))
        for i in (0, KEYS_MAX - 1):
            again = self.other.put(self.prefix, b"%d" % i, headers=names[i])
            self.assertEqual((again.status, again.headers[REPLAYED]), (204, "?1"), again)
        # What has no key goes on.
        self.assertEqual(self.client.put(self.prefix, b"more").status, 204)


class StrictReplays(Replays):
    namespace = "bank"


class Mixed(ClusterTest):
    def test_a_blind_write_forgets(self):
        name = new_key()
        self.assertEqual(self.client.put(self.prefix, b"keyed", headers=name).status, 204)
        blind = self.client.put(self.prefix, b"blind", "level=eventual")
        wait_until(lambda: self.client.get(self.prefix, "level=all").headers["ETag"] ==
                   blind.headers["ETag"], 10, "the eventual write arrived")
        for header in (name, new_key()):
            answer = self.client.put(self.prefix, b"keyed", headers=header)
            self.assertEqual((answer.status, answer.slug), (409, "history-lost"), answer)
            self.assertEqual(answer.problem["outcome"], "unknown")
        got = self.client.get(self.prefix)
        self.assertEqual((got.body, got.headers["ETag"]), (b"blind", blind.headers["ETag"]))


class Required(unittest.TestCase):
    def test_a_namespace_may_want_a_key(self):
        namespaces = [{"id": 1, "name": "default", "kind": "cas", "require_idempotency_key": True,
                       "timeout_ms": int(1000 * PATIENCE)}]
        with Cluster(namespaces=namespaces) as cluster:
            client = cluster.client()
            for answer in (client.put("key", b"x"), client.delete("key"), client.patch("key", {}),
                           client.add("key", 1),
                           client.put("key", b"x", headers={"If-Match": "*"})):
                self.assertEqual((answer.status, answer.slug), (428, "idempotency-key-required"),
                                 answer)
            self.assertEqual(client.get("key").status, 404)
            self.assertEqual(client.put("key", b"x", headers=new_key()).status, 204)
            self.assertEqual(client.get("key").body, b"x")


class Crashes(unittest.TestCase):
    """Clients that send every write again until it is answered, while nodes die: each adds once."""

    def test_nodes_are_killed_in_between(self):
        namespaces = [{"id": number, "name": name, "kind": kind, "timeout_ms": int(500 * PATIENCE)}
                      for number, (name, kind) in enumerate(NAMESPACES.items(), 1)]
        with Cluster(proxies=2, namespaces=namespaces) as cluster:
            for namespace in ("default", "bank"):
                with self.subTest(namespace):
                    self.add_through_crashes(cluster, namespace)

    def add_through_crashes(self, cluster, namespace):
        counts, wrong = [0] * 4, []

        def hot():
            """All add to one key, and after a while to the next: none remembers for ever."""
            return f"hot-{sum(counts) // 100}"

        def add(number):
            clients = [cluster.client(proxy, namespace=namespace) for proxy in range(2)]
            turn = number
            while not adders.stop.is_set():
                key, name, answer = hot(), new_key(), None
                while answer is None or answer.status in (503, 504):
                    answer = clients[turn % 2].add(key, 1, headers=name)
                    turn += 1
                if answer.status != 200:
                    wrong.append(answer)
                counts[number] += 1

        def more_are_added(without):
            before = sum(counts)
            wait_until(lambda: sum(counts) > before + 20, 60, f"additions {without}")

        def crash():
            for node in cluster.nodes:
                more_are_added(f"with {node.name}")
                node.kill()
                more_are_added(f"without {node.name}")
                node.start()
                wait_until(lambda: all(cluster.reaches_all(p) for p in range(2)), 60, "all back")

        adders = Threads(add, len(counts))
        with adders:
            crash()
        self.assertEqual(wrong, [])
        client, last = cluster.client(namespace=namespace), int(hot().split("-")[1])
        answers = [client.get(f"hot-{i}", "timeout=20s") for i in range(last + 1)]
        values = [int(answer.body) for answer in answers if answer.status == 200]
        self.assertEqual(sum(values), sum(counts), values)


if __name__ == "__main__":
    unittest.main()
