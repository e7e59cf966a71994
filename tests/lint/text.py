"""No loose ends in the text: no notes to self, no trailing blanks, a newline at the end."""
import re

SUFFIXES = {".c", ".h", ".def", ".py", ".sh", ".md", ".txt", ".yaml", ".yml", ".cfg", ".json",
            ".lua", ".cmake", ".html"}
NAMED = ("deploy/quickstart", "tests/run", "tests/bench/run", ".ci/run")
# Spelt in two halves so that this file passes its own check.
NOTES = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def check(tree):
    findings = []
    named = [n for n in NAMED if (tree.root / n).is_file()]
    for path in sorted(set(tree.files(SUFFIXES) + named)):
        lines = tree.text(path).split("\n")
        for number, line in enumerate(lines, 1):
            if NOTES.search(line):
                findings.append(f"{path}:{number}: a note to self: finish it or drop it")
            if line != line.rstrip():
                findings.append(f"{path}:{number}: trailing blanks")
            if "\t" in line and path.endswith((".c", ".h", ".def", ".py")):
                findings.append(f"{path}:{number}: a tab")
        if lines[-1] != "" or lines[-2:] == ["", ""]:
            findings.append(f"{path}:{len(lines)}: the file does not end with one newline")
    return findings
