#!/usr/bin/env python3
# labels: integration
"""A request that cannot be served as asked is refused with a precise document, changes nothing, and
leaves its connection in order."""
import unittest

from client import PROBLEM_FIELDS
from cluster import ClusterTest

MIB = 1024 * 1024


class BadRequests(ClusterTest):
    namespace = "cache"

    def setUp(self):
        super().setUp()
        self.client.put(self.prefix, b"before", "level=all")

    def assert_refused(self, answer, slug, status, *words):
        """A whole problem document, and the key and the connection as they were."""
        self.assertEqual(answer.status, status, answer)
        self.assertIsNotNone(answer.problem, answer)
        self.assertLessEqual(PROBLEM_FIELDS, set(answer.problem))
        self.assertEqual(answer.problem["type"].rsplit("/", 1)[1], slug)
        self.assertEqual(answer.problem["status"], status)
        self.assertEqual(answer.problem["outcome"], "not-applied")
        for word in words:
            self.assertIn(word, answer.problem["detail"])
        got = self.client.get(self.prefix, "level=strong")
        self.assertEqual((got.status, got.body), (200, b"before"))
        self.assertEqual(self.client.connects, 1, "the connection was not kept")

    def test_every_kind_of_wrong_consistency(self):
        cases = [
            ("level=strnog", "bad-consistency", ["strnog", "strong"]),
            ("level=", "bad-consistency", []),
            ("level=STRONG", "bad-consistency", ["STRONG"]),
            ("r=4", "bad-consistency", ["4", "3"]),
            ("w=4", "bad-consistency", ["4", "3"]),
            ("r=0", "bad-consistency", ["0"]),
            ("w=0", "bad-consistency", ["0"]),
            ("w=1&dw=2", "bad-consistency", ["1", "2"]),
            ("r=-1", "bad-query", ["-1"]),
            ("r=two", "bad-query", ["two"]),
            ("r=99999999999999999999", "bad-query", []),
            ("r=2&r=2", "bad-query", ["twice"]),
            ("timeout=0", "bad-consistency", ["0"]),
            ("timeout=1h", "bad-query", ["1h"]),
            ("timeout=61s", "bad-consistency", ["61000", "60000"]),
            ("levle=strong", "bad-query", ["levle"]),
        ]
        for query, slug, words in cases:
            for method in ("GET", "PUT", "DELETE"):
                with self.subTest(query=query, method=method):
                    body = b"after" if method == "PUT" else None
                    answer = self.client.request(method, self.target(self.prefix, query),
                                                 body=body)
                    self.assert_refused(answer, slug, 400, *words)

    def test_level_and_numbers_that_contradict_it(self):
        self.assert_refused(self.client.get(self.prefix, "level=strong&r=1"),
                            "bad-consistency", 400, "1", "2")
        self.assert_refused(self.client.put(self.prefix, b"after", "level=strong&w=1"),
                            "bad-consistency", 400, "1", "2")
        self.assert_refused(self.client.get(self.prefix, "level=eventual&r=2"),
                            "bad-consistency", 400, "2")
        self.assert_refused(self.client.get(self.prefix, "level=all&r=2"),
                            "bad-consistency", 400, "2", "3")

    def test_header_and_query_that_differ(self):
        answer = self.client.put(self.prefix, b"after", "level=strong",
                                 headers={"Consistency": "eventual"})
        self.assert_refused(answer, "bad-consistency", 400)

    def test_broken_consistency_headers(self):
        for field in ('"strong"', "strong;", "strong;r", "strong;r=two", "strong;x=1", "2",
                      "stro ng", "strong;r=2;r=2", "strong;timeout=-1", "(strong)",
                      "strong, eventual"):
            with self.subTest(field):
                answer = self.client.put(self.prefix, b"after", headers={"Consistency": field})
                self.assert_refused(answer, "bad-header", 400, "Consistency")
        answer = self.client.get(self.prefix, headers={"Consistency": "strnog"})
        self.assert_refused(answer, "bad-consistency", 400, "strnog")

    def test_keys(self):
        empty = self.client.request("PUT", self.target(""), body=b"after")
        self.assert_refused(empty, "bad-key", 400)
        for escape in ("%", "%4", "%zz", "a%", "%%41"):
            with self.subTest(escape):
                broken = self.client.request("GET", self.target("") + escape)
                self.assert_refused(broken, "bad-key", 400)
        for length in (4097, 8000):
            answer = self.client.put("k" * length, b"after")
            self.assert_refused(answer, "key-too-long", 414, "4096", str(length))

    def test_values_over_the_limit(self):
        for excess in (1, MIB):
            answer = self.client.put(self.prefix, bytes(MIB + excess))
            self.assertEqual(answer.problem["limit"], MIB)
            self.assertEqual(answer.problem["actual"], MIB + excess)
            self.assert_refused(answer, "value-too-large", 413, str(MIB))

    def test_namespaces_and_paths_that_do_not_exist(self):
        answer = self.client.put(self.prefix, b"after", namespace="defualt")
        self.assert_refused(answer, "namespace-not-found", 404, "defualt")
        for path in ("/v1", "/v1/kv", "/v1/kv/", "/v2/kv/default/x", "/nothing",
                     "/v1/counters/default/x", "/v1/counters/default", "/rels/nothing"):
            with self.subTest(path):
                answer = self.client.request("GET", path)
                self.assertEqual(answer.status, 404)
                self.assertLessEqual(PROBLEM_FIELDS, set(answer.problem))

    def test_methods(self):
        for method in ("POST", "TRACE", "BREW"):
            with self.subTest(method):
                answer = self.client.request(method, self.target(self.prefix))
                self.assertEqual(set(answer.headers["Allow"].replace(" ", "").split(",")),
                                 {"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"})
                self.assert_refused(answer, "method-not-allowed", 405, method)
        answer = self.client.request("DELETE", "/metrics")
        self.assert_refused(answer, "method-not-allowed", 405)

    def test_content_encoding(self):
        answer = self.client.put(self.prefix, b"after", headers={"Content-Encoding": "gzip"})
        self.assert_refused(answer, "encoding-unsupported", 415, "gzip")

    def test_content_type_too_long(self):
        answer = self.client.put(self.prefix, b"after",
                                 headers={"Content-Type": "text/" + "x" * 300})
        self.assert_refused(answer, "bad-header", 400, "255")

    def test_what_blind_writes_cannot_keep_is_not_ignored(self):
        tag = self.client.get(self.prefix).headers["ETag"]
        for headers in ({"If-Match": tag}, {"If-None-Match": "*"}, {"If-Match": "*"},
                        {"Idempotency-Key": "once"}):
            with self.subTest(headers):
                answer = self.client.put(self.prefix, b"after", headers=headers)
                self.assert_refused(answer, "kind-mismatch", 409, "lww", "cas and mixed")
                answer = self.client.delete(self.prefix, headers=headers)
                self.assert_refused(answer, "kind-mismatch", 409, "lww", "cas and mixed")
        self.assert_refused(self.client.patch(self.prefix, {}), "kind-mismatch", 409, "lww")
        self.assert_refused(self.client.add(self.prefix, 1), "kind-mismatch", 409, "counter")

    def test_operations_of_blind_writes(self):
        blind = f"v{self.client.get(self.prefix).headers['ETag'].strip(chr(34))}"
        decided = "81112233445566778899aabbccddeeff0190000000000001"
        path = self.target(self.prefix) + "/operations/"
        for method, name, slug, status in (
                ("POST", f"{blind}:resolve", "kind-mismatch", 409),
                ("POST", f"{decided}:resolve", "kind-mismatch", 409),
                ("GET", decided, "kind-mismatch", 409),
                ("GET", blind[:-1], "not-found", 404),
                ("GET", blind.upper(), "not-found", 404),
                ("GET", f"{blind}?level=eventual", "bad-consistency", 400),
                ("GET", f"{blind}?r=1", "bad-consistency", 400),
                ("PUT", blind, "method-not-allowed", 405),
                ("GET", f"{decided}:resolve", "method-not-allowed", 405)):
            with self.subTest(method=method, name=name):
                self.assert_refused(self.client.request(method, path + name), slug, status)

    def test_every_problem_has_its_page(self):
        answer = self.client.get(self.prefix, "level=strnog")
        page = self.client.request("GET", answer.problem["type"])
        self.assertEqual(page.status, 200)
        self.assertIn(answer.problem["title"].encode(), page.body)


class WhatConsensusRefuses(BadRequests):
    """The same, and what only consensus can be asked for, ill-formed."""
    namespace = "bank"

    def test_what_blind_writes_cannot_keep_is_not_ignored(self):
        for query in ("level=eventual", "w=1", "w=2&dw=1"):
            for answer in (self.client.put(self.prefix, b"after", query),
                           self.client.delete(self.prefix, query),
                           self.client.patch(self.prefix, {}, query),
                           self.client.add(self.prefix, 1, query)):
                self.assert_refused(answer, "kind-mismatch", 409, "kind cas", "strong or all")

    def test_mixed_does_not_weaken_what_only_consensus_decides(self):
        self.client.put(self.prefix, b"before", namespace="default")
        for query in ("level=eventual", "w=1"):
            for answer in (self.client.put(self.prefix, b"after", query, "default",
                                           headers={"If-Match": "*"}),
                           self.client.delete(self.prefix, query, "default",
                                              headers={"Idempotency-Key": "x"}),
                           self.client.patch(self.prefix, {}, query, "default"),
                           self.client.add(self.prefix, 1, query, "default")):
                self.assert_refused(answer, "kind-mismatch", 409, "only consensus", "strong or all")
        self.assertEqual(self.client.get(self.prefix, namespace="default").body, b"before")

    def test_operations_of_blind_writes(self):
        blind = f"v{self.client.get(self.prefix).headers['ETag'].strip(chr(34))}"
        path = f"{self.target(self.prefix)}/operations/{blind}:resolve"
        self.assert_refused(self.client.request("POST", path), "kind-mismatch", 409, "blind")

    def test_conditions_that_make_no_sense(self):
        tag = self.client.get(self.prefix).headers["ETag"]
        for headers, word in (({"If-Match": "x"}, "If-Match"), ({"If-Match": ""}, "If-Match"),
                              ({"If-Match": f"{tag}, *"}, "If-Match"),
                              ({"If-Match": ", ".join([tag] * 17)}, "at most 16"),
                              ({"If-None-Match": tag}, "If-None-Match"),
                              ({"If-Match": tag, "If-None-Match": "*"}, "one of them"),
                              ({"If-Unmodified-Since": "Sat, 29 Oct 1994 19:43:31 GMT"}, "dates")):
            with self.subTest(headers):
                for answer in (self.client.put(self.prefix, b"after", headers=headers),
                               self.client.delete(self.prefix, headers=headers),
                               self.client.patch(self.prefix, {}, headers=headers),
                               self.client.add(self.prefix, 1, headers=headers)):
                    self.assert_refused(answer, "bad-header", 400, word)

    def test_idempotency_keys_that_make_no_sense(self):
        for key in ("", '""', '"x', "a b", '"x";y', "k" * 256, f'"{"k" * 256}"'):
            with self.subTest(key):
                answer = self.client.put(self.prefix, b"after", headers={"Idempotency-Key": key})
                self.assert_refused(answer, "bad-header", 400, "Idempotency-Key")

    def test_patches_that_are_none(self):
        for kind in ("application/json", "text/plain", "application/json-patch+json"):
            answer = self.client.patch(self.prefix, {}, headers={"Content-Type": kind})
            self.assertEqual(answer.headers["Accept-Patch"], "application/merge-patch+json")
            self.assert_refused(answer, "patch-type-unsupported", 415, kind)
        kind = {"Content-Type": "application/merge-patch+json"}
        for body in (b"", b"{", b"{}}", b'{"a":01}', b"\xff", b"[" * 101 + b"]" * 101):
            with self.subTest(body):
                answer = self.client.request("PATCH", self.target(self.prefix), body=body,
                                             headers=kind)
                self.assert_refused(answer, "bad-body", 400)
        answer = self.client.patch(self.prefix, {"a": "x" * MIB})
        self.assert_refused(answer, "value-too-large", 413)

    def test_additions_that_are_none(self):
        path = self.target(self.prefix).replace("/kv/", "/counters/") + ":add"
        for body, word in ((b"", "by"), (b"1", "object"), (b"{}", "by is missing"),
                           (b'{"by":"1"}', "object"), (b'{"by":1.5}', "1.5"),
                           (b'{"by":9223372036854775808}', "64 bits"),
                           (b'{"by":1,"by":1}', "twice"), (b'{"by":1,"step":2}', "step"),
                           (b'{"by":1,"min":2,"max":1}', "min is above max")):
            with self.subTest(body):
                answer = self.client.request("POST", path, body=body)
                self.assert_refused(answer, "bad-body", 400, word)
        answer = self.client.request("POST", path, body=b"by=1",
                                     headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assert_refused(answer, "body-type-unsupported", 415, "urlencoded")
        answer = self.client.request("POST", path, body=b" " * 5000)
        self.assert_refused(answer, "value-too-large", 413, "4096")


if __name__ == "__main__":
    unittest.main()
