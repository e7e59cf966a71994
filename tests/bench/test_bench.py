#!/usr/bin/env python3
"""The parts of the benchmark that need no system to be measured."""
import argparse
import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import xml.dom.minidom

sys.dont_write_bytecode = True
import charts  # noqa: E402
import generators  # noqa: E402
import goals  # noqa: E402
import picture  # noqa: E402
import report  # noqa: E402
from rows import PEERS, SYSTEMS, Etcd, Redis, Row, all_rows, field  # noqa: E402
from systems import TAG, http_request, write_requests  # noqa: E402

RUN = pathlib.Path(__file__).with_name("run")
_loader = importlib.machinery.SourceFileLoader("run", str(RUN))
COMMAND = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", _loader))
_loader.exec_module(COMMAND)

H2LOAD = """
finished in 1.00s, 303422.00 req/s, 30.20MB/s
requests: 303422 total, 303678 started, 303422 done, 303400 succeeded, 22 failed, 3 errored, \
1 timeout
status codes: 303400 2xx, 0 3xx, 20 4xx, 2 5xx
traffic: 30.20MB (31662432) total, 5.06MB (5308912) headers (space savings 90%), \
20.00MB (30342200) data
                     min         max         mean         sd        +/- sd
time for request:      110us     11.50ms       840us       410us    80.10%
"""


def run_of(row, rate, p99=1000, **more):
    return {"row": row, "group": "levels", "per_second": rate, "p50_us": 500, "p99_us": p99,
            "p999_us": 2 * p99,
            "refused": 0, "broken": 0, "loaded": False, **more}


class Generators(unittest.TestCase):
    def test_percentile_is_by_rank(self):
        numbers = list(range(1, 101))
        self.assertEqual(generators.percentile(numbers, 0.5), 51)
        self.assertEqual(generators.percentile(numbers, 0.99), 100)
        self.assertEqual(generators.percentile([7], 0.999), 7)

    def test_h2load_is_read(self):
        result = generators.parse_h2load(H2LOAD)
        self.assertEqual(result["per_second"], 303422)
        self.assertEqual(result["refused"], 22)
        self.assertEqual(result["broken"], 4)
        self.assertEqual((result["mean_us"], result["max_us"]), (840, 11500))
        self.assertAlmostEqual(result["body_bytes"], 100, places=0)

    def test_h2load_expects_what_it_is_told(self):
        self.assertEqual(generators.parse_h2load(H2LOAD, 4)["refused"], 303402)

    def test_h2load_that_says_nothing_is_a_failure(self):
        with self.assertRaises(RuntimeError):
            generators.parse_h2load("segmentation fault")

    def test_requests_are_framed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = write_requests(pathlib.Path(folder, "f"), [b"ab\n", b""])
            self.assertEqual(path.read_bytes(), b"3\nab\n0\n")

    def test_requests_have_lengths(self):
        self.assertEqual(http_request("PUT", "/k", b"abc", ["A: b"]),
                         b"PUT /k HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 3\r\n\r\nabc")
        self.assertNotIn(b"Length", http_request("GET", "/k"))
        self.assertEqual(Redis.commands((b"SET", b"k", b"vv")),
                         b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n")
        self.assertIn(TAG, Etcd.swap("k"))
        self.assertEqual(field(1, b"key") + field(7, 1), b"\n\x03key8\x01")


class Rows(unittest.TestCase):
    def test_every_row_has_its_own_name_a_system_and_a_table(self):
        rows = all_rows(100000)
        ids = [row.id for row in rows]
        self.assertEqual(len(ids), len(set(ids)))
        for row in rows:
            self.assertIn(row.system, SYSTEMS)
            self.assertIn(row.group, report.GROUPS)
        self.assertLessEqual(set(PEERS), set(SYSTEMS))

    def test_the_goals_ask_for_rows_that_are_theirs(self):
        theirs = {row.id for row in all_rows(100000) if row.goal}
        asked = set()

        def medians(row_id, field):
            asked.add(row_id)
            return 1

        for goal in goals.GOALS:
            goal.value(medians)
        self.assertEqual(asked - {"engine alone: PUT on disk"},
                         theirs - {"engine alone: PUT on disk"})


class Report(unittest.TestCase):
    def setUp(self):
        self.results = report.Results()
        for rate in (100, 300, 200):
            self.results.add(run_of("quorate: strong PUT", rate))
        self.results.add(run_of("etcd: put", 40, 4000, loaded=True, refused=2))

    def test_medians(self):
        self.assertEqual(self.results.median("quorate: strong PUT", "per_second"), 200)

    def test_goals_are_judged(self):
        judged = {goal.text: goals.judge(goal, self.results.median) for goal in goals.GOALS}
        self.assertEqual(judged["strong PUT, to etcd put"], (5, True))
        self.assertEqual(judged["strong PUT, p99, to etcd put"], (0.25, True))
        self.assertEqual(judged["strong GET, to etcd linearizable range"], (None, None))

    def test_http2_goal_takes_the_lesser(self):
        def medians(ours, ceiling):
            return lambda row_id, _: ceiling if row_id.startswith("null") else ours
        self.assertEqual(goals.http2_goal(medians(300000, 900000)), 1)
        self.assertEqual(goals.http2_goal(medians(60000, 100000)), 1)

    def test_tables_mark_what_was_wrong(self):
        self.results.add(run_of("quorate: eventual PUT", 9, at_once=40.4))
        text = report.as_text(self.results, {"seconds": 1})
        self.assertRegex(text, r"quorate: eventual PUT +9 .* 0  groups of 40\n")
        self.assertRegex(text, r"quorate: strong PUT +200 +100% +0\.50 +1\.00 +2\.00 +0\n")
        self.assertRegex(text, r"etcd: put +40 .* 2  loaded\n")
        self.assertRegex(text, r"strong PUT, to etcd put +>= 5x +5x  reached")

    def test_markdown_replaces_what_is_between_the_markers(self):
        old = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
        new = report.replace_between(old, report.as_markdown(self.results, {}, [("P", "p.svg")]))
        self.assertTrue(new.startswith(f"before\n{report.BEGIN}\n\n"))
        self.assertTrue(new.endswith(f"![P](p.svg)\n\n{report.END}\nafter\n"))
        self.assertNotIn("old", new)
        self.assertEqual(report.replace_between(new, "x").count("x"), 1)

    def test_markdown_has_as_many_cells_as_its_head(self):
        lines = report.markdown_table(report.HEAD, [self.results.cells("etcd: put")]).split("\n")
        self.assertEqual({line.count("|") for line in lines}, {len(report.HEAD) + 1})


class Pictures(unittest.TestCase):
    def test_ticks_cover_what_is_shown(self):
        for low, high, logarithmic in ((3, 70, True), (1, 1, True), (0.02, 9000, True),
                                       (0, 17, False), (0, 0.3, False)):
            ticks = picture.ticks(low, high, logarithmic)
            self.assertEqual(ticks, sorted(set(ticks)))
            self.assertLessEqual(ticks[0], low)
            self.assertGreaterEqual(ticks[-1], high * 0.999999)
            self.assertLessEqual(len(ticks), 13)

    def test_places_are_inside(self):
        svg = picture.line_chart("T < U", "x", "y", {"a & b": [(1, 5), (1000, 70000)], "c": []},
                                 log_x=True, log_y=True)
        xml.dom.minidom.parseString(svg)
        self.assertIn("T &lt; U", svg)
        circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
        self.assertEqual(len(circles), 2)
        for x, y in circles:
            self.assertTrue(picture.LEFT <= float(x) <= picture.WIDTH - picture.RIGHT)
            self.assertTrue(picture.TOP <= float(y) <= picture.HEIGHT - picture.BOTTOM)
        # More is higher up and further to the right.
        self.assertLess(float(circles[0][0]), float(circles[1][0]))
        self.assertGreater(float(circles[0][1]), float(circles[1][1]))

    def test_short_numbers(self):
        self.assertEqual([picture.short(n) for n in (0.5, 20, 1500, 2e6)],
                         ["0.5", "20", "1.5k", "2M"])

    def test_rows_become_charts(self):
        results = report.Results()
        for row_id in ("quorate: strong PUT", "quorate: strong PUT, 8 connections",
                       "quorate: strong PUT, 1 KiB", "quorate: strong PUT, 4000/s",
                       "1,000 keys: strong PUT", "5 nodes: strong PUT"):
            results.add(run_of(row_id, 1000, p90_us=700, max_us=9000))
        drawn = {name: svg for name, _, svg in charts.charts(results, 100000)}
        self.assertEqual(set(drawn), {"values.svg", "connections.svg", "keys.svg", "nodes.svg",
                                      "rates-writes.svg", "latency.svg"})
        for name, points in (("values.svg", 2), ("connections.svg", 1), ("keys.svg", 2),
                             ("nodes.svg", 2), ("rates-writes.svg", 1), ("latency.svg", 5)):
            self.assertEqual(drawn[name].count("<circle"), points, name)


    def test_rates_end_where_they_are_not_kept_up_with(self):
        results = report.Results()
        for rate, done in ((16000, 9000), (1000, 1000), (8000, 7000), (2000, 1990)):
            results.add(run_of(f"quorate: strong PUT, {rate}/s", done))
        self.assertEqual([done for done, _ in charts.at_rates(results, charts.WRITE)
                          ["quorate: strong PUT"]], [1000, 1990, 7000])


class Faults(unittest.TestCase):
    """What ends a run with 1."""

    def faults_of(self, expect=True, **result):
        def run(_):
            if result.get("fails"):
                raise RuntimeError("it fails")
            return {"per_second": 1, "requests": 1, "refused": 0, "broken": 0, **result}

        options = argparse.Namespace(seconds=1, rounds=1, keys=1)
        measured = COMMAND.Run(options, pathlib.Path("nowhere"))
        with contextlib.redirect_stdout(io.StringIO()):
            measured.measure(Row("nginx", "row", "levels", run, expect=expect), None, 1)
        return measured.faults

    def test_answers_that_must_not_be(self):
        self.assertEqual(self.faults_of(), [])
        self.assertEqual(len(self.faults_of(refused=1)), 1)
        self.assertEqual(len(self.faults_of(broken=1)), 1)
        self.assertEqual(len(self.faults_of(requests=0)), 1)
        self.assertEqual(len(self.faults_of(fails=True)), 1)

    def test_overload_may_be_refused(self):
        self.assertEqual(self.faults_of(refused=1, expect=False), [])

    def test_a_system_that_does_not_start_is_tried_once(self):
        options = argparse.Namespace(seconds=1, rounds=3, keys=1)
        measured = COMMAND.Run(options, pathlib.Path("nowhere"))
        with contextlib.redirect_stdout(io.StringIO()), \
                unittest.mock.patch.dict(SYSTEMS, {"nginx": lambda name: 1 / 0}):
            measured.measure_all({"nginx": [Row("nginx", "row", "levels", None)]})
        self.assertEqual(measured.faults, ["nginx failed: ZeroDivisionError: division by zero"])


class CommandLine(unittest.TestCase):
    def test_list(self):
        def listed(*options):
            return subprocess.run([RUN, "--list", *options], capture_output=True, text=True,
                                  check=True).stdout.splitlines()

        self.assertEqual(listed("--only", "^quorate: strong GET$"),
                         ["levels      goal  quorate: strong GET"])
        self.assertGreater(len(listed("--goals")), 15)
        self.assertFalse([line for line in listed("--peers", "redis") if "etcd" in line])


if __name__ == "__main__":
    unittest.main()
