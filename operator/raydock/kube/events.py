"""events.k8s.io/v1 Events: one object for each thing told, counted up when it is told again."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from raydock.kube.errors import NotFound
from raydock.kube.kinds import named
from raydock.kube.transport import MERGE, Request, Transport

CONTROLLER: Final = "raydock.io/operator"
NOTE_MAX: Final = 1024
"""Bytes of `note` (events.k8s.io/v1 API reference)."""
SERIES_S: Final = 360.0
"""The same thing within six minutes is one series (client-go, tools/events, v0.34)."""
COUNT_EVERY_S: Final = 30.0
"""Between two writes of one series' count: people read it, machines don't."""
SERIES_MAX: Final = 1000
"""Remembered series; the one that was silent longest is forgotten first."""
BURST: Final = 500
"""Events at once: those of a start-up or a node's death."""
REFILL_PER_S: Final = 10.0
"""Events a second that go on for ever; more are dropped, as the conditions hold the truth."""


@dataclass(frozen=True)
class Event:
    """Something worth a line in `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    regarding: tuple[str, str, str, str]
    """Kind, namespace, name and uid of the object it is about."""


@dataclass
class _Series:
    name: str
    count: int
    told_at: float
    written_at: float


class Recorder:
    """Writes events, each series at most once in COUNT_EVERY_S and all together within a budget."""

    def __init__(self, transport: Transport, instance: str) -> None:
        self._transport = transport
        self._instance = instance[:128]
        self._series: OrderedDict[tuple[Any, ...], _Series] = OrderedDict()
        self._budget = float(BURST)
        self._refilled_at: float | None = None
        self.dropped = 0
        """Events that went over the budget."""

    async def record(self, event: Event) -> None:
        """Write, count up, or drop. Raises ApiError when the API server does not take it."""
        now = asyncio.get_running_loop().time()
        key = (event.regarding[3], event.type, event.reason, event.note)
        known = self._series.get(key)
        if known is not None and now - known.told_at < SERIES_S:
            await self._again(event, known, now)
            self._series.move_to_end(key)
        elif self._spend(now):
            name = await self._first(event)
            self._series[key] = _Series(name, count=1, told_at=now, written_at=now)
            while len(self._series) > SERIES_MAX:
                self._series.popitem(last=False)

    async def _first(self, event: Event) -> str:
        kind, namespace, name, uid = event.regarding
        manifest = {
            "apiVersion": named("Event").api_version,
            "kind": "Event",
            "metadata": {"generateName": f"{name[:230]}-", "namespace": namespace},
            "eventTime": _micro_time(),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "type": event.type,
            "reason": event.reason,
            "action": "Reconcile",
            "note": _cut(event.note),
            "regarding": {
                "apiVersion": named(kind).api_version,
                "kind": kind,
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
        }
        made = await self._transport.send(Request("create", "POST", named("Event"), namespace, body=manifest))
        return str(made["metadata"]["name"])

    async def _again(self, event: Event, known: _Series, now: float) -> None:
        known.count += 1
        known.told_at = now
        if now - known.written_at < COUNT_EVERY_S or not self._spend(now):
            return
        known.written_at = now
        series = {"series": {"count": known.count, "lastObservedTime": _micro_time()}}
        request = Request(
            "patch", "PATCH", named("Event"), event.regarding[1], known.name, body=series, content=MERGE
        )
        try:
            await self._transport.send(request)
        except NotFound:  # an API server keeps events for an hour
            known.name, known.count = await self._first(event), 1

    def _spend(self, now: float) -> bool:
        """Take one event from the budget; False when it is used up."""
        if self._refilled_at is not None:
            self._budget = min(float(BURST), self._budget + (now - self._refilled_at) * REFILL_PER_S)
        self._refilled_at = now
        if self._budget < 1:
            self.dropped += 1
            return False
        self._budget -= 1
        return True


def _cut(note: str) -> str:
    return note.encode()[:NOTE_MAX].decode(errors="ignore")


def _micro_time() -> str:
    now = datetime.now(UTC)  # noqa: TID251 - a stamp for people, nothing is decided by it
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
