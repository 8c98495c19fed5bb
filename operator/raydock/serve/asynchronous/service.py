"""The asynchronous requests of all endpoints of a replica, by what the access file says of them."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from raydock.remote.stores import StoreError
from raydock.serve.answer import Code, Refused
from raydock.serve.asynchronous import intake, record
from raydock.serve.asynchronous.call import Caller, Later
from raydock.serve.asynchronous.dispatch import Dispatch, Serve
from raydock.serve.asynchronous.intake import Wish
from raydock.serve.asynchronous.objects import located
from raydock.serve.asynchronous.record import Asked
from raydock.serve.asynchronous.work import Work
from raydock.serve.auth import AccessFile
from raydock.wire.access import AsyncAccess

FOLLOW_S: Final = 1.0
"""Between two looks at the access file."""
Key = tuple[AsyncAccess, int]
"""Rules, and how many requests a replica works on at once."""

log = logging.getLogger(__name__)


class NotHere(Exception):
    """This replica does not work on the requests of this endpoint."""


class Asynchronous:
    """Those of one replica. All calls come from its event loop."""

    def __init__(
        self,
        access: AccessFile,
        deployment: str,
        owner: str,
        cluster: str,
        slots: Callable[[], int],
        later: Later,
        serve: Serve,
    ) -> None:
        """`owner`: the replica's name. `cluster`: its Ray cluster's. `slots`: for requests of all kinds."""
        self._access = access
        self._deployment = deployment
        self._owner = owner
        self._cluster = cluster
        self._slots = slots
        self._later = later
        self._serve = serve
        self._works: dict[str, tuple[Key, Work]] = {}
        self._dispatches: dict[str, tuple[Key, Dispatch, asyncio.Task[None]]] = {}
        self.taken: set[asyncio.Task[None]] = set()
        """What this replica works on."""

    async def accept(self, endpoint: str, wish: Wish, body: bytes) -> tuple[Asked, AsyncAccess] | None:
        """Keep a request; None where nobody told of a place for it. Raises StoreError, and Refused."""
        rules = self._all().get(endpoint)
        if rules is None:
            return None
        scheme = rules.output_uri.partition("://")[0]
        if wish.location is not None and not (located(wish.location) or ("",))[0].startswith(f"{scheme}:"):
            raise Refused(
                Code.BAD_REQUEST, f"InputLocation: want an object of the answers' store, {scheme}://"
            )
        output = self._work(endpoint, rules).output
        asked = await intake.accept(output, endpoint, self._deployment, wish, body)
        if endpoint in self._dispatches:
            self._dispatches[endpoint][1].accepted(record.name(asked.id))
        return asked, rules

    async def take(self, endpoint: str, of: str, number: int) -> None:
        """Work on a request, as Work.take; to its end, also when whoever asked for it goes away meanwhile."""
        rules = self._here().get(endpoint)
        if rules is None:
            raise NotHere
        task = asyncio.ensure_future(self._work(endpoint, rules).take(of, number))
        self.taken.add(task)
        task.add_done_callback(self.taken.discard)
        await asyncio.shield(task)

    async def run(self) -> None:
        """Hand out the requests that nobody works on, until cancelled."""
        try:
            while True:
                self._follow()
                await asyncio.sleep(FOLLOW_S)  # noqa: TID251 - a file has no event
        finally:
            for name in list(self._dispatches):
                self._end(name)

    async def stop(self) -> None:
        """Leave what is worked on to others: the app is about to end."""
        for task in self.taken:
            task.cancel()
        await asyncio.gather(*self.taken, return_exceptions=True)

    def _follow(self) -> None:
        here = self._here()
        wanted = {name: (rules, self._at_once(rules)) for name, rules in here.items()}
        for name, (key, _, task) in list(self._dispatches.items()):
            if wanted.get(name) != key or task.done():
                self._end(name)
        for name in self._works.keys() - here.keys():
            del self._works[name]
        for name in wanted.keys() - self._dispatches.keys():
            try:
                self._begin(name, here[name])
            except StoreError as error:
                log.warning("asynchronous requests of %s cannot be looked for: %s", name, error)

    def _begin(self, endpoint: str, rules: AsyncAccess) -> None:
        others = frozenset(rules.deployments) - {self._deployment}
        at_once = self._at_once(rules)
        output = self._work(endpoint, rules).output
        dispatch = Dispatch(output, endpoint, self._deployment, others, at_once, self._serve)
        self._dispatches[endpoint] = (rules, at_once), dispatch, asyncio.ensure_future(dispatch.run())

    def _end(self, endpoint: str) -> None:
        _, _, task = self._dispatches.pop(endpoint)
        task.cancel()

    def _all(self) -> dict[str, AsyncAccess]:
        return dict(self._access.look(time.monotonic()).asynchronous)

    def _here(self) -> dict[str, AsyncAccess]:
        """Whose requests are worked on in this Ray cluster: a version that is to come or to go has none."""
        return {name: rules for name, rules in self._all().items() if rules.cluster == self._cluster}

    def _at_once(self, rules: AsyncAccess) -> int:
        return min(rules.max_concurrent, self._slots())

    def _work(self, endpoint: str, rules: AsyncAccess) -> Work:
        """Raises StoreError."""
        key, found = (rules, self._at_once(rules)), self._works.get(endpoint)
        if found is None or found[0] != key:
            found = key, Work(rules, key[1], self._deployment, self._owner, Caller(self._later))
            self._works[endpoint] = found
        return found[1]
