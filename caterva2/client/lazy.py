"""Datasets that a server computes from others when they are read, and what reading costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from caterva2.client import calls
from caterva2.client.session import Session, UserAuth
from caterva2.client.tree import Directory, File, to_slice
from caterva2.model.requests import FetchQuery, JoinBody, LazyExprBody
from caterva2.model.wire import plain

Operand: TypeAlias = calls.PathLike | File | Directory
"""A dataset, or its path."""


def define(
    session: Session,
    name: str,
    expression: str,
    operands: Mapping[str, Operand] | None = None,
    *,
    compute: bool = False,
) -> PurePosixPath:
    """Store an expression in ``@personal``; see `lazyexpr`."""
    paths = {variable: _path_text(operand) for variable, operand in (operands or {}).items()}
    body = LazyExprBody(name=name, expression=expression, operands=paths, compute=compute)
    return PurePosixPath(session.send(calls.lazyexpr(body)))


def join(
    session: Session, srcs: Sequence[Operand], dst: calls.PathLike, axis: int, *, new: bool
) -> PurePosixPath:
    """Store datasets one behind the other, or along a new axis; see `concat` and `stack`."""
    body = JoinBody(srcs=[_path_text(src) for src in srcs], dst=str(dst), axis=axis)
    return PurePosixPath(session.send(calls.stack(body) if new else calls.concat(body)))


def explained(
    session: Session,
    path: calls.PathLike,
    slice_: object = None,
    field: str | None = None,
    condition: str | None = None,
    sortby: str | None = None,
) -> dict[str, Any]:
    """Return what a fetch would be and cost; see `explain`."""
    query = FetchQuery(slice_=str(to_slice(slice_)) or None, field=field, filter=condition, sortby=sortby)
    found: dict[str, Any] = plain(session.send(calls.explain(path, query)))
    return found


def lazyexpr(
    name: str,
    expression: str,
    operands: Mapping[str, Operand] | None = None,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
    compute: bool = False,
) -> PurePosixPath:
    """Make a dataset in ``@personal`` that is computed when it is read.

    Parameters
    ----------
    name
        Of the new dataset, without suffix.
    expression
        Such as ``"a + 2*sin(b)"``.
    operands
        Datasets or their paths, by the names that the expression has for them.
    compute
        Store the result instead.

    Returns
    -------
    PurePosixPath
        Path of the new dataset.

    Raises
    ------
    BadExpression
        It is not in the grammar, an operand is missing, or the result would be too large.
    """
    session = Session(urlbase, auth=user_auth, auth_cookie=auth_cookie)
    try:
        return define(session, name, expression, operands, compute=compute)
    finally:
        session.close()


def concat(
    srcs: Sequence[Operand],
    dst: calls.PathLike,
    axis: int = 0,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> PurePosixPath:
    """Make a dataset that is others one behind the other along `axis`; nothing is copied."""
    session = Session(urlbase, auth=user_auth, auth_cookie=auth_cookie)
    try:
        return join(session, srcs, dst, axis, new=False)
    finally:
        session.close()


def stack(
    srcs: Sequence[Operand],
    dst: calls.PathLike,
    axis: int = 0,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
) -> PurePosixPath:
    """Make a dataset that is others along a new axis; nothing is copied."""
    session = Session(urlbase, auth=user_auth, auth_cookie=auth_cookie)
    try:
        return join(session, srcs, dst, axis, new=True)
    finally:
        session.close()


def explain(
    path: calls.PathLike,
    slice_: object = None,
    urlbase: str | None = None,
    auth_cookie: str | None = None,
    *,
    user_auth: UserAuth | None = None,
    field: str | None = None,
    condition: str | None = None,
    sortby: str | None = None,
) -> dict[str, Any]:
    """Return what fetching a slice would be and cost, without fetching anything.

    Parameters
    ----------
    condition, sortby
        As for `Dataset.filter`.

    Returns
    -------
    dict
        ``shape``, ``dtype``, ``bytes`` of the answer, with ``at_most`` if a condition may leave
        fewer rows; ``chunks`` and ``blocks`` that it touches;
        ``stored_bytes``, ``cached_bytes``, ``missing_bytes`` of all data that are read for it, and
        in ``reads`` the same for each stored dataset.
    """
    session = Session(urlbase, auth=user_auth, auth_cookie=auth_cookie)
    try:
        return explained(session, path, slice_, field, condition, sortby)
    finally:
        session.close()


def _path_text(operand: Operand) -> str:
    return str(operand.path if isinstance(operand, File | Directory) else operand)
