"""Names on disk and names that clients see: which files are shown, and as what."""

from __future__ import annotations

import enum
import re

from caterva2.errors import BadPath
from caterva2.model.paths import split_path

MAX_RELATIVE_BYTES = 3800
"""Longest path below a root; with the longest root name it still fits `DatasetPath`."""

SPARSE_INDEX = "chunks.b2frame"
"""The file that makes a directory named ``*.b2nd`` or ``*.b2frame`` a sparse frame."""

_PACKED = ".b2"

# Written by editors, browsers, rsync and office programs beside the file they work on.
_TEMPORARY = re.compile(
    r"\#.*\#|~\$.*|.*\.(?:sw[a-z]|tmp|temp|part|partial|filepart|crdownload|download|lock)",
    re.IGNORECASE | re.DOTALL,
)
# vim creates and removes a file of this name to see whether it may write.
_PROBE = "4913"


class StoredKind(enum.Enum):
    """What a file claims to be, by its suffix."""

    ARRAY = ".b2nd"
    FRAME = ".b2frame"
    PACKED = ".b2"
    PLAIN = ""


def stored_kind(name: str) -> StoredKind:
    """Return the kind of a stored file.

    Examples
    --------
    >>> stored_kind("cube.b2nd"), stored_kind("notes.md.b2"), stored_kind("notes.md")
    (<StoredKind.ARRAY: '.b2nd'>, <StoredKind.PACKED: '.b2'>, <StoredKind.PLAIN: ''>)
    """
    for kind in (StoredKind.ARRAY, StoredKind.FRAME, StoredKind.PACKED):
        if name.endswith(kind.value):
            return kind
    return StoredKind.PLAIN


def shown_path(stored: str) -> str:
    """Return the path that clients see: a packed plain file loses its ``.b2``."""
    return stored.removesuffix(_PACKED)


def stored_candidates(shown: str) -> tuple[str, ...]:
    """Return the stored paths that can stand behind a shown one; the first that exists wins."""
    packed = shown + _PACKED
    return (packed,) if shown.endswith(_PACKED) else (shown, packed)


def is_hidden(name: str, *, directory: bool = False) -> bool:
    """Tell whether a file or directory of this name is left out: hidden, a backup, or temporary."""
    return (
        name[0] == "."
        or name[-1] == "~"
        or name == _PACKED
        or (name == _PROBE and not directory)
        or _TEMPORARY.fullmatch(name) is not None
    )


def is_addressable(name: str) -> bool:
    """Tell whether a client can ask for a file of this name at all."""
    try:
        split_path(name)
    except BadPath:
        return False
    return True
