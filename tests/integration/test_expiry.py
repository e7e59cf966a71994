#!/usr/bin/env python3
# labels: integration
"""Values with a time to live: there until its end, absent in every respect after it."""
import json
import unittest

from client import new_key
from cluster import ClusterTest, wait_until

ONLY_NEW = {"If-None-Match": "*"}
LONG, SHORT = "ttl=1h", "ttl=300ms"


class Expiry(ClusterTest):
    options = {"proxies": 2}
    level = "strong"

    def query(self, ttl):
        return f"{ttl}&level={self.level}" if self.level else ttl

    def left(self, answer):
        """The seconds left; None if the value stays."""
        field = answer.headers["Quorate-Ttl"]
        return field and float(field)

    def wait_until_gone(self, key=None):
        wait_until(lambda: self.client.get(key or self.prefix).status == 404, 10, "it expired")

    def test_a_value_is_there_until_the_end(self):
        put = self.client.put(self.prefix, b"x", self.query(LONG))
        self.assertEqual(put.status, 204, put)
        for method in "GET", "HEAD":
            got = self.client.request(method, self.target(self.prefix, "level=all"))
            self.assertEqual(got.status, 200, got)
            self.assertTrue(3500 < self.left(got) <= 3600, got.headers)
        self.assertEqual(self.client.put(self.prefix, b"x", self.query(SHORT)).status, 204)
        self.wait_until_gone()
        other = self.cluster.client(proxy=1, namespace=self.namespace)
        wait_until(lambda: other.get(self.prefix).status == 404, 10, "nor there")
        for level in "eventual", "quorum", "strong", "all":
            self.assertEqual(self.client.get(self.prefix, f"level={level}").status, 404)
        self.assertEqual(self.client.get(self.prefix, headers={"If-Match": "*"}).status, 412)

    def test_a_write_without_one_makes_a_value_that_stays(self):
        self.client.put(self.prefix, b"x", self.query(LONG))
        self.client.put(self.prefix, b"y", f"level={self.level}")
        got = self.client.get(self.prefix, "level=all")
        self.assertEqual((got.body, self.left(got)), (b"y", None))
        self.client.put(self.prefix, b"z", self.query(SHORT))
        self.wait_until_gone()
        self.client.put(self.prefix, b"again", f"level={self.level}")
        got = self.client.get(self.prefix, "level=all")
        self.assertEqual((got.status, got.body, self.left(got)), (200, b"again", None))

    def test_what_is_wrong_is_refused(self):
        for query in "ttl=30", "ttl=0s", "ttl=-1s", "ttl=3654d", "ttl=1s&ttl=1s", "ttl=":
            with self.subTest(query):
                self.assertEqual(self.client.put(self.prefix, b"x", query).slug, "bad-query")
        self.assertEqual(self.client.get(self.prefix, "ttl=1s").slug, "bad-query")
        self.assertEqual(self.client.delete(self.prefix, "ttl=1s").slug, "bad-query")


class Blind(Expiry):
    namespace = "cache"


class Eventual(Expiry):
    level = "eventual"

    def wait_until_gone(self, key=None):
        # What is on its way may still be older than the value that expires.
        wait_until(lambda: self.client.get(key or self.prefix, "level=all").status == 404, 10,
                   "it expired")


class Changes(ClusterTest):
    """In kind cas, where one write may use the promise of the one before."""
    namespace = "bank"

    def wait_until_gone(self):
        wait_until(lambda: self.client.get(self.prefix).status == 404, 10, "it expired")

    def test_conditions_take_it_for_absent(self):
        put = self.client.put(self.prefix, b"lock", "ttl=2s", headers=ONLY_NEW)
        self.assertEqual(put.status, 204, put)
        self.assertEqual(self.client.put(self.prefix, b"mine", SHORT, headers=ONLY_NEW).status, 412)
        wait_until(lambda: self.client.put(self.prefix, b"next", LONG,
                                           headers=ONLY_NEW).status == 204, 10, "the lock is free")
        self.assertEqual(self.client.get(self.prefix).body, b"next")
        failed = self.client.put(self.prefix, b"late", headers={"If-Match": put.headers["ETag"]})
        self.assertEqual(failed.status, 412)

    def test_counters_keep_their_end_and_start_anew(self):
        self.client.put(self.prefix, b"5", LONG)
        added = self.client.add(self.prefix, 1)
        self.assertEqual(json.loads(added.body)["value"], 6)
        self.assertTrue(3500 < float(added.headers["Quorate-Ttl"]) <= 3600, added.headers)
        self.client.put(self.prefix, b"5", SHORT)
        self.wait_until_gone()
        added = self.client.add(self.prefix, 1)
        self.assertEqual((json.loads(added.body)["value"], added.headers["Quorate-Ttl"]), (1, None))

    def test_patches_keep_the_end_or_move_it(self):
        self.client.patch(self.prefix, {"a": 1}, LONG)
        self.assertTrue(float(self.client.get(self.prefix).headers["Quorate-Ttl"]) > 3500)
        self.client.patch(self.prefix, {"b": 2})
        got = self.client.get(self.prefix)
        self.assertEqual(json.loads(got.body), {"a": 1, "b": 2})
        self.assertTrue(3500 < float(got.headers["Quorate-Ttl"]) <= 3600, got.headers)
        self.client.patch(self.prefix, {"c": 3}, SHORT)
        self.wait_until_gone()
        self.client.patch(self.prefix, {"d": 4})
        got = self.client.get(self.prefix)
        self.assertEqual((json.loads(got.body), got.headers["Quorate-Ttl"]), ({"d": 4}, None))

    def test_a_warm_write_lives_as_long_as_any(self):
        for _ in range(3):
            self.client.put(self.prefix, b"x")
        put = self.client.put(self.prefix, b"y", "ttl=10s")
        self.assertEqual(put.receipt["rtt"], 1, put)
        self.assertTrue(9 < float(put.headers["Quorate-Ttl"]) <= 10, put.headers)

    def test_a_retry_gives_no_more_time(self):
        name = new_key()
        self.client.put(self.prefix, b"x", SHORT, headers=name)
        self.assertEqual(self.client.put(self.prefix, b"x", LONG, headers=name).slug,
                         "idempotency-key-reused")
        self.wait_until_gone()
        again = self.client.put(self.prefix, b"x", SHORT, headers=name)
        self.assertEqual((again.status, again.headers["Idempotent-Replayed"]), (204, "?1"), again)
        self.assertEqual(self.client.get(self.prefix).status, 404)


class Entries(ClusterTest):
    namespace = "social"

    def test_entries_of_a_timeline_go_as_well(self):
        path = f"/v1/timelines/{self.namespace}/{self.prefix}"
        gone = self.client.request("POST", f"{path}?{SHORT}", body=b"gone")
        stays = self.client.request("POST", f"{path}?{LONG}", body=b"stays")
        self.assertEqual((gone.status, stays.status), (201, 201), gone)
        self.assertEqual(self.client.request("GET", stays.headers["Location"]).body, b"stays")
        wait_until(lambda: self.client.request("GET", gone.headers["Location"]).status == 404, 10,
                   "it expired")
        page = self.client.request("GET", f"{path}?level=all").json["entries"]
        self.assertEqual(len(page), 1)


class Listed(ClusterTest):
    def test_expired_keys_are_not_listed(self):
        listing = f"/v1/kv/{self.namespace}?prefix={self.prefix}&level=all"
        self.client.put(self.prefix + "a", b"x", SHORT)
        self.client.put(self.prefix + "b", b"x", LONG)
        keys = wait_until(lambda: self.keys(listing, 1), 10, "one is left")
        self.assertEqual(keys, {self.prefix + "b"})

    def keys(self, listing, count):
        found, cursor = set(), ""
        while cursor is not None:
            page = self.client.request("GET", listing + cursor).json
            found |= {entry["key"] for entry in page["keys"]}
            cursor = page.get("cursor") and f"&cursor={page['cursor']}"
        return found if len(found) == count else None


class Restart(ClusterTest):
    def test_ends_are_kept_on_disk(self):
        self.client.put(self.prefix, b"x", SHORT)
        self.client.put(self.prefix + "-long", b"y", LONG)
        for node in self.cluster.nodes:
            node.kill()
        for node in self.cluster.nodes:
            node.start()
        wait_until(self.cluster.reaches_all, 30, "the proxy is connected")
        wait_until(lambda: self.client.get(self.prefix).status == 404, 10, "it expired")
        got = self.client.get(self.prefix + "-long")
        self.assertEqual(got.body, b"y")
        self.assertTrue(3000 < float(got.headers["Quorate-Ttl"]) <= 3600, got.headers)


if __name__ == "__main__":
    unittest.main()
