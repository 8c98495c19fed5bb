"""Several batches in flight: output in the input's order, and one at a time where a worker died."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raydock.batch.care import Kind, Note, Try
from raydock.batch.loop import Loop
from raydock.batch.overlap import in_order
from raydock.batch.shards import Shard
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import JobConfig
from tests.unit.batch.test_care import Notes
from tests.unit.batch.test_worker import Died, config, deaths_until_the_end, failed_rows, module, output, run

__all__ = ["config", "module"]  # fixtures

MANY = 4


def meeting(batch: list[dict[str, Any]], met: threading.Barrier) -> list[dict[str, Any]]:
    """Comes back when as many calls are under way as `met` waits for."""
    met.wait(60)
    return [{"y": row["id"]} for row in batch]


@pytest.fixture
def many(config: JobConfig) -> JobConfig:
    """Eight batches in one shard, for MANY at once."""
    return replace(config, max_batch_rows=13, max_rows_per_file=1_000, concurrency=MANY, carry=("id",))


def in_threads(met: threading.Barrier) -> Callable[..., Any]:
    def predict(batch: list[dict[str, Any]]) -> Any:
        return meeting(batch, met)

    return predict


def yielding(met: threading.Barrier) -> Callable[..., Any]:
    def predict(batch: list[dict[str, Any]]) -> Iterator[Any]:
        for at, row in enumerate(meeting(batch, met)):
            yield [{"_row": at, **row}]

    return predict


def in_one_loop(met: threading.Barrier) -> Callable[..., Any]:
    full, here = asyncio.Event(), []

    async def predict(batch: list[dict[str, Any]]) -> Any:
        here.append(asyncio.get_running_loop())
        if len(here) >= met.parties:
            full.set()
        async with asyncio.timeout(60):
            await full.wait()
        assert len(set(here)) == 1
        return [{"y": row["id"]} for row in batch]

    return predict


def yielding_in_one_loop(met: threading.Barrier) -> Callable[..., Any]:
    wait = in_one_loop(met)

    async def predict(batch: list[dict[str, Any]]) -> AsyncIterator[Any]:
        for at, row in enumerate(await wait(batch)):
            yield [{"_row": at, **row}]

    return predict


@pytest.mark.parametrize("make", [in_threads, yielding, in_one_loop, yielding_in_one_loop])
def test_batches_meet_and_come_out_in_order(
    make: Callable[[threading.Barrier], Any], module: Any, many: JobConfig, tmp_path: Path
) -> None:
    module.predict = make(threading.Barrier(MANY))
    run(many, tmp_path)
    got = output(tmp_path)
    assert got["id"].to_pylist() == got["y"].to_pylist() == list(range(100))


def test_failed_rows_are_told_with_their_numbers(module: Any, many: JobConfig, tmp_path: Path) -> None:
    bad = {0, 14, 15, 99}

    def predict(batch: pa.Table) -> pa.Table:
        if found := bad & set(batch["id"].to_pylist()):
            raise ValueError(f"{min(found)}")
        return batch.select(["x"])

    module.predict = predict
    run(replace(many, max_failed_rows=4, retries_per_batch=0), tmp_path)
    assert output(tmp_path)["id"].to_pylist() == [n for n in range(100) if n not in bad]
    assert failed_rows(tmp_path)["row"].to_pylist() == sorted(bad)


def test_after_a_death_rows_are_singled_out_one_batch_at_a_time(
    module: Any, many: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fatal = {5, 44}
    threads: set[threading.Thread] = set()

    def predict(batch: pa.Table) -> pa.Table:
        threads.add(threading.current_thread())
        if fatal & set(batch["id"].to_pylist()):
            monkeypatch.setattr(Try, "_take_back", lambda *_: None)
            raise Died
        return batch.select(["x"])

    module.predict = predict
    many = replace(many, max_failed_rows=2)
    with pytest.raises(Died):
        run(many, tmp_path)
    assert threading.current_thread() not in threads
    threads.clear()
    monkeypatch.undo()
    deaths_until_the_end(many, tmp_path, monkeypatch)
    assert output(tmp_path)["id"].to_pylist() == [n for n in range(100) if n not in fatal]
    assert failed_rows(tmp_path)["error_type"].to_pylist() == ["WorkerDied"] * 2
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("at_once", [1, MANY])
def test_a_death_leaves_no_thread_to_the_collector(
    module: Any, many: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    before = set(threading.enumerate())

    def predict(batch: pa.Table) -> pa.Table:
        monkeypatch.setattr(Try, "_take_back", lambda *_: None)
        raise Died

    module.predict = predict
    with pytest.raises(Died) as caught:
        run(replace(many, concurrency=at_once), tmp_path)
    assert caught.tb is not None  # holds every frame, and the generators in them
    assert set(threading.enumerate()) == before


def a_try(notes: Notes, at_once: int) -> Try:
    shard = Shard(0, 8, ())
    return Try(notes, "tries", shard, "one", batch_rows=4, limit_s=9, proven=lambda: True, at_once=at_once)


def test_a_late_row_among_others_does_not_count_against_it() -> None:
    notes = Notes()
    with a_try(notes, MANY) as first:
        assert first.at_once == MANY
        first._late((3, 4))
        first._late((4, 8))
        left = [Note.of(name) for name in notes.there]
        assert [note.range for note in left if note.kind is Kind.LATE] == [(4, 8)]
    with a_try(notes, MANY) as careful:
        assert careful.at_once == 1
        careful._late((3, 4))
    assert (3, 4) in {note.range for note in map(Note.of, notes.there) if note.kind is Kind.LATE}


def test_what_is_raised_comes_at_its_turn() -> None:
    def work(item: int) -> list[int]:
        if item == 3:
            raise Terminal(Reason.INPUT_INVALID, "three")
        return [item] * item

    for at_once in (1, 2, 8):
        results = in_order(range(6), work, at_once)
        assert [list(next(results)[1]) for _ in range(3)] == [[], [1], [2, 2]]
        with pytest.raises(Terminal):
            next(results)


def test_no_more_than_asked_and_one_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(100):
            taken.append(n)
            yield n

    with_results = in_order(items(), lambda n: [n], MANY)
    assert next(with_results) == (0, [0])
    assert len(taken) == MANY + 1
    with_results.close()


def test_a_loop_outlives_what_leaves_the_process() -> None:
    loop = Loop()

    async def leave() -> None:
        raise SystemExit(3)

    async def stay() -> int:
        return 7

    with pytest.raises(SystemExit):
        loop.run(leave())
    assert loop.run(stay()) == 7


def test_a_loop_that_is_dropped_in_its_own_thread_is_closed() -> None:
    before = set(threading.enumerate())
    loops = [Loop()]
    (thread,) = set(threading.enumerate()) - before
    inner, is_done = loops[0]._loop, threading.Event()

    def drop() -> None:
        loops.clear()
        is_done.set()

    inner.call_soon_threadsafe(drop)
    assert is_done.wait(20)
    thread.join(20)
    assert inner.is_closed()
