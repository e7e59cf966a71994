"""Calls and headers that have a better, bounded or testable replacement."""
import re

from tree import line_of

EVERYWHERE = {
    "strcpy": "unbounded", "strcat": "unbounded", "sprintf": "unbounded", "vsprintf": "unbounded",
    "gets": "unbounded", "strncpy": "may leave no NUL", "strncat": "counts surprisingly",
    "atoi": "hides errors", "atol": "hides errors", "atoll": "hides errors", "atof": "hides errors",
    "strtok": "keeps hidden state", "alloca": "unbounded stack", "system": "runs a shell",
    "popen": "runs a shell", "sleep": "waiting is not synchronising",
    "usleep": "waiting is not synchronising",
}
PROGRAMS = {
    "rand": "chance comes from env.h", "srand": "chance comes from env.h",
    "random": "chance comes from env.h", "drand48": "chance comes from env.h",
    "time": "time comes from env.h", "gettimeofday": "time comes from env.h",
}
# The port itself: here chance and time enter.
PORT_FOLDER = "api/runtime/"


def check(tree):
    findings = []
    for path in tree.all_c():
        in_tests = path.startswith("tests/")
        words = dict(EVERYWHERE)
        if not in_tests and not path.startswith(PORT_FOLDER):
            words.update(PROGRAMS)
        findings += _calls(tree, path, words)
        if not in_tests:
            findings += [f"{path}:{number}: <assert.h>: use QUO_REQUIRE or QUO_INVARIANT"
                         for number, _, name in tree.includes(path) if name == "assert.h"]
    return findings


def _calls(tree, path, words):
    code = tree.code(path)
    # Not a field or a function pointer: those are somebody's own.
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(words) + r")\s*\(")
    return [f"{path}:{line_of(code, m.start())}: {m.group(1)}(): {words[m.group(1)]}"
            for m in pattern.finditer(code)]
