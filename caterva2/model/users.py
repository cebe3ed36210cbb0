"""Who is asking."""

from __future__ import annotations

import msgspec


class Principal(msgspec.Struct, frozen=True):
    """The one on whose behalf a request is served.

    Attributes
    ----------
    name
        The user's name; None for somebody who is not logged in.
    """

    name: str | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is logged in."""
        return self.name is None


ANONYMOUS = Principal()
"""Somebody who is not logged in."""
