#!/usr/bin/env python3
# labels: integration full
"""Deletes are dropped once they are old and everywhere; nothing that was deleted comes back."""
import re
import time
import unittest

from cluster import ClusterTest, wait_until

KEYS = 40


def with_grace(seconds):
    return {"node_settings":
            f"delete_grace_ms = {int(seconds * 1000)}; collect_every_ms = 300;"}


def metric(node, name):
    page = node.get("/metrics")[2].decode()
    return int(re.search(rf"^quorate_node_{name} (\d+)$", page, re.MULTILINE).group(1))


class Deletes(ClusterTest):
    grace = 1
    options = with_grace(grace)
    namespace = "cache"

    def tombstones(self, nodes=None):
        return sum(metric(node, "tombstones") for node in nodes or self.cluster.nodes)

    def collected(self):
        return [metric(node, "collected_total") for node in self.cluster.nodes]

    def write(self, query="level=strong"):
        for i in range(KEYS):
            put = self.client.put(f"{self.prefix}{i}", b"there", f"{query}&timeout=5s")
            self.assertEqual(put.status, 204, put)

    def delete(self):
        for i in range(KEYS):
            deleted = self.client.delete(f"{self.prefix}{i}", "level=strong&timeout=5s")
            self.assertEqual(deleted.status, 204, deleted)

    def check_absent(self, level):
        for i in range(KEYS):
            got = self.client.get(f"{self.prefix}{i}", f"level={level}&timeout=5s")
            self.assertEqual(got.status, 404, got)

    def wait_collected(self):
        wait_until(lambda: self.tombstones() == 0, 60, "all deletes are dropped")

    def test_they_are_dropped_and_the_keys_go_on(self):
        before = self.collected()
        self.write()
        self.delete()
        self.assertGreater(self.tombstones(), 0)
        while self.tombstones() > 0:
            # Whatever is dropped here and not yet there: a reader sees a deleted key.
            self.check_absent("strong")
        for node, old in zip(self.collected(), before):
            self.assertGreaterEqual(node, old + KEYS)
        for level in ("eventual", "quorum", "strong", "all"):
            self.check_absent(level)
        self.write("level=all")
        for i in range(KEYS):
            got = self.client.get(f"{self.prefix}{i}", "level=eventual")
            self.assertEqual((got.status, got.body), (200, b"there"), got)
        self.delete()
        self.wait_collected()

    def test_they_wait_for_whoever_is_away(self):
        node = self.cluster.nodes[1]
        others = [other for other in self.cluster.nodes if other is not node]
        self.write("level=all")
        node.kill()
        self.delete()
        # A few rounds, in which nothing may be dropped.
        time.sleep(2 * self.grace + 1)
        self.assertEqual(self.tombstones(others), len(others) * KEYS)
        node.start()
        self.wait_collected()
        wait_until(self.cluster.reaches_all, 30, "all three answer")
        self.check_absent("all")
        for other in others:
            other.kill()
        try:
            self.check_absent("eventual")
        finally:
            for other in others:
                other.start()
            wait_until(self.cluster.reaches_all, 30, "all three answer again")

    def test_whoever_crashes_goes_on(self):
        self.write()
        self.delete()
        for node in self.cluster.nodes:
            wait_until(lambda: metric(node, "tombstones") < KEYS, 60, "some are dropped")
            node.kill()
            node.start()
        wait_until(self.cluster.reaches_all, 60, "all three answer")
        wait_until(lambda: all(metric(node, "trees_rebuilt_total") == 1024
                               for node in self.cluster.nodes), 60, "all trees are made")
        self.wait_collected()
        self.check_absent("all")

    def test_what_expires_goes_as_well(self):
        self.write("level=strong&ttl=500ms")
        self.assertGreater(self.tombstones(), 0)
        self.wait_collected()
        self.check_absent("strong")


class DeletesByConsensus(Deletes):
    """A ballot that a proxy keeps for its next write must not come below a gate."""
    grace = 6
    options = with_grace(grace)
    namespace = "bank"


class DeletesOfBoth(Deletes):
    namespace = "default"


if __name__ == "__main__":
    unittest.main()
