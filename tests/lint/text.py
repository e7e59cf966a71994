"""No loose ends in the text: no notes to self, no trailing blanks, a newline at the end."""
import re

from scripts import all_scripts

SUFFIXES = {".c", ".h", ".def", ".py", ".sh", ".md", ".txt", ".yaml", ".yml", ".cfg", ".json",
            ".lua", ".cmake", ".html"}
# Spelt in two halves so that this file passes its own check.
NOTES = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def check(tree):
    findings = []
    for path in sorted(set(tree.files(SUFFIXES) + all_scripts(tree))):
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
