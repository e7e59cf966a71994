#!/usr/bin/env python3
# labels: integration
"""The main job: values come back as they were written, at the level asked, with a true receipt."""
import os
import unittest

from cluster import ClusterTest

KIB = 1024
SIZES = (0, 1, 100, 4 * KIB, 4 * KIB + 1, 64 * KIB, KIB * KIB - 1, KIB * KIB)
LEVELS = ("eventual", "quorum", "strong", "all")


class Values(ClusterTest):
    options = {"proxies": 2}

    def test_sizes_come_back_byte_for_byte(self):
        for size in SIZES:
            value = os.urandom(size)
            key = f"{self.prefix}{size}"
            with self.subTest(size=size):
                # On all replicas, so that an eventual read has no older one to find.
                put = self.client.put(key, value, "level=all&timeout=10s")
                self.assertEqual(put.status, 204, put)
                for level in LEVELS:
                    got = self.client.get(key, f"level={level}")
                    self.assertEqual((got.status, got.body), (200, value), level)
                    self.assertEqual(got.headers["ETag"], put.headers["ETag"])
        self.assertEqual(self.client.connects, 1)

    def test_every_byte_in_values_and_keys(self):
        value = bytes(range(256)) * 3
        for byte in range(256):
            key = self.prefix.encode() + bytes([byte]) + b"end"
            self.assertEqual(self.client.put(key, value + bytes([byte])).status, 204)
        for byte in range(256):
            key = self.prefix.encode() + bytes([byte]) + b"end"
            got = self.client.get(key)
            self.assertEqual((got.status, got.body), (200, value + bytes([byte])), byte)

    def test_slash_is_part_of_a_key_only_when_encoded(self):
        self.client.put(self.prefix + "a/b", b"slash")
        self.assertIn("%2F", self.target(self.prefix + "a/b"))
        self.assertEqual(self.client.get(self.prefix + "a/b").body, b"slash")
        raw = self.client.request("GET", f"/v1/kv/{self.namespace}/{self.prefix}a/b")
        self.assertEqual(raw.problem["type"].rsplit("/", 1)[1], "bad-key")
        self.assertEqual(self.client.get(self.prefix + "a").status, 404)

    def test_the_longest_key(self):
        for length in (1, 4095, 4096):
            key = (self.prefix.encode() * 4096)[:length - 1] + bytes([length % 256])
            with self.subTest(length=length):
                self.client.put(key, b"%d" % length)
                self.assertEqual(self.client.get(key).body, b"%d" % length)

    def test_content_type_is_kept(self):
        kind = "application/vnd.example+json; charset=utf-8"
        self.client.put(self.prefix, b"{}", headers={"Content-Type": kind})
        self.assertEqual(self.client.get(self.prefix).headers["Content-Type"], kind)
        self.client.put(self.prefix, b"\0", headers={})
        self.assertEqual(self.client.get(self.prefix).headers["Content-Type"],
                         "application/octet-stream")

    def test_delete(self):
        self.client.put(self.prefix, b"here", "level=all")
        deleted = self.client.delete(self.prefix, "level=all")
        self.assertEqual(deleted.status, 204)
        self.assertTrue(deleted.headers["ETag"])
        for level in LEVELS:
            self.assertEqual(self.client.get(self.prefix, f"level={level}").status, 404, level)
        # Deleting what is not there is a write like any other.
        self.assertEqual(self.client.delete(self.prefix + "never").status, 204)
        self.client.put(self.prefix, b"again")
        self.assertEqual(self.client.get(self.prefix).body, b"again")

    def test_absent_says_so_at_the_level_asked(self):
        for level in LEVELS:
            got = self.client.get(self.prefix + "never", f"level={level}")
            self.assertEqual(got.status, 404)
            self.assertEqual(got.problem["type"].rsplit("/", 1)[1], "key-not-found")
            self.assertEqual(got.receipt["level"], level)

    def test_namespaces_are_apart(self):
        self.client.put(self.prefix, b"one")
        self.assertEqual(self.client.get(self.prefix, namespace="bank").status, 404)
        self.client.put(self.prefix, b"two", namespace="bank")
        self.assertEqual(self.client.get(self.prefix).body, b"one")

    def test_a_strong_write_through_one_proxy_is_seen_through_the_other(self):
        other = self.cluster.client(proxy=1, namespace=self.namespace)
        for i in range(200):
            writer, reader = (self.client, other) if i % 2 else (other, self.client)
            put = writer.put(self.prefix, b"%d" % i, "level=strong")
            got = reader.get(self.prefix, "level=strong")
            self.assertEqual((got.body, got.headers["ETag"]), (b"%d" % i, put.headers["ETag"]))

    def test_an_eventual_write_arrives_everywhere(self):
        put = self.client.put(self.prefix, b"soon", "level=eventual")
        self.assertEqual(put.status, 204)
        # A strong read decides what every later read of it sees; it may find the write or not, but
        # one acknowledged copy exists, and the same proxy sent it to all.
        for _ in range(100):
            got = self.client.get(self.prefix, "level=all")
            if got.status == 200:
                break
        self.assertEqual((got.status, got.body), (200, b"soon"))


class BlindValues(Values):
    namespace = "cache"


class MergedValues(Values):
    namespace = "social"


class Receipts(ClusterTest):
    # A write at level quorum is the same as a strong one; through consensus the receipt says so.
    quorum_writes_reach = "strong"

    def assert_receipt(self, answer, **expected):
        self.assertIsNotNone(answer.receipt, answer)
        got = {name: answer.receipt.get(name) for name in expected}
        self.assertEqual(got, expected, answer)

    def test_levels_of_writes(self):
        for level, acks in (("eventual", 1), ("quorum", 2), ("strong", 2), ("all", 3)):
            put = self.client.put(self.prefix, b"x", f"level={level}")
            with self.subTest(level):
                reached = self.quorum_writes_reach if level == "quorum" else level
                self.assert_receipt(put, asked=level, level=reached, n=3, w=acks)
                self.assertGreaterEqual(put.receipt["acks"], acks)
                self.assertGreaterEqual(put.receipt["disk"], acks)

    def test_levels_of_reads(self):
        self.client.put(self.prefix, b"x", "level=all")
        for level, replies in (("eventual", 1), ("quorum", 2), ("strong", 2), ("all", 3)):
            got = self.client.get(self.prefix, f"level={level}")
            with self.subTest(level):
                self.assert_receipt(got, asked=level, level=level, n=3, r=replies)
                self.assertGreaterEqual(len(got.receipt["replicas"]), replies)
                known = {node.name for node in self.cluster.nodes}
                self.assertLessEqual(set(got.receipt["replicas"]), known)

    def test_the_default_is_the_namespaces(self):
        self.assert_receipt(self.client.put(self.prefix, b"x"), level="strong")
        self.assert_receipt(self.client.get(self.prefix), level="strong")

    def test_numbers_at_the_strong_quorums_are_strong(self):
        # On N=3, r=2 and w=2 are the majorities: such a request is strong and its answer says so.
        self.assert_receipt(self.client.put(self.prefix, b"x", "r=2&w=2"), level="strong", w=2)
        self.assert_receipt(self.client.get(self.prefix, "r=2&w=2"), level="strong", r=2)
        self.assert_receipt(self.client.get(self.prefix, "r=3"), level="strong", r=3)

    def test_numbers_below_are_eventual(self):
        self.client.put(self.prefix, b"x", "level=all")
        self.assert_receipt(self.client.get(self.prefix, "r=1"), level="eventual", r=1)
        self.assert_receipt(self.client.put(self.prefix, b"y", "w=1"), level="eventual", w=1)
        # Two acks, one of them on disk: a crash may lose it, so it is no strong write.
        self.assert_receipt(self.client.put(self.prefix, b"z", "w=2&dw=1"), level="eventual", w=2)

    def test_header_and_query_are_the_same(self):
        for header in ("strong", "strong;timeout=250", "eventual;r=1"):
            level = header.split(";")[0]
            got = self.client.get(self.prefix, headers={"Consistency": header})
            self.assert_receipt(got, level=level)
        got = self.client.get(self.prefix, "level=strong", headers={"Consistency": "strong"})
        self.assert_receipt(got, level="strong")

    def test_version_is_the_etag(self):
        put = self.client.put(self.prefix, b"x")
        got = self.client.get(self.prefix)
        self.assertEqual(put.headers["ETag"], f'"{put.receipt["version"]}"')
        self.assertEqual(got.receipt["version"], put.receipt["version"])


class BlindReceipts(Receipts):
    namespace = "cache"
    quorum_writes_reach = "quorum"


if __name__ == "__main__":
    unittest.main()
