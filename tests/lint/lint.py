#!/usr/bin/env python3
"""Runs one check, or all of them, over the tree: lint.py [CHECK...] [--root DIR] [--build DIR].

A check is a module with check(tree) that returns findings, each "path:line: what is wrong".
Exit status: 0 clean, 1 findings, 2 the check itself could not run.
"""
import argparse
import pathlib
import sys

sys.dont_write_bytecode = True

import banned
import deflists
import formatting
import headers
import layers
import libraries
import scripts
import shape
import symbols
import text
from tree import CannotRun, Tree

CHECKS = {
    "layers": layers.check,
    "libraries": libraries.check,
    "symbols": symbols.check,
    "banned": banned.check,
    "shape": shape.check,
    "text": text.check,
    "headers": headers.check,
    "format": formatting.check,
    "deflists": deflists.check,
    "scripts": scripts.check,
}


def main():
    here = pathlib.Path(__file__).resolve()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument("--root", type=pathlib.Path, default=here.parents[2])
    parser.add_argument("--build", type=pathlib.Path, help="build directory, for `symbols`")
    args = parser.parse_args()
    unknown = [name for name in args.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no such check: {', '.join(unknown)}")
    tree = Tree(args.root, args.build)
    status = 0
    for name in args.checks or CHECKS:
        try:
            findings = CHECKS[name](tree)
        except CannotRun as reason:
            print(f"{name}: cannot run: {reason}")
            status = 2
            continue
        for finding in findings:
            print(f"{name}: {finding}")
        if findings:
            status = max(status, 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
