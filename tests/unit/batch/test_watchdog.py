"""A call that takes too long ends its process, whatever it does; one that comes back does not."""

import subprocess
import sys
import threading

import pytest

from raydock.batch.watchdog import EXIT_CODE, Range, Watchdog


def test_a_call_that_takes_too_long_is_told_and_ends_the_process() -> None:
    told: list[Range] = []
    codes: list[int] = []
    ended = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    with Watchdog(0.01, told.append, end) as dog:
        dog.begins((3, 9))
        assert ended.wait(60)
    assert (told, codes) == ([(3, 9)], [EXIT_CODE])


def test_the_process_ends_also_where_nothing_can_be_told() -> None:
    ended = threading.Event()

    def nothing(_: Range) -> None:
        raise OSError

    with Watchdog(0.01, nothing, lambda _: ended.set()) as dog:
        dog.begins((3, 9))
        assert ended.wait(60)


def test_calls_that_come_back_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = threading.Semaphore(0)
    now = [0.0]
    monkeypatch.setattr(Watchdog, "_put_backstop_off", lambda _: looks.release())
    told: list[Range] = []
    with Watchdog(10.0, told.append, lambda _: None, lambda: now[0]) as dog:
        dog._look_s = 0.001
        for _ in range(3):
            dog.begins((0, 1))
            now[0] += 9.0
            looks.acquire()
            looks.acquire()
            dog.ends((0, 1))
            now[0] += 90.0
            looks.acquire()
            looks.acquire()
    assert told == []


def test_of_several_calls_the_one_that_takes_too_long_is_told() -> None:
    told: list[Range] = []
    ended = threading.Event()
    now = [0.0]
    with Watchdog(10.0, told.append, lambda _: ended.set(), lambda: now[0]) as dog:
        dog._look_s = 0.001
        dog.begins((0, 4))
        now[0] = 5.0
        dog.begins((4, 8))
        dog.begins((8, 9))
        dog.ends((0, 4))
        now[0] = 12.0
        dog.begins((9, 12))
        dog.ends((8, 9))
        assert not ended.is_set()
        now[0] = 16.0
        assert ended.wait(60)
    assert told == [(4, 8)]


STUCK = """
import re
from raydock.batch import watchdog
watchdog.BACKSTOP_S = 0.1
with watchdog.Watchdog(0.1, print) as dog:
    dog.begins((0, 1))
    re.fullmatch("(a+)+b", "a" * 60)  # holds the interpreter's lock
"""


def test_native_code_that_holds_the_lock_is_ended_by_the_backstop() -> None:
    ended = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert b"Timeout" in ended.stderr
