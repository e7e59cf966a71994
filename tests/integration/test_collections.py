#!/usr/bin/env python3
# labels: integration
"""Timelines and sets: what many write at once is there once, in order, page by page."""
import json
import random
import unittest
import urllib.parse

from client import new_key
from cluster import ClusterTest, Threads, in_threads, wait_until


class CollectionTest(ClusterTest):
    options = {"proxies": 2}
    namespace = "social"

    def setUp(self):
        super().setUp()
        self.name = urllib.parse.quote(self.prefix, safe="")

    def timeline(self, rest="", query=""):
        return f"/v1/timelines/social/{self.name}{rest}{'?' + query if query else ''}"

    def set(self, rest="", query=""):
        return f"/v1/sets/social/{self.name}{rest}{'?' + query if query else ''}"

    def append(self, value, query="", client=None, **headers):
        return (client or self.client).request("POST", self.timeline(query=query), body=value,
                                               headers=headers)

    def pages(self, path):
        """Every page from here on, along the links."""
        while path:
            answer = self.client.request("GET", path)
            self.assertEqual(answer.status, 200, answer)
            yield answer
            link = answer.headers["Link"]
            path = link and link[1:].split(">")[0]

    def entries(self, query=""):
        return [entry for page in self.pages(self.timeline(query=query))
                for entry in page.json["entries"]]

    def change(self, verb, elements, query="", client=None):
        return (client or self.client).request(
            "POST", self.set(f":{verb}", query), body=json.dumps({"elements": elements}),
            headers={"Content-Type": "application/json"})

    def elements(self, query=""):
        return [element for page in self.pages(self.set(query=query))
                for element in page.json["elements"]]


class Timelines(CollectionTest):
    def test_values_come_back_as_they_are(self):
        for value, kind in ((b"plain text \xc3\xa9", "text/plain"), (b'{"a": [1, 2.50]}',
                            "application/json"), (b"\xff\x00", "image/png"), (b"{broken",
                            "application/json"), (b"", None)):
            headers = {"Content-Type": kind} if kind else {}
            answer = self.client.request("POST", self.timeline(), body=value, headers=headers)
            self.assertEqual(answer.status, 201, answer)
            path = answer.headers["Location"]
            self.assertEqual(path, self.timeline(f"/entries/{answer.json['id']}"))
            if value == b"{broken":
                continue
            got = self.client.request("GET", path)
            self.assertEqual((got.status, got.body), (200, value))
            self.assertEqual(got.headers["ETag"], answer.headers["ETag"])
        shown = [(e["encoding"], e["value"], e["content-type"]) for e in self.entries()]
        self.assertEqual(shown, [("text", "", "application/octet-stream"),
                                 ("text", "{broken", "application/json"),
                                 ("base64", "/wA=", "image/png"),
                                 ("json", {"a": [1, 2.5]}, "application/json"),
                                 ("text", "plain text \u00e9", "text/plain")])

    def test_an_entry_too_long_for_a_page_is_read_by_itself(self):
        value = b"x" * 100_000
        path = self.append(value).headers["Location"]
        entry, = self.entries()
        self.assertEqual(entry["size"], len(value))
        self.assertNotIn("value", entry)
        self.assertEqual(self.client.request("GET", path).body, value)

    def test_a_long_timeline_in_pages(self):
        """Several clients at both proxies append at once, each entry once or with a key twice."""
        count, threads = 150, 6
        problems = []

        def write(number):
            client = self.cluster.client(proxy=number % 2)
            for i in range(count):
                headers = new_key() if i % 3 == 0 else {}
                for _ in range(2 if headers else 1):
                    answer = client.request("POST", self.timeline(query="level=strong&timeout=20s"),
                                            body=f"{number}.{i}", headers=headers)
                    if answer.status != 201:
                        problems.append(answer)

        in_threads(write, threads)
        self.assertEqual(problems, [])
        wanted = sorted(f"{n}.{i}" for n in range(threads) for i in range(count))
        for query in ("limit=7", "limit=100&level=quorum", "limit=1000&level=all",
                      "limit=333&r=3"):
            entries = self.entries(query)
            self.assertEqual(sorted(e["value"] for e in entries), wanted, query)
            ids = [e["id"] for e in entries]
            self.assertEqual(ids, sorted(ids, reverse=True))
        for number in range(threads):
            mine = [e["value"] for e in entries if e["value"].startswith(f"{number}.")]
            self.assertEqual(mine, [f"{number}.{i}" for i in reversed(range(count))])
        middle = entries[len(entries) // 2]["id"]
        page = self.client.request("GET", self.timeline(query=f"limit=5&before={middle}"))
        at = len(entries) // 2 + 1
        self.assertEqual(page.json["entries"], entries[at:at + 5])

    def test_tried_again(self):
        key = new_key()
        first = self.append(b"once", "level=strong", **key)
        self.assertIsNone(first.headers["Idempotent-Replayed"])
        other = self.cluster.client(proxy=1)
        for query in ("", "level=strong", "level=all", "w=2&dw=0"):
            again = self.append(b"once", query, client=other, **key)
            self.assertEqual((again.status, again.json), (201, first.json))
            self.assertEqual(again.headers["Location"], first.headers["Location"])
            self.assertEqual(again.headers["Idempotent-Replayed"], "?1")
        answer = self.append(b"twice", **key)
        self.assertEqual((answer.status, answer.slug), (422, "idempotency-key-reused"))
        self.assertEqual([e["value"] for e in self.entries("level=quorum")], ["once"])

    def test_tried_at_once(self):
        """However many attempts overlap, through whichever proxy, one entry is left."""
        for _ in range(10):
            key, answers = new_key(), []

            def attempt(number):
                client = self.cluster.client(proxy=number % 2)
                answers.append(self.append(b"once", "level=strong", client=client, **key))

            in_threads(attempt, 6)
            self.assertEqual({a.status for a in answers}, {201})
            entry, = [e for e in self.entries("level=quorum")]
            for answer in answers:
                got = self.client.request("GET", answer.headers["Location"])
                self.assertEqual((got.status, got.body), (200, b"once"))
            path = f"{answer.headers['Location']}?level=strong"
            self.assertEqual(self.client.request("DELETE", path).status, 204)
            self.assertEqual(self.entries("level=quorum"), [])

    def test_deleted(self):
        paths = [self.append(b"x", "level=strong").headers["Location"] for _ in range(3)]
        self.assertEqual(self.client.request("DELETE", paths[1] + "?level=strong").status, 204)
        self.assertEqual(self.client.request("GET", paths[1]).slug, "key-not-found")
        self.assertEqual([self.timeline(f"/entries/{e['id']}") for e in self.entries()],
                         [paths[2], paths[0]])
        self.assertEqual(self.client.request("HEAD", paths[0]).status, 200)

    def test_what_lives_for_a_time_only(self):
        path = self.append(b"short", "ttl=300ms&level=strong").headers["Location"]
        key = new_key()
        self.append(b"short", "ttl=300ms&level=strong", **key)
        self.append(b"long", "ttl=1h&level=strong")
        wait_until(lambda: [e["value"] for e in self.entries()] == ["long"], 10, "expired")
        self.assertEqual(self.client.request("GET", path).status, 404)

    def test_a_session_appends_behind_nothing_it_has_seen(self):
        token, other = None, [self.client, self.cluster.client(proxy=1)]
        for i in range(20):
            headers = {"Session-Token": token} if token else {}
            answer = other[i % 2].request("POST", self.timeline(query="level=session"), body=str(i),
                                          headers=headers)
            token = answer.headers["Session-Token"]
        wait_until(lambda: len(self.entries("level=all")) == 20, 10, "everywhere")
        self.assertEqual([e["value"] for e in self.entries("level=all")],
                         [str(i) for i in range(19, -1, -1)])

    def test_requests_that_mean_nothing(self):
        id32 = "0" * 31 + "1"
        for method, path, status, slug in (
                ("GET", self.timeline(query="level=strong"), 400, "bad-consistency"),
                ("GET", self.timeline(query="level=session"), 400, "bad-consistency"),
                ("GET", self.timeline(query="limit=0"), 400, "bad-query"),
                ("GET", self.timeline(query="limit=1001"), 400, "bad-query"),
                ("GET", self.timeline(query="before=x"), 400, "bad-query"),
                ("GET", self.timeline(query="cursor=00"), 400, "bad-query"),
                ("GET", self.timeline(query="ttl=1s"), 400, "bad-query"),
                ("POST", self.timeline(query="limit=1"), 400, "bad-query"),
                ("GET", self.timeline("/entries/xyz"), 404, "not-found"),
                ("GET", self.timeline(f"/entries/{id32}"), 404, "key-not-found"),
                ("GET", "/v1/timelines/default/x", 409, "kind-mismatch"),
                ("POST", "/v1/timelines/bank/x", 409, "kind-mismatch"),
                ("GET", "/v1/timelines/nowhere/x", 404, "namespace-not-found"),
                ("GET", f"/v1/timelines/social/{'x' * 1025}", 414, "key-too-long"),
                ("PUT", self.timeline(), 405, "method-not-allowed")):
            answer = self.client.request(method, path)
            self.assertEqual((answer.status, answer.slug), (status, slug), answer)
        answer = self.append(b"x", **{"If-None-Match": "*"})
        self.assertEqual((answer.status, answer.slug), (409, "kind-mismatch"))


class Sets(CollectionTest):
    def test_added_and_removed(self):
        everyone = ["ada", "grace", "\u00e9", "a b/c%", "x" * 1024]
        self.assertEqual(self.change("add", everyone).json, {"added": 5})
        self.assertEqual(self.change("add", ["ada"], "level=strong").json, {"added": 1})
        wait_until(lambda: sorted(self.elements("level=all")) == sorted(everyone), 10, "added")
        for element in everyone:
            path = self.set(f"/elements/{urllib.parse.quote(element, safe='')}")
            answer = self.client.request("GET", path)
            self.assertEqual((answer.status, answer.json), (200, {"element": element}))
        self.assertEqual(self.change("remove", ["ada", "bob"], "level=strong").json,
                         {"removed": 1})
        self.assertNotIn("ada", self.elements("level=quorum"))
        self.assertEqual(self.client.request("GET", self.set("/elements/ada")).slug,
                         "key-not-found")
        self.assertEqual(self.change("remove", ["ada"], "level=strong").json, {"removed": 0})
        self.change("add", ["ada"], "level=strong")
        self.assertIn("ada", self.elements("level=quorum"))

    def test_in_pages(self):
        wanted = [f"element {i}" for i in range(500)]
        for at in range(0, 500, 250):
            self.assertEqual(self.change("add", wanted[at:at + 250], "level=strong").status, 200)
        self.change("add", wanted[:100], "level=strong")
        self.change("remove", wanted[40:60], "level=strong")
        left = sorted(wanted[:40] + wanted[60:])
        for query in ("limit=13&level=quorum", "limit=1000&level=quorum"):
            found = self.elements(query)
            self.assertEqual(sorted(found), left)
        self.assertEqual(len(next(self.pages(self.set(query="limit=13"))).json["elements"]), 13)

    def test_many_at_once(self):
        """Everybody adds and removes elements of their own: the last of each counts."""
        left, problems = set(), []

        def work(number):
            client, chance, mine = self.cluster.client(proxy=number % 2), random.Random(number), {}
            for i in range(60):
                element = f"{number}-{chance.randrange(8)}"
                verb = chance.choice(["add", "add", "remove"])
                answer = self.change(verb, [element], "level=strong&timeout=20s", client=client)
                if answer.status != 200:
                    problems.append(answer)
                mine[element] = verb == "add"
            left.update(e for e, there in mine.items() if there)

        in_threads(work, 5)
        self.assertEqual(problems, [])
        self.assertEqual(set(self.elements("level=quorum")), left)

    def test_a_cursor_is_of_its_set(self):
        self.change("add", ["a", "b"], "level=strong")
        cursor = self.client.request("GET", self.set(query="limit=1")).json["cursor"]
        self.assertEqual(self.client.request("GET", self.set(query=f"cursor={cursor}")).status, 200)
        answer = self.client.request("GET", f"/v1/sets/social/other?cursor={cursor}")
        self.assertEqual((answer.status, answer.slug), (400, "bad-query"))

    def test_requests_that_mean_nothing(self):
        for body in (b"", b"{}", b'{"elements": []}', b'{"elements": [1]}', b'{"elements": [""]}',
                     b'{"elements": ["a"], "x": 1}', b'["a"]', b'{"elements": ["a"]} x',
                     json.dumps({"elements": ["x" * 1025]}).encode(),
                     json.dumps({"elements": [str(i) for i in range(257)]}).encode()):
            answer = self.client.request("POST", self.set(":add"), body=body)
            self.assertEqual((answer.status, answer.slug), (400, "bad-body"), answer)
        answer = self.client.request("POST", self.set(":add"), body=b'{"elements": ["a"]}',
                                     headers={"Content-Type": "text/plain"})
        self.assertEqual(answer.slug, "body-type-unsupported")
        answer = self.client.request("POST", self.set(":add"), body=b'{"elements": ["a"]}',
                                     headers=new_key())
        self.assertEqual((answer.status, answer.slug), (409, "kind-mismatch"))
        answer = self.client.request("POST", self.set(":add"), body=b" " * 1_100_000)
        self.assertEqual((answer.status, answer.slug), (413, "value-too-large"))
        self.assertEqual(self.client.request("GET", "/v1/sets/default/x").slug, "kind-mismatch")
        self.assertEqual(self.client.request("GET", self.set("/elements/")).slug, "bad-key")


class Failures(CollectionTest):
    """With a node away."""
    options = {"proxies": 1}

    def test_what_others_took_arrives(self):
        """Appends and additions while a node is down are there when it alone answers."""
        node = self.cluster.nodes[0]
        node.kill()
        for i in range(30):
            answer = self.append(f"{i}", "level=strong&timeout=10s", **(new_key() if i % 2 else {}))
            self.assertEqual(answer.status, 201, answer)
        self.assertEqual(self.change("add", ["a", "b"], "level=strong&timeout=10s").status, 200)
        self.assertEqual(self.append(b"x", "level=all&timeout=1s").status // 100, 5)
        node.start()

        def is_equal(path):
            """Whether all replicas were asked, and all showed the same."""
            answer = self.client.request("GET", path)
            receipt = answer.receipt
            return answer.status == 200 and receipt["stable"] and receipt["replies"] == 3

        for path in (self.timeline(query="level=all&limit=1000"), self.set(query="level=all")):
            wait_until(lambda path=path: is_equal(path), 60, f"{path} equal")
        self.assertEqual(sorted(int(e["value"]) for e in self.entries("level=all")
                                if e["value"] != "x"), list(range(30)))
        self.assertEqual(self.change("remove", ["a"], "level=strong&timeout=10s").status, 200)
        self.assertEqual(self.elements("level=quorum&timeout=10s"), ["b"])

    def test_without_a_quorum_nothing_is_done(self):
        name = "alone"
        for node in self.cluster.nodes[1:]:
            node.kill()
        try:
            path = f"/v1/timelines/social/{name}"
            answer = self.client.request("POST", f"{path}?level=strong&timeout=2s", body=b"x",
                                         headers=new_key())
            self.assertEqual((answer.status // 100, answer.problem["outcome"]), (5, "not-applied"))
            answer = self.client.request("GET", f"{path}?level=quorum&timeout=2s")
            self.assertIn(answer.status, (503, 504))
            answer = self.client.request("POST", f"{path}?level=eventual", body=b"kept")
            self.assertEqual(answer.status, 201, answer)
            answer = self.client.request("GET", f"{path}?level=eventual")
            self.assertEqual([e["value"] for e in answer.json["entries"]], ["kept"])
        finally:
            for node in self.cluster.nodes[1:]:
                node.start()


class Complete(CollectionTest):
    """With deletes that are collected soon, so that partitions are sealed soon."""
    options = {"node_settings": "delete_grace_ms = 1500;\ncollect_every_ms = 200;"}

    def test_nothing_turns_up_that_was_said_to_be_complete(self):
        """While clients append, what stands at or before `complete-before` stays what it is."""
        known, problems = {}, []

        def write(number):
            client = self.cluster.client()
            while not writers.stop.is_set():
                query = "level=strong" if number % 2 else "level=eventual"
                headers = new_key() if number < 2 else {}
                for _ in range(1 + number % 2):
                    answer = client.request("POST", self.timeline(query=query), body=b"x",
                                            headers=headers)
                    if answer.status != 201:
                        problems.append(answer)

        def read():
            entries, complete = [], None
            for page in self.pages(self.timeline(query="level=all&limit=1000&timeout=10s")):
                entries += [e["id"] for e in page.json["entries"]]
                sealed = page.json["complete-before"]
                complete = min(complete or sealed, sealed) if sealed else None
            return complete, {i for i in entries if complete and i[:32] <= complete}

        writers = Threads(write, 4)
        with writers:
            def looked_enough():
                complete, entries = read()
                for before, then in known.items():
                    now = {i for i in entries if i[:32] <= before}
                    self.assertEqual(now - then, set(), f"came after {before} was complete")
                    self.assertEqual(then - now, set(), f"went after {before} was complete")
                if complete:
                    known[complete] = entries
                return len([1 for entries in known.values() if len(entries) > 20]) >= 5

            wait_until(looked_enough, 60, "five times complete")
        self.assertEqual(problems, [])

    def test_a_deleted_entry_stays_deleted_when_that_is_forgotten(self):
        key = new_key()
        first = self.append(b"once", "level=strong", **key)
        self.client.request("DELETE", first.headers["Location"] + "?level=strong")

        def is_forgotten():
            page = self.client.request("GET", self.timeline(query="level=all")).json
            sealed = page["complete-before"]
            return sealed and sealed > first.json["id"] and self.tombstones() == 0

        wait_until(is_forgotten, 60, "the tombstone is collected")
        again = self.append(b"once", "level=strong", **key)
        self.assertEqual((again.status, again.json), (201, first.json))
        self.assertEqual(again.headers["Idempotent-Replayed"], "?1")
        self.assertEqual(self.entries("level=all"), [])

    def tombstones(self):
        counts = []
        for node in self.cluster.nodes:
            text = node.get("/metrics")[2].decode()
            counts += [float(line.split()[-1]) for line in text.splitlines()
                       if line.startswith("quorate_node_tombstones")]
        return sum(counts)


if __name__ == "__main__":
    unittest.main()
