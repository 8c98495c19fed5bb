"""Tells backends of applications, beside the passes: no pass waits for a slow backend.

Each object has one errand at a time, tried until it succeeds or nobody wants it any more; the object is woken
when there is news. Errands to one backend are bounded, so that one that hangs holds up its own alone.
"""

import asyncio
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol
from weakref import WeakValueDictionary

from raydock.api.registration import Backend
from raydock.plan.registration import Standing
from raydock.reconcile.deps import Key, Kube
from raydock.remote.backend import Account, Application
from raydock.remote.errors import (
    AuthenticationError,
    AuthorizationError,
    ClientConnectionError,
    ClientError,
    ClientResponseIncompleteError,
    ClientTimeoutError,
    NotFoundError,
    RateLimitError,
    ValidationError,
)

AT_ONCE: Final = 4
"""Calls to one backend at a time: one that hangs keeps each for up to 20 s."""
PAUSES_S: Final = (1.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Between two tries, the last one from then on."""
RETRY_AFTER_MAX_S: Final = 300.0
SETTLED_S: Final = 30.0
"""After which a post whose answer did not come has had its effect, or never will: gunicorn lets a request
take 30 s, and it was given up 15 s after it went out."""
GATEWAY: Final = frozenset({502, 504})
"""A proxy's answer: what is behind it may go on."""
NOTHING_CAME_OF_IT: Final = (
    AuthenticationError,
    AuthorizationError,
    ClientConnectionError,
    ClientTimeoutError,
    NotFoundError,
    RateLimitError,
    ValidationError,
)
"""After which there is surely no record: behind any other error there may be one."""


class _TooEarly(Exception):
    """There is no record yet, and a post may still make one for `left_s` seconds."""

    def __init__(self, left_s: float) -> None:
        super().__init__(left_s)
        self.left_s = left_s


class Missing(Exception):
    """The Secret with the token, or its entry, is not there; the message says what to do."""


class Records(Protocol):
    """One backend's Serve applications (raydock.remote.backend.Applications)."""

    async def find(self, plugin_code: str, application: Application) -> str | None:
        """As there."""

    async def create(self, application: Application) -> str:
        """As there."""

    async def remove(self, record_id: str) -> None:
        """As there."""


@dataclass(frozen=True)
class Errand:
    """What a backend shall be told of one application."""

    key: Key
    uid: str
    backend: Backend
    place: str
    """Which backend and job it is, as plan.registration says."""
    plugin_code: str
    application: Application
    told_before: bool = True
    """Whether somebody may have posted it already: then a record is looked for first."""
    on_its_way: bool = False
    """With `told_before`: a post of this application may still be on its way, an earlier operator's."""
    takes_back: bool = False
    """The application goes: there shall be no record."""
    record_id: str | None = None
    """With `takes_back`: the record; None: it has to be looked for."""

    def same_as(self, other: "Errand") -> bool:
        """Whether both want the same of the same backend, whatever the application's state is."""
        mine = (self.backend, self.place, self.takes_back)
        return mine == (other.backend, other.place, other.takes_back)


@dataclass
class _Open:
    errand: Errand
    standing: Standing | None = None
    done: bool = False
    unclear: bool = False
    """A post may have had its effect."""
    settled: float = 0.0
    """When it has had it, or never will: in seconds of the loop's clock."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Another errand took its place, or nobody wants it any more."""


@dataclass(frozen=True)
class _Refused:
    key: Key
    place: str
    standing: Standing


class Registrar:
    """All open errands, one an object. `run` does them."""

    def __init__(
        self, kube: Kube, connect: Callable[[Account], Records], wake: Callable[[Key], None]
    ) -> None:
        """`kube`: reads the Secrets; `wake`: has an object looked at again."""
        self._kube = kube
        self._connect = connect
        self._wake = wake
        self._open: dict[str, _Open] = {}
        self._refused: dict[str, _Refused] = {}
        self._due: asyncio.Queue[_Open] = asyncio.Queue()
        self._doors: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def standing(self, uid: str, place: str) -> Standing | None:
        """What became of telling `place` that the application serves."""
        one, refused = self._open.get(uid), self._refused.get(uid)
        if one is None and refused is not None and refused.place == place:
            return refused.standing
        if one is None or one.errand.takes_back or one.errand.place != place:
            return None
        return one.standing

    def taken_back(self, uid: str) -> bool:
        """Whether the backend has no record any more."""
        one = self._open.get(uid)
        return one is not None and one.errand.takes_back and one.done

    def refused(self, key: Key, uid: str, place: str, standing: Standing) -> None:
        """There is no errand, as nothing can be noted on the object; told until there is one."""
        self._refused[uid] = _Refused(key, place, standing)

    def want(self, errand: Errand) -> None:
        """Have it done; another errand of the object is given up after its running try."""
        self._refused.pop(errand.uid, None)
        one = self._open.get(errand.uid)
        if one is None:
            settled = _now() + SETTLED_S if errand.on_its_way else 0.0
            one = self._open[errand.uid] = _Open(errand, unclear=errand.told_before, settled=settled)
            self._due.put_nowait(one)
            return
        if errand.same_as(one.errand):
            one.errand = errand
            return
        was_done, one.errand, one.done, one.standing = one.done, errand, False, None
        one.unclear = one.unclear or errand.told_before
        if was_done:
            self._due.put_nowait(one)
        one.changed.set()

    def forget(self, uid: str) -> bool:
        """Its result was used, or nobody wants it any more; whether there was one."""
        self._refused.pop(uid, None)
        one = self._open.pop(uid, None)
        if one is not None:
            one.changed.set()
        return one is not None

    def gone(self, key: Key) -> None:
        """As `forget`, for an object of which only the name is left."""
        known = {
            **{uid: one.errand.key for uid, one in self._open.items()},
            **{uid: refused.key for uid, refused in self._refused.items()},
        }
        for uid in [uid for uid, of in known.items() if of == key]:
            self.forget(uid)

    async def run(self) -> None:
        """Do what is wanted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._see_to(await self._due.get()))

    async def _see_to(self, one: _Open) -> None:
        """Try until it is done, or forgotten."""
        tries = 0
        while self._wanted(one):
            one.changed.clear()
            errand = one.errand
            pause_s = await self._try(one, errand, PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            tries = tries + 1 if one.errand.same_as(errand) else 0
            if not self._wanted(one):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await one.changed.wait()

    def _wanted(self, one: _Open) -> bool:
        return self._open.get(one.errand.uid) is one and not one.done

    async def _try(self, one: _Open, errand: Errand, pause_s: float) -> float:
        """One try of `errand`; seconds until the next one."""
        try:
            door = self._doors.setdefault(errand.backend.url, asyncio.Semaphore(AT_ONCE))
            async with door:
                account = await self._account(errand)
                standing = Standing(id=await self._do(one, errand, self._connect(account)))
        except _TooEarly as early:
            return early.left_s
        except Missing as missing:
            standing = Standing(problem=str(missing))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and only its name is told
            if isinstance(error, ClientError):
                pause_s = max(pause_s, min(error.retry_after_s or 0.0, RETRY_AFTER_MAX_S))
            standing = Standing(error=type(error).__name__)
        if self._open.get(errand.uid) is one and one.errand.same_as(errand):
            news = standing != one.standing
            one.standing, one.done = standing, not (standing.error or standing.problem)
            if news:
                self._wake(errand.key)
        return pause_s

    async def _do(self, one: _Open, errand: Errand, records: Records) -> str | None:
        """The id of the record; None once there is none."""
        found = errand.record_id
        if found is None and one.unclear:
            found = await records.find(errand.plugin_code, errand.application)
            if found is None and (left_s := one.settled - _now()) > 0:
                raise _TooEarly(left_s)
            one.unclear = found is not None
        if errand.takes_back:
            if found is not None:
                await records.remove(found)
            return None
        if found is not None:
            return found
        one.unclear = True
        try:
            return await records.create(errand.application)
        except NOTHING_CAME_OF_IT:
            one.unclear = False
            raise
        except ClientError as error:
            if isinstance(error, ClientResponseIncompleteError) or error.status_code in GATEWAY:
                one.settled = _now() + SETTLED_S
            raise

    async def _account(self, errand: Errand) -> Account:
        """With the token as the Secret has it now. Raises Missing."""
        backend, namespace = errand.backend, errand.key.namespace
        entry = backend.token_secret
        found = await self._kube.find("Secret", namespace, entry.name)
        if found is None:
            told = f"Secret {entry.name} does not exist in namespace {namespace}"
            raise Missing(f"{told}: create it; goes on by itself")
        text = (found.get("data") or {}).get(entry.key)
        if not text:
            raise Missing(f"Secret {entry.name} has no entry {entry.key}: write the backend's token there")
        token = b64decode(text).decode(errors="replace").strip()
        return Account(backend.url, token, backend.tenant or "")


def _now() -> float:
    return asyncio.get_running_loop().time()
