"""The passes: take a key from the queue, run its kind's reconcile function, decide when it comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Final

import structlog

from raydock.errors import Retry, Terminal, Waiting
from raydock.kube.client import Kube
from raydock.kube.errors import ApiError
from raydock.kube.events import Event as KubeEvent
from raydock.kube.transport import Call
from raydock.reconcile.deps import Deps, Event, Key, Outcome
from raydock.runtime.metrics import Metrics
from raydock.runtime.queue import Queue
from raydock.runtime.store import Store

Reconcile = Callable[[Key, Deps], Awaitable[Outcome]]

STANDBY_S: Final = 1.0
"""Before a key is looked at again while it isn't sure that we lead: an eighth of what the Lease leaves."""
PASS_S: Final = 120.0
"""For one pass: more than any sequence of calls takes, so that a hung peer cannot hold a worker for ever."""

_log = structlog.get_logger(__name__)
_calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)


def note(call: Call) -> None:
    """A listener of raydock.kube.client.Kube: remembers the writes of the pass that made them."""
    calls = _calls.get()
    if calls is not None and call.writes:
        calls.append(call)


class Worker:
    """Runs passes, some at a time, while `may_write` says so."""

    def __init__(
        self,
        queue: Queue[Key],
        reconcilers: Mapping[str, Reconcile],
        do: Deps,
        *,
        kube: Kube,
        store: Store,
        metrics: Metrics,
        may_write: Callable[[], bool],
    ) -> None:
        self._queue = queue
        self._reconcilers = reconcilers
        self._do = do
        self._kube = kube
        self._store = store
        self._metrics = metrics
        self._may_write = may_write
        self._stopping = False

    async def run(self, count: int) -> None:
        """`count` passes at a time, until `stop`; returns when the last one ended."""
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._loop())

    def stop(self, count: int) -> None:
        """Start no new pass."""
        self._stopping = True
        self._queue.release(count)

    async def _loop(self) -> None:
        while not self._stopping:
            taken = await self._queue.take()
            if taken is None:
                return
            key, waited_s = taken
            try:
                if self._may_write():
                    self._metrics.waits.labels(key.kind).observe(waited_s)
                    await self._pass(key)
                else:
                    self._queue.add_after(key, STANDBY_S)
            finally:
                self._queue.done(key)

    async def _pass(self, key: Key) -> None:
        loop = asyncio.get_running_loop()
        started, calls = loop.time(), list[Call]()
        _calls.set(calls)
        with structlog.contextvars.bound_contextvars(kind=key.kind, namespace=key.namespace, name=key.name):
            try:
                ended, events = await self._run(key)
                await self._tell(events)
            finally:
                _calls.set(None)
            seconds = loop.time() - started
            self._metrics.passes.labels(key.kind, ended).observe(seconds)
            if calls or events:
                wrote = [f"{call.verb} {call.kind} {call.name}".rstrip() for call in calls]
                _log.info("reconciled", outcome=ended, seconds=round(seconds, 3), wrote=wrote)

    async def _run(self, key: Key) -> tuple[str, tuple[Event, ...]]:
        """One pass and its consequence for the queue; how it ended, and what people should be told."""
        queue = self._queue
        try:
            async with asyncio.timeout(PASS_S):
                outcome = await self._reconcilers[key.kind](key, self._do)
        except Retry as why:
            back_s = queue.retry(key, why.after_s)
            _log.info("pass failed", reason=why.reason, why=why.message, again_s=round(back_s, 1))
            return "retry", ()
        except Waiting as why:
            queue.succeeded(key)
            if why.look_again_s is not None:
                queue.add_after(key, why.look_again_s)
            return "waiting", ()
        except Terminal:
            queue.succeeded(key)
            return "terminal", ()
        except ApiError as error:
            back_s = queue.retry(key, error.retry_after_s)
            _log.warning(
                "API call failed", error=type(error).__name__, why=error.message, again_s=round(back_s, 1)
            )
            return "api_error", ()
        except TimeoutError:
            _log.error("pass took too long", limit_s=PASS_S, again_s=round(queue.retry(key), 1))
            return "timeout", ()
        except Exception:  # noqa: BLE001 - the queue must survive any pass
            _log.exception("pass crashed", again_s=round(queue.retry(key), 1))
            return "crash", ()
        queue.succeeded(key)
        if outcome.look_again_s is not None:
            queue.add_after(key, outcome.look_again_s)
        for other in outcome.wake:
            queue.add(other)
        return "done", outcome.events

    async def _tell(self, events: tuple[Event, ...]) -> None:
        """Post events. One that the API server does not take is lost: the conditions hold the truth."""
        for event in events:
            about = event.about
            uid = self._store.uid(about.kind, about.namespace, about.name)
            if not uid:
                continue  # the object is gone, and with it whoever would read this
            regarding = (about.kind, about.namespace, about.name, uid)
            try:
                await self._kube.record(KubeEvent(event.type, event.reason.value, event.message, regarding))
            except ApiError as error:
                _log.warning("event not posted", error=type(error).__name__, why=error.message)
