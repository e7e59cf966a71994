"""shellcheck has nothing to say about any shell script."""
import shutil
import subprocess

from tree import CannotRun

FOLDERS = ("deploy", "tests", ".ci")


def check(tree):
    if not shutil.which("shellcheck"):
        raise CannotRun("shellcheck is missing")
    findings = []
    for path in shell_scripts(tree):
        run = subprocess.run(["shellcheck", "--format=gcc", "-x", path], cwd=tree.root,
                             capture_output=True, text=True)
        findings += [line for line in run.stdout.splitlines() if line]
    return findings


def shell_scripts(tree):
    """Files that begin with a shell's name, whatever they are called."""
    return [path for path in all_scripts(tree)
            if tree.text(path).startswith(("#!/usr/bin/env bash", "#!/bin/sh", "#!/bin/bash"))]


def all_scripts(tree):
    """Files without a suffix that begin with the name of any interpreter, and shell scripts."""
    return [path for path in tree.files({"", ".sh"}, FOLDERS) if tree.text(path).startswith("#!")]
