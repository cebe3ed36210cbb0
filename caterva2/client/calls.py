"""What is sent and how its answer is read, without sending: shared by blocking and asynchronous clients."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import PurePosixPath
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

from caterva2.client.description import Description
from caterva2.errors import Caterva2Error, NotAuthenticated, NotFound, ProtocolMismatch, TransportError
from caterva2.model import requests as q
from caterva2.model import users as u
from caterva2.model import wire
from caterva2.model.paths import DatasetPath
from caterva2.model.problems import ErrorBody, error_from_body
from caterva2.model.routes import Media, Role, Route, route
from caterva2.model.trees import TreePage, TreeQuery

T = TypeVar("T")
PathLike: TypeAlias = str | PurePosixPath | DatasetPath

DATA_MEDIA = f"{wire.EXTENTS}, {wire.BINARY}"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer in memory; `headers` by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and how to read its answer.

    Attributes
    ----------
    target
        Percent-encoded path and query, from ``/api`` on.
    decode
        Makes the result from an answer without error.
    idempotent
        It may be sent again when no answer arrived.
    """

    method: str
    target: str
    decode: Callable[[Reply], T]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    idempotent: bool = True

    def result(self, reply: Reply) -> T:
        """Return what the server answered.

        Raises
        ------
        Caterva2Error
            The server answered with an error: the class that names it.
        ProtocolMismatch
            The answer is not one of a Caterva2 server.
        """
        check(reply)
        return self.decode(reply)


def call(
    row: Route,
    *,
    path: PathLike | None = None,
    root: str | None = None,
    part: str | None = None,
    query: object = None,
    body: object = None,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Call[Any]:
    """Build the call of an endpoint from its row in the table.

    Parameters
    ----------
    path, root, part
        For ``{path}``, ``{root}``, and any other name in the row's path.
    query, body
        Values of the row's types.
    method
        One of the row's methods; None for the first.

    Raises
    ------
    BadPath
        `path` can not name anything.
    """
    target = row.path
    if path is not None:
        target = target.replace("{path}", parse_path(path).to_url())
    if root is not None:
        target = target.replace("{root}", quote(root, safe="@"))
    if part is not None:
        target = re.sub(r"\{\w+\}", lambda _: quote(part, safe="@"), target)
    if query is not None:
        pairs = wire.to_query(query)
        target = f"{target}?{urlencode(pairs, quote_via=quote)}" if pairs else target
    sent = {"Accept": row.media[0].value, **(headers or {})}
    payload = None
    if body is not None:
        sent["Content-Type"] = wire.JSON
        payload = wire.to_json(body)
    verb = method or row.methods[0]
    return Call(verb, target, _decoder(row), sent, payload, idempotent=verb in {"GET", "HEAD"})


def parse_path(path: PathLike) -> DatasetPath:
    """Read a path: root or area name, then parts."""
    return path if isinstance(path, DatasetPath) else DatasetPath.parse(str(path))


def roots() -> Call[dict[str, dict[str, Any]]]:
    """List the roots and areas."""
    built = call(_row("roots"))
    return Call(built.method, built.target, _json_decoder(dict[str, dict[str, Any]]), built.headers)


def subscribe(root: str) -> Call[str]:
    """Subscribe to a root; the answer is ``Ok``."""
    built = call(_row("subscribe"), root=DatasetPath.parse(root).root)
    # Asking twice changes nothing.
    return Call(built.method, built.target, built.decode, built.headers, idempotent=True)


def list_files(path: PathLike, *, limit: int | None = None, after: str | None = None) -> Call[list[str]]:
    """List the files below a path."""
    return call(_row("list"), path=path, query=q.ListQuery(limit=limit, after=after))


def info(path: PathLike) -> Call[Description]:
    """Describe a file or directory."""
    built = call(_row("info"), path=path)
    parsed = parse_path(path)
    decode = _json_decoder(dict[str, Any])
    return Call(
        built.method,
        built.target,
        lambda reply: Description(parsed, decode(reply), reply.headers.get(wire.GENERATION.lower())),
        built.headers,
    )


def tree(path: PathLike, query: TreeQuery) -> Call[TreePage]:
    """Read a page of a directory; an empty path is that of the roots and areas."""
    if str(path).strip("/"):
        return call(_row("tree"), path=path, query=query)
    return call(_row("tree"), part="", query=query)


def fetch(path: PathLike, slice_text: str = "", *, column: str | None = None) -> Call[bytes]:
    """Read a slice.

    Parameters
    ----------
    slice_text
        Text form of the slice; empty for the whole.
    column
        One field of a structured array; None for all.
    """
    headers = {"Accept": DATA_MEDIA}
    return call(
        _row("fetch"), path=path, query=q.FetchQuery(slice_=slice_text or None, field=column), headers=headers
    )


def window(path: PathLike, query: q.WindowQuery) -> Call[bytes]:
    """Look at a part of a dataset, as raw items."""
    return call(_row("window"), path=path, query=query)


def rows(path: PathLike, query: q.FetchQuery) -> Call[bytes]:
    """Read rows of a structured array by a condition, or sorted; the query may be long."""
    return call(_row("fetch"), path=path, body=query, method="POST", headers={"Accept": wire.BINARY})


def lazyexpr(body: q.LazyExprBody) -> Call[str]:
    """Store an expression."""
    return call(_row("lazyexpr"), body=body)


def concat(body: q.JoinBody) -> Call[str]:
    """Store datasets one behind the other."""
    return call(_row("concat"), body=body)


def stack(body: q.JoinBody) -> Call[str]:
    """Store datasets along a new axis."""
    return call(_row("stack"), body=body)


def explain(path: PathLike, query: q.FetchQuery) -> Call[q.Explanation]:
    """Ask what a fetch would be and cost."""
    return call(_row("explain"), path=path, query=query)


def chunk(path: PathLike, nchunk: int) -> Call[bytes]:
    """Read one stored chunk."""
    return call(_row("chunk"), path=path, query=q.ChunkQuery(nchunk=nchunk))


def download(path: PathLike) -> Call[bytes]:
    """Read a whole file as it was published."""
    return call(_row("download"), path=path)


def login(username: str, password: str) -> Call[str]:
    """Log in; the result is the cookie to send from now on, as ``name=value``."""
    form = urlencode({"username": username, "password": password}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Call("POST", "/auth/jwt/login", _cookie, headers, form, idempotent=False)


def me() -> Call[u.Me]:
    """Ask who one is."""
    return call(_row("me"))


def create_token(name: str, scope: str, days: float | None) -> Call[u.MadeToken]:
    """Make a token."""
    return call(_row("create-token"), body=u.NewToken(name=name, scope=u.Scope(scope), days=days))


def list_tokens() -> Call[list[u.TokenInfo]]:
    """List one's tokens."""
    return call(_row("list-tokens"))


def revoke_token(id_: str) -> Call[str]:
    """End a token."""
    return call(_row("revoke-token"), part=id_)


def create_share(path: PathLike, name: str, days: float) -> Call[u.ShareInfo]:
    """Make a share link."""
    return call(_row("create-share"), body=u.NewShare(path=str(parse_path(path)), name=name, days=days))


def list_shares(*, everybody: bool) -> Call[list[u.ShareInfo]]:
    """List share links."""
    return call(_row("list-shares"), query=u.SharesQuery(everybody=everybody))


def revoke_share(id_: str) -> Call[str]:
    """End a share link."""
    return call(_row("revoke-share"), part=id_)


def shared() -> Call[u.SharedInfo]:
    """Ask what the share link opens that is sent along."""
    return call(_row("shared"))


def adduser(username: str, password: str | None, *, superuser: bool) -> Call[str]:
    """Add a user."""
    body = u.NewUser(username=username, password=password, superuser=superuser)
    return call(_row("adduser"), body=body)


def deluser(username: str) -> Call[str]:
    """Remove a user."""
    built = call(_row("deluser"), part=username)
    return Call(built.method, built.target, built.decode, built.headers, idempotent=False)


def listusers(username: str | None) -> Call[list[u.UserInfo]]:
    """List users."""
    return call(_row("listusers"), query=u.UsersQuery(username=username))


def register_user(email: str, password: str) -> Call[u.UserInfo]:
    """Make an account for oneself."""
    return call(_row("register-user"), body=u.NewAccount(email=email, password=password))


def change_password(password: str, new_password: str, *, revoke_tokens: bool = False) -> Call[Any]:
    """Set a new password."""
    body = u.ChangePassword(password=password, new_password=new_password, revoke_tokens=revoke_tokens)
    return call(_row("change-password"), body=body)


def reset_password(token: str, password: str) -> Call[Any]:
    """Set a new password with the token of a reset link."""
    return call(_row("reset-password"), body=u.ResetPassword(token=token, password=password))


def logout_everywhere() -> Call[None]:
    """End all sessions."""
    built = call(_row("logout-everywhere"))
    return Call(built.method, built.target, lambda reply: None, built.headers, idempotent=False)


def check(reply: Reply) -> None:
    """Raise what an answer says, if it is an error.

    Raises
    ------
    Caterva2Error
        The class that names the error.
    """
    if 200 <= reply.status < 300 or reply.status == HTTPStatus.NOT_MODIFIED:
        return
    if 300 <= reply.status < 400:
        where = reply.headers.get("location", "elsewhere")
        raise ProtocolMismatch(f"the server redirects to {where}", hint="use that server's address")
    raise error_of(reply)


def error_of(reply: Reply) -> Caterva2Error:
    """Return the error that an answer names."""
    try:
        body = wire.answer_from_json(reply.body, ErrorBody)
    except TransportError:
        # A reverse proxy speaks, or the server of something else.
        phrase = next((status.phrase for status in HTTPStatus if status == reply.status), "")
        body = ErrorBody(detail=f"the server answered {reply.status} {phrase}".rstrip())
    error = error_from_body(body, reply.status)
    if error.request_id is None:
        error.request_id = reply.headers.get("x-request-id")
    return error


def login_error(exc: Caterva2Error, urlbase: object) -> Caterva2Error:
    """Return what a failed login means, in words for people."""
    if isinstance(exc, NotFound):
        return type(exc)(
            f"{urlbase} has no users to log in as",
            hint="leave out username and password: it is open for reading",
        )
    if exc.message == "LOGIN_BAD_CREDENTIALS":
        return NotAuthenticated(f"{urlbase} does not know this user, or the password is wrong")
    return exc


def _row(name: str) -> Route:
    return route(Role.SUBSCRIBER, name)


def _decoder(row: Route) -> Callable[[Reply], Any]:
    if row.media[0] is Media.JSON:
        return _json_decoder(row.answer)
    if row.media[0] is Media.MSGPACK:
        return lambda reply: wire.answer_from_msgpack(reply.body, row.answer)
    if row.media[0] is Media.TEXT:
        return lambda reply: reply.body.decode("utf-8", "replace")
    return lambda reply: reply.body


def _json_decoder(type_: type[T]) -> Callable[[Reply], T]:
    def decode(reply: Reply) -> T:
        media = reply.headers.get("content-type", "")
        if media and not media.startswith(wire.JSON):
            raise ProtocolMismatch(
                f"expected {wire.JSON}, found {media.partition(';')[0]}",
                hint="is this the address of a subscriber?",
            )
        return wire.answer_from_json(reply.body, type_)

    return decode


def _cookie(reply: Reply) -> str:
    text = reply.headers.get("set-cookie", "")
    try:
        name, morsel = next(iter(SimpleCookie(text).items()))
    except (CookieError, StopIteration) as exc:
        raise ProtocolMismatch("the server accepted the login, but sent no cookie") from exc
    return f"{name}={morsel.coded_value}"
