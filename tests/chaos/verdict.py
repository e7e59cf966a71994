"""What a run says in the end: histories judged, gaps measured, everything counted."""
import bisect
import json
import subprocess

KEYS_PER_FILE = 64
JUDGE_SECONDS = 300


def write_histories(folder, histories, models):
    """{workload: [files]}; whole keys, few a file: the checker's time grows with both."""
    written = {}
    for workload, keys in histories.items():
        written[workload] = []
        names = sorted(keys)
        for start in range(0, len(names), KEYS_PER_FILE):
            path = folder / f"{workload}-{start // KEYS_PER_FILE:05}.ndjson"
            with open(path, "w", encoding="ascii") as out:
                for key in names[start:start + KEYS_PER_FILE]:
                    if models[key] != "register":
                        out.write(json.dumps({"key": key, "model": models[key]}) + "\n")
                    for entry in keys[key]:
                        out.write(json.dumps(entry, separators=(",", ":")) + "\n")
            written[workload].append(path)
    return written


def judge(checker, files):
    """("ok" | "VIOLATION" | "undecided" | "unreadable", what the checker said). Stops at the first
    file that is not ok: one violation is enough, and the smallest one takes long to find."""
    words = {0: "ok", 1: "VIOLATION", 2: "undecided"}
    for path in files:
        try:
            run = subprocess.run([checker, path], capture_output=True, text=True, check=False,
                                 timeout=JUDGE_SECONDS)
        except subprocess.TimeoutExpired:
            return "undecided", f"{path}: no verdict in {JUDGE_SECONDS} s"
        if run.returncode != 0:
            return words.get(run.returncode, "unreadable"), (run.stdout + run.stderr).strip()
    return "ok", ""


def acknowledged(histories):
    """(strong writes that were acknowledged, of them deletes)."""
    writes = deletes = 0
    for keys in histories.values():
        for entries in keys.values():
            for entry in entries:
                if entry["op"] != "get" and entry["outcome"] == "ok" \
                        and entry["level"] in ("strong", "quorum", "all"):
                    writes += 1
                    deletes += entry["op"] == "delete"
    return writes, deletes


def longest_gap(times, begin, end):
    """Seconds without a success between begin and end; `times` sorted, in µs."""
    inside = times[bisect.bisect_left(times, begin):bisect.bisect_right(times, end)]
    marks = [begin, *inside, end]
    return max(b - a for a, b in zip(marks, marks[1:])) / 1e6


def until_success(times, moment, end):
    at = bisect.bisect_left(times, moment)
    return ((times[at] if at < len(times) else end) - moment) / 1e6


def gaps(successes, faults, begin, end):
    """The longest silences of the whole cluster, in seconds without a successful strong read, and
    write: per kind of fault while one lasted and from its end on, and in the whole run. Faults that
    overlap share their silences."""
    result = {}
    for op in ("read", "write"):
        times = sorted(successes[op])
        for kind in sorted({f[0] for f in faults}):
            row = {"during": 0, "after": 0, "worst": ""}
            for what, detail, start, stop in faults:
                if what != kind:
                    continue
                during = longest_gap(times, start, stop)
                if during > row["during"]:
                    row.update(during=round(during, 3), worst=detail)
                row["after"] = max(row["after"], round(until_success(times, stop, end), 3))
            result[f"{kind}, {op}s"] = row
        result[f"whole run, {op}s"] = {"during": round(longest_gap(times, begin, end), 3),
                                       "after": 0, "worst": ""}
    return result
