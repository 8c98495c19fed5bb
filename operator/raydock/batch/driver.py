"""One attempt at a job, top to bottom. Safe to be killed anywhere, to run again, and to run twice at once."""

import contextlib
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from raydock.batch.failures import Overrun
from raydock.batch.ledger import Ledger
from raydock.batch.owner import BEAT_S, Owner
from raydock.batch.plan import Plan
from raydock.batch.report import Counts
from raydock.batch.shards import Shard
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.ledger import CommitRecord, JobOutput
from raydock.wire.progress import Report


@dataclass(frozen=True)
class Steps:
    """What the driver has done by others."""

    propose_plan: Callable[[], Plan]
    """Raises Terminal(INPUT_INVALID)."""
    check_plan: Callable[[Plan], None]
    """Raises Terminal(INPUT_CHANGED)."""
    run: Callable[[Plan, Sequence[Shard]], Generator[CommitRecord | Overrun | None]]
    """Commits the shards, or stops one with too many failed rows; None comes when a model is loaded. Closed,
    it commits no more."""
    tell: Callable[[Report], None]
    """Takes the report each time it changes."""


def run(ledger: Ledger, owner: Owner, counts: Counts, steps: Steps) -> JobOutput:
    """What this job published, now or in an earlier attempt. Raises Unfinished."""
    try:
        published = ledger.finished() or _run(ledger, owner, counts, steps)
    except Exception:
        # Another driver of this job may have come to the end meanwhile, and taken the staging folder away.
        finished = ledger.finished()
        if finished is None:
            raise
        published = finished
    owner.leave()
    ledger.clean()
    return published


def _run(ledger: Ledger, owner: Owner, counts: Counts, steps: Steps) -> JobOutput:
    ledger.refuse_foreign_files()
    known = ledger.plan()
    proposed = known or steps.propose_plan()
    if known is not None:
        steps.check_plan(known)
    ledger.open()
    owner.acquire()
    ledger.settle()
    ledger.refuse_foreign_files()
    published = ledger.finished()
    if published is not None:
        return published
    plan = ledger.agree(proposed)
    if plan != proposed:  # of another driver: it may be older than the files
        steps.check_plan(plan)
    committed = ledger.records()
    counts.planned(plan.rows, len(plan.shards), list(committed.values()))
    steps.tell(counts.report)
    counts.refuse_too_many_failed()
    missing = [shard for shard in plan.shards if shard.index not in committed]
    with Beating(owner) as beating, contextlib.closing(steps.run(plan, missing)) as events:
        for event in events:
            beating.refuse_lost_output()
            match event:
                case None:
                    counts.loaded()
                case Overrun():
                    counts.overran(event)
                case _:
                    counts.committed(event)
            steps.tell(counts.report)
            counts.refuse_too_many_failed()
        beating.refuse_lost_output()
        counts.publishing()
        steps.tell(counts.report)
        return ledger.publish(plan, _now)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")  # noqa: TID251 - the one clock here


class Beating:
    """Shows from a thread that the job lives, as long as the block lasts."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="owner", daemon=True)
        self._lost = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # A store that checks its conditions a moment before it writes would bring back by a beat what the
        # end of the job takes away.
        self._thread.join()

    def refuse_lost_output(self) -> None:
        """Raises Terminal(OUTPUT_NOT_EMPTY) when another job took the output over."""
        if self._lost:
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                "another job took this output over while this one did not run: give it another output.uri",
            )

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self._lost = not self._owner.beat()
            except OSError:
                continue  # a storage that stalls now may answer at the next beat
