"""A part of the output that is given up while a thread still writes to it."""

import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from raydock.batch import part
from raydock.batch.worker import _write


class Slow:
    """A file whose writes take a while; `said`: what was wrong meanwhile."""

    def __init__(self) -> None:
        self.is_written, self.given_up = threading.Event(), threading.Event()
        self.said: list[str] = []

    def write(self, data: Any, /) -> int:
        self.is_written.set()
        if self.given_up.wait(0.2):
            self.said.append("given up while it was written")
        return len(data)

    def close(self) -> None:
        self.said.append("closed")

    def abort(self) -> None:
        self.given_up.set()


def test_a_file_that_is_given_up_is_not_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "GROUP_ROWS", 1)
    file = Slow()

    def tables() -> Iterator[pa.Table]:
        yield pa.table({"n": [1]})
        assert file.is_written.wait(60)
        raise OSError("the input is gone")

    with pytest.raises(OSError, match="the input is gone"):
        _write(tables(), lambda: file)
    assert file.given_up.is_set()
    assert file.said == []
