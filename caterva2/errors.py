"""Every error Caterva2 raises on purpose, as one tree.

::

    Caterva2Error
    ├── RequestError                     4xx: the request can not be served as it stands
    │   ├── BadRequest              400  (ValueError)
    │   │   ├── BadPath
    │   │   ├── BadSlice                 (IndexError)
    │   │   ├── BadExpression
    │   │   ├── NotADataset
    │   │   ├── BrokenDataset
    │   │   ├── QuotaExceeded
    │   │   ├── BadCredentials
    │   │   ├── BadPassword
    │   │   └── UserExists
    │   ├── NotAuthenticated        401
    │   ├── NotPermitted            403
    │   ├── NotFound                404  (LookupError)
    │   │   ├── RouteNotFound
    │   │   ├── RootNotFound
    │   │   ├── DatasetNotFound
    │   │   └── MissingOperands
    │   ├── MethodNotAllowed        405
    │   ├── AlreadyExists           409
    │   ├── RootTaken               409
    │   ├── UploadOffset            409
    │   ├── DatasetChanged          412
    │   ├── RequestTooLarge         413
    │   ├── ResponseTooLarge        413
    │   ├── RangeNotSatisfiable     416
    │   ├── ValidationFailed        422  (ValueError)
    │   └── TooManyRequests         429
    ├── ServiceError                     5xx: the request is fine, the service is not
    │   ├── InternalError           500
    │   ├── CorruptChunk            502
    │   ├── Overloaded              503
    │   ├── PublisherUnavailable    503
    │   ├── BrokerUnavailable       503
    │   └── OutOfRoom               507
    ├── TransportError                   no usable answer arrived
    │   ├── ConnectFailed                (ConnectionError)
    │   ├── TimedOut                     (TimeoutError)
    │   └── ProtocolMismatch
    └── ConfigError                      wrong configuration, found at start
        └── MissingPackage               (ImportError)

`code` is part of the API: it never changes its meaning. A server answers an
error with its `status` and a `caterva2.model.problems.ErrorBody`; a client
raises the class of that `code` again (`error_class`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar


class Caterva2Error(Exception):
    """Base of all errors raised by Caterva2.

    Parameters
    ----------
    message
        One sentence: what was wanted, what was found, and where.
    hint
        What to do next, if known.
    **fields
        Values that a program may want to look at, by name.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str | None = None, **fields: str | int | None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields
        self.request_id: str | None = None
        """Id of the request that failed at a server; ask its operator with it."""

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class RequestError(Caterva2Error):
    """The request can not be served as it stands."""

    code = "request-error"
    status = 400


class BadRequest(RequestError, ValueError):
    """A value in the request makes no sense."""

    code = "bad-request"


class BadPath(BadRequest):
    """A path that can not name anything, or that tries to leave its root."""

    code = "bad-path"


class BadSlice(BadRequest, IndexError):
    """A slice that is malformed, out of bounds, or has too many axes."""

    code = "bad-slice"


class BadExpression(BadRequest):
    """An expression outside the allowed grammar."""

    code = "bad-expression"


class NotADataset(BadRequest):
    """A directory, or a file without the asked-for property, where a dataset is needed."""

    code = "not-a-dataset"


class BrokenDataset(BadRequest):
    """A stored file that can not be read as what it claims to be."""

    code = "broken-dataset"


class QuotaExceeded(BadRequest):
    """A write that would take more room than allowed."""

    code = "quota-exceeded"


class BadCredentials(BadRequest):
    """Name, password or token of a user that do not belong together, or are no longer good."""

    code = "bad-credentials"


class BadPassword(BadRequest):
    """A new password that is too short or too long."""

    code = "bad-password"


class UserExists(BadRequest):
    """There is a user of this name already."""

    code = "user-exists"


class NotAuthenticated(RequestError):
    """Nobody is logged in, and this needs somebody."""

    code = "not-authenticated"
    status = 401


class NotPermitted(RequestError):
    """The one who asks may not do this."""

    code = "not-permitted"
    status = 403


class NotFound(RequestError, LookupError):
    """The thing asked for does not exist."""

    code = "not-found"
    status = 404


class RouteNotFound(NotFound):
    """No such address at this server."""

    code = "route-not-found"


class RootNotFound(NotFound):
    """No such root."""

    code = "root-not-found"


class DatasetNotFound(NotFound):
    """No such file, dataset or directory."""

    code = "dataset-not-found"


class MissingOperands(NotFound):
    """Datasets that a lazy one is computed from are not there, or not for the one who asks.

    Parameters
    ----------
    missing
        Their paths, by operand name.
    """

    code = "missing-operands"

    def __init__(
        self,
        message: str,
        *,
        missing: Mapping[str, str] | None = None,
        hint: str | None = None,
        **fields: str | int | None,
    ) -> None:
        super().__init__(message, hint=hint, **fields)
        self.missing = dict(missing or {})


class MethodNotAllowed(RequestError):
    """The address exists, the HTTP method does not."""

    code = "method-not-allowed"
    status = 405


class AlreadyExists(RequestError):
    """Something is already there."""

    code = "already-exists"
    status = 409


class RootTaken(RequestError):
    """Another live publisher serves a root of this name."""

    code = "root-taken"
    status = 409


class UploadOffset(RequestError):
    """A part of an upload that does not begin where the last one ended; `fields["offset"]` says where."""

    code = "upload-offset"
    status = 409


class DatasetChanged(RequestError):
    """The dataset is no longer the generation that was asked for."""

    code = "dataset-changed"
    status = 412


class RequestTooLarge(RequestError):
    """The body of the request is larger than the server takes."""

    code = "request-too-large"
    status = 413


class ResponseTooLarge(RequestError):
    """The answer would exceed a limit of the server."""

    code = "response-too-large"
    status = 413


class RangeNotSatisfiable(RequestError):
    """A byte range outside the body, or of a body that has no ranges."""

    code = "range-not-satisfiable"
    status = 416


class ValidationFailed(RequestError, ValueError):
    """A missing, unknown or mistyped value in the request.

    Parameters
    ----------
    problems
        One entry a problem: location (``("query", "nchunk")``), message, and the input found.
    """

    code = "validation-failed"
    status = 422

    def __init__(
        self,
        message: str,
        *,
        problems: tuple[tuple[tuple[str, ...], str, str | None], ...] = (),
        hint: str | None = None,
        **fields: str | int | None,
    ) -> None:
        super().__init__(message, hint=hint, **fields)
        self.problems = problems


class TooManyRequests(RequestError):
    """Asked too often; `fields["retry_after_s"]` says when to come back."""

    code = "too-many-requests"
    status = 429


class ServiceError(Caterva2Error):
    """The request is fine, the service is not."""

    code = "service-error"
    status = 500


class InternalError(ServiceError):
    """A defect of the server; its log has the details under the request id."""

    code = "internal-error"


class CorruptChunk(ServiceError):
    """Data from the publisher disagree with their own description."""

    code = "corrupt-chunk"
    status = 502


class Overloaded(ServiceError):
    """Too much queued work; `fields["retry_after_s"]` says when to come back."""

    code = "overloaded"
    status = 503


class PublisherUnavailable(ServiceError):
    """Needed data are not cached, and their publisher does not answer."""

    code = "publisher-unavailable"
    status = 503


class BrokerUnavailable(ServiceError):
    """The broker does not answer."""

    code = "broker-unavailable"
    status = 503


class OutOfRoom(ServiceError):
    """The disk of the service is full."""

    code = "out-of-room"
    status = 507


class TransportError(Caterva2Error):
    """No usable answer arrived."""

    code = "transport-error"
    status = 502


class ConnectFailed(TransportError, ConnectionError):
    """The server could not be reached, or went away."""

    code = "connect-failed"


class TimedOut(TransportError, TimeoutError):
    """The server did not answer in time."""

    code = "timed-out"
    status = 504


class ProtocolMismatch(TransportError):
    """The answer is not one that a Caterva2 server gives."""

    code = "protocol-mismatch"


class ConfigError(Caterva2Error):
    """A wrong configuration: file, environment or command line."""

    code = "config-error"


class MissingPackage(ConfigError, ImportError):
    """A package of an extra that is not installed."""

    code = "missing-package"


def _walk(cls: type[Caterva2Error]) -> Iterator[type[Caterva2Error]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _walk(child)


def error_class(code: str | None, status: int) -> type[Caterva2Error]:
    """Return the class of `code`; for an unknown code the nearest parent by status."""
    classes = list(_walk(Caterva2Error))
    for cls in classes:
        if cls.code == code:
            return cls
    by_status: dict[int, type[Caterva2Error]] = {
        400: BadRequest,
        401: NotAuthenticated,
        403: NotPermitted,
        404: NotFound,
        405: MethodNotAllowed,
        409: AlreadyExists,
        412: DatasetChanged,
        413: ResponseTooLarge,
        416: RangeNotSatisfiable,
        422: ValidationFailed,
        429: TooManyRequests,
        500: InternalError,
        503: Overloaded,
        507: OutOfRoom,
    }
    if status in by_status:
        return by_status[status]
    return RequestError if 400 <= status < 500 else ServiceError
