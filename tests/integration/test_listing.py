#!/usr/bin/env python3
# labels: integration
"""Listing the keys of a namespace: all of them, page by page, whatever their bytes are."""
import random
import re
import socket
import time
import unittest
import urllib.parse

from client import PROBLEM_FIELDS
from cluster import ClusterTest, Threads, wait_until

NEXT = re.compile(r'<([^>]*)>; rel="next"$')


def raw(text):
    return urllib.parse.unquote_to_bytes(text)


class Listing(ClusterTest):
    def page(self, query="", namespace=None, **options):
        path = f"/v1/kv/{namespace or self.namespace}"
        return self.client.request("GET", f"{path}?{query}" if query else path, **options)

    def pages(self, query, namespace=None):
        """All keys, in the order in which they come; each page leads to the next one."""
        found = []
        answer = self.page(query, namespace)
        for _ in range(1000):
            self.assertEqual(answer.status, 200, answer)
            found += answer.json["keys"]
            link = answer.headers.get("Link")
            if answer.json["cursor"] is None:
                self.assertIsNone(link)
                return found
            target = NEXT.match(link).group(1)
            self.assertIn(f"cursor={answer.json['cursor']}", target)
            answer = self.client.request("GET", target)
        self.fail("there is no last page")

    def prefixed(self, more=""):
        return f"prefix={urllib.parse.quote(self.prefix, safe='')}{more}"

    def put(self, key, value=b"value", query="level=strong&timeout=5s", **options):
        answer = self.client.put(key, value, query, **options)
        self.assertEqual(answer.status, 204, answer)
        return answer

    def test_every_key_is_listed_once_with_its_tag_and_size(self):
        keys = {}
        for i in range(40):
            key = f"{self.prefix}{i}".encode() + bytes([random.randrange(256), i, 0, 255])
            keys[key] = (self.put(key, bytes(i)).headers["ETag"], i)
        for namespace in ("default", "bank"):
            self.put(f"other-{self.prefix}", namespace=namespace)
        self.put(self.prefix + "elsewhere", namespace="bank")
        found = self.pages(self.prefixed("&limit=7"))
        self.assertEqual({raw(key["key"]): (key["etag"], key["size"]) for key in found}, keys)
        self.assertEqual(len(found), len(keys))

    def test_the_order_is_the_same_for_every_limit_and_proxy(self):
        for i in range(30):
            self.put(f"{self.prefix}{i}")
        orders = {tuple(key["key"] for key in self.pages(self.prefixed(f"&limit={limit}{more}")))
                  for limit in (1, 4, 29, 30, 31, 1000)
                  for more in ("", "&level=eventual", "&level=all", "&r=2")}
        self.assertEqual(len(orders), 1)
        self.assertEqual(len(orders.pop()), 30)

    def test_what_is_deleted_or_expired_is_not_listed(self):
        for i in range(10):
            self.put(f"{self.prefix}{i}")
        for i in range(0, 10, 2):
            self.assertEqual(self.client.delete(f"{self.prefix}{i}", "level=strong").status, 204)
        self.put(f"{self.prefix}1", query="level=strong&ttl=1ms")
        self.put(f"{self.prefix}3", query="level=strong&ttl=1h")

        def listed():
            return sorted(key["key"] for key in self.pages(self.prefixed()))
        wait_until(lambda: listed() == [f"{self.prefix}{i}" for i in (3, 5, 7, 9)], 10,
                   "what has expired is gone")

    def test_nothing_is_a_page(self):
        answer = self.page(self.prefixed())
        while answer.json["cursor"]:
            self.assertEqual(answer.json["keys"], [])
            answer = self.page(self.prefixed(f"&cursor={answer.json['cursor']}"))
        self.assertEqual(answer.json, {"keys": [], "cursor": None})

    def test_receipts_and_levels(self):
        self.put(self.prefix)
        for query, level, replies in (("", "quorum", 2), ("&level=eventual", "eventual", 1),
                                      ("&level=all", "all", 3), ("&r=1", "eventual", 1),
                                      ("&r=3", "quorum", 3)):
            with self.subTest(query):
                receipt = self.page(self.prefixed(query)).receipt
                self.assertEqual((receipt["level"], receipt["replies"]), (level, replies))
                self.assertEqual(len(receipt["replicas"]), replies)
        for query in ("level=strong", "level=session", "level=eventual&r=2", "r=4",
                      "level=quorum&r=1"):
            with self.subTest(query):
                answer = self.page(query)
                self.assertEqual((answer.status, answer.slug), (400, "bad-consistency"), answer)
                self.assertLessEqual(PROBLEM_FIELDS, set(answer.problem))
        self.assertIn("one by one", self.page("level=strong").problem["detail"])

    def test_sessions_write_above_what_they_were_shown(self):
        shown = self.put(self.prefix).receipt["version"]
        first = self.page(self.prefixed())
        self.assertIsNone(first.headers.get("Session-Token"))
        token = self.client.get(f"no-{self.prefix}", "level=session").headers["Session-Token"]
        page = self.page(self.prefixed("&limit=1"), headers={"Session-Token": token})
        written = self.client.put(f"other-{self.prefix}", b"x", "level=session", namespace="cache",
                                  headers={"Session-Token": page.headers["Session-Token"]})
        self.assertGreater(written.receipt["version"], shown)
        answer = self.page("", headers={"Session-Token": "A" * 80})
        self.assertEqual((answer.status, answer.slug), (400, "bad-session-token"))

    def test_bad_questions(self):
        for i in range(3):
            self.put(f"{self.prefix}{i}")
        cursor = self.page(self.prefixed("&limit=1")).json["cursor"]
        for query, slug in (("limit=0", "bad-query"), ("limit=1001", "bad-query"),
                            ("limit=x", "bad-query"), ("after=x", "bad-query"),
                            ("prefix=%2", "bad-key"), ("ttl=5s", "bad-query"),
                            (f"cursor={cursor}", "bad-cursor"),
                            (self.prefixed(f"&cursor={cursor[:-1]}"), "bad-cursor"),
                            (self.prefixed(f"&cursor=B{cursor[1:]}"), "bad-cursor"),
                            ("cursor=nonsense", "bad-cursor")):
            with self.subTest(query):
                answer = self.page(query)
                self.assertEqual((answer.status, answer.slug), (400, slug), answer)
        answer = self.page(self.prefixed(f"&cursor={cursor}"), namespace="bank")
        self.assertEqual((answer.status, answer.slug), (400, "bad-cursor"))
        self.assertEqual(self.page(self.prefixed(f"&cursor={cursor}")).status, 200)
        answer = self.page(namespace="nowhere")
        self.assertEqual((answer.status, answer.slug), (404, "namespace-not-found"))
        answer = self.client.request("PUT", "/v1/kv/default", body=b"x")
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, OPTIONS"))


    def test_what_stays_is_listed_once_while_the_rest_changes(self):
        stays = {f"{self.prefix}stays-{i}" for i in range(60)}
        for key in stays:
            self.put(key)
        writes = []

        def write(_):
            client = self.cluster.client()
            try:
                while not writers.stop.is_set():
                    key = f"{self.prefix}comes-{random.randrange(200)}"
                    if random.random() < 0.5:
                        writes.append(client.put(key, b"x", "level=strong&timeout=5s").status)
                    else:
                        writes.append(client.delete(key, "level=strong&timeout=5s").status)
            finally:
                client.close()

        writers = Threads(write, 2)
        with writers:
            for limit in (1, 5, 17, 100, 1000):
                keys = [key["key"] for key in self.pages(self.prefixed(f"&limit={limit}"))]
                self.assertEqual(len(keys), len(set(keys)))
                self.assertEqual(set(keys) & stays, stays)
        self.assertGreater(len(writes), 10)
        self.assertEqual(set(writes), {204})

    def test_clients_that_go_away_leave_nothing_behind(self):
        for i in range(20):
            self.put(f"{self.prefix}{i}")
        for i in range(50):
            with socket.create_connection(("127.0.0.1", self.client.port), 10) as s:
                s.sendall(b"GET /v1/kv/default?limit=1000&level=all HTTP/1.1\r\nHost: x\r\n\r\n")
                if i % 2:
                    time.sleep(0.001 * (i % 5))
        # There is room for all that they had begun and for this one.
        self.assertEqual(len(self.pages(self.prefixed("&timeout=10s"))), 20)


class Failures(ClusterTest):
    def page(self, query):
        return self.client.request("GET", f"/v1/kv/{self.namespace}?{query}")

    def test_a_quorum_is_enough_and_less_is_told(self):
        for i in range(20):
            answer = self.client.put(f"{self.prefix}{i}", b"value", "level=all&timeout=5s")
            self.assertEqual(answer.status, 204, answer)
        query = f"prefix={self.prefix}&limit=1000&timeout=5s"
        self.cluster.nodes[0].kill()
        answer = self.page(query)
        self.assertEqual((answer.status, len(answer.json["keys"])), (200, 20), answer)
        answer = self.page(query + "&level=all")
        self.assertEqual((answer.status, answer.slug), (503, "quorum-unavailable"), answer)
        self.cluster.nodes[1].kill()
        wait_until(lambda: self.page(query).status == 503, 10, "the proxy notices")
        answer = self.page(query + "&level=eventual")
        self.assertEqual((answer.status, len(answer.json["keys"])), (200, 20), answer)
        self.assertEqual(answer.receipt["replies"], 1)
        for node in self.cluster.nodes[:2]:
            node.start()
        wait_until(self.cluster.reaches_all, 30, "all three answer")

    def test_what_differs_is_repaired(self):
        """A node that was away gets from a listing what it missed, before nodes compare."""
        node = self.cluster.nodes[2]
        node.kill()
        for i in range(5):
            answer = self.client.put(f"{self.prefix}{i}", b"value", "level=strong&timeout=5s")
            self.assertEqual(answer.status, 204, answer)
        node.start()
        wait_until(self.cluster.reaches_all, 30, "all three answer")

        def is_stable():
            answer = self.page(f"prefix={self.prefix}&level=all&timeout=5s")
            return answer.status == 200 and answer.receipt["acks"] == 3
        wait_until(is_stable, 30, "all replicas show the keys")


if __name__ == "__main__":
    unittest.main()
