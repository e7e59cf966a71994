#!/usr/bin/env python3
# labels: integration full slow
"""Memory stays flat over many operations and many idle connections."""
import resource
import socket
import unittest

from client import Client
from cluster import PATIENCE, Cluster, in_threads

MIB = 1024 * 1024


def work(cluster, operations, keys=1000, workers=8):
    problems = []

    def run(number):
        # Without the contract's checks: they cost more than the programs under test.
        client = Client(cluster.proxies[0].http_port, 30 * PATIENCE, contract=None)
        for i in range(operations // workers):
            key = f"key-{(i * workers + number) % keys}"
            level = ("strong", "eventual", "quorum")[i % 3]
            answer = (client.put(key, b"x" * (i % 3000), f"level={level}&timeout=10s") if i % 2
                      else client.get(key, f"level={level}&timeout=10s"))
            if answer.status not in (200, 204, 404):
                problems.append(repr(answer))
        client.close()

    in_threads(run, workers)
    return problems


class Endurance(unittest.TestCase):
    def test_memory_is_flat_over_many_operations(self):
        with Cluster() as cluster:
            self.assertEqual(work(cluster, 40000), [])
            before = {p.name: p.memory() for p in cluster.processes()}
            for _ in range(4):
                self.assertEqual(work(cluster, 40000), [])
            for process in cluster.processes():
                grown = process.memory() - before[process.name]
                # A node's write buffers fill for a while; a leak of 100 bytes an operation shows.
                allowed = 8 * MIB if process.program == "quorate-proxy" else 96 * MIB
                self.assertLess(grown, allowed * PATIENCE, process.name)

    def test_ten_thousand_idle_connections(self):
        wanted = 10000
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < wanted + 500:
            self.skipTest(f"this user may open {hard} files only")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 500), hard))
        with Cluster() as cluster:
            client = cluster.client()
            client.put("key", b"value")
            before = cluster.proxies[0].memory()
            sockets = []
            try:
                for i in range(wanted):
                    # Loopback addresses of their own: one has too few ports to be sure of.
                    s = socket.socket()
                    s.bind((f"127.0.0.{2 + i % 8}", 0))
                    s.connect(("127.0.0.1", cluster.proxies[0].http_port))
                    sockets.append(s)
                for _ in range(200):
                    got = client.get("key", "level=strong&timeout=10s")
                    self.assertEqual((got.status, got.body), (200, b"value"))
                each = (cluster.proxies[0].memory() - before) / wanted
                self.assertLess(each, 16 * 1024 * PATIENCE)
            finally:
                for s in sockets:
                    s.close()


if __name__ == "__main__":
    unittest.main()
