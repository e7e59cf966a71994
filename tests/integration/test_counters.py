#!/usr/bin/env python3
# labels: integration
"""Counters: additions within bounds, each in one linearizable step."""
import random
import unittest

from client import new_key
from cluster import ClusterTest, in_threads

MOST, LEAST = 2**63 - 1, -2**63


class Counters(ClusterTest):
    options = {"proxies": 2}

    def assert_added(self, answer, value):
        self.assertEqual((answer.status, answer.json), (200, {"value": value}), answer)
        self.assertRegex(answer.headers["Operation-Id"], "^[0-9a-f]{48}$")
        got = self.client.get(self.prefix)
        self.assertEqual((got.body, got.headers["Content-Type"]),
                         (b"%d" % value, "application/json"))
        self.assertEqual(got.headers["ETag"], answer.headers["ETag"])

    def assert_refused(self, answer, value):
        self.assertEqual((answer.status, answer.slug), (412, "counter-bound"), answer)
        self.assertEqual(answer.problem["value"], value)
        self.assertEqual(answer.problem["outcome"], "not-applied")
        self.assertEqual(answer.headers["ETag"], self.client.get(self.prefix).headers["ETag"])

    def test_additions(self):
        self.assert_added(self.client.add(self.prefix, 5), 5)
        self.assert_added(self.client.add(self.prefix, -7), -2)
        self.assert_added(self.client.add(self.prefix, 0), -2)
        self.client.put(self.prefix, b"100")
        self.assert_added(self.client.add(self.prefix, 1), 101)
        self.client.delete(self.prefix)
        self.assert_added(self.client.add(self.prefix, 1), 1)

    def test_bounds(self):
        self.assert_added(self.client.add(self.prefix, 10, min=0, max=10), 10)
        self.assert_refused(self.client.add(self.prefix, 1, max=10), 10)
        self.assert_refused(self.client.add(self.prefix, -11, min=0), 10)
        self.assert_added(self.client.add(self.prefix, -10, min=0), 0)
        self.assert_refused(self.client.add(self.prefix, -1, min=0), 0)
        # Bounds are about the sum, not about what was there.
        self.assert_added(self.client.add(self.prefix, -5), -5)
        self.assert_refused(self.client.add(self.prefix, 1, min=0), -5)

    def test_64_bits(self):
        self.assert_added(self.client.add(self.prefix, MOST), MOST)
        self.assert_refused(self.client.add(self.prefix, 1), MOST)
        self.assert_added(self.client.add(self.prefix, LEAST), -1)
        self.assert_refused(self.client.add(self.prefix, LEAST), -1)
        self.assert_added(self.client.add(self.prefix, LEAST + 1), LEAST)
        self.assert_refused(self.client.add(self.prefix, -1), LEAST)

    def test_what_is_no_counter_stays(self):
        for value in (b"", b"ten", b"1.5", b"9223372036854775808", b'"1"', b"{}"):
            self.client.put(self.prefix, value)
            answer = self.client.add(self.prefix, 1)
            self.assertEqual((answer.status, answer.slug), (409, "not-a-counter"), answer)
            self.assertEqual(self.client.get(self.prefix).body, value)

    def test_conditions(self):
        only_new = {"If-None-Match": "*"}
        tag = self.client.add(self.prefix, 1, headers=only_new).headers["ETag"]
        self.assertEqual(self.client.add(self.prefix, 1, headers=only_new).status, 412)
        self.assert_added(self.client.add(self.prefix, 1, headers={"If-Match": tag}), 2)
        self.assertEqual(self.client.add(self.prefix, 1, headers={"If-Match": tag}).status, 412)

    def test_money_is_neither_made_nor_lost(self):
        """Threads at both proxies move random amounts; nobody's balance passes below zero."""
        accounts = [f"{self.prefix}{i}" for i in range(3)]
        for account in accounts:
            self.client.put(account, b"100")
        problems = []

        def move(number):
            client = self.cluster.client(proxy=number % 2, namespace=self.namespace)
            chance = random.Random(number)
            for _ in range(25):
                amount = chance.randrange(1, 80)
                source, target = chance.sample(accounts, 2)
                taken = client.add(source, -amount, "timeout=20s", headers=new_key(), min=0)
                if taken.status == 412:
                    if taken.problem["value"] - amount >= 0:
                        problems.append(taken)
                    continue
                given = client.add(target, amount, "timeout=20s", headers=new_key())
                problems.extend(a for a in (taken, given) if a.status != 200 or a.json["value"] < 0)

        in_threads(move, 6)
        self.assertEqual(problems, [])
        self.assertEqual(sum(int(self.client.get(account).body) for account in accounts), 300)


class StrictCounters(Counters):
    namespace = "bank"


if __name__ == "__main__":
    unittest.main()
