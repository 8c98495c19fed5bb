"""One run: attempts at a job, as KubeRay and the operator make them, while what was drawn goes wrong."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import pyarrow.parquet as pq

from raydock.batch.storage import Storage
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import STAGING_DIR
from raydock.wire.record import dumps
from tests.chaos import attempt, check, earlier, inside, places
from tests.chaos.attempt import Attempt
from tests.chaos.head import Head, kill
from tests.chaos.places import Output
from tests.chaos.proxy import Proxy
from tests.chaos.scenario import Deed, Mishap, Scenario
from tests.kit.object_store import Server

LOOK_S: Final = 0.02
RUN_S: Final = 400.0
"""A run that takes longer hangs."""
SETTLE_S: Final = 15.0
"""For what outlives a driver for a moment: its workers."""
LASTING: Final = frozenset({Deed.FULL, Deed.DOWN})
LASTING_S: Final = 20.0
"""At most: workers wait for their store much longer than a driver does here."""
SLEEP_S: Final = 60.0
"""At most: the successor may need the workers that the sleeper has."""
FAULTS: Final = frozenset({Deed.REFUSE, Deed.PARTIAL, Deed.LOST, Deed.FULL, Deed.DOWN})
"""What an attempt may fail of. Slow storage is none, nor are kills: of those it dies, or goes on."""


@dataclass(frozen=True)
class World:
    """What all runs share."""

    folder: Path
    head: Head
    server: Server
    proxy: Proxy


@dataclass(frozen=True)
class Told:
    """How a run went."""

    scenario: Scenario
    attempts: int
    came: tuple[Deed, ...]
    """What went wrong; a moment may never come, as one after the last publication."""
    predicted: int
    """Rows, those that were computed again included."""
    seconds: float
    wrong: tuple[str, ...]
    """Violations."""

    @property
    def recomputed(self) -> float:
        """Share of the good rows that was predicted more than once, or for nothing."""
        good = self.scenario.rows - len(self.scenario.bad)
        return self.predicted / good - 1


def run(scenario: Scenario, world: World) -> Told:
    """Run `scenario` and check what came of it."""
    began = time.monotonic()
    uid = f"{scenario.seed % 2**32:08x}-0000-4000-8000-000000000000"
    claims = world.folder / f"run-{scenario.seed}-{time.monotonic_ns()}"
    table = claims / "data" / "table"
    table.mkdir(parents=True)
    _write_input(scenario, table)
    inside.prepare(claims / "side", (mishap.moment for mishap in scenario.mishaps))
    with places.at(scenario.place, claims, world.server, world.proxy) as output:
        (claims / "job.json").write_text(dumps(_job(scenario, uid, output.uri, claims / "side")))
        whole = output.open("_staging/unused")
        if scenario.earlier_rows:
            home = f"{STAGING_DIR}/{earlier.JOB.uid}/drafts"
            earlier.publish(output.open(home), scenario.earlier_rows)
        going = _Going(scenario, world, claims, output, uid, whole)
        with check.Watcher(whole, uid) as watcher:
            try:
                going.to_the_end()
                wrong = going.settled(lambda: check.violations(whole, scenario, uid, watcher.seen))
            except _Over as over:
                wrong = [str(over)]
            finally:
                going.stop()
        wrong = [*watcher.wrong, *wrong]
    told = claims / "side" / "predicted"
    lines = told.read_text().splitlines() if told.exists() else []
    predicted = sum(int(line.split()[2]) for line in lines)
    seconds = time.monotonic() - began
    return Told(scenario, len(going.attempts), tuple(going.came), predicted, seconds, tuple(wrong))


class _Over(Exception):
    """The run cannot go on; the message is the violation."""


class _Going:
    """The attempts so far, and the mishaps that are still to come."""

    def __init__(
        self, scenario: Scenario, world: World, claims: Path, output: Output, uid: str, whole: Storage
    ) -> None:
        self._scenario, self._world, self._claims = scenario, world, claims
        self._output, self._whole = output, whole
        self._side, self._ledger = claims / "side", f"{STAGING_DIR}/{uid}/ledger"
        self._dice = Random(scenario.seed)
        self._pending = dict(enumerate(scenario.mishaps))
        self._lasting: dict[int, _Lasting] = {}
        self._asleep: dict[int, tuple[Attempt, float]] = {}
        """Moments at which a driver waits for the end of the one that was started after it."""
        self._judged = 0
        """Attempts that ended and were looked at."""
        self.attempts: list[Attempt] = []
        self.came: list[Deed] = []

    def to_the_end(self) -> None:
        """Attempt after attempt, until one succeeded and none runs. Raises _Over."""
        ends = time.monotonic() + RUN_S
        self._start(1)
        while True:
            if time.monotonic() > ends:
                raise _Over(f"it hangs: {self._last_words()}")
            for number, pid in self._due():
                self._act(number, self._pending.pop(number), pid)
            self._wake()
            self._mend_what_is_over()
            if not self._alive():
                if self._ended():
                    return
                self._start(self._next())
            time.sleep(LOOK_S)  # what is awaited lies in files and in processes

    def settled(self, look: Callable[[], Iterable[str]]) -> list[str]:
        """What `look` finds, once it finds nothing or what outlived the drivers had time to end."""
        ends = time.monotonic() + SETTLE_S
        while (wrong := list(look())) and time.monotonic() < ends:
            time.sleep(0.2)  # workers of a dead driver are ended by Ray, which tells nobody
        return wrong

    def stop(self) -> None:
        """End what still runs; nobody waits for the harness any more."""
        for number in range(len(self._scenario.mishaps)):
            inside.let_go(self._side, number)
        for one in self._alive():
            one.kill()
        self._output.mend()

    def _start(self, number: int) -> None:
        one = attempt.start(number, self._claims, self._world.head.address, self._output.variables)
        self.attempts.append(one)

    def _next(self) -> int:
        # A head that was killed may come back with the same attempt: KubeRay submits it again.
        again = self.came[-1:] == [Deed.KILL_HEAD] and self._dice.random() < 0.5
        return self.attempts[-1].number + (0 if again else 1)

    def _alive(self) -> list[Attempt]:
        return [one for one in self.attempts if one.alive]

    def _due(self) -> list[tuple[int, int | None]]:
        """Mishaps whose moment is here, and the pid of who waits there."""
        reached = inside.reached(self._side)
        by_commits = [number for number, mishap in self._pending.items() if not mishap.moment.step]
        commits = len(self._whole.names(self._ledger)) if by_commits else 0
        due: list[tuple[int, int | None]] = [(n, pid) for n, pid in reached.items() if n in self._pending]
        return due + [(n, None) for n in by_commits if commits >= self._pending[n].moment.nth]

    def _act(self, number: int, mishap: Mishap, pid: int | None) -> None:
        self.came.append(mishap.deed)
        match mishap.deed:
            case Deed.KILL_WORKER:
                victim = self._some_worker() if pid is None else pid
                if victim is not None:
                    kill(victim)
            case Deed.KILL_DRIVER:
                alive = self._alive()
                there = [one for one in alive if one.process.pid == pid]
                for one in there or self._dice.sample(alive, min(1, len(alive))):
                    one.kill()
            case Deed.KILL_HEAD:
                for one in self._alive():
                    one.kill()
                self._world.head.kill()
                self._world.head.start()
            case Deed.SECOND_DRIVER:
                self._start(self.attempts[-1].number + 1)
                if mishap.asleep:
                    self._asleep[number] = (self.attempts[-1], time.monotonic() + SLEEP_S)
                    return
            case _:
                self._output.spoil(number, mishap)
                if mishap.deed in LASTING:
                    self._lasting[number] = _Lasting(len(self.attempts) + mishap.times - 1)
        inside.let_go(self._side, number)

    def _some_worker(self) -> int | None:
        told = self._side / "predicted"
        lines = told.read_text().splitlines() if told.exists() else []
        pids = sorted({int(line.split()[0]) for line in lines})
        living = [pid for pid in pids if self._world.head.has(pid)]
        return self._dice.choice(living) if living else None

    def _wake(self) -> None:
        over = [n for n, (one, ends) in self._asleep.items() if not one.alive or time.monotonic() > ends]
        for number in over:
            del self._asleep[number]
            inside.let_go(self._side, number)

    def _mend_what_is_over(self) -> None:
        ended = len(self.attempts) - len(self._alive())
        over = [n for n, one in self._lasting.items() if ended >= one.attempts or time.monotonic() > one.ends]
        for number in over:
            del self._lasting[number]
        if over and not self._lasting:
            self._output.mend()

    def _ended(self) -> bool:
        """Whether the job succeeded. Raises _Over for an attempt that failed as it must not."""
        new, self._judged = self.attempts[self._judged :], len(self.attempts)
        for one in new:
            if not one.succeeded and not one.was_killed:
                self._judge(one)
        most = 2 + sum(mishap.times for mishap in self._scenario.mishaps)
        if len(self.attempts) > most:
            raise _Over(f"after {most} attempts it still fails: {self._last_words()}")
        return any(one.succeeded for one in new)

    def _judge(self, one: Attempt) -> None:
        failure = one.failure()
        if failure is None:
            raise _Over(f"attempt {one.number} ended without a word: {self._last_words()}")
        if failure.final:
            raise _Over(f"attempt {one.number} failed for good: {failure.reason}: {failure.message}")
        if not set(self.came) & FAULTS:
            raise _Over(f"attempt {one.number} failed without a fault: {failure.message}")

    def _last_words(self) -> str:
        return self.attempts[-1].log.read_text(errors="replace")[-600:]


@dataclass
class _Lasting:
    """A fault that stays until so many attempts have ended, or it took too long."""

    attempts: int
    ends: float = field(default_factory=lambda: time.monotonic() + LASTING_S)


def _job(scenario: Scenario, uid: str, output_uri: str, side: Path) -> JobConfig:
    return JobConfig(
        namespace="chaos",
        name=f"seed-{scenario.seed}",
        uid=uid,
        import_path="tests.chaos.model:predict",
        tables=TablesInput(("pvc://data/table/",)),
        output_uri=output_uri,
        params={"side": str(side), "bad": list(scenario.bad)},
        carry=("id",),
        max_batch_rows=scenario.batch_rows,
        max_rows_per_file=scenario.rows_per_shard,
        max_failed_rows=len(scenario.bad),
        retries_per_batch=0,
        workers_max=2,
        save_mode=scenario.save_mode.value,
    )


def _write_input(scenario: Scenario, folder: Path) -> None:
    rows = check.inputs(scenario)
    cuts = [scenario.rows * number // scenario.files for number in range(scenario.files + 1)]
    for number in range(scenario.files):
        part = rows.slice(cuts[number], cuts[number + 1] - cuts[number])
        pq.write_table(part, folder / f"{number}.parquet", row_group_size=5_000)
