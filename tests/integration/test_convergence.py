#!/usr/bin/env python3
# labels: integration full
"""Nodes become equal by themselves: what one missed arrives without anybody reading it."""
import re
import time
import unittest

from cluster import ClusterTest, wait_until

KEYS = 200
PARTITIONS = 1024


def hints(node, name):
    """The sum over the nodes that hints are kept for."""
    found = re.findall(rf"^quorate_node_{name}{{[^}}]*}} (\d+)$",
                       node.get("/metrics")[2].decode(), re.MULTILINE)
    return sum(int(value) for value in found)


def metric(node, name):
    found = re.search(rf"^quorate_node_{name} (\d+)$", node.get("/metrics")[2].decode(),
                      re.MULTILINE)
    return int(found.group(1))


class Convergence(ClusterTest):
    def write(self, value):
        for i in range(KEYS):
            level = "eventual" if self.namespace != "bank" and i % 2 else "strong"
            put = self.client.put(f"{self.prefix}{i}", value, f"level={level}&timeout=5s")
            self.assertEqual(put.status, 204, put)
        for i in range(0, KEYS, 10):
            deleted = self.client.delete(f"{self.prefix}{i}", "level=strong&timeout=5s")
            self.assertEqual(deleted.status, 204, deleted)

    def brought(self):
        """Keys that were brought to a node that missed them, as a difference or by a hint."""
        return sum(metric(node, "differences_total") + hints(node, "hints_delivered_total")
                   for node in self.cluster.nodes)

    def misses_a_lot(self, node):
        """The node is away while everything is written, and comes back."""
        self.write(b"old")
        wait_until(self.cluster.reaches_all, 30, "all three answer")
        node.kill()
        self.write(b"new")
        node.start()
        wait_until(lambda: metric(node, "trees_rebuilt_total") == PARTITIONS, 60,
                   "the trees are made")
        found = self.brought()
        moved = time.monotonic()

        def is_quiet():
            """Nothing differed for a while, in which what was missed is gone through twice."""
            nonlocal found, moved
            now = self.brought()
            if now != found:
                found, moved = now, time.monotonic()
            return found >= KEYS and time.monotonic() - moved > 5

        wait_until(is_quiet, 60, "all that was missed is mended")

    def check_alone(self, node):
        """The node has it all: the others are away."""
        others = [other for other in self.cluster.nodes if other is not node]
        for other in others:
            other.kill()
        try:
            for i in range(KEYS):
                got = self.client.get(f"{self.prefix}{i}", "level=eventual&timeout=5s")
                if i % 10 == 0:
                    self.assertEqual(got.status, 404, got)
                else:
                    self.assertEqual((got.status, got.body), (200, b"new"), got)
        finally:
            for other in others:
                other.start()
            wait_until(self.cluster.reaches_all, 30, "all three answer again")

    def test_what_a_node_missed_comes_to_it(self):
        node = self.cluster.nodes[2]
        self.misses_a_lot(node)
        self.check_alone(node)

    def test_trees_survive_a_stop_in_order_only(self):
        node = self.cluster.nodes[0]
        self.write(b"any")
        self.assertEqual(node.terminate(), 0)
        node.start()
        self.assertEqual(metric(node, "trees_rebuilt_total"), 0)
        wait_until(self.cluster.reaches_all, 30, "all three answer")
        self.write(b"other")
        node.kill()
        node.start()
        wait_until(lambda: metric(node, "trees_rebuilt_total") == PARTITIONS, 60,
                   "all trees are made")


class ConvergenceOfConsensus(Convergence):
    namespace = "bank"


class ConvergenceOfBlindWrites(Convergence):
    namespace = "cache"


if __name__ == "__main__":
    unittest.main()
