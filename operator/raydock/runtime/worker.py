"""The passes: take a key from the queue, run its kind's reconcile function, decide when it comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Final, NamedTuple

import structlog

from raydock.api.conditions import ConditionType
from raydock.errors import Retry, Terminal, Waiting
from raydock.facts import lenient
from raydock.facts.condition import conditions
from raydock.kube.client import Kube
from raydock.kube.errors import ApiError
from raydock.kube.events import Event as KubeEvent
from raydock.kube.transport import Call
from raydock.reasons import Reason
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
                ended = await self._run(key)
                _say(ended.outcome)
                await self._tell(ended.outcome.events)
            finally:
                _calls.set(None)
            seconds, reason = loop.time() - started, ended.reason or self._ready_reason(key)
            self._metrics.passed(key.kind, ended.how, reason, seconds)
            self._metrics.add(ended.outcome.counted)
            if calls:
                wrote = [f"{call.verb} {call.kind} {call.name}".rstrip() for call in calls]
                said = {"outcome": ended.how, "reason": reason, "revision": ended.outcome.revision}
                _log.info("reconciled", **said, seconds=round(seconds, 3), wrote=wrote)

    async def _run(self, key: Key) -> "_Ended":
        """One pass and its consequence for the queue."""
        queue = self._queue
        try:
            async with asyncio.timeout(PASS_S):
                outcome = await self._reconcilers[key.kind](key, self._do)
        except Retry as why:
            back_s = queue.retry(key, why.after_s)
            _log.info("pass failed", reason=why.reason, why=why.message, again_s=round(back_s, 1))
            return _Ended("retry", why.reason)
        except Waiting as why:
            queue.succeeded(key)
            if why.look_again_s is not None:
                queue.add_after(key, why.look_again_s)
            return _Ended("waiting", why.reason)
        except Terminal as why:
            queue.succeeded(key)
            return _Ended("terminal", why.reason)
        except ApiError as error:
            back_s = queue.retry(key, error.retry_after_s)
            _log.warning(
                "API call failed", error=type(error).__name__, why=error.message, again_s=round(back_s, 1)
            )
            return _Ended("api_error", Reason.API_ERROR)
        except TimeoutError:
            _log.error("pass took too long", limit_s=PASS_S, again_s=round(queue.retry(key), 1))
            return _Ended("timeout")
        except Exception:  # noqa: BLE001 - the queue must survive any pass
            _log.exception("pass crashed", again_s=round(queue.retry(key), 1))
            return _Ended("crash")
        queue.succeeded(key)
        if outcome.look_again_s is not None:
            queue.add_after(key, outcome.look_again_s)
        for other in outcome.wake:
            queue.add(other)
        return _Ended("done", None, outcome)

    def _ready_reason(self, key: Key) -> Reason | None:
        """What Ready says now: a pass puts the status that it wrote into the store."""
        ready = conditions(lenient.at(self._store.get(*key), "status", "conditions")).get(ConditionType.READY)
        return Reason(ready.reason) if ready and ready.reason in set(Reason) else None

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


class _Ended(NamedTuple):
    """How a pass ended."""

    how: str
    """`done` also where the status says what is awaited; any other word: the pass was broken off."""
    reason: Reason | None = None
    """Why it was broken off."""
    outcome: Outcome = Outcome()


def _say(outcome: Outcome) -> None:
    """One line of the log for each decision."""
    for event in outcome.events:
        say = _log.warning if event.type == "Warning" else _log.info
        about = event.about._asdict()
        say("decided", reason=event.reason, why=event.message, revision=outcome.revision, **about)
