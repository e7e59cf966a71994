"""The source tree as the checks see it."""
import os
import pathlib
import re

CODE = ("include", "api", "proxy", "storage-node")
SKIPPED_FOLDERS = {".git", "build", "__pycache__", "corpus"}


class CannotRun(Exception):
    """Something the check needs is missing; that must not pass for clean."""


class Tree:
    """Files below `root`, named by their path relative to it. `build` may be None."""

    def __init__(self, root, build=None):
        self.root = pathlib.Path(root)
        self.build = pathlib.Path(build) if build else None
        self._text = {}

    def files(self, suffixes, under=("",)):
        """Relative paths with one of the suffixes, below one of the folders, sorted."""
        found = []
        for folder in under:
            for at, names, files in os.walk(self.root / folder):
                names[:] = [n for n in names if n not in SKIPPED_FOLDERS]
                for name in files:
                    path = pathlib.Path(at, name)
                    if path.suffix in suffixes and not path.is_symlink():
                        found.append(path.relative_to(self.root).as_posix())
        return sorted(set(found))

    def sources(self):
        """The C files of the programs."""
        return self.files({".c", ".h"}, CODE)

    def all_c(self):
        """The C files of programs and tests."""
        return self.files({".c", ".h"}, CODE + ("tests",))

    def text(self, path):
        if path not in self._text:
            self._text[path] = (self.root / path).read_text(encoding="utf-8", errors="replace")
        return self._text[path]

    def code(self, path):
        """The text with comments and the inside of literals blanked; lines stay where they are."""
        return blank(self.text(path))

    def includes(self, path):
        """(line number, form, name) of every include; form is '"' or '<'."""
        found = []
        for number, line in enumerate(self.text(path).split("\n"), 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if match:
                found.append((number, match.group(1), match.group(2)))
        return found


_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)


def blank(text):
    """Replaces comments and what stands between quotes by spaces, keeping newlines."""

    def replace(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return _TOKEN.sub(replace, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1
