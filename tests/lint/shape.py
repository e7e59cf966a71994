"""Functions of at most 70 lines, lines of at most 100 columns."""
from scripts import all_scripts

FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100


def check(tree):
    findings = []
    for path in tree.all_c():
        findings += _functions(tree, path)
    for path in tree.all_c() + tree.files({".def", ".py", ".lua"}) + all_scripts(tree):
        findings += _columns(tree, path)
    return findings


def _functions(tree, path):
    """A body stands between a brace alone in column 0 and the next closing brace in column 0."""
    findings = []
    start = None
    lines = tree.code(path).split("\n")
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start is not None:
            length = number - start + 1
            if length > FUNCTION_LINES_MAX:
                name = lines[start - 2].strip()
                findings.append(f"{path}:{start}: {length} lines, at most {FUNCTION_LINES_MAX}: "
                                f"{name}")
            start = None
    return findings


def _columns(tree, path):
    return [f"{path}:{number}: {len(line)} columns, at most {COLUMNS_MAX}"
            for number, line in enumerate(tree.text(path).split("\n"), 1)
            if len(line.expandtabs(8)) > COLUMNS_MAX]
