"""Drivers of kept Ray clusters that ask for a job just now."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Idle:
    """By the uid of their RayJob. In the leader's memory: a new leader is asked again within seconds."""

    def __init__(self) -> None:
        self._asking: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def asks(self, uid: str) -> bool:
        """Whether the driver of this RayJob waits for a job: it has none, and lives."""
        return uid in self._asking

    @contextmanager
    def asking(self, uid: str) -> Iterator[asyncio.Event]:
        """The driver asks while the context is open; the event is set by `call`."""
        called = asyncio.Event()
        self._asking[uid].add(called)
        try:
            yield called
        finally:
            self._asking[uid].discard(called)
            if not self._asking[uid]:
                del self._asking[uid]

    def call(self, uid: str) -> None:
        """There may be a job for it."""
        for called in self._asking.get(uid, ()):
            called.set()
