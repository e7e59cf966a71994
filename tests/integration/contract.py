"""Holds answers against openapi.yaml: what is sent and not in the contract is a bug."""
import json
import re

import yaml

# Fields of HTTP itself that no contract lists.
PLAIN = {"connection", "content-length", "content-type", "date", "keep-alive", "server",
         "transfer-encoding"}


class Contract:
    def __init__(self, path):
        self.path = path
        self.document = None
        self.templates = []

    def _load(self):
        self.document = yaml.safe_load(self.path.read_text())
        for template, item in self.document["paths"].items():
            pattern = "".join(
                # The last parameter takes the rest: a key may hold anything, even what is wrong.
                part if not part.startswith("{") else
                (".*" if template.endswith(part) else "[^/]*")
                for part in re.split(r"(\{[^}]*\})", template.replace(".", r"\.")))
            self.templates.append((re.compile(pattern + "$"), template, item))
        # The more of a template is fixed, the earlier it is tried.
        self.templates.sort(key=lambda entry: -len(re.sub(r"\{[^}]*\}", "", entry[1])))

    def check(self, method, target, status, headers, body):
        """Raises AssertionError if the contract does not allow this answer."""
        if self.document is None:
            self._load()
        where = f"{method} {target[:100]} -> {status}"
        response = self._response(method, target.split("?")[0], status, where)
        if response is None:
            return
        headers = [(name.lower(), value) for name, value in headers]
        self._headers(response, headers, where)
        # A 304 and an answer to HEAD describe a body they do not have.
        if method != "HEAD" and status != 304:
            self._body(response, dict(headers).get("content-type", ""), body, where)

    def _response(self, method, path, status, where):
        for pattern, _, item in self.templates:
            if not pattern.match(path):
                continue
            item = self.resolve(item)
            operation = item.get(method.lower())
            if operation is None:
                assert status == 405, f"{where}: no such operation in the contract"
                return None
            responses = operation["responses"]
            found = responses.get(str(status)) or responses.get(status)
            found = found or responses.get(f"{status // 100}XX") or responses.get("default")
            assert found, f"{where}: a status that the contract does not list"
            return self.resolve(found)
        assert status in (400, 404, 405), f"{where}: no such path in the contract"
        return None

    def _headers(self, response, headers, where):
        documented = {name.lower(): self.resolve(header)
                      for name, header in response.get("headers", {}).items()}
        for name, value in headers:
            if name in documented:
                schema = documented[name].get("schema", {})
                self.validate(_typed(value, self.resolve(schema)), schema, f"{where}: {name}")
            else:
                assert name in PLAIN, f"{where}: the contract does not list the header {name}"
        sent = {name for name, _ in headers}
        for name, header in documented.items():
            assert not header.get("required") or name in sent, f"{where}: header {name} is missing"

    def _body(self, response, content_type, body, where):
        content = response.get("content")
        if not content:
            assert body == b"", f"{where}: a body that the contract does not list"
            return
        media = content_type.split(";")[0].strip()
        found = content.get(media) or content.get(media.split("/")[0] + "/*") or content.get("*/*")
        assert found is not None, f"{where}: the contract does not list {content_type!r}"
        if media == "application/json" or media.endswith("+json"):
            if "schema" in found and not content.get("*/*") is found:
                self.validate(json.loads(body), found["schema"], where)

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            at = self.document
            for step in node["$ref"].removeprefix("#/").split("/"):
                at = at[step.replace("~1", "/").replace("~0", "~")]
            node = at
        return node

    def validate(self, value, schema, where):
        """The part of JSON Schema that the contract uses."""
        schema = self.resolve(schema)
        for part in schema.get("allOf", []):
            self.validate(value, part, where)
        if "oneOf" in schema or "anyOf" in schema:
            parts = schema.get("oneOf") or schema["anyOf"]
            assert any(self._fits(value, part, where) for part in parts), f"{where}: {value!r}"
        if "type" in schema:
            types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
            assert any(_is(value, t) for t in types), f"{where}: {value!r} is no {types}"
        if "const" in schema:
            assert value == schema["const"], f"{where}: {value!r} is not {schema['const']!r}"
        if "enum" in schema:
            assert value in schema["enum"], f"{where}: {value!r} is none of {schema['enum']}"
        if isinstance(value, str):
            self._validate_text(value, schema, where)
        elif isinstance(value, dict):
            self._validate_object(value, schema, where)
        elif isinstance(value, list):
            for item in value:
                self.validate(item, schema.get("items", {}), where)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            assert value >= schema.get("minimum", value), f"{where}: {value} is too small"
            assert value <= schema.get("maximum", value), f"{where}: {value} is too large"

    def _fits(self, value, schema, where):
        try:
            self.validate(value, schema, where)
        except AssertionError:
            return False
        return True

    @staticmethod
    def _validate_text(value, schema, where):
        if "pattern" in schema:
            assert re.search(schema["pattern"], value), \
                f"{where}: {value!r} does not match {schema['pattern']}"
        assert len(value) >= schema.get("minLength", 0), f"{where}: {value!r} is too short"
        assert len(value) <= schema.get("maxLength", len(value)), f"{where}: {value!r} is too long"

    def _validate_object(self, value, schema, where):
        for name in schema.get("required", []):
            assert name in value, f"{where}: {name} is missing in {value}"
        properties = schema.get("properties", {})
        for name, member in value.items():
            if name in properties:
                self.validate(member, properties[name], f"{where}.{name}")
            else:
                assert schema.get("additionalProperties", True) is not False, \
                    f"{where}: {name} is not in the contract"


def _typed(text, schema):
    """A header's text as the type that its schema says."""
    if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    return text


def _is(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"string": str, "object": dict, "array": list, "boolean": bool,
                              "null": type(None)}[kind])
