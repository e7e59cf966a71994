"""What the objects of the pure libraries call: memory, text formatting and each other, no more.

The includes say what code may see, this says what it uses: read from the compiled archives with nm.
Calls between libraries must also point down as CMakeLists.txt declares it, and no name is defined
in two libraries.
"""
import re
import subprocess

from cmake_layers import Layers
from layers import DRIVERS, PURE, THINKERS
from tree import CannotRun

MEMORY = re.compile(r"^(mem(cpy|move|set|cmp|chr|mem)|bcmp|"
                    r"str(len|nlen|cmp|ncmp|chr|rchr|str|c?spn)|__mem(cpy|move|set)_chk)$")
FORMATTING = re.compile(r"^(__)?v?snprintf(_chk)?$")
TOOLCHAIN = re.compile(r"^(__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|gcov|llvm)_.*|"
                       r"__sanitizer_.*|__dso_handle|__popcountdi2|__udivti3|__umodti3|__multi3|"
                       r"__muloti4|__divti3|llvm_.*|__start___.*|__stop___.*)$")
ALLOCATION = re.compile(r"^(malloc|calloc|realloc|aligned_alloc|free|qsort|bsearch)$")
PARSER = re.compile(r"^yajl_\w+$")
SIGNING = re.compile(r"^(HMAC|EVP_sha256|CRYPTO_memcmp)$")
# Reports a broken check and aborts.
EXEMPT_OBJECTS = {"quo_base": re.compile(r"^check\.c")}


def check(tree):
    if tree.build is None:
        raise CannotRun("symbols needs --build")
    layers = Layers(tree)
    findings = []
    defined = {}
    for name in sorted(PURE | THINKERS | DRIVERS):
        archive = tree.build / f"lib{name}.a"
        if name not in layers.by_name:
            continue
        if not archive.exists():
            raise CannotRun(f"{archive} is not built")
        defined[name] = _defined(archive)
    for name in defined:
        below = set().union(*(defined[n] for n in layers.closure(name) if n in defined))
        for member, symbol in _undefined(tree.build / f"lib{name}.a"):
            if not _allowed(name, member, symbol, below):
                findings.append(f"lib{name}.a:{member}: needs {symbol}")
    return findings + _defined_twice(tree, layers)


def _defined_twice(tree, layers):
    owners = {}
    for name in layers.by_name:
        archive = tree.build / f"lib{name}.a"
        if archive.exists():
            for symbol in _defined(archive):
                owners.setdefault(symbol, []).append(name)
    return [f"lib{names[1]}.a: {symbol} is also defined in lib{names[0]}.a"
            for symbol, names in sorted(owners.items())
            if len(names) > 1 and symbol.startswith("quo_")]


def _allowed(layer, member, symbol, below):
    exempt = EXEMPT_OBJECTS.get(layer)
    if exempt and exempt.match(member):
        return True
    if symbol in below:
        return True
    patterns = [MEMORY, FORMATTING, TOOLCHAIN]
    if layer in THINKERS | DRIVERS:
        patterns.append(ALLOCATION)
    if layer in THINKERS:
        patterns.append(PARSER)
    if layer == "quo_session":
        patterns.append(SIGNING)
    return any(pattern.match(symbol) for pattern in patterns)


def _nm(archive, *options):
    run = subprocess.run(["nm", "-P", *options, str(archive)], capture_output=True, text=True)
    if run.returncode != 0:
        raise CannotRun(f"nm {archive}: {run.stderr.strip()}")
    member = "?"
    for line in run.stdout.splitlines():
        if line.endswith(":"):
            member = re.sub(r"^.*\[(.*)\]:$", r"\1", line)
        elif line.strip():
            yield member, line.split()[0]


def _defined(archive):
    return {symbol for _, symbol in _nm(archive, "--defined-only", "--extern-only")}


def _undefined(archive):
    return list(_nm(archive, "--undefined-only"))
