"""Definitions of lazy datasets to files that can be read: operands opened, planned, pinned to generations."""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from caterva2.compute.expressions import check_name, parse
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.joining import Join, concat, stack
from caterva2.compute.lowering import Plan, lower
from caterva2.compute.nodes import Name, names
from caterva2.compute.windows import virtual_skeleton
from caterva2.errors import BadExpression, BadPath, MissingOperands, NotADataset, NotFound
from caterva2.model.datasets import Entry, LazyInfo
from caterva2.model.lazy import Lazy, sized
from caterva2.model.paths import DatasetPath
from caterva2.model.users import Principal
from caterva2.roles.subscriber.evaluation import Evaluation, Evaluator, check_level, check_weight, weigh
from caterva2.roles.subscriber.opened import LazyFile, OpenedFile
from caterva2.storage.describe import describe_schunk

if TYPE_CHECKING:
    from caterva2.compute.nodes import Node

MAX_OPERANDS = 64
OPEN_FILES = 128
PERSONAL = "@personal"


class Opener(Protocol):
    """Opens files on behalf of somebody."""

    async def open(self, principal: Principal, path: DatasetPath, *, below: int = 0) -> OpenedFile:
        """Open a file; `below` lazy datasets are being opened already."""
        ...


class LazyFiles:
    """Opens lazy datasets, and keeps them open as long as nothing under them changes.

    Parameters
    ----------
    opener
        Opens the operands.
    """

    def __init__(self, opener: Opener, evaluator: Evaluator) -> None:
        self._opener = opener
        self._evaluator = evaluator
        self._open: OrderedDict[tuple[str | None, DatasetPath], LazyFile] = OrderedDict()

    async def open(
        self, principal: Principal, path: DatasetPath, entry: Entry, lazy: Lazy, *, below: int = 0
    ) -> LazyFile:
        """Open a lazy dataset.

        Raises
        ------
        MissingOperands
            An operand is not there.
        BadExpression
            It can not be computed from its operands.
        """
        check_level(below + 1)
        operands = await self.operands(principal, str(path), lazy, below=below)
        key = (principal.id, path)
        file = self._open.get(key)
        if file is not None and file.entry.etag.startswith(f"{entry.etag}-") and file.operands == operands:
            self._open.move_to_end(key)
            return file
        file = self.build(path, entry, lazy, operands)
        self._open[key] = file
        self._open.move_to_end(key)
        while len(self._open) > OPEN_FILES:
            self._open.popitem(last=False)
        return file

    async def operands(
        self, principal: Principal, path: str, lazy: Lazy, *, below: int = 0
    ) -> dict[str, OpenedFile]:
        """Open the operands of a definition, as somebody may see them.

        Raises
        ------
        MissingOperands
            There are some that do not exist for him.
        BadExpression
            One is not an array.
        """
        if len(lazy.operands) > MAX_OPERANDS:
            raise BadExpression(f"{len(lazy.operands)} operands are too many; at most {MAX_OPERANDS} can be")
        found: dict[str, OpenedFile] = {}
        missing: dict[str, str] = {}
        opened: dict[DatasetPath, OpenedFile] = {}
        for name, text in lazy.operands.items():
            try:
                where = DatasetPath.parse(text)
                if where in opened:
                    found[name] = opened[where]
                    continue
                if where.root == PERSONAL and lazy.owner is not None and lazy.owner != principal.id:
                    missing[name] = text
                    continue
                found[name] = opened[where] = await self._opener.open(principal, where, below=below + 1)
                check_weight(sum(map(_weight, opened.values())))  # at once: levels below multiply the opening
            except (NotFound, BadPath, NotADataset):
                missing[name] = text
        if missing:
            listed = ", ".join(f"{name} = {where}" for name, where in missing.items())
            raise MissingOperands(
                f"{path} needs datasets that are not there: {listed}", missing=missing, path=path
            )
        for name, file in found.items():
            if file.skeleton.meta is None:
                raise BadExpression(f"operand {name} = {lazy.operands[name]} is not an array")
        return found

    def build(
        self, path: DatasetPath, entry: Entry, lazy: Lazy, operands: Mapping[str, OpenedFile]
    ) -> LazyFile:
        """Plan a definition over opened operands; costs no reading.

        Raises
        ------
        BadExpression
            It can not be computed from them.
        """
        plan = make_plan(lazy, {name: file.skeleton.array for name, file in operands.items()})
        key = _generation(lazy, operands)
        level = 1 + max((_level(file) for file in operands.values()), default=0)
        distinct = {file.path: _weight(file) for file in operands.values()}
        weight = max(
            weigh(plan, {name: distinct[file.path] for name, file in operands.items()}),
            sum(distinct.values()),
        )
        evaluation = Evaluation(key, plan, dict(operands), check_level(level), weight)
        array = plan.array
        skeleton = virtual_skeleton(array)
        described = sized(
            lazy, shape=array.shape, chunks=array.chunks, blocks=array.blocks, dtype=str(array.dtype)
        )
        return LazyFile(
            path,
            Entry(
                path=entry.path,
                etag=f"{entry.etag}-{key}",
                mtime_ns=max([entry.mtime_ns, *(file.entry.mtime_ns for file in operands.values())]),
                size=0,
                info=LazyInfo(lazy=described, schunk=describe_schunk(skeleton)),
            ),
            skeleton,
            functools.partial(self._evaluator.window, evaluation),
            evaluation.operands,
            evaluation,
        )


def make_plan(lazy: Lazy, operands: Mapping[str, ArrayMeta]) -> Plan | Join:
    """Plan a definition.

    Raises
    ------
    BadExpression
        It is not in the grammar, or the operands do not go together.
    """
    if lazy.operation == "expression":
        node = parse_checked(lazy.expression, operands)
        return lower(node, {name: operands[name] for name in names(node)})
    ordered = {name: operands[name] for name in lazy.operands}
    return concat(ordered, lazy.axis) if lazy.operation == "concat" else stack(ordered, lazy.axis)


def parse_checked(text: str, operands: Mapping[str, object]) -> Node:
    """Parse an expression and check that it is one, over known operands.

    Raises
    ------
    BadExpression
        It is not.
    """
    for name in operands:
        check_name(name)
    node = parse(text)
    used = names(node)
    unknown = [name for name in used if name not in operands]
    if unknown:
        raise BadExpression(
            f"expression {text[:60]!r} uses {', '.join(unknown)}, which no operand is called",
            hint="name a dataset for each variable",
        )
    if not used or isinstance(node, Name):
        raise BadExpression(f"expression {text[:60]!r} computes nothing from its operands")
    return node


def _generation(lazy: Lazy, operands: Mapping[str, OpenedFile]) -> str:
    parts = [lazy.operation, lazy.expression, str(lazy.axis), lazy.owner or ""]
    parts += [f"{name}\0{file.path}\0{file.entry.etag}" for name, file in operands.items()]
    return hashlib.blake2b("\0\0".join(parts).encode(), digest_size=12).hexdigest()


def _level(file: OpenedFile) -> int:
    return file.evaluation.level if isinstance(file, LazyFile) else 0


def _weight(file: OpenedFile) -> int:
    return file.evaluation.weight if isinstance(file, LazyFile) else 1
