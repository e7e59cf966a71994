"""HTTP as a test speaks it: one kept-alive connection, every answer held against the contract."""
import http.client
import json
import os
import pathlib
import re
import subprocess
import urllib.parse
import uuid

from contract import Contract

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTRACT = Contract(ROOT / "api" / "http" / "openapi.yaml")
PROBLEM_FIELDS = {"type", "title", "status", "detail", "outcome"}


class Answer:
    """`receipt` is a dict of the Consistency-Receipt, `problem` the problem document, `json` any
    other JSON document; else None."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        field = headers.get("Consistency-Receipt")
        self.receipt = parse_dictionary(field) if field else None
        kind = (headers.get("Content-Type") or "").split(";")[0]
        document = json.loads(body) if body and kind.endswith(("/json", "+json")) else None
        self.problem = document if kind == "application/problem+json" else None
        self.json = document if kind != "application/problem+json" else None

    @property
    def slug(self):
        """The last part of the problem's type; None when there is no problem."""
        return self.problem and self.problem["type"].rsplit("/", 1)[1]

    def __repr__(self):
        return (f"<{self.status} receipt={self.headers.get('Consistency-Receipt')!r} "
                f"body={self.body[:300]!r}>")


class _Counting:
    connects = 0

    def connect(self):
        self.connects += 1
        super().connect()


class _Connection(_Counting, http.client.HTTPConnection):
    pass


class _SecureConnection(_Counting, http.client.HTTPSConnection):
    pass


class Client:
    """`connects` counts the connections made so far: 1 as long as the first one is kept. It speaks
    TLS if it is given a `context`."""

    def __init__(self, port, timeout, contract=CONTRACT, namespace="default", context=None):
        self.port, self.contract, self.namespace = port, contract, namespace
        if context:
            self.connection = _SecureConnection("127.0.0.1", port, timeout=timeout,
                                                context=context)
        else:
            self.connection = _Connection("127.0.0.1", port, timeout=timeout)

    @property
    def connects(self):
        return self.connection.connects

    def close(self):
        self.connection.close()

    def request(self, method, target, body=None, headers=None):
        """`target` goes out as it is: percent-encode what needs it."""
        try:
            self.connection.request(method, target, body=body, headers=headers or {})
            response = self.connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except BaseException:
            self.connection.close()
            raise
        if self.contract:
            self.contract.check(method, target, answer.status, response.headers.items(),
                                answer.body)
        return answer

    def _target(self, key, query, namespace):
        return target(namespace or self.namespace, key, query)

    def get(self, key, query="", namespace=None, **options):
        return self.request("GET", self._target(key, query, namespace), **options)

    def put(self, key, value, query="", namespace=None, **options):
        return self.request("PUT", self._target(key, query, namespace), body=value, **options)

    def delete(self, key, query="", namespace=None, **options):
        return self.request("DELETE", self._target(key, query, namespace), **options)

    def patch(self, key, patch, query="", namespace=None, headers=None):
        """`patch`: what becomes a JSON Merge Patch."""
        return self.request("PATCH", self._target(key, query, namespace), body=json.dumps(patch),
                            headers={"Content-Type": "application/merge-patch+json",
                                     **(headers or {})})

    def _counter(self, key, query, namespace):
        return self._target(key, query, namespace).replace("/v1/kv/", "/v1/counters/", 1)

    def counter(self, key, query="", namespace=None, method="GET", **options):
        return self.request(method, self._counter(key, query, namespace), **options)

    def add(self, key, by, query="", namespace=None, headers=None, **bounds):
        """Adds to a counter, within `min` and `max` if they are given."""
        path = self._counter(key, query, namespace)
        path, mark, rest = path.partition("?")
        return self.request("POST", f"{path}:add{mark}{rest}",
                            body=json.dumps({"by": by, **bounds}),
                            headers={"Content-Type": "application/json", **(headers or {})})


def new_key():
    """The header that names a write so that it can be sent again."""
    return {"Idempotency-Key": f'"{uuid.uuid4()}"'}


def target(namespace, key, query=""):
    """The path of a key, text or bytes, every byte outside the unreserved ones encoded."""
    path = f"/v1/kv/{namespace}/{urllib.parse.quote(key, safe='')}"
    return f"{path}?{query}" if query else path


def curl(*arguments):
    """Runs curl; returns (status, HTTP version, body)."""
    run = subprocess.run(["curl", "-sS", "--max-time", "30", "-w", "\n%{http_code} %{http_version}",
                          *arguments], capture_output=True, check=False,
                         env={**os.environ, "NO_PROXY": "*"})
    body, _, trailer = run.stdout.rpartition(b"\n")
    if run.returncode != 0:
        raise AssertionError(f"curl: {run.stderr.decode()}")
    status, version = trailer.decode().split()
    return int(status), version, body


_MEMBER = re.compile(r'\s*([a-z*][a-z0-9_.*-]*)(?:=(\((?:[^()"]|"(?:\\.|[^"\\])*")*\)|'
                     r'"(?:\\.|[^"\\])*"|[^,;\s()"]+))?\s*(?:,|$)')


def parse_dictionary(field):
    """An RFC 9651 dictionary of integers, booleans, tokens, strings and lists of strings."""
    members, at = {}, 0
    while at < len(field):
        match = _MEMBER.match(field, at)
        if not match:
            raise AssertionError(f"not a structured dictionary at {at}: {field}")
        members[match.group(1)] = _bare(match.group(2))
        at = match.end()
    return members


def _bare(text):
    if text is None or text == "?1":
        return True
    if text == "?0":
        return False
    if re.fullmatch(r"-?\d{1,15}", text):
        return int(text)
    if text.startswith("("):
        return [_bare(item) for item in re.findall(r'"(?:\\.|[^"\\])*"|[^\s()"]+', text)]
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
