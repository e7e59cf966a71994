"""The layers as CMakeLists.txt declares them: one folder, one library, and what it may build on."""
import re

from tree import CannotRun

_CALL = re.compile(r"^quo_(?P<pure>pure_)?layer\(\s*(?P<words>[^)]*)\)", re.MULTILINE)
_PROGRAM = re.compile(r"^add_executable\((quorate-\S+)\s+(\S+)\)", re.MULTILINE)
_LINKS = re.compile(r"^target_link_libraries\((quorate-\S+)\s+PRIVATE\s+([^)]*)\)", re.MULTILINE)


class Layer:
    """Also a program, whose folder then is the path of its main file."""

    def __init__(self, name, folder, depends, pure):
        self.name, self.folder, self.depends, self.pure = name, folder, depends, pure


class Layers:
    def __init__(self, tree):
        if not (tree.root / "CMakeLists.txt").exists():
            raise CannotRun("no CMakeLists.txt")
        text = tree.text("CMakeLists.txt")
        self.by_name = {}
        for match in _CALL.finditer(text):
            words = match.group("words").split()
            if words and words[0].startswith("quo_"):
                depends = [w for w in words[2:] if w.startswith("quo_")]
                self._add(Layer(words[0], words[1], depends, bool(match.group("pure"))))
        links = {m.group(1): m.group(2).split() for m in _LINKS.finditer(text)}
        for name, main in _PROGRAM.findall(text):
            self._add(Layer(name, main, links.get(name, []), False))
        if not self.by_name:
            raise CannotRun("CMakeLists.txt declares no layers")

    def _add(self, layer):
        self.by_name[layer.name] = layer

    def of_file(self, path):
        """The layer that a source file belongs to, None for include/ and tests/."""
        folder = path.rsplit("/", 1)[0]
        for layer in self.by_name.values():
            if layer.folder == path:
                return layer
        for layer in self.by_name.values():
            if layer.folder == folder:
                return layer
        return None

    def closure(self, name):
        """Names of the layer and of all it builds on."""
        seen, todo = set(), [name]
        while todo:
            at = todo.pop()
            if at in self.by_name and at not in seen:
                seen.add(at)
                todo += self.by_name[at].depends
        return seen
