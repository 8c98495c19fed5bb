"""The models that one replica holds: a bounded number, loaded once for all who ask, none taken in use."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from raydock.sdk.plugins.serving.failures import Failure

M = TypeVar("M")
MakeRoom = Callable[[], Awaitable[None]]
Load = Callable[[MakeRoom], Awaitable[M]]
"""Loads a model. It awaits what it is given before the model takes memory; until then others stay."""


@dataclass(frozen=True)
class Key:
    """Which model: tokens are no part of it, so that users share one."""

    tenant: str | None
    model: str
    version: str
    """Of the artifact."""


class _Entry(Generic[M]):
    def __init__(self) -> None:
        self.loading: asyncio.Task[M]
        self.has_room = False
        self.users = 0

    @property
    def is_idle(self) -> bool:
        """Whether it may go."""
        return self.users == 0 and self.loading.done()


class Use(Generic[M]):
    """One user's hold on a model."""

    def __init__(self, model: M, entry: _Entry[M]) -> None:
        self.model = model
        self._entry: _Entry[M] | None = entry

    def end(self) -> None:
        """Let it go; may be repeated."""
        if self._entry is not None:
            self._entry.users -= 1
            self._entry = None


class ModelCache(Generic[M]):
    """Least recently used models go first. All calls come from one event loop."""

    def __init__(
        self, most: int, unload: Callable[[M], Awaitable[None]], evicted: Callable[[], None]
    ) -> None:
        """`most`: models at a time. `unload`: takes one away, and does not raise; `evicted` counts them."""
        self._most = most
        self._unload = unload
        self._evicted = evicted
        self._entries: OrderedDict[Key, _Entry[M]] = OrderedDict()
        self._making_room = asyncio.Lock()
        self._closed = False

    async def use(self, key: Key, load: Load[M]) -> Use[M]:
        """The model of `key`, loaded by `load` if it is not there; it stays until the Use ends.

        Raises ModelLoadError(ModelCacheBusy) when all models are in use, and what `load` raises, to each of
        those who wait for it; nothing of a failed load is kept.
        """
        entry = self._entries.get(key) or self._begin(key, load)
        self._entries.move_to_end(key)
        entry.users += 1
        try:
            # One who goes away must not end the load that others wait for.
            model = await asyncio.shield(entry.loading)
        except BaseException:
            entry.users -= 1
            raise
        return Use(model, entry)

    async def close(self) -> None:
        """Take all models away, those that are being loaded too, once they are."""
        self._closed = True
        await asyncio.gather(*(entry.loading for entry in self._entries.values()), return_exceptions=True)
        while self._entries:
            _, entry = self._entries.popitem(last=False)
            await self._unload(entry.loading.result())

    def _begin(self, key: Key, load: Load[M]) -> _Entry[M]:
        busy = sum(not entry.is_idle for entry in self._entries.values())
        if self._closed or busy >= self._most:
            raise Failure.CACHE_BUSY.error("all models that this replica can hold are in use", key.model)
        entry: _Entry[M] = _Entry()
        # In a context of its own: the request that came first is no part of what others wait for.
        entry.loading = asyncio.get_running_loop().create_task(
            self._load(key, entry, load), context=Context()
        )
        entry.loading.add_done_callback(_seen)
        self._entries[key] = entry
        return entry

    async def _load(self, key: Key, entry: _Entry[M], load: Load[M]) -> M:
        try:
            return await load(lambda: self._make_room(key, entry))
        except BaseException:
            self._entries.pop(key, None)  # before those who wait learn of it
            raise

    async def _make_room(self, key: Key, entry: _Entry[M]) -> None:
        """Raises ModelLoadError when there is none."""
        async with self._making_room:  # what is being unloaded still takes its place
            while sum(other.has_room for other in self._entries.values()) >= self._most:
                idle = next((k for k, other in self._entries.items() if other.is_idle), None)
                if idle is None:
                    raise Failure.CACHE_BUSY.error(
                        "all models that this replica can hold are in use", key.model
                    )
                gone = self._entries.pop(idle)
                self._evicted()
                await self._unload(gone.loading.result())
            entry.has_room = True


def _seen(done: "asyncio.Task[M]") -> None:
    """An error is one even where all who waited have gone."""
    if not done.cancelled():
        done.exception()
