#!/usr/bin/env python3
# labels: integration
"""If-Match and If-None-Match of writes, JSON Merge Patch: one step, whoever else writes."""
import json
import unittest

from client import new_key
from cluster import ClusterTest, in_threads, wait_until

OTHER = '"0123456789abcdef0123456789abcdef"'
KEEP = {"Prefer": "return=representation"}


class Conditions(ClusterTest):
    options = {"proxies": 2}

    def assert_failed(self, answer, tag):
        """412 with the ETag of what is there."""
        self.assertEqual((answer.status, answer.slug), (412, "precondition-failed"), answer)
        self.assertEqual(answer.problem["outcome"], "not-applied")
        self.assertEqual(answer.headers["ETag"], tag)
        self.assertRegex(answer.headers["Operation-Id"], "^[0-9a-f]{48}$")

    def test_create_only_if_absent(self):
        only_new = {"If-None-Match": "*"}
        made = self.client.put(self.prefix, b"first", headers=only_new)
        self.assertEqual(made.status, 204, made)
        self.assert_failed(self.client.put(self.prefix, b"second", headers=only_new),
                           made.headers["ETag"])
        self.assertEqual(self.client.get(self.prefix).body, b"first")
        self.client.delete(self.prefix)
        self.assertEqual(self.client.put(self.prefix, b"again", headers=only_new).status, 204)
        self.assertEqual(self.client.get(self.prefix).body, b"again")

    def test_change_only_what_was_read(self):
        old = self.client.put(self.prefix, b"1").headers["ETag"]
        new = self.client.put(self.prefix, b"2", headers={"If-Match": old})
        self.assertEqual(new.status, 204, new)
        self.assertNotEqual(new.headers["ETag"], old)
        tag = new.headers["ETag"]
        for field in (old, OTHER, f'"", W/{tag}', f"W/{tag}"):
            with self.subTest(field):
                self.assert_failed(self.client.put(self.prefix, b"3", headers={"If-Match": field}),
                                   tag)
                self.assert_failed(self.client.delete(self.prefix, headers={"If-Match": field}),
                                   tag)
        self.assertEqual(self.client.get(self.prefix).headers["ETag"], tag)
        for field in ("*", f"{OTHER}, %s"):
            got = self.client.put(self.prefix, b"4", headers={
                "If-Match": field.replace("%s", tag)})
            self.assertEqual(got.status, 204, got)
            tag = got.headers["ETag"]

    def test_what_is_absent_matches_nothing(self):
        gone = self.client.put(self.prefix, b"x").headers["ETag"]
        gone = gone, self.client.delete(self.prefix).headers["ETag"]
        for key in (self.prefix, self.prefix + "never"):
            for field in ("*", *gone, OTHER):
                with self.subTest(key=key, field=field):
                    for answer in (self.client.put(key, b"y", headers={"If-Match": field}),
                                   self.client.delete(key, headers={"If-Match": field}),
                                   self.client.patch(key, {}, headers={"If-Match": field})):
                        self.assert_failed(answer, None)
        self.assertEqual(self.client.get(self.prefix).status, 404)

    def test_the_value_comes_along_if_preferred(self):
        kind = {"Content-Type": "text/x"}
        put = self.client.put(self.prefix, b"value", headers={**KEEP, **kind})
        self.assertEqual((put.status, put.body), (200, b"value"), put)
        self.assertEqual(put.headers["Content-Type"], "text/x")
        self.assertEqual(put.headers["Preference-Applied"], "return=representation")
        self.assertEqual(put.headers["Content-Location"], self.target(self.prefix))
        self.assertEqual(put.headers["ETag"], self.client.get(self.prefix).headers["ETag"])
        failed = self.client.put(self.prefix, b"other", headers={**KEEP, "If-Match": OTHER})
        self.assertEqual((failed.status, failed.body), (412, b"value"), failed)
        for name in ("Content-Type", "ETag", "Content-Location"):
            self.assertEqual(failed.headers[name], put.headers[name])
        self.assertEqual(failed.headers["Preference-Applied"], "return=representation")
        deleted = self.client.delete(self.prefix, headers=KEEP)
        self.assertEqual((deleted.status, deleted.headers["Preference-Applied"]), (204, None))
        failed = self.client.delete(self.prefix, headers={**KEEP, "If-Match": OTHER})
        self.assert_failed(failed, None)

    def test_a_condition_sees_what_other_proxies_wrote(self):
        other = self.cluster.client(proxy=1, namespace=self.namespace)
        tag = self.client.put(self.prefix, b"0").headers["ETag"]
        for i in range(100):
            writer, looser = (other, self.client) if i % 2 else (self.client, other)
            done = writer.put(self.prefix, b"%d" % i, headers={"If-Match": tag})
            self.assertEqual(done.status, 204, done)
            self.assert_failed(looser.put(self.prefix, b"no", headers={"If-Match": tag}),
                               done.headers["ETag"])
            tag = done.headers["ETag"]

    def test_no_update_is_lost(self):
        """Writers through both proxies add one each time, by reading, adding and If-Match."""
        self.client.put(self.prefix, b"0")
        done, problems = [], []

        def add(number):
            client = self.cluster.client(proxy=number % 2, namespace=self.namespace)
            for _ in range(15):
                got = client.get(self.prefix)
                answer = None
                while answer is None or answer.status == 412:
                    # Between two proxies a write without a key may lose sight of itself.
                    answer = client.put(self.prefix, b"%d" % (int(got.body) + 1), "timeout=20s",
                                        headers={"If-Match": got.headers["ETag"], **KEEP,
                                                 **new_key()})
                    got = answer
                # One that finds itself below what came after has no value to show any more.
                (done if answer.status in (200, 204) else problems).append(answer)

        in_threads(add, 3)  # failures count as well among the keys that a record remembers
        self.assertEqual(problems, [])
        self.assertEqual(len({answer.headers["ETag"] for answer in done}), 45)
        self.assertEqual(self.client.get(self.prefix).body, b"45")


class StrictConditions(Conditions):
    namespace = "bank"


class Mixed(ClusterTest):
    def blind(self, value):
        """Writes eventually; returns the ETag when a read of all has seen it."""
        put = self.client.put(self.prefix, value, "level=eventual")
        self.assertEqual((put.status, put.headers["Operation-Id"]), (204, None), put)
        wait_until(lambda: self.client.get(self.prefix, "level=all").headers["ETag"] ==
                   put.headers["ETag"], 10, "the eventual write arrived")
        return put.headers["ETag"]

    def test_the_tag_of_an_eventual_write_is_good_for_a_condition(self):
        tag = self.blind(b"blind")
        failed = self.client.put(self.prefix, b"x", headers={"If-Match": OTHER})
        self.assertEqual(failed.status, 412, failed)
        # The failed attempt has changed nothing that can be seen.
        self.assertEqual(self.client.get(self.prefix).headers["ETag"], tag)
        put = self.client.put(self.prefix, b"checked", headers={"If-Match": tag})
        self.assertEqual(put.status, 204, put)
        self.blind(b"over")
        self.assertEqual(self.client.put(self.prefix, b"late", headers={
            "If-Match": put.headers["ETag"]}).status, 412)
        self.assertEqual(self.client.get(self.prefix).body, b"over")


class Patches(ClusterTest):
    options = {"proxies": 2}

    def value(self):
        return json.loads(self.client.get(self.prefix).body)

    def test_members_are_merged(self):
        self.client.put(self.prefix, b'{"name": "Ada", "mail": {"home": 1, "work": 2}, "n": 1.50}',
                        headers={"Content-Type": "application/vnd.person+json"})
        answer = self.client.patch(self.prefix, {"mail": {"home": None}, "age": 36})
        self.assertEqual(answer.status, 204, answer)
        self.assertEqual(self.value(), {"name": "Ada", "mail": {"work": 2}, "n": 1.5, "age": 36})
        got = self.client.get(self.prefix)
        self.assertEqual(got.headers["Content-Type"], "application/vnd.person+json")
        self.assertEqual(got.headers["ETag"], answer.headers["ETag"])
        self.assertIn(b"1.50", got.body)
        answer = self.client.patch(self.prefix, {"age": 37}, headers=KEEP)
        self.assertEqual((answer.status, json.loads(answer.body)["age"]), (200, 37))

    def test_an_absent_key_is_null(self):
        self.assertEqual(self.client.patch(self.prefix, {"a": {"b": None, "c": 1}}).status, 204)
        self.assertEqual(self.value(), {"a": {"c": 1}})
        self.assertEqual(self.client.get(self.prefix).headers["Content-Type"], "application/json")
        only_new = {"If-None-Match": "*"}
        self.assertEqual(self.client.patch(self.prefix, {"z": 1}, headers=only_new).status, 412)
        self.assertEqual(self.value(), {"a": {"c": 1}})

    def test_what_is_no_json_stays(self):
        for value in (b"plain", b"{", b""):
            tag = self.client.put(self.prefix, value).headers["ETag"]
            answer = self.client.patch(self.prefix, {"a": 1})
            self.assertEqual((answer.status, answer.slug), (422, "not-json"), answer)
            got = self.client.get(self.prefix)
            self.assertEqual((got.body, got.headers["ETag"]), (value, tag))

    def test_a_document_does_not_outgrow_the_limit(self):
        half = "x" * (600 * 1024)
        self.assertEqual(self.client.patch(self.prefix, {"a": half}).status, 204)
        answer = self.client.patch(self.prefix, {"b": half})
        self.assertEqual((answer.status, answer.slug), (413, "value-too-large"), answer)
        self.assertEqual(answer.problem["limit"], 1024 * 1024)
        self.assertEqual(list(self.value()), ["a"])

    def test_patches_through_both_proxies_all_count(self):
        def patch(number):
            client = self.cluster.client(proxy=number % 2)
            for i in range(20):
                answer = client.patch(self.prefix, {f"{number}-{i}": i}, "timeout=20s",
                                      headers=new_key())
                if answer.status != 204:
                    problems.append(answer)

        problems = []
        in_threads(patch, 4)
        self.assertEqual(problems, [])
        self.assertEqual(self.value(), {f"{n}-{i}": i for n in range(4) for i in range(20)})


if __name__ == "__main__":
    unittest.main()
