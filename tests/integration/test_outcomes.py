#!/usr/bin/env python3
# labels: integration full
"""What became of a write not answered in time: its operation tells, and can be resolved."""
import unittest

from client import new_key, target
from cluster import ClusterTest, wait_until

FIRM = "timeout=20s"


class Outcomes(ClusterTest):
    options = {"proxies": 2}

    def tearDown(self):
        for node in self.cluster.nodes:
            node.resume()
        wait_until(lambda: all(self.cluster.reaches_all(p) for p in range(2)), 60, "all are back")

    def late(self, send):
        """The 504 of a write while two nodes of three hang."""
        for node in self.cluster.nodes[1:]:
            node.pause()
        try:
            answer = send("timeout=300ms")
        finally:
            for node in self.cluster.nodes[1:]:
                node.resume()
        self.assertEqual(answer.status, 504, answer)
        path = answer.problem["operation"]
        self.assertEqual(answer.headers["Link"], f'<{path}>; rel="/rels/operation"')
        self.assertTrue(path.startswith(target(self.namespace, self.prefix) + "/operations/"))
        self.assertEqual(path.rsplit("/", 1)[1], answer.headers["Operation-Id"])
        return answer, path

    def ask(self, path):
        return self.told(self.client.request("GET", f"{path}?{FIRM}"), path)

    def resolve(self, path, proxy=0):
        client = self.cluster.client(proxy)
        return self.told(client.request("POST", f"{path}:resolve?{FIRM}"), path)

    def told(self, answer, path):
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json["operation"], path)
        return answer.json

    def test_what_was_answered_is_told(self):
        put = self.client.put(self.prefix, b"x")
        path = f"{self.target(self.prefix)}/operations/{put.headers['Operation-Id']}"
        for story in (self.ask(path), self.resolve(path), self.resolve(path, 1), self.ask(path)):
            self.assertEqual(story, {"operation": path, "state": "applied", "code": "done",
                                     "etag": put.headers["ETag"]})
        head = self.client.request("HEAD", path)
        self.assertEqual((head.status, head.body), (200, b""))
        refused = self.client.add(self.prefix, 5, headers=new_key(), min=9)
        self.assertEqual(refused.slug, "not-a-counter")
        path = f"{self.target(self.prefix)}/operations/{refused.headers['Operation-Id']}"
        for story in (self.ask(path), self.resolve(path)):
            self.assertEqual((story["state"], story["code"]), ("not-applied", "not-a-counter"))
        # Nothing of this has changed the value.
        self.assertEqual(self.client.get(self.prefix).headers["ETag"], put.headers["ETag"])

    def test_a_deleted_key_remembers(self):
        deleted = self.client.delete(self.prefix)
        path = f"{self.target(self.prefix)}/operations/{deleted.headers['Operation-Id']}"
        self.assertEqual(self.ask(path)["state"], "applied")
        self.assertEqual(self.resolve(path, 1)["state"], "applied")
        self.assertEqual(self.client.get(self.prefix).status, 404)

    def test_a_late_write_is_decided_once_for_all(self):
        for key in (self.prefix, self.prefix + "new", self.prefix + "/%"):
            self.prefix = key
            if not key.endswith("new"):
                self.client.put(key, b"before")
            answer, path = self.late(lambda query, k=key: self.client.put(k, b"after", query))
            self.assertIn(self.ask(path)["state"], ("applied", "in-flight"))
            story = self.resolve(path, 1)
            self.assertIn(story["state"], ("applied", "not-applied"))
            got = self.client.get(key, FIRM)
            if story["state"] == "applied":
                self.assertEqual((got.body, got.headers["ETag"]), (b"after", story["etag"]))
            else:
                self.assertEqual(story["code"], "operation-fenced")
                self.assertIn((got.status, got.body == b"before"), ((200, True), (404, False)))
                self.assertNotEqual(answer.problem["outcome"], "applied")
            for again in (self.ask(path), self.resolve(path), self.ask(path)):
                self.assertEqual(again, story)
            now = self.client.get(key, FIRM)
            self.assertEqual((now.status, now.headers["ETag"]), (got.status, got.headers["ETag"]))

    def test_a_retry_finds_the_resolution(self):
        name = new_key()
        _, path = self.late(lambda query: self.client.put(self.prefix, b"x", query, headers=name))
        story = self.resolve(path, 1)
        again = self.client.put(self.prefix, b"x", FIRM, headers=name)
        if story["state"] == "applied":
            self.assertEqual((again.status, again.headers["ETag"]), (204, story["etag"]), again)
        else:
            self.assertEqual((again.status, again.slug), (409, "operation-fenced"), again)
            self.assertEqual(again.problem["outcome"], "not-applied")
            self.assertEqual(self.client.get(self.prefix, FIRM).status, 404)
        self.assertEqual(again.headers["Idempotent-Replayed"], "?1")

    def test_a_retry_decides_as_well(self):
        name = new_key()
        _, path = self.late(lambda query: self.client.add(self.prefix, 3, query, headers=name))
        again = self.cluster.client(1).add(self.prefix, 3, FIRM, namespace=self.namespace,
                                           headers=name)
        self.assertEqual((again.status, again.json), (200, {"value": 3}), again)
        for story in (self.ask(path), self.resolve(path)):
            self.assertEqual((story["state"], story["etag"]), ("applied", again.headers["ETag"]))
        self.assertEqual(self.client.get(self.prefix).body, b"3")

    def test_what_was_never_sent_can_be_fenced(self):
        """A client that has lost everything but the key of its write."""
        name = new_key()
        self.client.put(self.prefix, b"before")
        first = self.client.put(self.prefix + "x", b"", headers=name)
        path = f"{self.target(self.prefix)}/operations/{first.headers['Operation-Id']}"
        self.assertEqual(self.ask(path)["state"], "in-flight")
        story = self.resolve(path)
        self.assertEqual((story["state"], story["code"]), ("not-applied", "operation-fenced"))
        answer = self.cluster.client(1).put(self.prefix, b"after", namespace=self.namespace,
                                            headers=name)
        self.assertEqual((answer.status, answer.slug), (409, "operation-fenced"), answer)
        self.assertEqual(self.client.get(self.prefix).body, b"before")


class StrictOutcomes(Outcomes):
    namespace = "bank"


class Absent(ClusterTest):
    def test_a_key_that_never_was_remembers_what_was_stopped(self):
        for namespace in ("default", "bank"):
            name, self.namespace = new_key(), namespace
            first = self.client.put(self.prefix + "x", b"", namespace=namespace, headers=name)
            path = f"{self.target(self.prefix)}/operations/{first.headers['Operation-Id']}"
            self.client.request("POST", f"{path}:resolve")
            story = self.client.request("GET", path).json
            self.assertEqual((story["state"], story["code"]), ("not-applied", "operation-fenced"))
            got = self.client.get(self.prefix, namespace=namespace)
            self.assertEqual((got.status, got.receipt.get("version")), (404, None), got)


class Blind(ClusterTest):
    namespace = "cache"

    def path(self, answer):
        return f"{self.target(self.prefix)}/operations/v{answer.headers['ETag'].strip(chr(34))}"

    def state(self, answer):
        got = self.client.request("GET", self.path(answer))
        self.assertEqual(got.status, 200, got)
        return got.json["state"]

    def test_a_blind_write_is_seen_until_it_is_overwritten(self):
        first = self.client.put(self.prefix, b"x")
        self.assertEqual(self.state(first), "applied")
        second = self.client.delete(self.prefix)
        self.assertEqual((self.state(first), self.state(second)), ("unknown", "applied"))

    def test_a_late_write_links_to_its_operation(self):
        self.client.put(self.prefix, b"before", "level=all")
        for node in self.cluster.nodes[1:]:
            node.pause()
        try:
            answer = self.client.put(self.prefix, b"after", "level=eventual&w=2&dw=1&timeout=300ms")
        finally:
            for node in self.cluster.nodes[1:]:
                node.resume()
        wait_until(self.cluster.reaches_all, 60, "all are back")
        self.assertEqual(answer.status, 504, answer)
        path = answer.problem["operation"]
        self.assertRegex(path, "/operations/v[0-9a-f]{32}$")
        self.assertEqual(answer.headers["Link"], f'<{path}>; rel="/rels/operation"')
        self.assertIsNone(answer.headers["Operation-Id"])
        story = self.client.request("GET", f"{path}?{FIRM}").json
        self.assertIn(story["state"], ("applied", "in-flight"))
        if story["state"] == "applied":
            self.assertEqual(self.client.get(self.prefix).body, b"after")
        stopped = self.client.request("POST", f"{path}:resolve")
        self.assertEqual((stopped.status, stopped.slug), (409, "kind-mismatch"), stopped)

    def test_the_relation_has_its_page(self):
        page = self.client.request("GET", "/rels/operation")
        self.assertEqual(page.status, 200)
        self.assertIn(b":resolve", page.body)


if __name__ == "__main__":
    unittest.main()
