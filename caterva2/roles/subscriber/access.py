"""Who may see which root. What one may not see does not exist for him."""

from __future__ import annotations

from collections.abc import Mapping

from caterva2.errors import DatasetNotFound, NotAuthenticated, RootNotFound
from caterva2.model.paths import DatasetPath
from caterva2.model.users import Principal

ALL, USERS = "all", "users"
FOR_USERS = frozenset({"@personal", "@shared"})


class Access:
    """The rules of ``[subscriber.access]``.

    Parameters
    ----------
    rules
        By root, or ``*`` for those without a rule: ``all``, ``users``, or e-mails and ``group:NAME``.
    """

    def __init__(self, rules: Mapping[str, str | tuple[str, ...]] | None = None) -> None:
        self._rules = dict(rules or {})

    def may_see(self, principal: Principal, root: str) -> bool:
        """Whether a root exists as a whole for somebody; cheap."""
        return self.may_enter(principal, root) and (
            principal.within is None or principal.reaches(DatasetPath(root))
        )

    def may_enter(self, principal: Principal, root: str) -> bool:
        """Whether at least a part of a root can exist for somebody; cheap.

        Of the holder of a share link this tells what its maker may; `Principal.reaches` tells the rest.
        """
        if principal.is_anonymous and root in FOR_USERS:
            return False
        rule = self._rules.get(root)
        if rule is None:
            rule = ALL if root.startswith("@") else self._rules.get("*", ALL)
        if rule == ALL or (principal.superuser and not principal.is_anonymous):
            return True
        if principal.is_anonymous:
            return False
        if rule == USERS:
            return True
        return principal.name in rule or any(f"group:{group}" in rule for group in principal.groups)

    def check_path(self, principal: Principal, path: DatasetPath) -> None:
        """Do nothing if somebody may see a path; whether there is something is another matter.

        Raises
        ------
        RootNotFound
            Its root does not exist for him.
        DatasetNotFound
            It lies outside of what his share link opens.
        """
        within = principal.within
        if not self.may_enter(principal, path.root) or (within is not None and within.root != path.root):
            raise _no_root(path.root)
        if not principal.reaches(path):
            raise DatasetNotFound(
                f"there is no dataset {path}", hint="see the list of the root", path=str(path)
            )

    def check(self, principal: Principal, root: str) -> None:
        """Do nothing if somebody may see a root as a whole.

        Raises
        ------
        RootNotFound
            It does not exist for him.
        """
        if not self.may_see(principal, root):
            raise _no_root(root)

    def check_subscribe(self, principal: Principal, root: str) -> None:
        """As `check`, in the words of ``/api/subscribe``.

        Raises
        ------
        NotAuthenticated
            An area of users, and nobody is logged in.
        RootNotFound
            It does not exist for him.
        """
        if root in FOR_USERS and principal.is_anonymous:
            raise NotAuthenticated(f"{root} is for users who are logged in")
        self.check(principal, root)


def _no_root(root: str) -> RootNotFound:
    """Return what is raised for a root that there is not: nothing may tell one from the other."""
    if root.startswith("@"):
        return RootNotFound(f"there is no root {root!r} here", root=root)
    return RootNotFound(f"{root} not known by the broker", hint="see the list of roots", root=root)
