"""Who may use which model: the backend's answer, asked anew for each credential once a minute."""

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from raydock.remote.terms import NotConfigured
from raydock.sdk.clients.backend import BackendClient
from raydock.sdk.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClientError,
    NotFoundError,
    ValidationError,
)
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.failures import Failure
from raydock.sdk.plugins.serving.model_token import Claims

KEEP_S: Final = 60.0
"""Seconds for which an answer counts: so long a withdrawn right is still taken."""
KNOWN_MAX: Final = 4096
"""Answers that are remembered."""

Metadata = Mapping[str, Any]
Ask = Callable[[Claims], Awaitable[Metadata]]


class Rights:
    """Answers of one replica. All calls come from one event loop."""

    def __init__(self, ask: Ask, clock: Callable[[], float]) -> None:
        """`ask`: asks the backend; `clock`: monotonic seconds."""
        self._ask = ask
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Metadata]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Metadata]] = {}

    async def metadata(self, claims: Claims) -> Metadata:
        """What the backend tells the holder of `claims` of the model. Raises ModelLoadError."""
        mark = _mark(claims)
        asked_at, known = self._known.get(mark, (0.0, None))
        if known is not None and self._clock() - asked_at < KEEP_S:
            return known
        asking = self._asking.get(mark)
        if asking is None:
            asking = asyncio.ensure_future(self._answer(mark, claims))
            self._asking[mark] = asking
            asking.add_done_callback(lambda done: self._end(mark, done))
        return await asyncio.shield(asking)  # one who goes away must not end it for the others

    async def _answer(self, mark: bytes, claims: Claims) -> Metadata:
        asked_at = self._clock()
        self._known.pop(mark, None)
        found = await self._ask(claims)
        self._known[mark] = (asked_at, found)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return found

    def _end(self, mark: bytes, done: "asyncio.Task[Metadata]") -> None:
        del self._asking[mark]
        if not done.cancelled():
            done.exception()  # seen, also where all who asked have gone


def ask_backend(backend_url: str, claims: Claims) -> Metadata:
    """GET `models/{id}/` with the credentials in `claims`; blocks. Raises ModelLoadError."""
    try:
        client = BackendClient(backend_url, access_token=claims.token, tenant=claims.tenant)
    except NotConfigured:
        client = None
    if client is None:
        raise _without_client(backend_url, claims)
    try:
        return client.get_model(claims.model)
    except ClientError as error:
        failed = _failed(error, claims)
    raise failed  # outside of the handler: what failed may quote the token


def _without_client(backend_url: str, claims: Claims) -> ModelLoadError:
    """There is no backend, or the credentials are none that a header holds."""
    try:
        BackendClient(backend_url)
    except NotConfigured:
        return Failure.STORE_UNAVAILABLE.error("no backend is configured that knows models", claims.model)
    return Failure.TOKEN_MALFORMED.error("the credentials in the model token are none", claims.model)


def _failed(error: ClientError, claims: Claims) -> ModelLoadError:
    if isinstance(error, AuthenticationError | AuthorizationError):
        return Failure.FORBIDDEN.error("the backend refuses it to the token's holder", claims.model)
    if isinstance(error, NotFoundError | ValidationError):  # an id of a form that the backend does not know
        return Failure.NOT_FOUND.error("the backend knows no such model", claims.model)
    told = f"the backend cannot be asked ({type(error).__name__})"
    return Failure.STORE_UNAVAILABLE.error(told, claims.model)


def _mark(claims: Claims) -> bytes:
    """Credentials are kept no longer than they are used."""
    return hashlib.sha256(json.dumps([claims.model, claims.token, claims.tenant]).encode()).digest()
