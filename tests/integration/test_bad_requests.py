#!/usr/bin/env python3
# labels: integration
"""A request that cannot be served as asked is refused with a precise document, changes nothing, and
leaves its connection in order."""
import unittest

from client import PROBLEM_FIELDS, target
from cluster import ClusterTest

MIB = 1024 * 1024


class BadRequests(ClusterTest):
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
                    answer = self.client.request(method, target("default", self.prefix, query),
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
        empty = self.client.request("PUT", "/v1/kv/default/", body=b"after")
        self.assert_refused(empty, "bad-key", 400)
        for escape in ("%", "%4", "%zz", "a%", "%%41"):
            with self.subTest(escape):
                broken = self.client.request("GET", f"/v1/kv/default/{escape}")
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
        for path in ("/v1", "/v1/kv/", "/v2/kv/default/x", "/nothing", "/v1/kv/default"):
            with self.subTest(path):
                answer = self.client.request("GET", path)
                self.assertEqual(answer.status, 404)
                self.assertLessEqual(PROBLEM_FIELDS, set(answer.problem))

    def test_methods(self):
        for method in ("POST", "PATCH", "TRACE", "BREW"):
            with self.subTest(method):
                answer = self.client.request(method, target("default", self.prefix))
                self.assertEqual(set(answer.headers["Allow"].replace(" ", "").split(",")),
                                 {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
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

    def test_conditional_writes_are_not_ignored(self):
        tag = self.client.get(self.prefix).headers["ETag"]
        for headers in ({"If-Match": tag}, {"If-None-Match": "*"}, {"If-Match": "*"},
                        {"If-Unmodified-Since": "Sat, 29 Oct 1994 19:43:31 GMT"}):
            with self.subTest(headers):
                answer = self.client.put(self.prefix, b"after", headers=headers)
                self.assert_refused(answer, "conditional-writes-unavailable", 501)
                answer = self.client.delete(self.prefix, headers=headers)
                self.assert_refused(answer, "conditional-writes-unavailable", 501)

    def test_an_idempotency_key_that_could_not_be_kept(self):
        answer = self.client.put(self.prefix, b"after", headers={"Idempotency-Key": "once"})
        self.assert_refused(answer, "kind-mismatch", 409, "lww")

    def test_every_problem_has_its_page(self):
        answer = self.client.get(self.prefix, "level=strnog")
        page = self.client.request("GET", answer.problem["type"])
        self.assertEqual(page.status, 200)
        self.assertIn(answer.problem["title"].encode(), page.body)


if __name__ == "__main__":
    unittest.main()
