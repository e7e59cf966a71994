#!/usr/bin/env python3
# labels: integration full
"""Nodes are who their directory says: a strange or emptied one is never taken for a replica."""
import json
import shutil
import subprocess
import unittest

from cluster import BIN, Cluster, random_id, wait_until


def run_node(config):
    return subprocess.run([BIN / "quorate-node", "--config", config], capture_output=True,
                          text=True, timeout=60, check=False)


class Identity(unittest.TestCase):
    def test_init_makes_an_identity_once(self):
        with Cluster() as cluster:
            replicas = [node.replica for node in cluster.nodes]
            self.assertEqual(len(set(replicas)), 3)
            for replica in replicas:
                self.assertRegex(replica, r"^[0-9a-f]{16}$")
            again = subprocess.run(
                [BIN / "quorate-node", "--init", "--data", cluster.nodes[0].data, "--cluster",
                 random_id()], capture_output=True, text=True, check=False)
            self.assertNotEqual(again.returncode, 0)
            cluster.nodes[0].terminate()
            cluster.nodes[0].start()

    def test_a_directory_of_another_cluster_is_refused(self):
        with Cluster() as cluster:
            node = cluster.nodes[0]
            node.terminate()
            shutil.rmtree(node.data)
            node.replica = cluster.init_node(node.data, random_id())
            cluster.write_map()
            run = run_node(node.config)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("cluster", run.stderr)
            self.assertNotIn("Sanitizer", run.stderr)

    def test_a_directory_that_the_map_does_not_name_is_refused(self):
        with Cluster() as cluster:
            node = cluster.nodes[0]
            node.terminate()
            shutil.rmtree(node.data)
            cluster.init_node(node.data, cluster.cluster_id)
            run = run_node(node.config)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("map", run.stderr)

    def test_an_uninitialised_directory_is_refused(self):
        with Cluster() as cluster:
            node = cluster.nodes[0]
            node.terminate()
            shutil.rmtree(node.data)
            run = run_node(node.config)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("--init", run.stderr)

    def test_one_directory_serves_one_process(self):
        with Cluster() as cluster:
            second = cluster.folder / "second.conf"
            text = cluster.nodes[0].config.read_text()
            second.write_text(text.replace(str(cluster.nodes[0].http_port),
                                           str(cluster.ports.take())))
            run = run_node(second)
            self.assertNotEqual(run.returncode, 0)
            self.assertTrue(cluster.nodes[0].is_ready())

    def test_an_emptied_node_is_not_counted(self):
        """node-2 loses its disk, node-3 is down: node-1 is no quorum, whatever node-2 says."""
        with Cluster() as cluster:
            client = cluster.client()
            self.assertEqual(client.put("key", b"value", "level=all").status, 204)
            wiped = cluster.nodes[1]
            wiped.kill()
            shutil.rmtree(wiped.data)
            replica = cluster.init_node(wiped.data, cluster.cluster_id)
            self.assertNotEqual(replica, wiped.replica)
            # Even where somebody lets it run, with a map that names it at the old address.
            document = json.loads((cluster.folder / "map.json").read_text())
            document["nodes"][1]["replica"] = replica
            own_map = cluster.folder / "own-map.json"
            own_map.write_text(json.dumps(document))
            wiped.config.write_text(wiped.config.read_text().replace(
                str(cluster.folder / "map.json"), str(own_map)))
            wiped.start()
            cluster.nodes[2].kill()
            wait_until(lambda: cluster.proxies[0].get("/readyz")[0] == 503, 10, "not ready")
            for _ in range(50):
                got = client.get("key", "level=strong&timeout=200ms")
                self.assertIn(got.status, (503, 504), got)
                put = client.put("key", b"other", "level=strong&timeout=200ms")
                self.assertIn(put.status, (503, 504), put)
            self.assertEqual(client.get("key", "level=eventual").status, 200)
            cluster.nodes[2].start()
            got = wait_until(lambda: (a := client.get("key", "level=strong")).status == 200 and a,
                             30, "two of three answer")
            self.assertIn(got.body, (b"value", b"other"))


if __name__ == "__main__":
    unittest.main()
