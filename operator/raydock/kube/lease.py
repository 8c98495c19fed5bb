"""Leader election over a Lease: one writer at a time.

Time is this process's own monotonic clock. The times in the Lease are for people: two machines' clocks may
differ, so a leader counts as dead only when we ourselves saw its Lease unchanged for the whole term.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final

from raydock.kube.client import Kube
from raydock.kube.errors import AlreadyExists, ApiError, Conflict
from raydock.kube.kinds import named


@dataclass(frozen=True)
class Terms:
    """Seconds; the defaults are those of Kubernetes' own components (client-go leaderelection, v0.34)."""

    lease_s: float = 15.0
    """A Lease that was not renewed for so long may be taken."""
    renew_s: float = 10.0
    """A leader that could not renew for so long gives up: before anybody else may take over."""
    retry_s: float = 2.0
    """Between two looks, or two renewals."""


TERMS: Final = Terms()


class LeaseLost(Exception):
    """Somebody else may lead now: this process must not write any more."""


@dataclass(frozen=True)
class Seen:
    """The Lease as it was last read, and since when it has been like that."""

    holder: str
    version: str
    """resourceVersion; empty when there is no Lease."""
    since: float
    """Monotonic seconds at which this version was first seen."""
    transitions: int = 0


class Move(Enum):
    """What to do about the Lease now."""

    CREATE = auto()
    TAKE = auto()
    RENEW = auto()
    WAIT = auto()


def look(before: Seen | None, lease: Mapping[str, Any] | None, now: float) -> Seen:
    """What is known once `lease` was read at `now`; a version seen before keeps its first sight."""
    if lease is None:
        return Seen("", "", now)
    spec, version = lease.get("spec") or {}, lease["metadata"]["resourceVersion"]
    since = before.since if before is not None and before.version == version else now
    return Seen(spec.get("holderIdentity") or "", version, since, spec.get("leaseTransitions") or 0)


def decide(seen: Seen, me: str, now: float, terms: Terms = TERMS) -> Move:
    """The next move of the candidate `me`."""
    if not seen.version:
        return Move.CREATE
    if seen.holder == me:
        return Move.RENEW
    if not seen.holder or now - seen.since >= terms.lease_s:
        return Move.TAKE
    return Move.WAIT


class LeaderElection:
    """One candidate. `acquire`, then `hold` until it raises; `release` on the way out."""

    def __init__(self, kube: Kube, namespace: str, name: str, me: str, terms: Terms = TERMS) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._me = me
        self._terms = terms
        self._seen: Seen | None = None
        self._renewed_at = 0.0

    async def acquire(self) -> None:
        """Return once we lead. An API server that fails is asked again."""
        while True:
            if await self._tried():
                return
            await asyncio.sleep(self._terms.retry_s)  # noqa: TID251 - a Lease is looked at by the clock

    async def hold(self) -> None:
        """Renew for as long as we lead. Raises LeaseLost; returns never."""
        loop = asyncio.get_running_loop()
        while True:
            deadline = self._renewed_at + self._terms.renew_s
            pause = min(self._terms.retry_s, deadline - loop.time())
            await asyncio.sleep(pause)  # noqa: TID251 - a Lease is renewed by the clock
            try:
                async with asyncio.timeout_at(deadline):
                    renewed = await self._tried()
            except TimeoutError:
                renewed = False
            if self._seen is not None and self._seen.version and self._seen.holder != self._me:
                raise LeaseLost(f"the lease {self._name} is held by another replica")
            if not renewed and loop.time() >= deadline:
                raise LeaseLost(
                    f"the lease {self._name} could not be renewed for {self._terms.renew_s:.0f} s"
                )

    def holds(self) -> bool:
        """Whether nobody else can lead at this moment, as far as our own clock tells."""
        mine = self._seen is not None and self._seen.holder == self._me
        return mine and asyncio.get_running_loop().time() < self._renewed_at + self._terms.renew_s

    async def release(self) -> None:
        """Give the Lease back, if we hold it, so that the standby need not wait for its end."""
        seen = self._seen
        if seen is None or seen.holder != self._me:
            return
        self._seen = None
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        try:
            await self._patch(seen, spec)
        except ApiError:
            return  # it ends by itself

    async def _tried(self) -> bool:
        """One look and one move; whether we lead after it."""
        loop = asyncio.get_running_loop()
        try:
            started = loop.time()
            lease = await self._kube.find("Lease", self._namespace, self._name)
            self._seen = look(self._seen, lease, loop.time())
            move = decide(self._seen, self._me, loop.time(), self._terms)
            if move is Move.WAIT:
                return False
            written = await self._write(move, self._seen)
        except (Conflict, AlreadyExists):
            return False  # somebody was quicker; the next look tells who
        except ApiError:
            return False
        self._seen = look(None, written, loop.time())
        self._renewed_at = started  # the others count from when the server wrote it, which is later
        return True

    async def _write(self, move: Move, seen: Seen) -> dict[str, Any]:
        now = _micro_time()
        if move is Move.RENEW:
            return await self._patch(seen, {"renewTime": now})
        spec = {
            "holderIdentity": self._me,
            "leaseDurationSeconds": int(self._terms.lease_s),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": seen.transitions + (move is Move.TAKE),
        }
        if move is Move.TAKE:
            return await self._patch(seen, spec)
        return await self._kube.create(
            {
                "apiVersion": named("Lease").api_version,
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": spec,
            }
        )

    async def _patch(self, seen: Seen, spec: Mapping[str, Any]) -> dict[str, Any]:
        body = {"metadata": {"resourceVersion": seen.version}, "spec": spec}
        return await self._kube.patch("Lease", self._namespace, self._name, body)


def _micro_time() -> str:
    now = datetime.now(UTC)  # noqa: TID251 - a stamp for people, nothing is decided by it
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
