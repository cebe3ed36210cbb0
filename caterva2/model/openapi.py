"""The endpoint table as an OpenAPI 3.1 document; pure. ``python -m caterva2.model.openapi`` prints it."""

from __future__ import annotations

import re
import sys
from typing import Any

import msgspec

from caterva2._version import __version__
from caterva2.model.events import Envelope
from caterva2.model.problems import ErrorBody
from caterva2.model.routes import Auth, Media, Role, Route, routes_of

_REF = "#/components/schemas/{name}"


def document(role: Role = Role.SUBSCRIBER) -> dict[str, Any]:
    """Return the document for the endpoints of one service."""
    routes = routes_of(role)
    types: list[Any] = [ErrorBody, Envelope, *(r.query for r in routes)]
    types += [r.body for r in routes if r.body is not None]
    types += [r.answer for r in routes if r.answer is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = {id(t): schema for t, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in route.methods:
            operation = _operation(route, method, by_type, components)
            paths.setdefault(route.path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Caterva2 {role}",
            "version": __version__,
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(
    route: Route, method: str, by_type: dict[int, dict[str, Any]], components: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name if len(route.methods) == 1 else f"{route.name}-{method.lower()}",
        "summary": route.summary,
        "responses": _responses(route, by_type),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    if method == "GET":
        parameters += _query_parameters(route, components)
    if parameters:
        operation["parameters"] = parameters
    if method in {"POST", "PATCH"} and route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": by_type[id(route.body)]}},
        }
    return operation


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    struct = components[route.query.__name__]
    required = set(struct.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in struct.get("properties", {}).items()
    ]


def _responses(route: Route, by_type: dict[int, dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": route.summary}
    if Media.WEBSOCKET in route.media:
        responses: dict[str, Any] = {"101": {"description": "The connection becomes a websocket."}}
    else:
        schema = by_type[id(route.answer)] if route.answer is not None else {}
        good["content"] = {str(media): {"schema": schema} if schema else {} for media in route.media}
        responses = {"200": good}
        if Media.BINARY in route.media or route.answer is not None:
            responses["304"] = {"description": "The client has this content already."}
        if Media.BINARY in route.media:
            responses["206"] = {"description": "The byte ranges that were asked for."}
    statuses = {error.status: error for error in route.raises}
    for status in sorted({400, 422, 500, *statuses, *([401] if route.auth is not Auth.PUBLIC else [])}):
        responses[str(status)] = {
            "description": statuses[status].__doc__
            if status in statuses
            else _COMMON.get(status, "An error."),
            "content": {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}},
        }
    return responses


_COMMON = {
    400: "A value in the request makes no sense.",
    401: "Nobody is logged in, and this needs somebody.",
    422: "A missing, unknown or mistyped value in the request.",
    500: "A defect of the server.",
}


def main() -> None:
    """Print the document of the subscriber."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n")


if __name__ == "__main__":
    main()
