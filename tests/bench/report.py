"""What a run found, as tables: for the terminal, and the same in Markdown."""
import statistics

from goals import GOALS, judge

BEGIN, END = "<!-- results -->", "<!-- end of results -->"
GROUPS = {
    "levels": "Levels", "conditions": "Conditions and counters", "timelines": "Timelines",
    "protocols": "HTTP/2 and gRPC", "ceilings": "Ceilings", "failures": "Failures",
    "values": "Sizes of values", "connections": "Connections", "rates": "Fixed rates",
    "nodes": "Nodes", "keys": "Keys", "cache": "Data and cache", "tls": "TLS", "memory": "Memory"}
HEAD = ["", "per second", "spread", "p50 ms", "p99 ms", "p99.9 ms", "bad", ""]


class Results:
    """All measurements, in the order in which rows were first measured."""

    def __init__(self):
        self.runs, self.groups = {}, {}

    def add(self, run):
        row_id, group = run["row"], run["group"]
        self.runs.setdefault(row_id, []).append(run)
        self.groups.setdefault(group, [])
        if row_id not in self.groups[group]:
            self.groups[group].append(row_id)

    def median(self, row_id, field):
        """Raises KeyError for what was not measured."""
        return statistics.median(run[field] for run in self.runs[row_id])

    def cells(self, row_id):
        runs = self.runs[row_id]
        if "per_second" not in runs[0]:
            return None
        rates = [run["per_second"] for run in runs]
        middle = statistics.median(rates)
        spread = (max(rates) - min(rates)) / middle if middle else 0
        marks = " ".join(filter(None, [
            "loaded" if any(run["loaded"] for run in runs) else "",
            "behind" if any(run.get("unanswered") for run in runs) else "",
            f"mean {self.median(row_id, 'mean_us') / 1000:.2f} ms" if "mean_us" in runs[0] else "",
            f"groups of {self.median(row_id, 'at_once'):.0f}" if "at_once" in runs[0] else "",
            "wrapped" if any(run.get("wrapped") for run in runs)
            and "cold" in row_id else ""]))
        return [row_id, f"{middle:,.0f}", f"{spread:.0%}",
                *(self.time(row_id, field) for field in ("p50_us", "p99_us", "p999_us")),
                f"{sum(bad(run) for run in runs):,}", marks]

    def time(self, row_id, field):
        if field not in self.runs[row_id][0]:
            return "-"
        return f"{self.median(row_id, field) / 1000:.2f}"

    def tables(self):
        """(title, head, rows) of each group."""
        for group, title in GROUPS.items():
            rows = [self.cells(row_id) for row_id in self.groups.get(group, [])]
            rows = [row for row in rows if row]
            if rows:
                yield title, HEAD, rows
        if "idle: memory" in self.runs:
            yield "Memory", ["", "KiB"], [
                [text, f"{self.median('idle: memory', field) / 1024:,.1f}"]
                for text, field in (("node at start, resident", "node_bytes"),
                                    ("proxy at start, resident", "proxy_bytes"),
                                    ("idle connection", "connection_bytes"))]

    def goal_rows(self):
        rows = []
        for goal in GOALS:
            value, reached = judge(goal, self.median)
            rows.append([goal.text, f"{goal.sign} {goal.limit:.3g}{goal.unit}",
                         "not measured" if value is None else f"{value:.3g}{goal.unit}",
                         {None: "", True: "reached", False: "not reached"}[reached]])
        return rows


GOAL_HEAD = ["goal", "wanted", "measured", ""]


def bad(run):
    return run["refused"] + run["broken"]


def plain_table(head, rows):
    """Aligned text: the first column to the left, numbers to the right, the last to the left."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [str(cell).ljust(width) if i in (0, len(head) - 1) else str(cell).rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(head, rows):
    align = ["---" if i in (0, len(head) - 1) else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(str(cell) for cell in row).rstrip() + " |"
                     for row in [head, align, *rows])


def as_text(results, facts):
    parts = [", ".join(f"{name} {fact}" for name, fact in facts.items())]
    parts += [f"{title}\n{plain_table(head, rows)}" for title, head, rows in results.tables()]
    if any(row[-1] for row in results.goal_rows()):
        parts.append(f"Goals\n{plain_table(GOAL_HEAD, results.goal_rows())}")
    return "\n\n".join(parts)


def as_markdown(results, facts, pictures):
    parts = ["Measured by `tests/bench/run`; every number is the median of the rounds.",
             markdown_table(["", ""], [[name, fact] for name, fact in facts.items()]),
             "### Goals\n\n" + markdown_table(GOAL_HEAD, results.goal_rows())]
    parts += [f"### {title}\n\n{markdown_table(head, rows)}"
              for title, head, rows in results.tables()]
    parts += [f"![{title}]({path})" for title, path in pictures]
    return "\n\n".join(parts)


def replace_between(document, text):
    """The document with what stands between the two markers replaced."""
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}"
