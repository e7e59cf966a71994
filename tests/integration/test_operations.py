#!/usr/bin/env python3
# labels: integration
"""Configuration, checks and help: mistakes are found at the start and named with their place."""
import json
import os
import subprocess
import unittest

from cluster import BIN, Cluster

PROGRAMS = ("quorate-node", "quorate-proxy")


def run(program, *arguments, environment=None):
    return subprocess.run([BIN / program, *arguments], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(environment or {})}, check=False)


class Configuration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.configs = {"quorate-node": cls.cluster.nodes[0].config,
                       "quorate-proxy": cls.cluster.proxies[0].config}

    @classmethod
    def tearDownClass(cls):
        cls.cluster._end()

    def write(self, program, text):
        path = self.cluster.folder / f"{program}-changed.conf"
        path.write_text(text)
        return path

    def test_check(self):
        for program in PROGRAMS:
            good = run(program, "--config", self.configs[program], "--check")
            self.assertEqual(good.returncode, 0, good.stderr)

    def test_every_mistake_is_found_with_its_place(self):
        for program in PROGRAMS:
            text = self.configs[program].read_text()
            lines = text.count("\n")
            mistakes = {
                "no_such_setting = 1;": "no_such_setting",
                'log_level = "loud";': "loud",
                "log_level = 3;": "log_level",
                "log_level = ;": str(lines + 1),
            }
            for line, word in mistakes.items():
                with self.subTest(program=program, line=line):
                    path = self.write(program, text + line + "\n")
                    bad = run(program, "--config", path, "--check")
                    self.assertNotEqual(bad.returncode, 0)
                    self.assertIn(word, bad.stderr)
                    if "loud" not in line:  # may as well come from the environment
                        self.assertIn(path.name, bad.stderr)

    def test_a_missing_file_is_named(self):
        for program in PROGRAMS:
            bad = run(program, "--config", "/no/such/file.conf", "--check")
            self.assertNotEqual(bad.returncode, 0)
            self.assertIn("/no/such/file.conf", bad.stderr)

    def test_maps_are_checked(self):
        path = self.cluster.folder / "map.json"
        good = path.read_text()
        wrong = {
            "quorums that do not meet": ("namespaces", [{"id": 1, "name": "a", "kind": "lww",
                                                         "rs": 1, "ws": 2}]),
            "an unknown kind": ("namespaces", [{"id": 1, "name": "a", "kind": "sql"}]),
            "more replicas than nodes": ("replicas", 4),
            "an unknown field": ("colour", "blue"),
            "partitions that are no power of two": ("partitions", 1000),
        }
        try:
            for what, (name, value) in wrong.items():
                path.write_text(json.dumps({**json.loads(good), name: value}))
                for program in PROGRAMS:
                    with self.subTest(what=what, program=program):
                        bad = run(program, "--config", self.configs[program], "--check")
                        self.assertNotEqual(bad.returncode, 0)
                        self.assertIn("map.json", bad.stderr)
            path.write_text(good[:len(good) // 2])
            for program in PROGRAMS:
                bad = run(program, "--config", self.configs[program], "--check")
                self.assertNotEqual(bad.returncode, 0)
        finally:
            path.write_text(good)

    def test_the_environment_overrides_the_file(self):
        for program, variable in (("quorate-node", "QUORATE_NODE_LOG_LEVEL"),
                                  ("quorate-proxy", "QUORATE_PROXY_LOG_LEVEL")):
            bad = run(program, "--config", self.configs[program], "--check",
                      environment={variable: "loud"})
            self.assertNotEqual(bad.returncode, 0)
            self.assertIn("loud", bad.stderr)

    def test_help_lists_every_setting(self):
        for program in PROGRAMS:
            shown = run(program, "--help")
            self.assertEqual(shown.returncode, 0)
            for line in self.configs[program].read_text().split("\n"):
                if line:
                    self.assertIn(line.split()[0], shown.stdout)

    def test_wrong_arguments(self):
        for program in PROGRAMS:
            for arguments in ((), ("--no-such-option",), ("stray", "words")):
                bad = run(program, *arguments)
                self.assertNotEqual(bad.returncode, 0)
                self.assertTrue(bad.stderr)


class Sizes(unittest.TestCase):
    def test_one_node_alone(self):
        with Cluster(nodes=1) as cluster:
            client = cluster.client()
            put = client.put("key", b"value", "level=strong")
            self.assertEqual((put.receipt["n"], put.receipt["w"]), (1, 1))
            self.assertEqual(client.get("key", "level=all").body, b"value")
            self.assertEqual(client.get("key", "r=2").status, 400)

    def test_five_nodes_hold_three_copies(self):
        with Cluster(nodes=5) as cluster:
            client = cluster.client()
            holders = set()
            for i in range(100):
                put = client.put(f"key-{i}", b"%d" % i, "level=all")
                self.assertEqual(len(put.receipt["replicas"]), 3)
                holders.update(put.receipt["replicas"])
            self.assertEqual(holders, {node.name for node in cluster.nodes})
            for i in range(100):
                self.assertEqual(client.get(f"key-{i}", "level=strong").body, b"%d" % i)

    def test_a_port_that_is_taken_is_named(self):
        with Cluster() as cluster:
            second = run("quorate-proxy", "--config", cluster.proxies[0].config)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(str(cluster.proxies[0].http_port), second.stderr)


if __name__ == "__main__":
    unittest.main()
