"""The JSON that every failure becomes."""

from __future__ import annotations

from typing import Any

import msgspec

from caterva2.errors import BadPassword, Caterva2Error, ValidationFailed, error_class


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of an error answer. `detail` comes first: clients of 2025 print it.

    Attributes
    ----------
    detail
        The message; for validation errors a list of ``{"type", "loc", "msg", "input"}``, for a
        refused password where people register or reset it ``{"code", "reason"}``.
    code
        Permanent name of the kind of error, see `caterva2.errors`.
    """

    detail: str | list[dict[str, Any]] | dict[str, Any]
    code: str | None = None
    hint: str | None = None
    fields: dict[str, str | int | None] = {}
    request_id: str | None = None


def error_body(error: Caterva2Error, request_id: str | None = None) -> ErrorBody:
    """Return the body for an error."""
    detail: str | list[dict[str, Any]] | dict[str, Any] = error.message
    fields = dict(error.fields)
    if isinstance(error, BadPassword) and "refusal" in fields:
        detail = {"code": fields.pop("refusal"), "reason": error.message}
    if isinstance(error, ValidationFailed):
        problems = error.problems or ((("request",), error.message, None),)
        detail = [
            {"type": "value_error", "loc": list(loc), "msg": message, "input": found}
            for loc, message, found in problems
        ]
    return ErrorBody(detail=detail, code=error.code, hint=error.hint, fields=fields, request_id=request_id)


def error_from_body(body: ErrorBody, status: int) -> Caterva2Error:
    """Rebuild the error that a server answered with."""
    cls = error_class(body.code, status)
    if isinstance(body.detail, str):
        message = body.detail
    elif isinstance(body.detail, dict):
        message = str(body.detail.get("reason") or body.detail)
    else:
        message = "; ".join(f"{'.'.join(map(str, d.get('loc', ())))}: {d.get('msg')}" for d in body.detail)
    error = cls(message, hint=body.hint, **body.fields)
    error.request_id = body.request_id
    return error
