"""The request headers that the host acts on, read in one pass."""

import re
import uuid
from typing import Final

from starlette.types import Scope

from raydock.serve.answer import Code, Refused
from raydock.wire import access

_ENDPOINT: Final = access.ENDPOINT_HEADER.encode()
_TIMEOUT: Final = access.TIMEOUT_HEADER.encode()
_REFUSE: Final = access.REFUSE_HEADER.encode()
_DEPLOYMENT: Final = access.DEPLOYMENT_HEADER.encode()
_FORMAT: Final = access.FORMAT_HEADER.encode()
_ASYNC: Final = access.ASYNC_HEADER.encode()
_REQUEST_ID: Final = access.REQUEST_ID_HEADER.encode()
_LENGTH: Final = b"content-length"
_ENCODING: Final = b"transfer-encoding"
_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"api-key"
_BEARER: Final = b"bearer "
_SINGLE: Final = frozenset(
    (_ENDPOINT, _TIMEOUT, _REFUSE, _DEPLOYMENT, _FORMAT, _ASYNC, _REQUEST_ID, _LENGTH, _ENCODING)
)
_FIGURE: Final = re.compile(rb"[0-9]{1,9}")
REQUEST_ID_MAX: Final = 128
"""Characters of a caller's request id that are repeated in a body and in the log."""


class Head:
    """What one request asks of the host."""

    __slots__ = ("_headers", "credentials")

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._headers: dict[bytes, bytes] = {}
        self.credentials: list[bytes] = []
        """Keys sent as `Authorization: Bearer` or `api-key`; another scheme counts as none."""
        for name, value in headers:
            if name in _SINGLE:
                self._headers[name] = value
            elif (key := credential(name, value)) is not None:
                self.credentials.append(key)

    @property
    def endpoint(self) -> str | None:
        """The endpoint that the request came through; None: past the gateway."""
        found = self._headers.get(_ENDPOINT)
        return None if found is None else found.decode("latin-1")

    @property
    def deployment(self) -> bytes | None:
        """The one Deployment that may answer; None: any."""
        return self._headers.get(_DEPLOYMENT)

    @property
    def format(self) -> str | None:
        """The vendor's form that it has; None: the native one."""
        found = self._headers.get(_FORMAT)
        return None if found is None else found.decode("latin-1")

    def direct(self, deployment: bytes) -> None:
        """Only this Deployment may answer. Raises Refused where another one was named too."""
        if self._headers.setdefault(_DEPLOYMENT, deployment) != deployment:
            raise Refused(Code.BAD_REQUEST, "two headers name different deployments: name one")

    def rename(self, request_id: bytes) -> None:
        """The caller has a name for this request."""
        self._headers[_REQUEST_ID] = request_id

    @property
    def is_refused(self) -> bool:
        """Whether the route says that nothing is to be accepted: all its traffic is 0."""
        return _REFUSE in self._headers

    @property
    def is_async(self) -> bool:
        """Whether the route says that requests are kept here, and answered later."""
        return _ASYNC in self._headers

    @property
    def request_id(self) -> str:
        """Ray Serve's middleware gives each request one (http_util.RequestIdMiddleware, 2.60)."""
        found = self._headers.get(_REQUEST_ID)
        return uuid.uuid4().hex if found is None else found.decode("latin-1")[:REQUEST_ID_MAX]

    @property
    def length(self) -> int | None:
        """Declared bytes of the body, at which the server cuts it; None when it comes in chunks."""
        found = self._headers.get(_LENGTH)
        if found is None:
            return None if _ENCODING in self._headers else 0
        return int(found) if _FIGURE.fullmatch(found) else None

    def timeout_s(self, at_most: int) -> int:
        """Seconds to the first byte of the answer: the route's figure, never more than `at_most`."""
        found = self._headers.get(_TIMEOUT)
        if found is None:
            return at_most
        if not _FIGURE.fullmatch(found) or not (seconds := int(found)):
            raise Refused(Code.BAD_REQUEST, f"{access.TIMEOUT_HEADER}: want whole seconds from 1")
        return min(seconds, at_most)

    def pass_on(self, scope: Scope, left_s: float) -> None:
        """Tell the app how long its caller will wait from now on."""
        kept = [item for item in scope["headers"] if item[0] != _TIMEOUT]
        scope["headers"] = [*kept, (_TIMEOUT, b"%.3f" % left_s)]


def credential(name: bytes, value: bytes) -> bytes | None:
    """The key in this header, if it carries one."""
    if name == _API_KEY:
        return value.strip() or None
    if name == _AUTHORIZATION and value[: len(_BEARER)].lower() == _BEARER:
        return value[len(_BEARER) :].strip() or None
    return None


def without_credentials(scope: Scope, also: frozenset[bytes] = frozenset()) -> None:
    """Take the keys out of the request, so that the app never sees them. `also`: more headers with keys."""
    scope["headers"] = [
        (name, value)
        for name, value in scope["headers"]
        if name not in also and credential(name, value) is None
    ]
