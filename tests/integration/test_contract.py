#!/usr/bin/env python3
# labels: integration
"""The contract checker finds what it is there for; no program is started."""
import unittest

from client import CONTRACT, parse_dictionary
from test_http import parse_metrics

HEADERS = {"request-id": "a1", "server-timing": "total;dur=0.100", "content-type": "text/plain",
           "consistency-receipt": 'level=strong, asked=strong, n=3, r=2, replies=2, acks=0, '
                                  'disk=2, rtt=1, version="' + "0" * 31 + '1", stable, '
                                  'repaired=?0, epoch=1, replicas=("node-1" "node-2")',
           "etag": '"' + "0" * 31 + '1"', "cache-control": "no-cache",
           "x-content-type-options": "nosniff", "content-length": "1"}
PROBLEM = (b'{"type":"/problems/bad-query","title":"T","status":400,"detail":"D",'
           b'"outcome":"not-applied","do":"X","request_id":"a1"}')
PATH = "/v1/kv/default/key"


class ContractTest(unittest.TestCase):
    def check(self, method="GET", path=PATH, status=200, body=b"x", **changes):
        headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in changes.items()}}
        CONTRACT.check(method, path, status,
                       [(n, v) for n, v in headers.items() if v is not None], body)

    def check_problem(self, body=PROBLEM, status=400):
        self.check(status=status, body=body, content_type="application/problem+json", etag=None,
                   consistency_receipt=None, cache_control=None, x_content_type_options=None)

    def assert_refused(self, what, function, **arguments):
        with self.assertRaisesRegex(AssertionError, what):
            function(**arguments)

    def test_good_answers_pass(self):
        self.check()
        self.check_problem()

    def test_unknown_status_path_and_method(self):
        self.assert_refused("status", self.check, status=299)
        self.assert_refused("path", self.check, path="/no/such/path")
        self.assert_refused("operation", self.check, method="POST")

    def test_headers(self):
        self.assert_refused("x-secret", self.check, x_secret="1")
        self.assert_refused("etag", self.check, etag="unquoted")
        self.assert_refused("missing", self.check, request_id=None)

    def test_problem_documents(self):
        self.assert_refused("outcome", self.check_problem,
                            body=PROBLEM.replace(b"not-applied", b"perhaps"))
        self.assert_refused("detail is missing", self.check_problem,
                            body=PROBLEM.replace(b'"detail":"D",', b""))
        self.assert_refused("colour", self.check_problem,
                            body=PROBLEM.replace(b'"title"', b'"colour":1,"title"'))
        self.assert_refused("status", self.check_problem,
                            body=PROBLEM.replace(b"400", b'"400"'))


class ParsersTest(unittest.TestCase):
    def test_dictionary(self):
        self.assertEqual(parse_dictionary('a=1, b, c=?0, d="x\\"y", e=(\"p\" \"q\"), f=tok'),
                         {"a": 1, "b": True, "c": False, "d": 'x"y', "e": ["p", "q"], "f": "tok"})
        for bad in ("A=1", "a=1 b=2", "a=(", 'a="x'):
            with self.subTest(bad), self.assertRaises(AssertionError):
                parse_dictionary(bad)

    def test_metrics(self):
        good = ('# HELP a Says.\n# TYPE a counter\na{x="1"} 2\na{x="2"} 3\n# TYPE h histogram\n'
                'h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n')
        self.assertEqual(parse_metrics(good)["a"], {'x="1"': 2, 'x="2"': 3})
        for bad in ("a 1\n", "# TYPE a counter\na 1", "# TYPE a counter\na x\n",
                    "# TYPE a counter\na 1\na 1\n", good.replace("h_count 2", "h_count 3"),
                    good.replace('{le="1"} 1', '{le="1"} 3')):
            with self.subTest(bad), self.assertRaises((AssertionError, ValueError)):
                parse_metrics(bad)


if __name__ == "__main__":
    unittest.main()
