#!/usr/bin/env python3
# labels: integration
"""The tutorial, api/README.md, does what it prints: every command of its ```console blocks is run
against a fresh cluster of the quickstart's kind, in one shell, and the output is compared.

What differs from run to run (versions, times, ids, names of replicas) is compared by its form. With
QUO_REWRITE=1 the outputs in the document are written anew.
"""
import os
import re
import subprocess
import unittest

from cluster import ROOT, ClusterTest

DOCUMENT = ROOT / "api" / "README.md"
# Slow machines need longer to list all partitions.
NAMESPACES = [{"id": number, "name": name, "kind": kind, "timeout_ms": 20000}
              for number, (name, kind) in enumerate({"default": "mixed", "bank": "cas",
                                                     "social": "crdt"}.items(), 1)]
PORT = "8080"  # what the document says
END = "--end-of-command--"
FORMS = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<entry>"),
    (re.compile(r"\b[0-9a-f]{48}\b"), "<operation>"),
    (re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"'), '"<time>"'),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<version>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<id>"),
    (re.compile(r'replicas=\([^)]*\)'), "replicas=(<names>)"),
    (re.compile(r"(?im)^(date|server-timing|connection|server): .*$"), r"\1: <>"),
    # A quorum that is answered by more in one turn says so.
    (re.compile(r"\b(replies|acks|disk)=[23]\b"), r"\1=<>"),
)


def form_of(text):
    for pattern, word in FORMS:
        text = pattern.sub(word, text)
    return text


class Example:
    """One command with what it prints. `end` is where its output ends in the document."""

    def __init__(self, command, begin, end, output):
        self.command, self.begin, self.end, self.output = command, begin, end, output


def examples_of(lines):
    """A command begins with "$ " and goes on while its lines end with a backslash."""
    found, inside, number = [], False, 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            command = [line[2:]]
            while command[-1].endswith("\\"):
                command.append(lines[number])
                number += 1
            begin = number
            while not lines[number].startswith(("$ ", "```")):
                number += 1
            found.append(Example("\n".join(command), begin, number, lines[begin:number]))
    return found


class Tutorial(ClusterTest):
    options = {"namespaces": NAMESPACES}

    def setUp(self):
        super().setUp()
        # On a terminal curl shows no progress.
        (self.cluster.folder / ".curlrc").write_text("silent\nshow-error\n")
        self.shell = subprocess.Popen(
            ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=self.cluster.folder,
            env={**os.environ, "HOME": str(self.cluster.folder)})
        self.addCleanup(self.close)

    def close(self):
        self.shell.stdin.close()
        self.shell.wait(10)
        self.shell.stdout.close()

    def run_command(self, command):
        port = str(self.cluster.proxies[0].http_port)
        self.shell.stdin.write(command.replace(f":{PORT}/", f":{port}/") + f"\necho; echo {END}\n")
        self.shell.stdin.flush()
        output = ""
        for line in self.shell.stdout:
            if line == END + "\n":
                break
            output += line
        output = output.replace("\r", "").replace(f":{port}/", f":{PORT}/")
        # Our own echo began a new line; curl ends bodies without one.
        return output.rstrip("\n").split("\n") if output.strip() else []

    def test_every_command_prints_what_the_document_says(self):
        lines = DOCUMENT.read_text(encoding="utf-8").split("\n")
        examples = examples_of(lines)
        self.assertGreaterEqual(len(examples), 15)
        answers = [self.run_command(example.command) for example in examples]
        if os.environ.get("QUO_REWRITE"):
            self.rewrite(lines, examples, answers)
            return
        for example, answer in zip(examples, answers):
            with self.subTest(command=example.command):
                said = "\n".join(example.output).rstrip("\n")
                self.assertEqual(form_of("\n".join(answer)), form_of(said))

    def rewrite(self, lines, examples, answers):
        for example, answer in reversed(list(zip(examples, answers))):
            if form_of("\n".join(example.output).rstrip("\n")) != form_of("\n".join(answer)):
                lines[example.begin:example.end] = answer
        DOCUMENT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    unittest.main()
