"""Ray Data as the engine: it places workers, hands out shard descriptors, and replaces workers that die.

A single shard needs no placing: it goes to an actor past Ray Data, which is a second of imports in the driver
and another one in the worker. What goes through either is one small row for a shard: no row of the input or
output crosses the object store.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Final

import ray

from raydock.batch.failures import Overrun
from raydock.batch.shards import Shard
from raydock.batch.worker import LOAD, Outcome, Setting, Worker
from raydock.errors import Retry, Terminal
from raydock.reasons import Reason
from raydock.wire.job import WORKER_RESOURCE
from raydock.wire.ledger import CommitRecord
from raydock.wire.record import dumps, loads

WORKER_RESTARTS: Final = 1000
"""How often a worker that died is started again: a row that kills it is singled out over a dozen deaths.
What ends a shard that kills every worker is raydock.batch.care; this ends workers that die at their start."""
_REASONS: Final = {reason.value: reason for reason in Reason}
MODEL_LOADED: Final = None
"""Comes before the first record: a worker holds the model."""
AT_STANDBY: Final = 2
"""Shards that wait at a standby worker: it need not wait for the driver between two."""

READER: Final = "iter_threaded"
"""Name of the thread in which Ray Data reads outcomes. It outlives their iterator by a tenth of a second, and
what it then lets go of ends a process that has left Ray, with exit code 1 whatever its own was."""
READER_ENDS_S: Final = 5.0

Event = CommitRecord | Overrun | None


def run(setting: Setting, shards: Sequence[Shard], standby: Any = None) -> Generator[Event]:
    """Commit `shards`; yields each one's record as it comes, or its Overrun, and MODEL_LOADED once.

    `standby`: what `standby` gave, a worker that waits already and does all of them; None: there is none.
    Close it: then no worker goes on. Raises Terminal or Retry with what a worker said, Retry(JOB_FAILED) when
    workers die.
    """
    if not shards:
        return
    connect()
    if standby is not None:
        outcomes = _by_standby(setting, shards, standby)
    elif len(shards) == 1:
        outcomes = _by_one_worker(setting, shards)
    else:
        outcomes = _by_ray_data(setting, shards)
    try:
        with contextlib.closing(outcomes):
            for text in outcomes:
                yield _event(loads(Outcome, text))
    except ray.exceptions.RayError as exc:
        raise Retry(Reason.JOB_FAILED, f"a worker of the job died: {_first_line(exc)}") from exc


def standby(worker_cpus: float, worker_gpus: float) -> Any:
    """An actor's handle: a worker process that waits for its one job with all imported but the user's code.

    It takes the place of the worker that Ray Data would start, a process with seconds of imports before it.
    """
    connect()
    actor = ray.remote(Standby).options(
        num_cpus=worker_cpus,
        num_gpus=worker_gpus or None,
        resources={WORKER_RESOURCE: 1},
        max_restarts=WORKER_RESTARTS,
        max_task_retries=-1,
    )
    return actor.remote()


def dismiss(worker: Any) -> None:
    """End what `standby` gave: what a job's code left in its process is no other job's."""
    ray.kill(worker)


class Standby:
    """The worker of one job, that gets to know it with its first shard."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def outcome(self, setting: Setting, descriptor: str) -> str:
        """One Outcome as JSON, of one plan.Shard as JSON. `setting`: the same each time."""
        if self._worker is None:
            self._worker = Worker(setting)
        return str(self._worker({"shard": [descriptor]})["outcome"][0])


def _by_standby(setting: Setting, shards: Sequence[Shard], worker: Any) -> Generator[str]:
    shared, waiting = ray.put(setting), deque[Any]()
    for shard in (LOAD, *shards):
        waiting.append(worker.outcome.remote(shared, dumps(shard)))
        if len(waiting) > AT_STANDBY:
            yield ray.get(waiting.popleft())
    while waiting:
        yield ray.get(waiting.popleft())


def _by_one_worker(setting: Setting, shards: Sequence[Shard]) -> Generator[str]:
    worker = standby(setting.config.worker_cpus, setting.config.worker_gpus)
    try:
        yield from _by_standby(setting, shards, worker)
    finally:
        dismiss(worker)  # its place is the next worker's, where the cluster is kept


def _by_ray_data(setting: Setting, shards: Sequence[Shard]) -> Generator[str]:
    _quiet()
    rows = [{"shard": dumps(shard)} for shard in (LOAD, *shards)]
    outcomes = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Worker,
        batch_size=1,
        fn_constructor_args=(setting,),
        # Begins as soon as one worker is placed. How many there can be is decided by the pods that are there,
        # of which each holds one, so a raised workers.max takes effect while the job runs.
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=len(shards)),
        num_cpus=setting.config.worker_cpus,
        num_gpus=setting.config.worker_gpus or None,
        resources={WORKER_RESOURCE: 1},
        max_restarts=WORKER_RESTARTS,
        # A death counts for all shards that wait for this worker, too.
        max_task_retries=-1,
    )
    batches: Any = iter(outcomes.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    try:
        for batch in batches:
            yield from batch.column("outcome").to_pylist()
    finally:
        with contextlib.suppress(ray.exceptions.RayError):  # of a cluster that is gone: that is told already
            batches.close()
        for thread in threading.enumerate():
            if thread.name == READER:
                thread.join(READER_ENDS_S)


def _event(outcome: Outcome) -> Event:
    if outcome.failure is not None:
        reason = _REASONS.get(outcome.failure.reason, Reason.JOB_FAILED)
        raise (Terminal if outcome.failure.final else Retry)(reason, outcome.failure.message)
    return outcome.record or outcome.overrun


def connect() -> None:
    """Join the job's cluster."""
    if not ray.is_initialized():
        ray.init(logging_level=logging.WARNING)


def _quiet() -> None:
    """No progress bars and no plan in the log: its end is what a user reads when the job failed."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A shard may take hours, and the job has a deadline of its own.
    context.execution_no_progress_timeout_s = -1
    context.wait_for_min_actors_s = -1
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def _first_line(exc: Any) -> str:
    return str(exc).strip().partition("\n")[0][:300]
