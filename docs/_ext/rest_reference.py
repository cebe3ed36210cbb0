"""Sphinx extension: writes ``openapi.json`` out as Markdown where a page says ``<!-- rest-reference -->``."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MARK = "<!-- rest-reference -->"

_METHODS = ("get", "post", "put", "patch", "delete")
_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    if MARK in source[0]:
        path = Path(app.srcdir, "openapi.json")
        app.env.note_dependency(str(path))
        document = json.loads(path.read_text(encoding="utf-8"))
        source[0] = source[0].replace(MARK, markdown(document))


def markdown(document: dict[str, Any]) -> str:
    """Write an OpenAPI document as Markdown: endpoints, then the types they use."""
    lines = ["## Endpoints", ""]
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                lines += _operation(path, method, item[method])
    lines += ["## Types", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _component(name, schema)
    return "\n".join(lines)


def _operation(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    lines = [f"### {method.upper()} `{path}`", "", operation["summary"], ""]
    parameters = operation.get("parameters", [])
    if parameters:
        lines += ["| Parameter | In | Type | Required |", "| --- | --- | --- | --- |"]
        for parameter in parameters:
            required = "yes" if parameter["required"] else "no"
            kind = _type(parameter["schema"])
            lines.append(f"| `{parameter['name']}` | {parameter['in']} | {kind} | {required} |")
        lines.append("")
    if "requestBody" in operation:
        lines += [f"Body: {_content(operation['requestBody']['content'])}.", ""]
    lines += ["| Status | Meaning | Body |", "| --- | --- | --- |"]
    for status, response in sorted(operation["responses"].items()):
        meaning = _cell(response["description"].partition("\n")[0])
        lines.append(f"| {status} | {meaning} | {_content(response.get('content', {}))} |")
    return [*lines, ""]


def _component(name: str, schema: dict[str, Any]) -> list[str]:
    text, meanings = _described(schema.get("description", ""))
    lines = [f"({_anchor(name)})=", f"### {name}", ""]
    if text:
        lines += [text, ""]
    properties = schema.get("properties", {})
    if properties:
        required = schema.get("required", [])
        lines += ["| Field | Type | Required | Meaning |", "| --- | --- | --- | --- |"]
        for field, value in properties.items():
            always = "yes" if field in required else "no"
            lines.append(f"| `{field}` | {_type(value)} | {always} | {_cell(meanings.get(field, ''))} |")
        lines.append("")
    return lines


def _described(docstring: str) -> tuple[str, dict[str, str]]:
    """Split a docstring in numpydoc style into its text and the meanings of its attributes."""
    text, _, attributes = inspect.cleandoc(docstring).partition("\nAttributes\n----------\n")
    meanings: dict[str, str] = {}
    for match in re.finditer(r"^(\S[^\n]*)\n((?:[ ]+[^\n]*\n?|\n)+)", attributes, re.MULTILINE):
        meaning = " ".join(match[2].split())
        meanings.update(dict.fromkeys(re.split(r",\s*", match[1].strip()), meaning))
    return text.strip(), meanings


def _content(content: dict[str, Any]) -> str:
    parts = []
    for media, body in content.items():
        schema = body.get("schema")
        parts.append(f"{_type(schema)} as `{media}`" if schema else f"`{media}`")
    return " or ".join(parts)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    if kind == "null":
        return "null"
    return _PLAIN.get(str(kind), "anything")


def _anchor(name: str) -> str:
    return f"type-{name.lower()}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
