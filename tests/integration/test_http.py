#!/usr/bin/env python3
# labels: integration
"""HTTP as RFC 9110 and 9112 have it: tags, HEAD, pipelines, HTTP/2, and what stands beside data."""
import re
import socket
import unittest

import yaml

from client import ROOT, curl, new_key, target
from cluster import ClusterTest


class Http(ClusterTest):
    def test_not_modified(self):
        tag = self.client.put(self.prefix, b"value").headers["ETag"]
        self.assertRegex(tag, r'^"[^"]+"$')
        for field in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            with self.subTest(field):
                answer = self.client.get(self.prefix, headers={"If-None-Match": field})
                self.assertEqual((answer.status, answer.body), (304, b""))
                self.assertEqual(answer.headers["ETag"], tag)
        answer = self.client.get(self.prefix, headers={"If-None-Match": '"other"'})
        self.assertEqual((answer.status, answer.body), (200, b"value"))
        newer = self.client.put(self.prefix, b"newer").headers["ETag"]
        self.assertNotEqual(newer, tag)
        answer = self.client.get(self.prefix, headers={"If-None-Match": tag})
        self.assertEqual((answer.status, answer.body), (200, b"newer"))
        self.assertEqual(self.client.connects, 1)

    def test_if_match_on_reads(self):
        tag = self.client.put(self.prefix, b"value").headers["ETag"]
        answer = self.client.get(self.prefix, headers={"If-Match": tag})
        self.assertEqual((answer.status, answer.body), (200, b"value"))
        answer = self.client.get(self.prefix, headers={"If-Match": '"other"'})
        self.assertEqual(answer.status, 412)
        self.assertEqual(answer.problem["type"].rsplit("/", 1)[1], "precondition-failed")

    def test_head_is_get_without_the_body(self):
        self.client.put(self.prefix, b"12345", headers={"Content-Type": "text/plain"})
        got = self.client.get(self.prefix)
        head = self.client.request("HEAD", target("default", self.prefix))
        self.assertEqual((head.status, head.body), (200, b""))
        for name in ("Content-Length", "Content-Type", "ETag"):
            self.assertEqual(head.headers[name], got.headers[name])
        self.assertEqual(self.client.request("HEAD", target("default", "no" + self.prefix)).status,
                         404)
        self.assertEqual(self.client.connects, 1)

    def test_pipelined_requests_are_answered_in_order(self):
        for i in range(20):
            self.client.put(f"{self.prefix}{i}", b"value-%d." % i)
        with socket.create_connection(("127.0.0.1", self.client.port), 10) as s:
            s.sendall(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
                               % target("default", f"{self.prefix}{i}").encode()
                               for i in range(20)))
            received = b""
            while received.count(b"value-") < 20 or not received.endswith(b"."):
                piece = s.recv(65536)
                self.assertTrue(piece, received)
                received += piece
        self.assertEqual(re.findall(rb"value-(\d+)\.", received),
                         [b"%d" % i for i in range(20)])

    def test_chunked_bodies(self):
        def pieces():
            yield b"in "
            yield b"pieces"
        answer = self.client.request("PUT", target("default", self.prefix), body=pieces())
        self.assertEqual(answer.status, 204)
        self.assertEqual(self.client.get(self.prefix).body, b"in pieces")

    def test_expect_continue(self):
        status, _, _ = curl("-X", "PUT", "-H", "Expect: 100-continue", "--data-binary", "waited",
                            self.url(self.prefix))
        self.assertEqual(status, 204)
        self.assertEqual(self.client.get(self.prefix).body, b"waited")

    def url(self, key, query=""):
        return f"http://127.0.0.1:{self.client.port}{target('default', key, query)}"

    def test_http2_with_prior_knowledge(self):
        h2 = "--http2-prior-knowledge"
        status, version, _ = curl(h2, "-X", "PUT", "--data-binary", "two", self.url(self.prefix))
        self.assertEqual(status, 204)
        self.assertEqual(version, "2")
        status, version, body = curl(h2, self.url(self.prefix, "level=strong"))
        self.assertEqual((status, version, body), (200, "2", b"two"))
        status, version, body = curl(h2, self.url(self.prefix, "level=strnog"))
        self.assertEqual((status, version), (400, "2"))
        self.assertIn(b"strnog", body)
        status, _, _ = curl(h2, "-X", "PUT", "--data-binary", "@" + self.file(1024 * 1024 + 1),
                            self.url(self.prefix))
        self.assertEqual(status, 413)
        self.assertEqual(self.client.get(self.prefix).body, b"two")

    def file(self, size):
        path = self.cluster.folder / f"{size}.bin"
        path.write_bytes(bytes(size))
        return str(path)

    def test_a_megabyte_over_http2(self):
        path = self.file(1024 * 1024)
        status, _, _ = curl("--http2-prior-knowledge", "-X", "PUT", "--data-binary", "@" + path,
                            self.url(self.prefix))
        self.assertEqual(status, 204)
        status, _, body = curl("--http2-prior-knowledge", self.url(self.prefix))
        self.assertEqual((status, len(body)), (200, 1024 * 1024))

    def test_the_longest_key_fits_in_a_header(self):
        key = bytes(range(256)) * 16
        for option, version in (("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")):
            with self.subTest(option):
                status, spoken, answer = curl(
                    option, "-i", "--path-as-is", "-X", "PUT", "--data-binary", "kept", "-H",
                    "Prefer: return=representation", self.url(key))
                self.assertEqual((status, spoken), (200, version))
                self.assertIn(f"content-location: {target('default', key)}\r\n".encode(),
                              answer.replace(b"Content-Location", b"content-location"))
                self.assertTrue(answer.endswith(b"\r\n\r\nkept"), answer)

    def test_options_tell_the_methods_and_the_patch_format(self):
        answer = self.client.request("OPTIONS", self.target(self.prefix))
        self.assertEqual(answer.headers["Allow"], "GET, HEAD, PUT, DELETE, PATCH, OPTIONS")
        self.assertEqual(answer.headers["Accept-Patch"], "application/merge-patch+json")
        answer = self.client.request("OPTIONS", "/v1/counters/default/x:add")
        self.assertEqual((answer.headers["Allow"], answer.headers["Accept-Patch"]),
                         ("POST, OPTIONS", None))

    def test_request_ids_come_back(self):
        answer = self.client.get(self.prefix, headers={"Request-Id": "my-request-1"})
        self.assertEqual(answer.headers["Request-Id"], "my-request-1")
        self.assertEqual(answer.problem["request_id"], "my-request-1")
        own = self.client.get(self.prefix).headers["Request-Id"]
        self.assertTrue(own)
        self.assertNotEqual(own, self.client.get(self.prefix).headers["Request-Id"])


class Beside(ClusterTest):
    def test_the_contract_is_served(self):
        answer = self.client.request("GET", "/openapi.yaml")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, (ROOT / "api/http/openapi.yaml").read_bytes())
        self.assertTrue(yaml.safe_load(answer.body)["openapi"].startswith("3.1"))

    def test_health(self):
        for process in self.cluster.processes():
            for path in ("/livez", "/readyz"):
                with self.subTest(process=process.name, path=path):
                    self.assertEqual(process.get(path)[0], 200)

    def test_metrics(self):
        self.client.put(self.prefix, b"x")
        for process in self.cluster.processes():
            with self.subTest(process.name):
                status, headers, body = process.get("/metrics")
                self.assertEqual(status, 200)
                self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
                samples = parse_metrics(body.decode())
                self.assertIn("process_resident_memory_bytes", samples)

    def test_metrics_count_consensus(self):
        def counted():
            samples = parse_metrics(self.cluster.proxies[0].get("/metrics")[2].decode())
            names = ("accepts", "replays", "declined")
            return [samples[f"quo_consensus_{name}_total"][""] for name in names] + [
                sum(value for labels, value in samples["quo_requests_total"].items()
                    if 'verdict="declined"' in labels)]
        before = counted()
        name = new_key()
        for _ in range(3):
            self.client.put(self.prefix, b"x", headers=name)
        for _ in range(4):
            self.client.put(self.prefix, b"x", headers={"If-None-Match": "*"})
        after = counted()
        self.assertEqual([b - a for a, b in zip(before, after)][1:], [2, 4, 4])
        self.assertGreaterEqual(after[0], before[0] + 1)

    def test_metrics_count_operations(self):
        def total():
            samples = parse_metrics(self.cluster.proxies[0].get("/metrics")[2].decode())
            return sum(value for name, group in samples.items() if name.endswith("_count")
                       for labels, value in group.items() if 'level="strong"' in labels)
        before = total()
        for _ in range(10):
            self.client.get(self.prefix, "level=strong")
        self.assertEqual(total() - before, 10)


_SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="'
                     r'(?:\\.|[^"\\])*",?)*)\})? (\S+)$')


def parse_metrics(text):
    """{name: {labels: value}} of Prometheus' text format 0.0.4; raises for what it would refuse."""
    samples, kinds, closed, current = {}, {}, set(), None
    assert text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram"), line
            assert name not in kinds, f"second TYPE of {name}"
            kinds[name] = kind
        elif line.startswith("#"):
            assert line.startswith("# HELP "), line
        else:
            match = _SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            name, labels, value = match.groups()
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            family = family if kinds.get(family) == "histogram" else name
            assert family in kinds, f"no TYPE of {name}"
            if family != current:
                assert family not in closed, f"samples of {family} are not together"
                closed.add(family)
                current = family
            group = samples.setdefault(name, {})
            assert (labels or "") not in group, f"twice: {line}"
            group[labels or ""] = float(value)
    check_histograms(samples, kinds)
    return samples


def check_histograms(samples, kinds):
    for family in (name for name, kind in kinds.items() if kind == "histogram"):
        for labels, count in samples.get(family + "_count", {}).items():
            rest = set(filter(None, labels.split(",")))
            buckets = [value for bucket, value in samples[family + "_bucket"].items()
                       if {x for x in bucket.split(",") if x and not x.startswith("le=")} == rest]
            assert buckets == sorted(buckets), f"{family} is not cumulative"
            assert buckets[-1] == count, f"{family}: +Inf is not the count"


if __name__ == "__main__":
    unittest.main()
