"""Making lazy datasets: checked completely before anything is stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from caterva2.compute.dtypes import parse_dtype
from caterva2.errors import BadExpression, BadPath, BadRequest, BrokenDataset, MissingOperands, NotFound
from caterva2.model.datasets import Entry, LazyInfo
from caterva2.model.lazy import Lazy, encode_lazy, sized
from caterva2.model.paths import DatasetPath, split_path
from caterva2.model.requests import JoinBody, LazyArrayBody, LazyExprBody
from caterva2.model.users import Principal
from caterva2.roles.subscriber.lazyfiles import LazyFiles, parse_checked
from caterva2.roles.subscriber.opened import LazyFile, OpenedFile

if TYPE_CHECKING:
    from caterva2.compute.frames import ArrayMeta

SUFFIX = ".b2nd"
MAX_JOINED = 64


class Store(Protocol):
    """Puts files into areas."""

    async def put_bytes(self, principal: Principal, path: DatasetPath, data: bytes) -> None:
        """Store a file of our own making, whole or not at all."""
        ...

    async def put_array(self, principal: Principal, path: DatasetPath, file: OpenedFile) -> None:
        """Store the items of an opened file as an array."""
        ...


class _Expected(NamedTuple):
    """What a client thinks that comes of an expression; None for what it does not say."""

    dtype: str | None = None
    shape: list[int] | None = None

    def check(self, array: ArrayMeta) -> None:
        """Refuse an expression that gives something else.

        Raises
        ------
        BadExpression
            It does, or the dtype is none.
        """
        if self.shape is not None and tuple(self.shape) != array.shape:
            raise BadExpression(
                f"the result has the shape {array.shape}, not {tuple(self.shape)}",
                hint="leave shape out: it follows from the expression",
            )
        if self.dtype is None:
            return
        try:
            dtype = parse_dtype(self.dtype)
        except BrokenDataset as exc:
            raise BadExpression(exc.message, hint="leave dtype out, or use astype") from exc
        if dtype != array.dtype:
            raise BadExpression(
                f"the result has the dtype {array.dtype}, not {self.dtype[:60]}",
                hint="leave dtype out, or cast with astype in the expression",
            )


class Expressions:
    """Makes lazy datasets.

    Parameters
    ----------
    lazy
        Opens operands and plans.
    store
        Where definitions and results go.
    """

    def __init__(self, lazy: LazyFiles, store: Store) -> None:
        self._lazy = lazy
        self._store = store

    async def define(self, principal: Principal, body: LazyExprBody) -> DatasetPath:
        """Store an expression in ``@personal``, or its result; return its path.

        Raises
        ------
        BadExpression
            It is not in the grammar, an operand is missing, or the result is beyond a limit.
        BadPath
            The name can not be one.
        """
        return await self._define(principal, DatasetPath("@personal", _name_parts(body.name)), body)

    async def define_at(self, principal: Principal, path: DatasetPath, body: LazyArrayBody) -> DatasetPath:
        """Store an expression, or its result, at a path in an area; raises as `define`."""
        return await self._define(principal, _array_path(path, str(path)), body)

    async def _define(
        self, principal: Principal, path: DatasetPath, body: LazyExprBody | LazyArrayBody
    ) -> DatasetPath:
        if body.func is not None:
            raise BadRequest("a function can not be sent: code is not run here", hint="send an expression")
        parse_checked(body.expression, body.operands)
        lazy = Lazy(
            operation="expression",
            expression=body.expression.strip(),
            operands=_spelled(body.operands),
            owner=principal.id,
        )
        return await self._keep(
            principal, path, lazy, compute=body.compute, expected=_Expected(body.dtype, body.shape)
        )

    async def join(
        self, principal: Principal, operation: Literal["concat", "stack"], body: JoinBody
    ) -> DatasetPath:
        """Store a dataset that is others joined; return its path.

        Raises
        ------
        BadExpression
            Their shapes or types do not go together, or one is missing.
        BadPath
            `dst` can not be a path of an array.
        """
        path = _array_path(DatasetPath.parse(body.dst), body.dst)
        if not 0 < len(body.srcs) <= MAX_JOINED:
            raise BadExpression(f"{len(body.srcs)} datasets can not be joined; 1 to {MAX_JOINED} can")
        names = [f"o{i}" for i in range(len(body.srcs))]
        lazy = Lazy(
            operation=operation,
            expression=f"{operation}([{', '.join(names)}], axis={body.axis})",
            operands=_spelled(dict(zip(names, body.srcs, strict=True))),
            axis=body.axis,
            owner=principal.id,
        )
        return await self._keep(principal, path, lazy, compute=False)

    async def _keep(
        self,
        principal: Principal,
        path: DatasetPath,
        lazy: Lazy,
        *,
        compute: bool,
        expected: _Expected | None = None,
    ) -> DatasetPath:
        file = await self._plan(principal, path, lazy)
        if expected is not None:
            expected.check(file.skeleton.array)
        if _reads(file, path):
            raise BadExpression(f"{path} would be computed from itself")
        if compute:
            await self._store.put_array(principal, path, file)
        else:
            array = file.skeleton.array
            stored = sized(
                lazy, shape=array.shape, chunks=array.chunks, blocks=array.blocks, dtype=str(array.dtype)
            )
            await self._store.put_bytes(principal, path, encode_lazy(stored))
        return path

    async def _plan(self, principal: Principal, path: DatasetPath, lazy: Lazy) -> LazyFile:
        try:
            operands = await self._lazy.operands(principal, str(path), lazy)
        except MissingOperands as exc:
            raise BadExpression(exc.message) from exc
        except NotFound as exc:
            raise BadExpression(exc.message) from exc
        entry = Entry(
            path=path.relative, etag="new", mtime_ns=time.time_ns(), size=0, info=LazyInfo(lazy=lazy)
        )
        return self._lazy.build(path, entry, lazy, operands)


def _array_path(path: DatasetPath, text: str) -> DatasetPath:
    if not path.parts or not path.name.endswith(SUFFIX):
        raise BadPath(f"{text!r} can not name an array", hint=f"end the name with {SUFFIX}")
    return path


def _name_parts(name: str) -> tuple[str, ...]:
    text = name.strip().removesuffix(SUFFIX)
    if not text:
        raise BadPath("the name of the new dataset is empty")
    return split_path(f"{text}{SUFFIX}")


def _spelled(operands: dict[str, str]) -> dict[str, str]:
    """Check the paths of operands, and keep them as clients write them."""
    return {name: str(DatasetPath.parse(text)) for name, text in operands.items()}


def _reads(file: OpenedFile, path: DatasetPath) -> bool:
    if not isinstance(file, LazyFile):
        return False
    return any(operand.path == path or _reads(operand, path) for operand in file.operands.values())
