#!/usr/bin/env python3
# labels: integration full
"""Loops of a proxy, and proxies of a map, hand a key's writes to the one it belongs to."""
import http.client
import re
import threading
import time
import unittest

from cluster import PATIENCE, Cluster, wait_until

NAMESPACES = [{"id": 1, "name": "default", "kind": "cas", "timeout_ms": int(5000 * PATIENCE)}]


class SeatedCluster(Cluster):
    """Its proxies are in the map and know which they are."""

    def __init__(self, **options):
        super().__init__(namespaces=NAMESPACES, **options)
        places = []
        for proxy in self.proxies:
            with open(proxy.config, "a") as config:
                config.write(f'name = "{proxy.name}";\n')
            places.append({"name": proxy.name, "host": "127.0.0.1", "port": self.ports.take()})
        self.write_map(proxies=places)

    def start(self):
        super().start()
        wait_until(self.proxies_have_met, 30, "the proxies have met")
        return self

    def proxies_have_met(self):
        """Whether every loop of each proxy has reached every other."""
        for proxy in self.proxies:
            loops = int(re.search(r"event=proxy.started .*loops=(\d+)", proxy.log()).group(1))
            for other in self.proxies:
                ups = re.findall(rf"event=peer.up proxy={other.name} ", proxy.log())
                if len(ups) < (0 if other is proxy else loops):
                    return False
        return True


def metric(proxy, name):
    text = proxy.get("/metrics")[2].decode()
    return int(re.search(rf"^quo_consensus_{name}_total (\d+)$", text, re.MULTILINE).group(1))


class Load:
    """Threads that put values of their own to keys until they are told to stop.

    Through two proxies a write may be preempted, and when it tries again so many others may have
    passed that the key's record does not tell any more what became of it.
    """

    def __init__(self, cluster, proxies, threads, keys):
        self.cluster, self.keys = cluster, keys
        self.may_be_unknown = len(cluster.proxies) > 1
        self.stopping = threading.Event()
        self.written, self.wrong = 0, []
        self.threads = [threading.Thread(target=self._write, args=(proxy, number))
                        for proxy in proxies for number in range(threads)]

    def _write(self, proxy, number):
        client = self.cluster.client(proxy, contract=None)
        turn = 0
        try:
            while not self.stopping.is_set():
                turn += 1
                answer = client.put(self.keys[turn % len(self.keys)], b"%d-%d" % (number, turn))
                if answer.status == 204:
                    self.written += 1
                elif not (self.may_be_unknown and answer.status == 504 and
                          answer.problem["outcome"] == "unknown"):
                    self.wrong.append(answer)
        except (OSError, http.client.HTTPException):
            pass  # its proxy has stopped

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


class Loops(unittest.TestCase):
    def test_a_key_s_writes_meet_in_one_loop(self):
        with SeatedCluster(proxy_settings="loops = 2;") as cluster:
            proxy = cluster.proxies[0]
            with Load(cluster, [0], 16, ["hot"]) as load:
                wait_until(lambda: metric(proxy, "forwards") > 100, 30, "writes change loops")
            self.assertEqual(load.wrong, [])
            # Both loops took some of the connections, and neither got in the other's way.
            self.assertLess(metric(proxy, "forwards"), metric(proxy, "accepts"))
            self.assertEqual(metric(proxy, "forwards"), metric(proxy, "forwarded_in"))
            self.assertEqual(metric(proxy, "preemptions"), 0)

    def test_keys_of_both_loops_through_both(self):
        with SeatedCluster(proxy_settings="loops = 2;") as cluster:
            keys = [f"key-{i}" for i in range(50)]
            with Load(cluster, [0], 16, keys) as load:
                wait_until(lambda: load.written > 500, 30, "500 writes")
            self.assertEqual(load.wrong, [])
            self.assertEqual(metric(cluster.proxies[0], "preemptions"), 0)
            client = cluster.client()
            for i, key in enumerate(keys):
                self.assertEqual(client.put(key, b"last %d" % i).status, 204)
            for i, key in enumerate(keys):
                self.assertEqual(client.get(key).body, b"last %d" % i)


class Proxies(unittest.TestCase):
    def forwards(self, cluster):
        return [metric(proxy, "forwards") for proxy in cluster.proxies]

    def test_a_hot_key_is_handed_to_its_own_proxy(self):
        with SeatedCluster(proxies=2) as cluster:
            with Load(cluster, [0, 1], 4, ["hot"]) as load:
                wait_until(lambda: max(self.forwards(cluster)) > 20, 60, "writes change proxies")
            self.assertEqual(load.wrong, [])
            forwards = self.forwards(cluster)
            other = forwards.index(max(forwards))
            own = 1 - other
            # A key belongs to one of them.
            self.assertEqual(forwards[own], 0)
            self.assertEqual(metric(cluster.proxies[own], "forwarded_in"), forwards[other])

            self.survive(cluster, own, other)

    def survive(self, cluster, own, other):
        """The other one does without it, and finds it again."""
        with Load(cluster, [other], 4, ["hot"]) as load:
            cluster.proxies[own].kill()
            written = load.written
            wait_until(lambda: load.written > written + 100, 30, "writes without it")
        self.assertEqual(load.wrong, [])
        cluster.proxies[own].start()
        wait_until(lambda: cluster.proxies[other].log().count("event=peer.up proxy=") > 1, 30,
                   "it is found again")
        before = metric(cluster.proxies[other], "forwards")
        with Load(cluster, [0, 1], 4, ["hot"]) as load:
            wait_until(lambda: metric(cluster.proxies[other], "forwards") > before, 60,
                       "writes change proxies again")
        self.assertEqual(load.wrong, [])

    def test_a_proxy_stops_at_once_though_others_hand_it_writes(self):
        with SeatedCluster(proxies=2, proxy_settings="loops = 2;") as cluster:
            # Keys of several loops and proxies: whichever loop takes a connection hands some on.
            with Load(cluster, [0, 1], 4, [f"hot-{i}" for i in range(8)]) as load:
                wait_until(lambda: min(metric(p, "forwarded_in") for p in cluster.proxies) > 20, 60,
                           "writes change seats")
                start = time.monotonic()
                self.assertEqual(cluster.proxies[0].terminate(), 0)
                self.assertLess(time.monotonic() - start, 8 * PATIENCE)
                written = load.written
                wait_until(lambda: load.written > written + 50, 30, "writes without it")
            self.assertEqual(load.wrong, [])
            self.assertIn("event=proxy.stopped drained=true", cluster.proxies[0].log())

    def test_a_name_that_the_map_does_not_have(self):
        with SeatedCluster() as cluster:
            proxy = cluster.proxies[0]
            proxy.terminate()
            with open(proxy.config) as config:
                text = config.read()
            proxy.config.write_text(text.replace('name = "proxy-1"', 'name = "nobody"'))
            proxy.start(wait=False)
            self.assertNotEqual(proxy.process.wait(30 * PATIENCE), 0)
            self.assertIn('has no proxy named "nobody"', proxy.log())


if __name__ == "__main__":
    unittest.main()
