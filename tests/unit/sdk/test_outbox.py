"""What waits for the backend: bounds of the queue and of a request, and what is due when."""

from typing import Any

import pytest

from raydock.sdk.loggers.outbox import QUEUE_MAX, REQUEST_MAX, Outbox, Pace

PACE = Pace(log_batch=200, log_s=2.0, snapshot_s=1.0)


def holding(entries: int, now_s: float = 0.0) -> Outbox:
    outbox = Outbox(PACE)
    for number in range(entries):
        outbox.put({"n": number}, now_s)
    return outbox


def batches(outbox: Outbox) -> list[list[Any]]:
    found = []
    while batch := outbox.take_batch():
        found.append([entry["n"] for entry in batch])
    return found


@pytest.mark.parametrize(
    ("entries", "now_s", "due_s"),
    [
        pytest.param(0, 9, None, id="nothing waits"),
        pytest.param(1, 0.5, 1.5, id="one waits for 2 s"),
        pytest.param(1, 2, 0, id="2 s are over"),
        pytest.param(199, 1, 1, id="199 entries wait"),
        pytest.param(200, 0, 0, id="200 do not"),
    ],
)
def test_logs_go_at_200_entries_or_after_2_s(entries: int, now_s: float, due_s: float | None) -> None:
    assert holding(entries).logs_due_s(now_s) == due_s


def test_a_full_queue_drops_the_oldest() -> None:
    outbox = holding(QUEUE_MAX + 3)
    assert (len(outbox.entries), outbox.entries[0]["n"], outbox.dropped) == (QUEUE_MAX, 3, 3)


def test_a_request_holds_a_thousand_entries_at_most() -> None:
    assert [len(batch) for batch in batches(holding(QUEUE_MAX))] == [REQUEST_MAX, REQUEST_MAX]


def test_an_entry_with_a_file_travels_alone() -> None:
    outbox = Outbox(PACE)
    for number, file in enumerate((None, None, "data:,", "data:,", None)):
        outbox.put({"n": number} | ({"file": file} if file else {}), 0)
    assert batches(outbox) == [[0, 1], [2], [3], [4]]


def test_what_did_not_go_out_is_the_oldest_again_and_waits() -> None:
    outbox = holding(300)
    batch = outbox.take_batch()
    outbox.put({"n": "new"}, 1)
    outbox.put_back(batch, 1)
    assert outbox.logs_due_s(1) == 2
    assert batches(outbox) == [[*range(300), "new"]]


@pytest.mark.parametrize(("asked_s", "due_s"), [(0, 2), (1, 2), (9, 9)])
def test_what_was_not_taken_waits_as_long_as_was_asked(asked_s: float, due_s: float) -> None:
    outbox = holding(300)
    outbox.put_back(outbox.take_batch(), 1, asked_s)
    assert outbox.logs_due_s(1) == due_s


def test_what_there_is_no_room_for_goes_the_oldest_first() -> None:
    outbox = holding(10)
    batch = outbox.take_batch()
    for number in range(10, 10 + QUEUE_MAX - 4):
        outbox.put({"n": number}, 0)
    outbox.put_back(batch, 0)
    assert (len(outbox.entries), outbox.entries[0]["n"], outbox.dropped) == (QUEUE_MAX, 6, 6)


def test_a_snapshot_goes_once_a_second() -> None:
    outbox = Outbox(PACE)
    assert outbox.snapshot_due_s(5) is None
    outbox.snapshot()
    assert outbox.snapshot_due_s(5) == 0
    outbox.take_snapshot(5)
    outbox.snapshot()
    assert outbox.snapshot_due_s(5.25) == 0.75
