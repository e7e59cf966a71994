"""Each library of others is met in one place only."""
import re

# Header, where it may stand, and how to say so.
RULES = [
    (re.compile(r"h2o(/.*)?\.h$|^h2o/"), re.compile(r".*_h2o\.[ch]$"), "files named *_h2o.c"),
    (re.compile(r"^rocksdb/"), re.compile(r"^storage-node/engine/store_rocksdb\.c$"),
     "storage-node/engine/store_rocksdb.c"),
    (re.compile(r"^yajl/"), re.compile(r"^(api/runtime|proxy/http|proxy/change)/"),
     "api/runtime, proxy/http, proxy/change"),
    (re.compile(r"^libconfig\.h$"), re.compile(r"^api/runtime/"), "api/runtime"),
    (re.compile(r"^openssl/"),
     re.compile(r"^(api/runtime/tls_openssl|proxy/session/token_text)\.c$"),
     "api/runtime/tls_openssl.c, proxy/session/token_text.c"),
]


def check(tree):
    findings = []
    for path in tree.sources():
        for number, _, name in tree.includes(path):
            for header, place, where in RULES:
                if header.search(name) and not place.match(path):
                    findings.append(f"{path}:{number}: {name} belongs into {where} only")
    return findings
