#!/usr/bin/env python3
# labels: integration
"""What an operation of a quiet key costs: round trips as its receipt says, requests and syncs as
the nodes' counters say."""
import re
import unittest

from cluster import PATIENCE, Cluster, wait_until

NAMESPACES = [{"id": 1, "name": "bank", "kind": "cas", "timeout_ms": 5000},
              {"id": 2, "name": "default", "kind": "mixed", "timeout_ms": 5000},
              {"id": 3, "name": "cache", "kind": "lww", "timeout_ms": 5000}]
COUNTED = ("queries", "stores", "prepares", "accepts", "syncs")
KEPT = ("committed", "promises")  # counted when they are on disk


def counters(cluster):
    """Over all nodes: {name: count}."""
    total = dict.fromkeys(COUNTED + KEPT, 0)
    for node in cluster.nodes:
        text = node.get("/metrics")[2].decode()
        for name in total:
            found = re.search(rf"^quorate_node_{name}_total (\d+)$", text, re.MULTILINE)
            total[name] += int(found.group(1))
    return total


@unittest.skipIf(PATIENCE > 1, "sanitised nodes are so slow that links drop, and that costs")
class Costs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # A read that waits on a busy machine would ask one replica more.
        cls.cluster = Cluster(namespaces=NAMESPACES, proxy_settings="loops = 1; hedge_percent = 0;")
        cls.cluster.start()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)

    def setUp(self):
        self.client = self.cluster.client()
        self.addCleanup(self.client.close)

    def cost(self, status, method, path, body=None, headers=None):
        """(round trips, {name: count}) of one request, once every node is done with it. A replica
        that is behind may sync two phases at once: such a sync is counted as two."""
        before = counters(self.cluster)
        answer = self.client.request(method, path, body=body, headers=headers or {})
        self.assertEqual(answer.status, status, answer)
        trips = int(re.search(r"\brtt=(\d+)", answer.headers["Consistency-Receipt"]).group(1))
        spent = {}

        def settled():
            # The answer comes with the quorum; the last replica follows.
            now = counters(self.cluster)
            spent.update({name: now[name] - before[name] for name in now})
            return (all(spent[name] % 3 == 0 for name in ("stores", "prepares", "accepts")) and
                    spent["committed"] == spent["stores"] + spent["accepts"] and
                    spent["promises"] >= spent["prepares"])

        try:
            wait_until(settled, 10, "all nodes are done")
        except AssertionError as error:
            raise AssertionError(f"{error}: {spent}, {answer.headers}") from error
        # A replica that is behind has both phases to sync at once.
        writes = spent["stores"] + spent["prepares"] + spent["accepts"]
        if spent["prepares"] and spent["accepts"] and spent["syncs"] == writes - 1:
            spent["syncs"] = writes
        return trips, {name: spent[name] for name in COUNTED if spent[name]}

    def test_consensus(self):
        key = "/v1/kv/bank/account"
        cold = self.cost(204, "PUT", key, b"1")
        self.assertEqual(cold, (2, {"prepares": 3, "accepts": 3, "syncs": 6}))
        warm = self.cost(204, "PUT", key, b"2")
        self.assertEqual(warm, (1, {"accepts": 3, "syncs": 3}))
        # What a condition refuses leaves a promise and nothing else.
        failed = self.cost(412, "PUT", key, b"3", {"If-None-Match": "*"})
        self.assertEqual(failed, (1, {"prepares": 3, "syncs": 3}))
        # With a key the refusal is remembered.
        kept = self.cost(412, "PUT", key, b"3", {"If-None-Match": "*", "Idempotency-Key": '"k"'})
        self.assertEqual(kept, (2, {"prepares": 3, "accepts": 3, "syncs": 6}))
        # Promises beside the record cost a reader nothing.
        self.assertEqual(self.cost(200, "GET", key), (1, {"queries": 2}))

    def test_mixed_is_never_warm(self):
        key = "/v1/kv/default/account"
        for value in (b"1", b"2", b"3"):
            self.assertEqual(self.cost(204, "PUT", key, value),
                             (2, {"prepares": 3, "accepts": 3, "syncs": 6}))
        self.assertEqual(self.cost(200, "GET", key), (1, {"queries": 2}))
        self.assertEqual(self.cost(204, "PUT", key + "?level=eventual", b"4"),
                         (1, {"stores": 3, "syncs": 3}))

    def test_last_writer_wins(self):
        key = "/v1/kv/cache/page"
        trips, spent = self.cost(204, "PUT", key, b"1")
        self.assertEqual((trips, spent), (2, {"queries": 2, "stores": 3, "syncs": 3}))
        self.assertEqual(self.cost(200, "GET", key), (1, {"queries": 2}))


if __name__ == "__main__":
    unittest.main()
