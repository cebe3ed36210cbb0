"""The endpoint table: one row says everything that both ends of a call need."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from caterva2 import errors
from caterva2.model import requests as q
from caterva2.model import users as u
from caterva2.model.datasets import Entry
from caterva2.model.events import EventBatch
from caterva2.model.roots import BrokerRoot, Heartbeat, Lease, Registration, RootInfo
from caterva2.model.service import ServiceReport
from caterva2.model.trees import TreePage, TreeQuery
from caterva2.model.users import Scope


class Role(enum.StrEnum):
    """Who serves an endpoint."""

    BROKER = "broker"
    PUBLISHER = "publisher"
    SUBSCRIBER = "subscriber"


class Auth(enum.StrEnum):
    """Who may call an endpoint.

    ``PUBLIC``: anybody. ``OPTIONAL``: anybody, and who is logged in sees more.
    ``USER``: who is logged in. ``SUPERUSER``: a user who manages the others. ``SERVICE``: the
    network's own services; needs the shared secret if one is set.
    """

    PUBLIC = "public"
    OPTIONAL = "optional"
    USER = "user"
    SUPERUSER = "superuser"
    SERVICE = "service"


class Media(enum.StrEnum):
    """Kind of an answer's body."""

    JSON = "application/json"
    MSGPACK = "application/vnd.msgpack"
    BINARY = "application/octet-stream"
    EXTENTS = "application/vnd.caterva2.chunks"
    TEXT = "text/plain"
    ANY = "*/*"
    """What the name of a stored file says that it is."""
    WEBSOCKET = "websocket"


class Sent(enum.StrEnum):
    """Kind of a request's body."""

    JSON = "application/json"
    FORM = "application/x-www-form-urlencoded"
    FILE = "multipart/form-data"
    """One part, named ``file``."""
    BYTES = "application/octet-stream"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint.

    Attributes
    ----------
    name
        Unique within a role; handlers and the client refer to it.
    path
        ``{path}`` stands for a percent-encoded path, ``{root}`` for one part.
        Both spellings, with and without trailing slash, are served.
    methods
        HTTP methods; GET includes HEAD.
    roles
        Services that have it.
    query, body
        Structs of query parameters and of the request body.
    sent
        Kind of the request body, if there is one.
    headers
        Headers that a request must have.
    status
        Of an answer that tells of success; 204 has no body.
    answer
        Type of the answer, for JSON and MessagePack.
    media
        Kinds of body it may answer with; the first is the usual one.
    raises
        Errors that are part of its meaning.
    proxied
        The Jupyter server extension may forward it.
    scope
        What a session or token must be good for.
    login_only
        Does not exist at a subscriber without users.
    """

    name: str
    path: str
    methods: tuple[str, ...]
    roles: tuple[Role, ...]
    auth: Auth
    summary: str
    query: type[Any] = q.NoQuery
    body: type[Any] | None = None
    sent: Sent = Sent.JSON
    headers: tuple[str, ...] = ()
    status: int = 200
    answer: Any = None
    media: tuple[Media, ...] = (Media.JSON,)
    raises: tuple[type[errors.Caterva2Error], ...] = ()
    proxied: bool = False
    scope: Scope = Scope.READ
    login_only: bool = False


B, P, S = (Role.BROKER,), (Role.PUBLISHER,), (Role.SUBSCRIBER,)
ALL = (Role.BROKER, Role.PUBLISHER, Role.SUBSCRIBER)
GET, POST = ("GET",), ("POST",)
READ_ERRORS = (
    errors.BadPath,
    errors.RootNotFound,
    errors.DatasetNotFound,
    errors.NotADataset,
    errors.BrokenDataset,
    errors.PublisherUnavailable,
    errors.CorruptChunk,
    errors.Overloaded,
)


def _write(
    name: str,
    path: str,
    summary: str,
    *,
    methods: tuple[str, ...] = POST,
    query: type[Any] = q.NoQuery,
    body: type[Any] | None = None,
    sent: Sent = Sent.JSON,
    headers: tuple[str, ...] = (),
    status: int = 200,
    answer: object = None,
    raises: tuple[type[errors.Caterva2Error], ...] = (),
) -> Route:
    """Return a row that changes an area."""
    return Route(
        name=name,
        path=path,
        methods=methods,
        query=query,
        roles=S,
        auth=Auth.USER,
        scope=Scope.WRITE,
        body=body,
        sent=sent,
        headers=headers,
        status=status,
        answer=answer,
        proxied=True,
        raises=(errors.NotAuthenticated, *raises),
        summary=summary,
    )


WRITE_ERRORS = (errors.BadPath, errors.BadRequest, errors.QuotaExceeded)
LAZY_ERRORS = (errors.BadExpression, errors.BadPath, errors.QuotaExceeded)


def _account(
    name: str,
    path: str,
    summary: str,
    *,
    methods: tuple[str, ...] = POST,
    auth: Auth = Auth.PUBLIC,
    body: type[Any] | None = None,
    query: type[Any] = q.NoQuery,
    sent: Sent = Sent.JSON,
    status: int = 200,
    answer: object = None,
    scope: Scope = Scope.READ,
    proxied: bool = False,
    raises: tuple[type[errors.Caterva2Error], ...] = (),
) -> Route:
    """Return a row about users; there is none of them at a subscriber without users."""
    return Route(
        name=name, path=path, methods=methods, roles=S, auth=auth, body=body, query=query, sent=sent,
        status=status, answer=answer, scope=scope, summary=summary, login_only=True, proxied=proxied,
        raises=raises,
    )  # fmt: skip


ROUTES: tuple[Route, ...] = (
    Route(
        name="health",
        path="/healthz",
        methods=GET,
        roles=ALL,
        auth=Auth.PUBLIC,
        answer=q.Health,
        summary="Tell that the service runs.",
    ),
    Route(
        name="metrics",
        path="/metrics",
        methods=GET,
        roles=ALL,
        auth=Auth.PUBLIC,
        media=(Media.TEXT,),
        summary="Counters and timings in the Prometheus text format.",
    ),
    Route(
        name="openapi",
        path="/api/openapi.json",
        methods=GET,
        roles=S,
        auth=Auth.PUBLIC,
        answer=dict[str, Any],
        summary="This API as an OpenAPI 3.1 document.",
    ),
    Route(
        name="events",
        path="/api/events",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        query=q.EventsQuery,
        media=(Media.WEBSOCKET,),
        proxied=True,
        summary="Follow changes over a websocket.",
    ),
    Route(
        name="events",
        path="/api/events",
        methods=GET,
        roles=(*B, *P),
        auth=Auth.SERVICE,
        query=q.EventsQuery,
        media=(Media.WEBSOCKET,),
        summary="Follow the changes that this service knows of, over a websocket.",
    ),
    # broker
    Route(
        name="broker-roots",
        path="/api/roots",
        methods=GET,
        roles=B,
        auth=Auth.SERVICE,
        answer=dict[str, BrokerRoot],
        summary="List the known roots and their publishers.",
    ),
    Route(
        name="register",
        path="/api/roots",
        methods=POST,
        roles=B,
        auth=Auth.SERVICE,
        body=Registration,
        answer=Lease,
        raises=(errors.RootTaken, errors.BadPath),
        summary="Register a root with its publisher.",
    ),
    Route(
        name="heartbeat",
        path="/api/heartbeat",
        methods=POST,
        roles=B,
        auth=Auth.SERVICE,
        body=Heartbeat,
        answer=str,
        raises=(errors.RootNotFound, errors.RootTaken),
        summary="Keep a root registered, or give it up.",
    ),
    Route(
        name="announce",
        path="/api/events",
        methods=POST,
        roles=B,
        auth=Auth.SERVICE,
        body=EventBatch,
        answer=str,
        raises=(errors.RootNotFound, errors.RootTaken),
        summary="Announce changes of a root's files.",
    ),
    # publisher
    Route(
        name="publisher-list",
        path="/api/list",
        methods=GET,
        roles=P,
        auth=Auth.SERVICE,
        answer=list[str],
        summary="List the paths of all files.",
    ),
    Route(
        name="publisher-info",
        path="/api/info/{path}",
        methods=GET,
        roles=P,
        auth=Auth.SERVICE,
        answer=dict[str, Any],
        raises=(errors.BadPath, errors.DatasetNotFound),
        summary="Describe a file.",
    ),
    Route(
        name="publisher-chunk",
        path="/api/download/{path}",
        methods=GET,
        roles=P,
        auth=Auth.SERVICE,
        query=q.DownloadQuery,
        media=(Media.BINARY,),
        summary="Read one stored chunk.",
        raises=(errors.BadPath, errors.DatasetNotFound, errors.BadRequest),
    ),
    Route(
        name="catalog",
        path="/api/catalog",
        methods=GET,
        roles=P,
        auth=Auth.SERVICE,
        query=q.CatalogQuery,
        answer=q.CatalogPage,
        media=(Media.MSGPACK,),
        summary="Read a page of the descriptions of all files.",
    ),
    Route(
        name="describe",
        path="/api/describe/{path}",
        methods=GET,
        roles=P,
        auth=Auth.SERVICE,
        answer=Entry,
        media=(Media.MSGPACK,),
        summary="Describe a file, complete with its frame.",
        raises=(errors.BadPath, errors.DatasetNotFound),
    ),
    Route(
        name="blocks",
        path="/api/blocks/{path}",
        methods=POST,
        roles=P,
        auth=Auth.SERVICE,
        body=q.BlocksRequest,
        media=(Media.EXTENTS,),
        summary="Read parts of a stored frame, as they lie on disk.",
        raises=(
            errors.BadPath,
            errors.DatasetNotFound,
            errors.DatasetChanged,
            errors.BrokenDataset,
            errors.BadRequest,
        ),
    ),
    # subscriber
    Route(
        name="roots",
        path="/api/roots",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        answer=dict[str, RootInfo],
        proxied=True,
        summary="List the roots and areas.",
    ),
    Route(
        name="subscribe",
        path="/api/subscribe/{root}",
        methods=POST,
        roles=S,
        auth=Auth.OPTIONAL,
        answer=str,
        proxied=True,
        raises=(errors.RootNotFound, errors.NotAuthenticated, errors.PublisherUnavailable),
        summary="Subscribe to a root.",
    ),
    Route(
        name="list",
        path="/api/list/{path}",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        query=q.ListQuery,
        answer=list[str],
        proxied=True,
        raises=READ_ERRORS,
        summary="List the files below a path.",
    ),
    Route(
        name="info",
        path="/api/info/{path}",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        answer=dict[str, Any],
        proxied=True,
        raises=READ_ERRORS,
        summary="Describe a file or directory.",
    ),
    Route(
        name="tree",
        path="/api/tree/{path}",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        query=TreeQuery,
        answer=TreePage,
        proxied=True,
        raises=(*READ_ERRORS, errors.BadRequest),
        summary="Browse: a page of a directory; of the roots and areas if the path is empty.",
    ),
    Route(
        name="fetch",
        path="/api/fetch/{path}",
        methods=("GET", "POST"),
        roles=S,
        auth=Auth.OPTIONAL,
        query=q.FetchQuery,
        body=q.FetchQuery,
        media=(Media.BINARY, Media.EXTENTS),
        proxied=True,
        raises=(
            *READ_ERRORS,
            errors.BadSlice,
            errors.BadExpression,
            errors.DatasetChanged,
            errors.ResponseTooLarge,
            errors.RangeNotSatisfiable,
        ),
        summary="Read a slice of a dataset, or the whole stored file.",
    ),
    Route(
        name="window",
        path="/api/window/{path}",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        query=q.WindowQuery,
        answer=q.WindowCells,
        media=(Media.BINARY, Media.JSON),
        proxied=True,
        raises=(
            *READ_ERRORS,
            errors.BadSlice,
            errors.BadRequest,
            errors.BadExpression,
            errors.DatasetChanged,
            errors.ResponseTooLarge,
        ),
        summary="Look at a part of a dataset: raw items or cells of a table, thinned out if asked for.",
    ),
    Route(
        name="download",
        path="/api/download/{path}",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        media=(Media.BINARY, Media.ANY),
        proxied=True,
        raises=(*READ_ERRORS, errors.RangeNotSatisfiable),
        summary="Download a whole file as it was published.",
    ),
    Route(
        name="chunk",
        path="/api/chunk/{path}",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        query=q.ChunkQuery,
        media=(Media.BINARY,),
        proxied=True,
        raises=(*READ_ERRORS, errors.BadRequest),
        summary="Read one stored chunk.",
    ),
    Route(
        name="zarr",
        path="/zarr/v3/{path}",
        methods=("GET", "OPTIONS"),
        roles=S,
        auth=Auth.OPTIONAL,
        media=(Media.JSON, Media.BINARY),
        raises=(
            *READ_ERRORS,
            errors.DatasetChanged,
            errors.ResponseTooLarge,
            errors.RangeNotSatisfiable,
        ),
        summary="Read a key of the Zarr view: the metadata of a dataset or directory, or a chunk.",
    ),
    _write(
        "upload",
        "/api/upload/{path}",
        "Store a file in an area: multipart, one part named file.",
        sent=Sent.FILE,
        query=q.UploadQuery,
        answer=str,
        raises=(*WRITE_ERRORS, errors.BrokenDataset, errors.DatasetChanged, errors.ValidationFailed),
    ),
    _write(
        "new-upload",
        "/api/uploads",
        "Begin an upload that can be resumed.",
        status=201,
        body=q.NewUpload,
        answer=q.UploadState,
        raises=WRITE_ERRORS,
    ),
    _write(
        "continue-upload",
        "/api/uploads/{upload}",
        "Append the body at the offset that the header Upload-Offset names.",
        sent=Sent.BYTES,
        headers=("Upload-Offset",),
        methods=("PATCH",),
        answer=q.UploadState,
        raises=(*WRITE_ERRORS, errors.NotFound, errors.UploadOffset),
    ),
    _write(
        "upload-state",
        "/api/uploads/{upload}",
        "Tell how much of an upload has arrived; HEAD tells it in the header Upload-Offset.",
        methods=GET,
        answer=q.UploadState,
        raises=(errors.NotFound,),
    ),
    _write(
        "finish-upload",
        "/api/uploads/{upload}",
        "Verify an upload that is complete, and give it its name.",
        answer=str,
        raises=(*WRITE_ERRORS, errors.NotFound, errors.BrokenDataset, errors.DatasetChanged),
    ),
    _write(
        "abandon-upload",
        "/api/uploads/{upload}",
        "Give up an upload.",
        methods=("DELETE",),
        answer=str,
        raises=(errors.NotFound,),
    ),
    _write(
        "remove",
        "/api/remove/{path}",
        "Remove a file, or a directory with its contents; of an area only its contents.",
        answer=str,
        raises=(*WRITE_ERRORS, errors.DatasetNotFound, errors.DatasetChanged),
    ),
    _write(
        "move",
        "/api/move/",
        "Move a file or directory inside the areas.",
        body=q.MoveBody,
        answer=str,
        raises=(*WRITE_ERRORS, errors.AlreadyExists, errors.DatasetNotFound, errors.DatasetChanged),
    ),
    _write(
        "copy",
        "/api/copy/",
        "Copy a file or directory into an area, also from a published root.",
        body=q.MoveBody,
        answer=str,
        raises=(
            *WRITE_ERRORS,
            errors.AlreadyExists,
            errors.DatasetNotFound,
            errors.PublisherUnavailable,
            errors.DatasetChanged,
        ),
    ),
    _write(
        "mkdir",
        "/api/mkdir/{path}",
        "Make a directory in an area.",
        answer=str,
        raises=(*WRITE_ERRORS, errors.AlreadyExists),
    ),
    _write(
        "append",
        "/api/append/{path}",
        "Append an array, sent as a frame like an upload, along axis 0; the answer is the new shape.",
        sent=Sent.FILE,
        answer=list[int],
        raises=(*WRITE_ERRORS, errors.DatasetNotFound, errors.BrokenDataset, errors.DatasetChanged),
    ),
    _write(
        "lazyexpr",
        "/api/lazyexpr/",
        "Store an expression over datasets in @personal, to be computed when it is read.",
        body=q.LazyExprBody,
        answer=str,
        raises=LAZY_ERRORS,
    ),
    _write(
        "upload-lazyarr",
        "/api/upload_lazyarr/{path}",
        "Store an expression over datasets in an area, to be computed when it is read.",
        body=q.LazyArrayBody,
        answer=str,
        raises=LAZY_ERRORS,
    ),
    _write(
        "concat",
        "/api/concat/",
        "Store a dataset that is others one behind the other.",
        body=q.JoinBody,
        answer=str,
        raises=LAZY_ERRORS,
    ),
    _write(
        "stack",
        "/api/stack/",
        "Store a dataset that is others along a new axis.",
        body=q.JoinBody,
        answer=str,
        raises=LAZY_ERRORS,
    ),
    Route(
        name="explain",
        path="/api/explain/{path}",
        methods=GET,
        roles=S,
        auth=Auth.OPTIONAL,
        query=q.FetchQuery,
        answer=q.Explanation,
        proxied=True,
        raises=(*READ_ERRORS, errors.BadSlice, errors.BadExpression),
        summary="Tell what a fetch would be and cost: chunks, blocks, bytes, and how much is cached.",
    ),
    _write(
        "addnotebook",
        "/api/addnotebook/{path}",
        "Make an empty notebook in an area.",
        answer=str,
        raises=WRITE_ERRORS,
    ),
    # users
    _account(
        "login",
        "/auth/jwt/login",
        "Log in with the form fields username and password; the answer sets a cookie.",
        body=u.Login,
        sent=Sent.FORM,
        status=204,
        raises=(errors.BadCredentials, errors.TooManyRequests),
    ),
    _account("logout", "/auth/jwt/logout", "End the session of the cookie.", auth=Auth.USER, status=204),
    _account(
        "logout-everywhere",
        "/auth/logout-everywhere",
        "End all sessions of the user.",
        status=204,
        auth=Auth.USER,
        scope=Scope.WRITE,
    ),
    _account(
        "register-user",
        "/auth/register",
        "Make an account for oneself, where the operator allows it.",
        status=201,
        body=u.NewAccount,
        answer=u.UserInfo,
        raises=(errors.UserExists, errors.BadPassword, errors.TooManyRequests),
    ),
    _account(
        "forgot-password",
        "/auth/forgot-password",
        "Ask for a link to set a new password.",
        status=202,
        body=u.ForgotPassword,
        raises=(errors.TooManyRequests,),
    ),
    _account(
        "reset-password",
        "/auth/reset-password",
        "Set a new password with the token of such a link.",
        body=u.ResetPassword,
        raises=(errors.BadCredentials, errors.BadPassword, errors.TooManyRequests),
    ),
    _account(
        "change-password",
        "/auth/change-password",
        "Set a new password; all sessions of the user end.",
        auth=Auth.USER,
        scope=Scope.WRITE,
        body=u.ChangePassword,
        raises=(errors.BadCredentials, errors.BadPassword, errors.TooManyRequests),
    ),
    _account(
        "me",
        "/api/me",
        "Tell who asks, and with what rights.",
        methods=GET,
        auth=Auth.USER,
        answer=u.Me,
        proxied=True,
    ),
    _account(
        "adduser",
        "/api/adduser/",
        "Add a user.",
        auth=Auth.SUPERUSER,
        scope=Scope.ADMIN,
        body=u.NewUser,
        answer=str,
        raises=(errors.UserExists, errors.BadPassword, errors.BadRequest),
    ),
    _account(
        "deluser",
        "/api/deluser/{username}",
        "Remove a user and his personal directory.",
        methods=GET,
        auth=Auth.SUPERUSER,
        scope=Scope.ADMIN,
        answer=str,
        raises=(errors.BadRequest,),
    ),
    _account(
        "users",
        "/api/users",
        "List users with their rights, room and limits, page by page.",
        methods=GET,
        auth=Auth.SUPERUSER,
        scope=Scope.ADMIN,
        query=u.UserListQuery,
        answer=u.UserPage,
    ),
    _account(
        "change-user",
        "/api/users/{username}",
        "Change the rights, groups or limit of a user; the last superuser stays one.",
        methods=("PATCH",),
        auth=Auth.SUPERUSER,
        scope=Scope.ADMIN,
        body=u.UserChange,
        answer=u.ManagedUser,
        raises=(errors.BadRequest, errors.NotFound),
    ),
    _account(
        "create-reset-link",
        "/api/reset-links/{username}",
        "Make a link with which a user sets a new password; earlier ones end.",
        auth=Auth.SUPERUSER,
        scope=Scope.ADMIN,
        answer=u.ResetLink,
        raises=(errors.NotFound,),
    ),
    _account(
        "service",
        "/api/service",
        "Tell how the service is: publishers, cache, events, uploads, and what failed.",
        methods=GET,
        auth=Auth.SUPERUSER,
        scope=Scope.ADMIN,
        answer=ServiceReport,
    ),
    _account(
        "listusers",
        "/api/listusers/",
        "List the users; who is no superuser sees himself.",
        methods=GET,
        auth=Auth.USER,
        query=u.UsersQuery,
        answer=list[u.UserInfo],
    ),
    _account(
        "list-tokens",
        "/api/tokens",
        "List the tokens of the user; of another one for superusers.",
        methods=GET,
        auth=Auth.USER,
        query=u.TokensQuery,
        answer=list[u.TokenInfo],
        raises=(errors.NotPermitted, errors.NotFound),
    ),
    _account(
        "create-token",
        "/api/tokens",
        "Make a token for scripts; it is shown this once.",
        status=201,
        auth=Auth.USER,
        scope=Scope.WRITE,
        body=u.NewToken,
        answer=u.MadeToken,
        raises=(errors.BadRequest, errors.NotPermitted),
    ),
    _account(
        "revoke-token",
        "/api/tokens/{token}",
        "End a token; superusers end those of everybody.",
        methods=("DELETE",),
        auth=Auth.USER,
        scope=Scope.WRITE,
        answer=str,
        raises=(errors.NotFound,),
    ),
    _account(
        "list-shares",
        "/api/shares",
        "List the share links of the user; of everybody for superusers.",
        methods=GET,
        auth=Auth.USER,
        query=u.SharesQuery,
        answer=list[u.ShareInfo],
        raises=(errors.NotPermitted,),
    ),
    _account(
        "create-share",
        "/api/shares",
        "Make a link that opens one path for reading, without an account.",
        status=201,
        auth=Auth.USER,
        scope=Scope.WRITE,
        body=u.NewShare,
        answer=u.ShareInfo,
        raises=(errors.BadPath, errors.BadRequest, errors.DatasetNotFound, errors.RootNotFound),
    ),
    _account(
        "revoke-share",
        "/api/shares/{share}",
        "End a share link; superusers end those of everybody.",
        methods=("DELETE",),
        auth=Auth.USER,
        scope=Scope.WRITE,
        answer=str,
        raises=(errors.NotFound,),
    ),
    _account(
        "shared",
        "/api/shared",
        "Tell what the share link opens that came with the request.",
        methods=GET,
        auth=Auth.OPTIONAL,
        answer=u.SharedInfo,
        raises=(errors.NotFound,),
    ),
)


def routes_of(role: Role) -> tuple[Route, ...]:
    """Return the rows of one service."""
    return tuple(route for route in ROUTES if role in route.roles)


def route(role: Role, name: str) -> Route:
    """Return the row of a service's endpoint; `KeyError` if there is none."""
    for row in ROUTES:
        if role in row.roles and row.name == name:
            return row
    raise KeyError(f"{role} has no endpoint {name!r}")
