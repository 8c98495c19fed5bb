"""A directory replaces a file as if in one step, whoever is killed or sleeps between two system calls."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raydock.batch.storage import PosixStorage

CALLS = ("link", "rename", "unlink")
"""System calls after which others may see something new; before each, and each read, a process may stop."""


class Killed(BaseException):
    """The process is gone."""


class Writer:
    """Somebody who replaces what he saw of `x` by `text`, one call at a time."""

    def __init__(self, root: Path, text: str, *, sees: str | None = None) -> None:
        self.text, self.seen = text, sees
        self.result: bool | BaseException | None = None
        self._root, self._left, self._killed = root, 0, False
        self._turn, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._main, daemon=True)
        WRITERS[self._thread] = self
        self._thread.start()
        self._paused.acquire()

    def step(self) -> None:
        while self._left == 0 and not self._killed:
            self._paused.release()
            self._turn.acquire()
        if self._killed:
            raise Killed
        self._left -= 1

    def go(self, calls: int = 1_000) -> "Writer":
        if self.result is None:
            self._left = calls
            self._turn.release()
            self._paused.acquire()
        return self

    def kill(self) -> None:
        self._killed = True
        if self.result is None:
            self._turn.release()
        self._thread.join()

    def _main(self) -> None:
        storage = PosixStorage(str(self._root), "drafts")
        try:
            found = storage.read_version("x")
            assert found is not None
            self.seen = found[0].decode()
            self.result = storage.replace("x", self.text.encode(), found[1])
            storage.sweep()
        except BaseException as error:  # noqa: BLE001 - Killed is one
            self.result = error
        self._paused.release()


WRITERS: dict[threading.Thread, Writer] = {}


class Scene:
    """A directory with `x`, and what a reader finds in it after each call of anybody."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("drafts", "_staging"):
            (root / folder).mkdir(parents=True)
        (root / "x").write_text("zero")
        self.history = ["zero"]

    def look(self) -> None:
        now = (self.root / "x").read_bytes().decode()
        if now != self.history[-1]:
            self.history.append(now)

    def judge(self, *writers: Writer) -> None:
        """Each content follows the one that its writer saw, none came twice; who was told so was there."""
        assert len(self.history) == len(set(self.history)), self.history
        saw = {writer.text: writer.seen for writer in writers}
        for before, after in zip(self.history, self.history[1:], strict=False):
            assert saw[after] == before, self.history
        for writer in writers:
            assert isinstance(writer.result, bool | Killed), writer.result
            if writer.result is True:
                assert writer.text in self.history

    def assert_swept(self) -> None:
        assert list((self.root / "_staging").iterdir()) == []


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Scene]]:
    """Makes one; the calls of Writers wait for their turn."""
    count = iter(range(1_000_000))
    current: list[Scene] = []

    def stepped(call: Callable[..., Any]) -> Callable[..., Any]:
        def then(*args: Any, **kwargs: Any) -> Any:
            writer = WRITERS.get(threading.current_thread())
            if writer is None:
                return call(*args, **kwargs)
            writer.step()
            try:
                return call(*args, **kwargs)
            finally:
                current[-1].look()

        return then

    for name in CALLS:
        monkeypatch.setattr(os, name, stepped(getattr(os, name)))
    monkeypatch.setattr(PosixStorage, "read", stepped(PosixStorage.read))
    monkeypatch.setattr(os, "fsync", lambda _: None)

    def made() -> Scene:
        current.append(Scene(tmp_path / str(next(count))))
        return current[-1]

    yield made
    WRITERS.clear()


MOST = 40
"""Calls of one writer, and some more."""


def test_of_two_that_saw_the_same_one_replaces(scene: Callable[[], Scene]) -> None:
    for first in range(MOST):
        for second in range(first % 5, MOST, 5):
            here = scene()
            one, two = Writer(here.root, "one").go(first), Writer(here.root, "two").go(second)
            one.go()
            two.go()
            here.judge(one, two)
            assert len(here.history) > 1
            Writer(here.root, "last").go()
            here.assert_swept()


def test_one_that_sleeps_never_puts_the_old_over_the_new(scene: Callable[[], Scene]) -> None:
    for asleep in range(MOST):
        for third in range(asleep % 5, MOST, 5):
            here = scene()
            sleeper, two = Writer(here.root, "one").go(asleep), Writer(here.root, "two").go()
            three = Writer(here.root, "three").go(third)
            sleeper.go()
            three.go()
            here.judge(sleeper, two, three)
            Writer(here.root, "last").go()
            here.assert_swept()


def test_nobody_waits_for_one_that_was_killed(scene: Callable[[], Scene]) -> None:
    for killed_after in range(MOST):
        here = scene()
        dead = Writer(here.root, "one").go(killed_after)
        dead.kill()
        heirs = [Writer(here.root, text).go() for text in ("two", "three")]
        here.judge(dead, *heirs)
        assert heirs[-1].result is True
        here.assert_swept()


def test_a_plain_rename_would_be_found_out(
    scene: Callable[[], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exploration itself is tried, on what one would write first."""

    def compare_and_rename(storage: PosixStorage, path: str, content: bytes, version: str) -> bool:
        found = storage.read_version(path)
        if found is None or found[1] != version:
            return False
        draft = storage._draft("x")
        draft.write_bytes(content)
        draft.rename(storage._root / path)
        return True

    monkeypatch.setattr(PosixStorage, "replace", compare_and_rename)
    with pytest.raises((AssertionError, KeyError)):
        test_one_that_sleeps_never_puts_the_old_over_the_new(scene)
