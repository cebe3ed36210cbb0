"""The endpoint table as an OpenAPI 3.1 document; pure. ``python -m caterva2.model.openapi`` prints it."""

from __future__ import annotations

import re
import sys
from typing import Any

import msgspec

from caterva2._version import __version__
from caterva2.model.events import Envelope
from caterva2.model.problems import ErrorBody
from caterva2.model.routes import Auth, Media, Role, Route, Sent, routes_of
from caterva2.model.users import COOKIE

_REF = "#/components/schemas/{name}"


def document(role: Role = Role.SUBSCRIBER, *, has_users: bool = True) -> dict[str, Any]:
    """Return the document for the endpoints of one service.

    Parameters
    ----------
    has_users
        Without, the endpoints about them are left out.
    """
    routes = [r for r in routes_of(role) if has_users or not r.login_only]
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
        "components": {
            "schemas": components,
            "securitySchemes": {
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "The session of a browser, from /auth/jwt/login.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token from /api/tokens, or that of a share link.",
                },
            },
        },
    }


def _operation(
    route: Route, method: str, by_type: dict[int, dict[str, Any]], components: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name if len(route.methods) == 1 else f"{route.name}-{method.lower()}",
        "summary": route.summary,
        "responses": _responses(route, method, by_type),
        "security": _SECURITY[route.auth],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    body = _body(route, method, by_type)
    if body is None or route.sent is not Sent.JSON:
        parameters += _query_parameters(route, components)
    parameters += [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}
        for name in route.headers
    ]
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {str(route.sent): body}}
    return operation


def _body(route: Route, method: str, by_type: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    if method == "GET":
        return None
    if route.sent is Sent.BYTES:
        return {}
    if route.sent is Sent.FILE:
        file = {"type": "string", "contentMediaType": str(Media.BINARY)}
        return {"schema": {"type": "object", "properties": {"file": file}, "required": ["file"]}}
    return None if route.body is None else {"schema": by_type[id(route.body)]}


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    struct = components[route.query.__name__]
    required = set(struct.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in struct.get("properties", {}).items()
    ]


def _responses(route: Route, method: str, by_type: dict[int, dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": route.summary}
    responses: dict[str, Any] = {str(route.status): good}
    if Media.WEBSOCKET in route.media:
        responses = {"101": {"description": "The connection becomes a websocket."}}
    elif route.status != 204:
        schema = by_type[id(route.answer)] if route.answer is not None else {}
        good["content"] = {str(media): {"schema": schema} if schema else {} for media in route.media}
        if method == "GET" and (Media.BINARY in route.media or route.answer is not None):
            responses["304"] = {"description": "The client has this content already."}
        if Media.BINARY in route.media:
            responses["206"] = {"description": "The byte ranges that were asked for."}
    statuses = {error.status: error for error in route.raises}
    for status in sorted({*_COMMON, *statuses, *_refusals(route, method)}):
        responses[str(status)] = {
            "description": statuses[status].__doc__
            if status in statuses
            else {**_COMMON, **_REFUSALS}.get(status, "An error."),
            "content": {"application/json": {"schema": {"$ref": _REF.format(name="ErrorBody")}}},
        }
    return responses


def _refusals(route: Route, method: str) -> set[int]:
    """Return the statuses by which a request is refused before it is looked at."""
    found: set[int] = set()
    if route.auth is not Auth.PUBLIC:
        found.add(401)
    if route.auth in {Auth.USER, Auth.SUPERUSER} or method not in {"GET", "OPTIONS"}:
        found.add(403)
    if method in {"POST", "PATCH"}:
        found.add(413)
    return found


_SECURITY: dict[Auth, list[dict[str, list[str]]]] = {
    Auth.PUBLIC: [],
    Auth.OPTIONAL: [{}, {"token": []}, {"cookie": []}],
    Auth.USER: [{"token": []}, {"cookie": []}],
    Auth.SUPERUSER: [{"token": []}, {"cookie": []}],
    Auth.SERVICE: [],
}
_COMMON = {
    400: "A value in the request makes no sense.",
    422: "A missing, unknown or mistyped value in the request.",
    500: "A defect of the server.",
    503: "The server has too much to do, or stops; try again.",
}
_REFUSALS = {
    401: "Nobody is logged in, and this needs somebody.",
    403: "What came with the request is not good for this, or a page of another site makes it.",
    413: "The body is larger than the server takes.",
}


def main() -> None:
    """Print the document of the subscriber."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n")


if __name__ == "__main__":
    main()
