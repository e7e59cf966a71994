"""clang-format has nothing to change."""
import re
import shutil
import subprocess

from tree import CannotRun

AT_ONCE = 50


def check(tree):
    if not shutil.which("clang-format"):
        raise CannotRun("clang-format is missing")
    paths = tree.all_c()
    findings = {}
    for start in range(0, len(paths), AT_ONCE):
        run = subprocess.run(
            ["clang-format", "--style=file", "--dry-run", "-Werror", *paths[start:start + AT_ONCE]],
            cwd=tree.root, capture_output=True, text=True)
        if run.returncode == 0:
            continue
        for line in run.stderr.splitlines():
            match = re.match(r"^(\S+?):(\d+):\d+: error", line)
            if match:
                # One finding a file: run clang-format -i on it.
                findings.setdefault(match.group(1), match.group(2))
        if not findings:
            raise CannotRun(run.stderr.strip()[:400])
    return [f"{path}:{line}: clang-format -i {path}" for path, line in sorted(findings.items())]
