"""Every entry of a list that generates code is used: no dead status, message, mutant or probe."""
import re

# List -> for an entry's name, a pattern of which one must occur in the code. {N}: the name as it
# stands, {l}: in lower case.
LISTS = {
    "include/quorate/status.def": ("QUO_STATUS", r"\bQUO_{N}\b"),
    "include/quorate/messages.def": ("QUO_MESSAGE", r"\bQUO_MESSAGE_{N}\b|\bquo_msg_{l}_encode\b"),
    "include/quorate/mutants.def": ("QUO_MUTANT_DEF", r"\bQUO_MUTANT\(\s*{N}\s*\)"),
    "include/quorate/probes.def": ("QUO_PROBE_DEF", r"\bQUO_PROBE\(\s*{N}\s*\)"),
}


def check(tree):
    code = "\n".join(tree.code(path) for path in tree.sources())
    findings = []
    for path, (macro, usage) in LISTS.items():
        if (tree.root / path).exists():
            findings += _unused(tree, path, macro, usage, code)
    known = {path.rsplit("/", 1)[1] for path in LISTS}
    for path in tree.files({".def"}):
        name = path.rsplit("/", 1)[1]
        if name not in known:
            findings += _unread(tree, path)
    return findings


def _entries(tree, path, macro):
    for number, line in enumerate(tree.code(path).split("\n"), 1):
        match = re.match(rf"\s*{macro}\(\s*(\w+)", line)
        if match:
            yield number, match.group(1)


def _unused(tree, path, macro, usage, code):
    findings = []
    count = 0
    for number, name in _entries(tree, path, macro):
        count += 1
        if not re.search(usage.format(N=name, l=name.lower()), code):
            findings.append(f"{path}:{number}: {name} is used nowhere")
    return findings if count else [f"{path}:1: no {macro} entries found"]


def _unread(tree, path):
    """Another list: its entries become fields and tables by themselves; somebody must read it."""
    name = path.rsplit("/", 1)[1]
    for source in tree.all_c():
        if any(include.endswith(name) for _, _, include in tree.includes(source)):
            return []
    return [f"{path}:1: nobody includes this list"]
