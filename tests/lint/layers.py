"""Arrows point down: a file includes only what the library of its folder may build on."""
from cmake_layers import Layers

# Which layer stands behind each header of include/quorate. PORT: an interface without code, for
# drivers and what is above them, closed to the pure parts.
PORT = "port"
OWNERS = {
    "base.h": "quo_base",
    "limits.h": "quo_base",
    "status.h": "quo_base",
    "status.def": "quo_base",
    "testpoints.h": "quo_base",
    "mutants.def": "quo_base",
    "probes.def": "quo_base",
    "histogram.h": "quo_base",
    "version.h": "quo_version",
    "record.h": "quo_version",
    "ring.h": "quo_version",
    "slot.h": "quo_version",
    "scan.h": "quo_version",
    "cluster.h": "quo_cluster",
    "collection.h": "quo_cluster",
    "rpc.h": "quo_rpc",
    "messages.def": "quo_rpc",
    "env.h": PORT,
    "mailbox.h": PORT,
    "store.h": PORT,
    "transport.h": PORT,
    "listen.h": "quo_runtime",
    "loop.h": "quo_runtime",
    "net.h": "quo_runtime",
    "program.h": "quo_runtime",
    "config.h": "quo_runtime",
    "log.h": "quo_runtime",
    "map_file.h": "quo_runtime",
    "metrics.h": "quo_runtime",
    "tls.h": "quo_runtime",
}
# Folders that hold decisions only: no port, no clock, no memory of their own.
PURE = {"quo_base", "quo_version", "quo_cluster", "quo_rpc", "quo_session", "quo_collections",
        "quo_coordinator", "quo_replica", "quo_antientropy", "quo_handoff", "quo_gc"}
# Folders that decide as those do, but over documents: memory and the parser, still no port.
THINKERS = {"quo_change"}
DRIVERS = {"quo_service", "quo_server"}
PURE_SYSTEM = {"inttypes.h", "limits.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h",
               "stdint.h", "stdio.h", "string.h", "xxhash.h"}
# What else a thinker may include, by the start of the name.
THINKER_SYSTEM = ("stdlib.h", "yajl/")
# What single files may include besides. The one place that may write to stderr and abort:
FILE_SYSTEM = {"api/check.c": {"stdlib.h", "unistd.h"},
                # The one place that signs.
                "proxy/session/token_text.c": {"openssl/crypto.h", "openssl/evp.h",
                                               "openssl/hmac.h"}}


def check(tree):
    layers = Layers(tree)
    findings = []
    for path in tree.sources():
        for number, form, name in tree.includes(path):
            problem = _judge(tree, layers, path, form, name)
            if problem:
                findings.append(f"{path}:{number}: {problem}")
    return findings


def _judge(tree, layers, path, form, name):
    if form == "<":
        return _judge_system(layers, path, name)
    if name.startswith("quorate/"):
        return _judge_shared(layers, path, name)
    if (tree.root / name).exists():
        return _judge_folder(layers, path, name)
    return None if "/" in name else f'"{name}": write the path from the root of the repository'


def _judge_system(layers, path, name):
    layer = layers.of_file(path)
    if layer is None or layer.name not in PURE | THINKERS | DRIVERS:
        return None
    if layer.name in THINKERS and name.startswith(THINKER_SYSTEM):
        return None
    allowed = PURE_SYSTEM | FILE_SYSTEM.get(path, set())
    if layer.name in DRIVERS:
        allowed = allowed | {"stdlib.h"}
    return None if name in allowed else f"<{name}> does not belong into {layer.folder}"


def _judge_shared(layers, path, name):
    owner = OWNERS.get(name[len("quorate/"):])
    if owner is None:
        return f'"{name}" has no owner: add it to OWNERS in tests/lint/layers.py'
    if path.startswith("include/quorate/"):
        return _judge_header(layers, path, name, owner)
    layer = layers.of_file(path)
    if layer is None:
        return None
    if owner == PORT:
        closed = layer.name in PURE | THINKERS
        return f'"{name}" is a port, {layer.folder} is pure' if closed else None
    if owner in layers.closure(layer.name):
        return None
    return f'"{name}" is of {owner}, which {layer.name} does not build on'


def _judge_header(layers, path, name, owner):
    mine = OWNERS.get(path[len("include/quorate/"):])
    if mine is None:
        return "this header has no owner: add it to OWNERS in tests/lint/layers.py"
    if mine == PORT:
        fits = owner == PORT or owner in PURE
    elif owner == PORT:
        fits = mine not in PURE
    else:
        fits = owner in layers.closure(mine)
    return None if fits else f'"{name}" is of {owner}, above or beside {mine}'


def _judge_folder(layers, path, name):
    if path.startswith("include/"):
        return f'"{name}": include/ stands below every folder'
    for one, other in (("proxy/", "storage-node/"), ("storage-node/", "proxy/")):
        if path.startswith(one) and name.startswith(other):
            return f'"{name}": {one} and {other} never include each other'
    if name.startswith("tests/"):
        return f'"{name}": programs do not include tests'
    layer, owner = layers.of_file(path), layers.of_file(name)
    if layer is None or owner is None or owner.name in layers.closure(layer.name):
        return None
    return f'"{name}" is of {owner.name}, which {layer.name} does not build on'
