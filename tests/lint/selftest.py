#!/usr/bin/env python3
"""Plants each kind of offence in a small tree and sees it found; the clean tree has no findings."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

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

CMAKE = """
quo_pure_layer(quo_base api)
quo_pure_layer(quo_version api/version DEPENDS quo_base)
quo_layer(quo_runtime api/runtime DEPENDS quo_version
    PkgConfig::H2O)
quo_pure_layer(quo_coordinator proxy/coordinator DEPENDS quo_version)
quo_pure_layer(quo_change proxy/change DEPENDS quo_coordinator PkgConfig::YAJL)
quo_pure_layer(quo_service proxy/service DEPENDS quo_change)
quo_layer(quo_seats proxy/seats DEPENDS quo_service quo_runtime)
quo_layer(quo_http proxy/http DEPENDS quo_service quo_runtime)
add_executable(quorate-proxy proxy/main.c)
target_link_libraries(quorate-proxy PRIVATE quo_http)
quo_pure_layer(quo_replica storage-node/replica DEPENDS quo_version)
"""
CLEAN = {
    "CMakeLists.txt": CMAKE,
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nBreakBeforeBraces: Linux\n"
                     "AllowShortFunctionsOnASingleLine: None\n",
    "include/quorate/base.h": "#ifndef B\n#define B\n#include <stddef.h>\n"
                              "size_t quo_twice(size_t n);\n#endif\n",
    "include/quorate/version.h": "#ifndef V\n#define V\n#include \"quorate/base.h\"\n#endif\n",
    "include/quorate/env.h": "#ifndef E\n#define E\nstruct quo_env;\n#endif\n",
    "include/quorate/loop.h": "#ifndef L\n#define L\n#include \"quorate/env.h\"\n#endif\n",
    "include/quorate/mutants.def": 'QUO_MUTANT_DEF(NO_TWICE, "twice")\n',
    "include/quorate/status.def": 'QUO_STATUS(OK, 0, "done")\n',
    "api/twice.c": "/* strcpy( in a comment, sprintf( too */\n#include \"quorate/base.h\"\n\n"
                   "size_t quo_twice(size_t n)\n{\n    return n + n;\n}\n",
    "proxy/coordinator/plan.h": "#ifndef P\n#define P\n#include \"quorate/version.h\"\n#endif\n",
    "proxy/coordinator/plan.c": "#include \"proxy/coordinator/plan.h\"\n\nint quo_plan(void);\n\n"
                                "int quo_plan(void)\n{\n    return QUO_MUTANT(NO_TWICE) ? 1 : "
                                "QUO_OK;\n}\n",
    "proxy/change/patch.c": "#include \"proxy/coordinator/plan.h\"\n#include <stdlib.h>\n"
                            "#include <yajl/yajl_parse.h>\n",
    "proxy/seats/seats.c": "#include \"quorate/loop.h\"\n#include <sys/socket.h>\n",
    "proxy/service/service.c": "#include \"proxy/coordinator/plan.h\"\n#include \"quorate/env.h\"\n"
                               "#include <stdlib.h>\n",
    "proxy/http/server_h2o.c": "#include \"quorate/loop.h\"\n#include <h2o.h>\n",
}


class Planted(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for path, content in CLEAN.items():
            self.plant(path, content)

    def tearDown(self):
        self.folder.cleanup()

    def plant(self, path, content):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)

    def findings(self, module, build=None):
        return module.check(Tree(self.root, build))

    def assert_clean(self, module):
        self.assertEqual(self.findings(module), [])

    def assert_found(self, module, path, content, part):
        self.plant(path, content)
        findings = self.findings(module)
        self.assertTrue(any(path in f and part in f for f in findings), findings)


class LayersTest(Planted):
    def test_clean(self):
        self.assert_clean(layers)

    def test_upward(self):
        self.assert_found(layers, "proxy/coordinator/up.c",
                          '#include "proxy/service/service.c"\n', "does not build on")

    def test_runtime_in_pure(self):
        self.assert_found(layers, "storage-node/replica/up.c", '#include "quorate/loop.h"\n',
                          "does not build on")

    def test_port_in_pure(self):
        self.assert_found(layers, "proxy/coordinator/port.c", '#include "quorate/env.h"\n', "port")

    def test_header_upward(self):
        self.assert_found(layers, "include/quorate/base.h", '#include "quorate/version.h"\n',
                          "above")

    def test_header_without_owner(self):
        self.assert_found(layers, "include/quorate/new.h", '#include "quorate/base.h"\n',
                          "no owner")

    def test_programs_apart(self):
        self.plant("storage-node/replica/rules.h", "")
        self.assert_found(layers, "proxy/main.c", '#include "storage-node/replica/rules.h"\n',
                          "never include each other")

    def test_tests_in_program(self):
        self.plant("tests/support/fake.h", "")
        self.assert_found(layers, "proxy/main.c", '#include "tests/support/fake.h"\n', "tests")

    def test_io_in_pure(self):
        self.assert_found(layers, "api/version/clock.c", "#include <time.h>\n", "time.h")

    def test_io_in_driver(self):
        self.assert_found(layers, "proxy/service/send.c", "#include <sys/socket.h>\n", "socket")

    def test_port_or_io_in_thinker(self):
        self.assert_found(layers, "proxy/change/port.c", '#include "quorate/env.h"\n', "port")
        self.assert_found(layers, "proxy/change/loop.c", '#include "quorate/loop.h"\n',
                          "does not build on")
        self.assert_found(layers, "proxy/change/file.c", "#include <unistd.h>\n", "unistd.h")

    def test_adapter_beside_adapter(self):
        self.plant("proxy/http/route.h", "")
        self.assert_found(layers, "proxy/seats/route.c", '#include "proxy/http/route.h"\n',
                          "does not build on")

    def test_adapter_from_below(self):
        self.plant("proxy/seats/seats.h", "")
        self.assert_found(layers, "proxy/service/seat.c", '#include "proxy/seats/seats.h"\n',
                          "does not build on")

    def test_folder_in_shared_header(self):
        self.assert_found(layers, "include/quorate/base.h",
                          '#include "proxy/coordinator/plan.h"\n', "below every folder")

    def test_relative(self):
        self.assert_found(layers, "proxy/coordinator/plan.c", '#include "plan.h"\n', "path from")


class LibrariesTest(Planted):
    def test_clean(self):
        self.assert_clean(libraries)

    def test_each(self):
        for header in ("h2o.h", "h2o/http2.h", "rocksdb/c.h", "yajl/yajl_parse.h", "libconfig.h",
                       "openssl/ssl.h"):
            with self.subTest(header):
                self.assert_found(libraries, "proxy/service/lib.c", f"#include <{header}>\n",
                                  header)


class SymbolsTest(Planted):
    def build(self, layer, source, name="object"):
        out = self.root / "build"
        out.mkdir(exist_ok=True)
        (out / f"{name}.c").write_text(source)
        subprocess.run(["cc", "-fPIC", "-c", f"{name}.c", "-o", f"{name}.c.o"], cwd=out, check=True)
        subprocess.run(["ar", "rcs", f"lib{layer}.a", f"{name}.c.o"], cwd=out, check=True)

    def build_all(self):
        for layer in ("quo_base", "quo_version", "quo_coordinator", "quo_replica", "quo_change",
                      "quo_service"):
            self.build(layer, f"int {layer}_one(void) {{ return 1; }}", layer)

    def found(self, part):
        findings = self.findings(symbols, self.root / "build")
        return any(part in f for f in findings)

    def test_clean(self):
        self.build_all()
        self.build("quo_coordinator", "int quo_version_one(void); int quo_two(void)"
                                      "{ return quo_version_one(); }")
        self.assertEqual(self.findings(symbols, self.root / "build"), [])

    def test_each(self):
        for call in ("malloc(1)", "time(0)", "rand()", "read(0, 0, 0)", "printf(\"\")"):
            with self.subTest(call):
                self.build_all()
                self.build("quo_replica", "#include <stdio.h>\n#include <stdlib.h>\n"
                           "#include <time.h>\n#include <unistd.h>\n"
                           f"long quo_bad(void) {{ return (long){call}; }}")
                self.assertTrue(self.found("libquo_replica.a:object.c.o"))

    def test_driver_may_allocate_but_not_write(self):
        self.build_all()
        self.build("quo_service", "#include <stdlib.h>\nvoid *quo_a(void) { return malloc(1); }")
        self.assertFalse(self.found("malloc"))
        self.build("quo_service", "#include <unistd.h>\nlong quo_a(void) "
                                  "{ return write(1, 0, 0); }")
        self.assertTrue(self.found("write"))

    def test_thinker_may_allocate_and_parse_but_not_write(self):
        self.build_all()
        self.build("quo_change", "#include <stdlib.h>\nvoid yajl_free(void *);\n"
                                 "void quo_a(void) { yajl_free(malloc(1)); }")
        self.assertEqual(self.findings(symbols, self.root / "build"), [])
        self.build("quo_change", "#include <unistd.h>\nlong quo_a(void) { return write(1, 0, 0); }")
        self.assertTrue(self.found("write"))
        self.build("quo_coordinator", "void yajl_free(void *); void quo_a(void) { yajl_free(0); }")
        self.assertTrue(self.found("libquo_coordinator.a:object.c.o: needs yajl_free"))

    def test_upward_call(self):
        self.build_all()
        self.build("quo_version", "int quo_service_one(void); int quo_up(void)"
                                  "{ return quo_service_one(); }")
        self.assertTrue(self.found("needs quo_service_one"))

    def test_one_name_in_two_libraries(self):
        self.build_all()
        self.build("quo_http", "int quo_replica_one(void) { return 2; }")
        self.assertTrue(self.found("quo_replica_one is also defined in"))

    def test_missing_library_is_not_clean(self):
        with self.assertRaises(CannotRun):
            self.findings(symbols, self.root / "build")


class BannedTest(Planted):
    def test_clean(self):
        self.assert_clean(banned)

    def test_calls(self):
        for call in list(banned.EVERYWHERE) + list(banned.PROGRAMS):
            with self.subTest(call):
                self.assert_found(banned, "proxy/main.c",
                                  f"int main(void)\n{{\n    {call}(0);\n}}\n", f"{call}()")

    def test_fields_are_not_calls(self):
        self.plant("proxy/main.c", "void f(void)\n{\n    env->time(1);\n    my_time(2);\n}\n")
        self.assert_clean(banned)

    def test_assert(self):
        self.assert_found(banned, "api/twice.c", "#include <assert.h>\n", "assert.h")
        self.plant("api/twice.c", "")
        self.plant("tests/unit/api/test_a.c", "#include <assert.h>\n")
        self.assert_clean(banned)


class ShapeTest(Planted):
    def test_clean(self):
        self.assert_clean(shape)

    def test_function(self):
        body = "    n++;\n" * 68
        self.plant("proxy/main.c", f"void f(int n)\n{{\n{body}}}\n")
        self.assert_clean(shape)
        self.assert_found(shape, "proxy/main.c", f"void f(int n)\n{{\n{body}    n++;\n}}\n",
                          "71 lines")

    def test_columns(self):
        self.plant("proxy/main.c", "/*" + "x" * 98 + "\n*/\n")
        self.assert_clean(shape)
        self.assert_found(shape, "proxy/main.c", "/*" + "x" * 99 + "\n*/\n", "101 columns")


class TextTest(Planted):
    def test_clean(self):
        self.assert_clean(text)

    def test_notes(self):
        for note in ("TO" "DO", "FIX" "ME", "XX" "X"):
            with self.subTest(note):
                self.assert_found(text, "proxy/main.c", f"/* {note}: later */\n", "note to self")

    def test_blanks(self):
        self.assert_found(text, "README.md", "text \n", "trailing")
        self.assert_found(text, "proxy/main.c", "\tint n;\n", "tab")

    def test_end(self):
        self.assert_found(text, "proxy/main.c", "int n;", "newline")
        self.assert_found(text, "proxy/main.c", "int n;\n\n", "newline")


class HeadersTest(Planted):
    def test_clean(self):
        self.assert_clean(headers)

    def test_missing_include(self):
        self.assert_found(headers, "api/lone.h", "#ifndef H\n#define H\nsize_t quo_n(void);\n"
                                                 "#endif\n", "gcc")


class FormatTest(Planted):
    def test_clean(self):
        self.plant("proxy/service/service.c", "#include <stdlib.h>\n")
        self.plant("proxy/http/server_h2o.c", "#include <stdlib.h>\n")
        self.assert_clean(formatting)

    def test_found(self):
        self.assert_found(formatting, "proxy/main.c", "int main ( void ) { return 0 ; }\n",
                          "clang-format -i")


class ScriptsTest(Planted):
    def test_clean(self):
        self.plant("deploy/go", '#!/usr/bin/env bash\necho "$1"\n')
        self.assert_clean(scripts)

    def test_found(self):
        self.assert_found(scripts, "deploy/go", "#!/usr/bin/env bash\nrm $1\n", "SC2086")

    def test_text_rules_apply(self):
        self.assert_found(text, "deploy/go", "#!/usr/bin/env bash\necho \n", "trailing")
        self.assert_found(shape, "deploy/go", f"#!/bin/sh\necho {'x' * 100}\n", "columns")


class DefListsTest(Planted):
    def test_clean(self):
        self.assert_clean(deflists)

    def test_unused(self):
        self.assert_found(deflists, "include/quorate/mutants.def",
                          'QUO_MUTANT_DEF(NO_TWICE, "")\nQUO_MUTANT_DEF(DEAD, "")\n', "DEAD")
        self.assert_found(deflists, "include/quorate/status.def",
                          'QUO_STATUS(OK, 0, "")\nQUO_STATUS(LOST, 1, "")\n', "LOST")
        self.assert_found(deflists, "include/quorate/probes.def", 'QUO_PROBE_DEF(RARE, "")\n',
                          "RARE")
        self.assert_found(deflists, "include/quorate/messages.def", "QUO_MESSAGE(PING, ping, 1)\n",
                          "PING")

    def test_only_in_comment(self):
        self.plant("include/quorate/probes.def", 'QUO_PROBE_DEF(RARE, "")\n')
        self.assert_found(deflists, "include/quorate/probes.def", 'QUO_PROBE_DEF(RARE, "")\n',
                          "RARE")
        self.plant("api/twice.c", "/* QUO_PROBE(RARE) */\n")
        self.assertTrue(self.findings(deflists))
        self.plant("api/twice.c", "void quo_f(void)\n{\n    QUO_PROBE(RARE);\n}\n")
        self.assert_clean(deflists)

    def test_unread(self):
        self.assert_found(deflists, "proxy/http/routes.def", "QUO_ROUTE(GET)\n", "nobody includes")


if __name__ == "__main__":
    unittest.main()
