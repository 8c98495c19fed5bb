"""Working on asynchronous requests: claim, call the app, leave one answer or one failure."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Final

from raydock.remote.stores import StoreError
from raydock.serve.asynchronous import record
from raydock.serve.asynchronous.claims import BEAT_S
from raydock.serve.asynchronous.objects import Objects, located
from raydock.serve.asynchronous.record import Asked, Claim
from raydock.wire.access import AsyncAccess
from raydock.wire.record import dumps, loads

TRIES: Final = 5
"""How often a request is worked on at most."""
PAYLOAD_MAX: Final = 2**30
"""Bytes."""
MESSAGE_MAX: Final = 2048
LEAVE_S: Final = 300.0
"""So long it is tried to leave an answer: the app worked for it."""
PAUSE_S: Final = 2.0
INPUTS_MAX: Final = 8
"""Buckets of payloads whose clients are kept."""
JOIN_S: Final = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Payload:
    """What the app is to read."""

    parts: AsyncGenerator[bytes, None]
    size: int


@dataclass(frozen=True)
class Result:
    """What the app answered."""

    status: int
    content_type: str
    body: bytes


class TookTooLong(Exception):
    """The app did not answer within Asked.timeout_s."""


class GivenUp(Exception):
    """There will be no answer."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        """`code`: of the failure object; `status`: of the app's answer."""
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


Call = Callable[[Asked, Payload], Awaitable[Result]]
"""Asks the app. Raises TookTooLong, and StoreError where the payload broke off."""


class Work:
    """The requests of one endpoint, on one replica."""

    def __init__(self, rules: AsyncAccess, at_once: int, deployment: str, owner: str, call: Call) -> None:
        """`owner`: the replica's name. Raises StoreError where the addresses are of no use."""
        self._rules = rules
        self._deployment = deployment
        self._inputs: dict[str, Objects] = {}
        self._owner = owner
        self._call = call
        self.output = Objects(rules.output_uri, rules.credentials)
        self.failures = Objects(rules.failure_uri, rules.credentials)
        self._slots = asyncio.Semaphore(at_once)

    async def take(self, of: str, number: int) -> None:
        """Work on a request, unless somebody else has claim `number` to it. Raises StoreError.

        However it ends, another one may go on with `number` + 1.
        """
        async with self._slots:
            claim = record.claim_path(of, number)
            if not await self.output.create(claim, dumps(Claim(self._owner, 0)).encode()):
                return
            # Records go before claims: whoever finished it in this moment has taken its record away.
            content = await self.output.read(record.record_path(of))
            if content is None:
                await self.output.delete(claim)
                return
            await self.output.delete(record.claim_path(of, number - 1))
            try:
                asked = loads(Asked, content)
                async with self._beating(claim):
                    await self._settle(asked, of, number)
                await self._put_away(of, number, asked, content)
            except StoreError:
                if not await self.output.exists(record.record_path(of)):
                    await self.output.delete(claim)  # somebody else was done with it
                raise

    async def _settle(self, asked: Asked, of: str, number: int) -> None:
        """Leave answer or failure. The first one that is there stays."""
        if number > 1 and await self._is_settled(asked, of):
            return
        try:
            result = await self._result(asked, of, number)
            # Whose claim ran out, as its store failed, may be late.
            if not await self.failures.exists(record.failure_path(of)):
                await self._leave(asked, result)
        except GivenUp as end:
            over = not await self.output.exists(record.record_path(of)) or await self._is_settled(asked, of)
            if not over:
                await self.failures.create(record.failure_path(of), _failed(asked, end))

    async def _is_settled(self, asked: Asked, of: str) -> bool:
        answered = await self.output.owner(asked.output) == asked.id
        return answered or await self.failures.exists(record.failure_path(of))

    async def _leave(self, asked: Asked, result: Result) -> None:
        """Raises GivenUp where the place is another one's."""
        if not await self._create(asked, result) and await self.output.owner(asked.output) != asked.id:
            raise GivenUp("ModelError", "there is an answer to another request at OutputLocation", 409)

    async def _create(self, asked: Asked, result: Result) -> bool:
        """The answer; False where there is one. Patient with a store that fails."""
        end = time.monotonic() + LEAVE_S
        while True:
            try:
                return await self.output.create(asked.output, result.body, result.content_type, asked.id)
            except StoreError as error:
                if error.final or time.monotonic() > end:
                    raise
                log.warning("the answer to an asynchronous request could not be left: %s", error)
            await asyncio.sleep(PAUSE_S)  # noqa: TID251 - between two tries at the store

    async def _result(self, asked: Asked, of: str, number: int) -> Result:
        if number > TRIES:
            told = f"it was tried {TRIES} times: replicas were lost, or the object store failed meanwhile"
            raise GivenUp("ModelError", told)
        elsewhere = asked.directed and asked.deployment != self._deployment
        # A later claim: it was begun in time.
        if (number == 1 or elsewhere) and time.time() > asked.at + asked.ttl_s:
            raise GivenUp("Expired", f"it waited longer than {asked.ttl_s} seconds (RequestTTLSeconds)")
        if elsewhere:
            told = f"it was sent to {asked.deployment}, which is not in this endpoint any more"
            raise GivenUp("ModelError", told, 404)
        payload = await self._payload(asked, of)
        try:
            result = await self._call(asked, payload)
        except TookTooLong:
            told = f"no answer within {asked.timeout_s} seconds (InvocationTimeoutSeconds)"
            raise GivenUp("InvocationTimeout", told) from None
        if not 200 <= result.status < 300:
            raise GivenUp("ModelError", result.body.decode(errors="replace")[:MESSAGE_MAX], result.status)
        return result

    async def _payload(self, asked: Asked, of: str) -> Payload:
        if asked.location is None:
            path = record.body_path(of, asked.body)
            size = await self.output.size(path)
            if size is None:
                raise StoreError("the payload of a request is gone")
            return Payload(self.output.parts(path), size)
        place = located(asked.location)
        try:
            inputs = await self._input(place[0]) if place else None
            size = await inputs.size(place[1]) if inputs and place else None
        except StoreError as error:
            if error.final:
                raise GivenUp("InputNotFound", f"InputLocation could not be read: {error}") from None
            raise
        if inputs is None or place is None or size is None:
            raise GivenUp("InputNotFound", "there is nothing at InputLocation")
        if size > PAYLOAD_MAX:
            raise GivenUp("ModelError", f"the payload has more than {PAYLOAD_MAX} bytes", 413)
        return Payload(inputs.parts(place[1]), size)

    async def _input(self, uri: str) -> Objects:
        """Making a client takes some 10 ms of its own."""
        if uri not in self._inputs:
            made = await asyncio.to_thread(Objects, uri, self._rules.credentials)
            if len(self._inputs) >= INPUTS_MAX:
                del self._inputs[next(iter(self._inputs))]
            self._inputs[uri] = made
        return self._inputs[uri]

    async def _put_away(self, of: str, number: int, asked: Asked, content: bytes) -> None:
        """The claim goes last: nobody else takes up what is half put away."""
        await self.output.create(record.done_path(of), content)
        body, claim = record.body_path(of, asked.body), record.claim_path(of, number)
        await self.output.delete(record.record_path(of), body, claim)

    @asynccontextmanager
    async def _beating(self, claim: str) -> AsyncIterator[None]:
        """Keep a claim alive while the context is open: by a thread, as an app may hold up the loop."""
        over = Event()
        thread = Thread(target=self._beat, args=(claim, over), name="claim", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            # Else a last beat could make the claim anew that is being taken away.
            await asyncio.to_thread(thread.join, JOIN_S)

    def _beat(self, claim: str, over: Event) -> None:
        beat = 0
        while not over.wait(BEAT_S):
            beat += 1
            try:
                self.output.replace(claim, dumps(Claim(self._owner, beat)).encode())
            except StoreError as error:  # the next one may succeed; if none does, another replica goes on
                log.warning("a claim could not be kept: %s", error)


def _failed(asked: Asked, end: GivenUp) -> bytes:
    told: dict[str, Any] = {"InferenceId": asked.id, "ErrorCode": end.code, "Message": end.message}
    if end.status is not None:
        told["OriginalStatusCode"] = end.status
    return json.dumps(told).encode()
