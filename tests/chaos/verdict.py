"""What a run says in the end: histories judged, gaps measured, everything counted."""
import json
import subprocess

KEYS_PER_FILE = 64
JUDGE_SECONDS = 300
SETTLED_US = 2_000_000  # a fault's share of the silence that follows it


def write_histories(folder, histories):
    """{workload: [files]}; whole keys, few a file: the checker's time grows with both."""
    written = {}
    for workload, keys in histories.items():
        written[workload] = []
        names = sorted(keys)
        for start in range(0, len(names), KEYS_PER_FILE):
            path = folder / f"{workload}-{start // KEYS_PER_FILE:05}.ndjson"
            with open(path, "w", encoding="ascii") as out:
                for key in names[start:start + KEYS_PER_FILE]:
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
    last, longest = begin, 0
    for time in times:
        if time < begin:
            continue
        if time > end:
            break
        longest = max(longest, time - last)
        last = time
    return max(longest, end - last) / 1e6


def gaps(successes, faults, begin, end):
    """Longest silence of the whole cluster: without any fault, and per kind, during and after."""
    times = sorted(successes)
    result = {}
    for kind in sorted({f[0] for f in faults}):
        longest, text = 0, ""
        for what, detail, start, stop in faults:
            if what == kind:
                gap = longest_gap(times, start, min(stop + SETTLED_US, end))
                if gap > longest:
                    longest, text = gap, detail
        result[kind] = {"seconds": round(longest, 3), "fault": text}
    result["whole run"] = {"seconds": round(longest_gap(times, begin, end), 3), "fault": ""}
    return result
