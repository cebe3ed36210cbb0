"""What a server says of a file, as values: shape, dtype, sizes, attributes."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from caterva2.errors import BrokenDataset, NotADataset, ProtocolMismatch

if TYPE_CHECKING:
    import numpy as np

    from caterva2.model.paths import DatasetPath


@dataclass(frozen=True)
class Description:
    """The answer of ``/api/info``.

    Attributes
    ----------
    meta
        The JSON object as the server sent it.
    etag
        Token of this generation; None if the server sent none.
    """

    path: DatasetPath
    meta: Mapping[str, Any]
    etag: str | None = None

    @cached_property
    def kind(self) -> str:
        """``array``, ``frame``, ``file``, ``group`` or ``broken``; older servers do not say."""
        kind = self.meta.get("kind")
        if isinstance(kind, str):
            return kind
        if "error" in self.meta:
            return "broken"
        if "shape" in self.meta:
            return "array"
        return "frame" if self.path.name.endswith(".b2frame") else "file"

    @property
    def is_array(self) -> bool:
        """Whether it has a shape and a dtype."""
        return "shape" in self.meta

    @property
    def reason(self) -> str | None:
        """Why it can not be read; None if it can."""
        return str(self.meta.get("error")) if self.kind == "broken" else None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Lengths (ndim,) in items; of a sequence of bytes the number of its items."""
        if self.is_array:
            return self._lengths("shape")
        self._check_readable()
        schunk = self.schunk
        try:
            return (int(schunk["nbytes"]) // self.itemsize,)
        except (KeyError, TypeError, ValueError) as exc:
            raise self._mismatch("nbytes") from exc

    @cached_property
    def chunks(self) -> tuple[int, ...]:
        """Shape (ndim,) of a chunk in items."""
        if self.is_array:
            return self._lengths("chunks")
        self._check_readable()
        return (int(self.schunk.get("chunkshape") or 0) or max(1, self.shape[0]),)

    @cached_property
    def blocks(self) -> tuple[int, ...]:
        """Shape (ndim,) of a block in items."""
        if self.is_array:
            return self._lengths("blocks")
        self._check_readable()
        return (max(1, int(self.schunk.get("blocksize") or 0) // self.itemsize) if self.shape[0] else 0,)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of an item."""
        self._check_readable()
        from caterva2.compute.dtypes import parse_dtype

        if not self.is_array:
            raise NotADataset(f"{self.path} is a sequence of bytes; it has no dtype")
        text = self.meta.get("dtype")
        if not isinstance(text, str):
            raise self._mismatch("dtype")
        return parse_dtype(text)

    @cached_property
    def itemsize(self) -> int:
        """Bytes of an item."""
        if self.is_array:
            return self.dtype.itemsize
        self._check_readable()
        cparams = self.schunk.get("cparams")
        return max(1, int(cparams.get("typesize") or 1)) if isinstance(cparams, Mapping) else 1

    @property
    def size(self) -> int:
        """Number of items."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Uncompressed size in bytes."""
        return self.size * self.itemsize

    @property
    def cbytes(self) -> int | None:
        """Compressed size in bytes, if the server says."""
        value = self.schunk.get("cbytes")
        return int(value) if isinstance(value, int) else None

    @property
    def schunk(self) -> Mapping[str, Any]:
        """Description of the Blosc2 container."""
        inner = self.meta.get("schunk", {}) if self.is_array else self.meta
        return inner if isinstance(inner, Mapping) else {}

    @property
    def vlmeta(self) -> dict[str, Any]:
        """User attributes."""
        value = self.schunk.get("vlmeta")
        return dict(value) if isinstance(value, Mapping) else {}

    @property
    def mtime(self) -> datetime.datetime | None:
        """Time of the last change."""
        text = self.meta.get("mtime")
        try:
            return datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            return None

    def _check_readable(self) -> None:
        if self.kind == "broken":
            raise BrokenDataset(f"{self.path} is broken: {self.reason}")
        if self.kind == "group":
            raise NotADataset(f"{self.path} is a directory")

    def _lengths(self, name: str) -> tuple[int, ...]:
        value = self.meta.get(name)
        if not isinstance(value, list) or not all(isinstance(n, int) and n >= 0 for n in value):
            raise self._mismatch(name)
        return tuple(value)

    def _mismatch(self, name: str) -> ProtocolMismatch:
        return ProtocolMismatch(
            f"the description of {self.path} has no proper {name!r}: {self.meta.get(name)!r}"
        )
