#!/usr/bin/env python3
# labels: integration
"""What a replica misses is kept by another node, and brought to it when it is back."""
import re
import secrets
import unittest

from cluster import ClusterTest, wait_until

KEYS = 60


def hints(node, name="hints"):
    """The sum of a metric of hints over the nodes that they are kept for."""
    page = node.get("/metrics")[2].decode()
    found = re.findall(rf'^quorate_node_{name}{{target="[0-9a-f]{{16}}"}} (\d+)$', page,
                       re.MULTILINE)
    return sum(int(value) for value in found)


class Hints(ClusterTest):
    options = {"nodes": 4, "replicas": 3}
    namespace = "cache"

    def setUp(self):
        super().setUp()
        wait_until(lambda: self.cluster.reaches_all(), 30, "all answer")

    def sum(self, name="hints"):
        return sum(hints(node, name) for node in self.cluster.nodes if node.is_up)

    def replicas(self, key):
        """The nodes that hold a key."""
        put = self.client.put(key, b"all", "level=all")
        self.assertEqual(put.status, 204, put)
        names = put.receipt["replicas"]
        return [node for node in self.cluster.nodes if node.name in names]

    def kill(self, *nodes):
        for node in nodes:
            node.kill()
            node.is_up = False

    def start(self, *nodes):
        for node in nodes:
            node.start()
            node.is_up = True

    def run(self, result=None):
        for node in self.cluster.nodes:
            node.is_up = True
        super().run(result)

    def test_what_was_missed_is_delivered(self):
        away = self.cluster.nodes[0]
        self.kill(away)
        for i in range(KEYS):
            put = self.client.put(f"{self.prefix}{i}", b"new", "level=eventual&w=2&dw=1")
            self.assertEqual(put.status, 204, put)
        deleted = self.client.delete(f"{self.prefix}0", "level=eventual")
        self.assertEqual(deleted.status, 204, deleted)
        # Three quarters of the keys are on the node that is away.
        wait_until(lambda: self.sum() > KEYS // 3, 10, "hints are kept")
        kept = self.sum()
        # They outlive whoever keeps them.
        keeper = max((node for node in self.cluster.nodes if node.is_up), key=hints)
        keeper.kill()
        keeper.start()
        wait_until(lambda: self.sum() == kept, 10, "hints are counted")
        before = self.sum("hints_delivered_total")
        self.start(away)
        wait_until(lambda: self.sum() == 0, 30, "hints are delivered")
        self.assertEqual(self.sum("hints_delivered_total") - before, kept)
        self.assertEqual(self.sum("hints_expired_total") + self.sum("hints_useless_total"), 0)

    def two_are_away(self):
        """A key of which one replica is left, and one node that holds nothing of it."""
        key = self.prefix + "key"
        replicas = self.replicas(key)
        self.kill(*replicas[:2])
        return key, replicas

    def test_a_sloppy_write_needs_no_second_replica(self):
        key, replicas = self.two_are_away()
        wait_until(lambda: self.client.put(key, b"refused", "w=2&dw=1").status == 503, 10,
                   "the write is refused")
        put = self.client.put(key, b"sloppy", "w=2&sloppy=1")
        self.assertEqual(put.status, 204, put)
        receipt = put.receipt
        self.assertEqual(receipt["level"], "eventual")
        self.assertIs(receipt["sloppy"], True)
        self.assertEqual((receipt["acks"], receipt["hints"], receipt["w"]), (1, 1, 2))
        self.assertIs(receipt["stable"], False)
        self.assertEqual(receipt["replicas"], [replicas[2].name])
        # Three would be more than there are.
        put = self.client.put(key, b"refused", "w=3&sloppy=1")
        self.assertEqual(put.status, 503, put)
        # The other nodes are back, and the one that took it is not: they have it all the same.
        keepers = [node for node in self.cluster.nodes if node not in replicas]
        self.assertGreater(sum(hints(node) for node in keepers), 0)
        self.kill(replicas[2])
        self.start(*replicas[:2])
        wait_until(lambda: self.client.get(key, "r=2").body == b"sloppy", 30,
                   "hints are delivered")
        self.start(replicas[2])
        wait_until(lambda: self.sum() == 0, 30, "no hint is left")

    def test_a_sloppy_write_says_so_if_it_did_not_need_to_be(self):
        put = self.client.put(self.prefix + "key", b"value", "w=2&sloppy=1")
        self.assertEqual(put.status, 204, put)
        self.assertIs(put.receipt["sloppy"], False)
        self.assertEqual(put.receipt["hints"], 0)
        self.assertGreaterEqual(put.receipt["acks"], 2)
        put = self.client.put(self.prefix + "key", b"value",
                              headers={"Consistency": "eventual;w=2;sloppy"})
        self.assertEqual(put.status, 204, put)
        self.assertIs(put.receipt["sloppy"], False)
        self.assertNotIn("sloppy", self.client.put(self.prefix + "key", b"value").receipt)

    def test_only_eventual_writes_are_sloppy(self):
        key = self.prefix + "key"
        bad = [("cache", "sloppy=1"), ("cache", "level=strong&sloppy=1"),
               ("cache", "level=session&sloppy=1"), ("cache", "level=all&sloppy=1"),
               ("cache", "level=eventual&sloppy=yes"), ("bank", "level=eventual&sloppy=1")]
        for namespace, query in bad:
            client = self.cluster.client(namespace=namespace)
            put = client.put(key, b"value", query)
            self.assertEqual(put.status, 400, (namespace, query, put))
        got = self.client.get(key, "level=eventual&sloppy=1")
        self.assertEqual(got.status, 400, got)
        for namespace in ("default", "social", "cache"):
            client = self.cluster.client(namespace=namespace)
            put = client.put(f"{key}-{secrets.token_hex(2)}", b"value", "level=eventual&sloppy=1")
            self.assertEqual(put.status, 204, (namespace, put))


if __name__ == "__main__":
    unittest.main()
