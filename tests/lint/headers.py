"""Every header compiles alone, with both compilers and all warnings."""
import concurrent.futures
import os
import shutil
import subprocess

from tree import CODE, CannotRun

COMPILERS = ("gcc", "clang")
PACKAGES = ("libh2o-evloop", "openssl", "rocksdb", "yajl", "libconfig")
FLAGS = ["-std=gnu11", "-fsyntax-only", "-D_GNU_SOURCE", "-DH2O_USE_LIBUV=0", "-Iinclude", "-I.",
         "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wstrict-prototypes",
         "-Wmissing-prototypes", "-Wundef", "-Wdouble-promotion", "-Wold-style-definition"]


def check(tree):
    for compiler in COMPILERS:
        if not shutil.which(compiler):
            raise CannotRun(f"{compiler} is missing")
    flags = FLAGS + _package_flags()
    jobs = [(compiler, path) for path in tree.files({".h"}, CODE + ("tests",))
            for compiler in COMPILERS]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda job: _compile(tree, flags, *job), jobs)
        return [finding for finding in results if finding]


def _package_flags():
    flags = []
    for package in PACKAGES:
        run = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True)
        flags += run.stdout.split() if run.returncode == 0 else []
    return flags


def _compile(tree, flags, compiler, path):
    # Included from a file of its own: compiled as the main file, "pragma once" and unused statics
    # would be judged differently.
    source = f'#include "{path}"\nextern int quo_alone;\n'
    run = subprocess.run([compiler, *flags, "-x", "c", "-"], cwd=tree.root, input=source,
                         capture_output=True, text=True)
    if run.returncode == 0:
        return None
    first = next((line for line in run.stderr.splitlines() if "error" in line), run.stderr[:200])
    return f"{path}:1: {compiler}: {first.strip()}"
