"""What happens in one run, drawn from its seed: a job, where it writes, and what goes wrong when.

Pure: the same seed is the same scenario, on any machine. A moment is a point in the job's own progress, not
of a clock, so that a seed repeats as far as processes can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from typing_extensions import override

from raydock.wire.job import SaveMode


class Place(StrEnum):
    """Where the output lies."""

    FOLDER = "folder"
    DISK = "disk"
    """A small file system of its own, which can be full."""
    BUCKET = "bucket"
    """A real S3 server behind a proxy that disturbs."""


class Deed(StrEnum):
    """What goes wrong."""

    KILL_WORKER = "kill worker"
    KILL_DRIVER = "kill driver"
    KILL_HEAD = "kill head"
    """All of Ray, and the drivers, as when the head pod dies."""
    KILL_OPERATOR = "kill operator"
    """On a node."""
    SECOND_DRIVER = "second driver"
    """The next attempt starts while the one before still runs."""
    SLOW = "slow"
    REFUSE = "refuse"
    """Operations fail before anything was done: 500 and 503, or EIO."""
    PARTIAL = "partial write"
    """Half of the bytes arrive."""
    LOST = "lost answer"
    """It was done, and told as failed, or not told at all."""
    FULL = "full disk"
    DOWN = "store down"
    """Nothing is answered until the attempt has failed."""


@dataclass(frozen=True)
class Moment:
    """The `nth` time that a `who` comes to storage operation or prediction `step`, before or after it.

    Without a step: when `nth` shards are committed, whoever does what meanwhile.
    """

    nth: int
    who: str = ""
    step: str = ""
    after: bool = False

    @override
    def __str__(self) -> str:
        if not self.step:
            return f"at {self.nth} commits"
        return f"{'after' if self.after else 'before'} {self.who}'s {self.step} {self.nth}"


@dataclass(frozen=True)
class Mishap:
    """One thing that goes wrong."""

    deed: Deed
    moment: Moment
    times: int = 1
    """Operations that a storage fault hits, or attempts that FULL and DOWN last."""
    delay_s: float = 0.0
    """Of each operation that is SLOW."""
    asleep: bool = False
    """The driver that comes to the moment sleeps there until the SECOND_DRIVER has ended."""

    @override
    def __str__(self) -> str:
        times = f" x{self.times}" if self.times > 1 else ""
        return f"{self.deed}{times} {self.moment}{', the first asleep' if self.asleep else ''}"


@dataclass(frozen=True)
class Scenario:
    """One run."""

    seed: int
    place: Place
    rows: int
    files: int
    """Of the input."""
    shards: int
    """About so many: each file is cut for itself."""
    batches_per_shard: int
    save_mode: SaveMode
    earlier_rows: int
    """Of another job's result that lies there; 0: the output is empty."""
    bad: tuple[int, ...]
    """Ids of rows that fail."""
    mishaps: tuple[Mishap, ...]

    @property
    def rows_per_shard(self) -> int:
        """At most."""
        return -(-self.rows // self.shards)

    @property
    def batch_rows(self) -> int:
        """Rows that predict() gets at once."""
        return -(-self.rows_per_shard // self.batches_per_shard)

    @override
    def __str__(self) -> str:
        job = f"{self.place} {self.save_mode}, {self.rows} rows in {self.shards} shards, {len(self.bad)} bad"
        return f"{job}: {'; '.join(str(mishap) for mishap in self.mishaps)}"


@dataclass(frozen=True)
class OnNode:
    """One run on a node, with the operator: a job of the quickstart, and what is killed when."""

    seed: int
    kills: tuple[tuple[Deed, float], ...]
    """What, and after which share of the shards is committed, in the order of the shares."""

    @override
    def __str__(self) -> str:
        return "; ".join(f"{deed} at {share:.0%}" for deed, share in self.kills)


PUBLISHING: Final = ("decide", "move", "success", "undecide", "clean")
BEGINNING: Final = ("plan", "owner")
DRIVER_STEPS: Final = (*BEGINNING, *PUBLISHING)
WORKER_STEPS: Final = ("open", "predict", "close", "commit")
EVERYWHERE: Final = {
    Deed.KILL_WORKER: 4,
    Deed.KILL_DRIVER: 5,
    Deed.KILL_HEAD: 2,
    Deed.SECOND_DRIVER: 4,
    Deed.SLOW: 2,
    Deed.REFUSE: 2,
    Deed.PARTIAL: 2,
    Deed.LOST: 2,
}
"""How often each is drawn, beside the others; a killed head costs a start of Ray."""
DEEDS: Final = {
    Place.FOLDER: EVERYWHERE,
    Place.DISK: {**EVERYWHERE, Deed.FULL: 12},
    Place.BUCKET: {**EVERYWHERE, Deed.DOWN: 2},
}

ON_NODE: Final = (Deed.KILL_WORKER, Deed.KILL_DRIVER, Deed.KILL_HEAD, Deed.KILL_OPERATOR)


def draw(seed: int) -> Scenario:
    """The scenario of `seed`."""
    random = Random(seed)
    place = random.choices([Place.FOLDER, Place.DISK, Place.BUCKET], [3, 2, 5])[0]
    rows, shards = random.randint(2_000, 50_000), random.randint(4, 16)
    mode = random.choice(list(SaveMode))
    bad = random.sample(range(rows), random.choice([0, 0, 1, 3]))
    return Scenario(
        seed=seed,
        place=place,
        rows=rows,
        files=random.randint(1, 3),
        shards=shards,
        batches_per_shard=random.randint(2, 6),
        save_mode=mode,
        earlier_rows=0 if mode is SaveMode.ERROR else random.choice([0, 500]),
        bad=tuple(sorted(bad)),
        mishaps=tuple(_mishap(random, place, shards) for _ in range(random.choices([1, 2, 3], [5, 3, 2])[0])),
    )


def draw_on_node(seed: int) -> OnNode:
    """What happens on a node for `seed`."""
    random = Random(seed)
    deeds = random.choices(ON_NODE, k=random.choice([1, 2]))
    shares = sorted(random.uniform(0.0, 0.95) for _ in deeds)
    return OnNode(seed, tuple(zip(deeds, shares, strict=True)))


def _mishap(random: Random, place: Place, shards: int) -> Mishap:
    weights = DEEDS[place]
    deed = random.choices(list(weights), list(weights.values()))[0]
    match deed:
        case Deed.KILL_WORKER:
            steps: Sequence[tuple[str, str]] = [("worker", step) for step in WORKER_STEPS]
        case Deed.SECOND_DRIVER:
            # From the beginning on, so that both compute, as often as at the end.
            steps = [("driver", step) for step in (*BEGINNING, *BEGINNING, *PUBLISHING)]
        case Deed.DOWN:
            # A worker whose store is gone waits for it longer than a test can.
            steps = [("driver", step) for step in DRIVER_STEPS]
        case _:
            steps = [("driver", step) for step in DRIVER_STEPS] + [("worker", step) for step in WORKER_STEPS]
    times = {Deed.DOWN: (1, 2), Deed.FULL: (1, 2)}.get(deed, (1, 4))
    fault = deed in {Deed.SLOW, Deed.REFUSE, Deed.PARTIAL, Deed.LOST, Deed.DOWN, Deed.FULL}
    moment = _moment(random, steps, shards, by_commits=deed is not Deed.DOWN)
    return Mishap(
        deed,
        moment,
        times=random.randint(*times) if fault else 1,
        delay_s=round(random.uniform(0.05, 0.8), 2) if deed is Deed.SLOW else 0.0,
        asleep=deed is Deed.SECOND_DRIVER and bool(moment.step) and random.random() < 0.5,
    )


def _moment(random: Random, steps: Sequence[tuple[str, str]], shards: int, *, by_commits: bool) -> Moment:
    if by_commits and random.random() < 0.3:
        return Moment(random.randint(1, shards - 1))
    who, step = random.choice(steps)
    # Two workers share the shards, and one may get the smaller part.
    most = {"worker": max(1, shards // 3), "driver": shards // 2 if step == "move" else 1}[who]
    return Moment(random.randint(1, most), who, step, after=random.random() < 0.5)
