"""The store against the truth: filled before the first pass, compared with a listing ever after.

Watches are trusted for news and not for completeness: an event that was missed while a stream was down, or
a clock turned back by a restored backup, would otherwise stay wrong for ever.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog

from raydock.kube.client import Kube
from raydock.kube.errors import ApiError, NotFound
from raydock.kube.kinds import named
from raydock.runtime.metrics import Metrics
from raydock.runtime.store import Place, Store
from raydock.runtime.watch import WATCHED, Told, selector_of

FIRST_S: Final = 30.0
"""After the start: ghosts can have come between our first listing and Kopf's."""

_log = structlog.get_logger(__name__)


class Relist:
    """Keeps one store true. `missing`: watched kinds that this cluster does not have."""

    def __init__(
        self, kube: Kube, store: Store, told: Told, *, metrics: Metrics, namespaces: Sequence[str] = ()
    ) -> None:
        self._kube = kube
        self._store = store
        self._told = told
        self._metrics = metrics
        self._namespaces: Sequence[str | None] = tuple(namespaces) or (None,)
        self.missing: frozenset[str] = frozenset()

    async def fill(self, kinds: Iterable[str] = WATCHED) -> None:
        """Read everything once, so that the first pass sees all there is. Raises ApiError."""
        found = await asyncio.gather(*(self._fill(kind) for kind in kinds))
        self._note_missing(kind for kind, there in zip(kinds, found, strict=True) if not there)

    async def _fill(self, kind: str) -> bool:
        try:
            for namespace in self._namespaces:
                selector = selector_of(kind)
                async for page in self._kube.pages(kind, namespace=namespace, label_selector=selector):
                    for obj in page:
                        self._store.put(kind, _named(obj, kind))
        except NotFound:
            return False
        return True

    async def keep(self, every_s: float) -> None:
        """Sweep soon after the start, then every `every_s` seconds, until cancelled."""
        pause = FIRST_S
        while True:
            await asyncio.sleep(pause)  # noqa: TID251 - what no event reports is looked for by the clock
            await self.sweep()
            pause = every_s

    async def sweep(self, kinds: Iterable[str] = WATCHED) -> None:
        """Compare each kind with a metadata-only listing; remove ghosts, fetch what is missing or differs."""
        missing = set()
        for kind in kinds:
            try:
                await self._sweep(kind)
            except NotFound:
                missing.add(kind)
            except ApiError as error:
                _log.warning("relist failed", kind=kind, error=type(error).__name__, message=error.message)
        self._note_missing(missing)

    async def _sweep(self, kind: str) -> None:
        known = self._store.versions(kind)
        listed: dict[Place, tuple[str, str]] = {}
        for namespace in self._namespaces:
            selector = selector_of(kind)
            async for page in self._kube.pages(
                kind, namespace=namespace, label_selector=selector, metadata_only=True
            ):
                for obj in page:
                    meta = obj["metadata"]
                    place = (meta.get("namespace") or "", meta["name"])
                    listed[place] = (meta["uid"], meta["resourceVersion"])
        # What was known before the listing began and is not in it is gone: a listing is never stale.
        ghosts = [(place, uid) for place, (uid, _) in known.items() if listed.get(place, ("",))[0] != uid]
        for (namespace_, name), uid in ghosts:
            change = self._store.remove_uid(kind, namespace_, name, uid=uid)
            if change is not None:
                self._told(kind, change)
        # What the watch brought since we began is newer than the listing, or will soon be: no drift.
        drifted = [
            place
            for place, version in listed.items()
            if known.get(place) != version and self._store.version(kind, place) == known.get(place)
        ]
        for place in drifted:
            await self._refresh(kind, place, known.get(place))
        if ghosts or drifted:
            _log.info("relisted", kind=kind, ghosts=len(ghosts), refreshed=len(drifted))

    async def _refresh(self, kind: str, place: Place, known: tuple[str, str] | None) -> None:
        """Read one object anew, unless the watch brought something since the sweep began."""
        obj = await self._kube.find(kind, *place)
        if obj is None or self._store.version(kind, place) != known:
            return
        change = self._store.put(kind, _named(obj, kind), force=True)
        if change is not None:
            self._told(kind, change)

    def _note_missing(self, kinds: Iterable[str]) -> None:
        now = frozenset(kinds)
        for kind in sorted(now - self.missing):
            _log.warning("kind is not installed: install its CRD", kind=kind)
        for kind in sorted(self.missing - now):
            _log.info("kind is installed now", kind=kind)
        self.missing = now
        for kind in WATCHED:
            self._metrics.missing.labels(kind).set(kind in now)


def _named(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    """Items of a list of a built-in kind come without apiVersion and kind, those of a watch with them."""
    return obj if "kind" in obj else {"apiVersion": named(kind).api_version, "kind": kind, **obj}
