"""One API call over HTTP: time limit, patience with a busy server, errors as types, a word to who counts."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from raydock.kube.errors import ApiError, TooManyRequests, Unavailable, from_answer
from raydock.kube.errors import Timeout as ApiTimeout
from raydock.kube.kinds import Kind

CALL_TIMEOUT_S: Final = 20.0
"""For one answer. A page of 500 objects takes well under a second; beyond this the connection is dead."""
PATIENCE_S: Final = 5.0
"""The longest Retry-After that is waited for here: a longer one goes back to the queue."""
ATTEMPTS: Final = 3
"""Calls in all while the server asks to come back soon."""

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"


class Call(NamedTuple):
    """One finished call, for metrics and tests."""

    verb: str
    """As in RBAC: get, list, create, patch, delete; `apply` for a server-side apply, `/status` behind it."""
    kind: str
    namespace: str
    name: str
    outcome: str
    """`ok`, or the name of the ApiError."""
    seconds: float

    @property
    def writes(self) -> bool:
        """Whether it can have changed something in the cluster."""
        return self.verb not in ("get", "list") and self.kind != "TokenReview"


class Request(NamedTuple):
    """One call to make."""

    verb: str
    method: str
    kind: Kind
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None
    query: Mapping[str, str | int] = {}
    body: Any = None
    content: str = JSON
    accept: str = JSON


class Transport:
    """The official client's session and credentials, with our own rules for waiting and failing."""

    def __init__(self, conf: Configuration) -> None:
        self._api = ApiClient(conf)
        self.configuration = conf
        self.listeners: list[Callable[[Call], None]] = []
        """Each is called once a call, after its last attempt."""

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def send(self, request: Request) -> dict[str, Any]:
        """The answer's object. Raises ApiError; see the tree in raydock.kube.errors."""
        with self._counted(request):
            return await self._patiently(request)

    async def end_of(self, request: Request, limit_bytes: int) -> bytes:
        """The last `limit_bytes` of an answer of any length that is no object. Raises ApiError; asks once."""
        with self._counted(request):
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    return await self._end_of(request, limit_bytes)
            except TimeoutError:
                raise ApiTimeout(f"no answer within {CALL_TIMEOUT_S:.0f} s") from None
            except (aiohttp.ClientError, OSError) as error:
                raise Unavailable(f"no connection to the API server ({type(error).__name__})") from None

    @contextmanager
    def _counted(self, request: Request) -> Iterator[None]:
        """Tells the listeners how the call in this block ended."""
        loop = asyncio.get_running_loop()
        started, outcome = loop.time(), "cancelled"
        try:
            yield
            outcome = "ok"
        except ApiError as error:
            outcome = type(error).__name__
            raise
        finally:
            verb = f"{request.verb}/{request.subresource}" if request.subresource else request.verb
            call = Call(
                verb,
                request.kind.kind,
                request.namespace or "",
                request.name or "",
                outcome,
                loop.time() - started,
            )
            for listener in self.listeners:
                listener(call)

    async def _patiently(self, request: Request) -> dict[str, Any]:
        """Send until it is answered, as often as the server names a short time to come back.

        Only a server that says so by Retry-After: it has not acted on the call, so a write may be repeated.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._once(request)
            except (TooManyRequests, Unavailable) as error:
                if error.retry_after_s is None or error.retry_after_s > PATIENCE_S:
                    raise
                await asyncio.sleep(error.retry_after_s)  # noqa: TID251 - the server named the time, there is no event
        return await self._once(request)

    async def _once(self, request: Request) -> dict[str, Any]:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                status, body, retry_after = await self._exchange(request)
        except TimeoutError:
            raise ApiTimeout(f"no answer within {CALL_TIMEOUT_S:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            # The error's own text names addresses; its type says enough.
            raise Unavailable(f"no connection to the API server ({type(error).__name__})") from None
        if not 200 <= status < 300:
            raise from_answer(status, body, retry_after)
        try:
            answer = json.loads(body)
        except ValueError:
            raise Unavailable("the API server's answer is not JSON", status=status) from None
        if not isinstance(answer, dict):
            raise Unavailable("the API server's answer is not an object", status=status)
        return answer

    async def _exchange(self, request: Request) -> tuple[int, bytes, str | None]:
        answer = await self._asked(request)
        return answer.status, await answer.read(), answer.headers.get("Retry-After")

    async def _end_of(self, request: Request, limit_bytes: int) -> bytes:
        end = b""
        async with (await self._asked(request)).response as answer:
            if answer.status != 200:
                raise from_answer(answer.status, await answer.read(), answer.headers.get("Retry-After"))
            async for part in answer.content.iter_chunked(limit_bytes):
                end = (end + part)[-limit_bytes:]
        return end

    async def _asked(self, request: Request) -> Any:
        """The answer, not read yet."""
        headers = {"Accept": request.accept, "Content-Type": request.content, "User-Agent": "raydock"}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], "", request.method, request.body)
        path = request.kind.path(request.namespace, request.name, request.subresource)
        url = self.configuration.host + quote(path)
        if request.query:
            url += "?" + urlencode(request.query)
        return await self._api.rest_client.request(request.method, url, headers=headers, body=request.body)
