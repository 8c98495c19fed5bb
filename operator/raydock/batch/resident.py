"""`python -m raydock.batch.resident`: the entrypoint of a Ray cluster that may be kept for the next job.

The driver does one job after another, each as `python -m raydock.batch` does it, and asks the operator for
the next one. Between two it has a worker process started that waits with everything imported, so that a small
job begins at once; each job gets a fresh one, and meets nothing of the code of the job before it. The first
job that does not succeed ends the driver, and with it the cluster.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from raydock.batch.__main__ import attempt_at, stop
from raydock.models import console
from raydock.remote.lent import LentClient
from raydock.remote.operator import Unreachable
from raydock.wire.job import JobConfig
from raydock.wire.lent import OPERATOR_ENV, Lent
from raydock.wire.paths import CLAIMS_DIR, TOKEN_FILE

AGAIN_S: Final = 1.0
"""Between two tries while no operator answers."""
FORSAKEN_S: Final = 600.0
"""Without an answer from any operator: longer than one is away while it is upgraded. Then the driver ends,
and KubeRay takes the cluster away, though nobody is there to ask for it."""

log = logging.getLogger("raydock.batch")


def main(claims_dir: str = CLAIMS_DIR, token_file: str = TOKEN_FILE) -> int:
    """Do jobs until one fails, or nobody has any more; the exit code."""
    signal.signal(signal.SIGTERM, stop)
    client = LentClient(os.environ[OPERATOR_ENV], token_file)  # noqa: TID251 - a Ray driver has no settings.py
    worker: Any = None
    while True:
        lent = next_job(client.ask)
        if lent is None:
            return 0
        code = attempt_at(lent.config, lent.attempt, claims_dir, token_file, worker)
        if code:
            return code
        worker = _anew(worker, lent.config)


def next_job(
    ask: Callable[[], Lent | None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Lent | None:
    """The job that the cluster is lent to next; None once no operator has answered for FORSAKEN_S seconds."""
    answered = clock()
    while clock() - answered < FORSAKEN_S:
        try:
            lent = ask()
        except Unreachable as exc:
            log.warning("no job yet: the operator was not reached (%s)", exc)
            pause(AGAIN_S)
            continue
        if lent is not None:
            return lent
        answered = clock()
    return None


def _anew(worker: Any, config: JobConfig) -> Any:
    """A fresh worker in place of `worker`, of the size that jobs of this cluster have."""
    from raydock.batch import engine  # noqa: PLC0415 - seconds of imports, for which the first job need not wait

    console.install("idle", "driver")
    if worker is not None:
        engine.dismiss(worker)
    return engine.standby(config.worker_cpus, config.worker_gpus)


if __name__ == "__main__":
    sys.exit(main())
