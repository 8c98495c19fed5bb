"""`python -m raydock.batch`: the entrypoint of a BatchJob's RayJob.

Exit code 0 after a success that the operator knows of, else 1. How it ended goes to the operator as the last
report and, as one marked line at the end of the log, into the Ray job's message: a failure, whether another
attempt may help, and a success that nobody took the report of.
"""

import itertools
import logging
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from raydock.batch import driver, plan
from raydock.batch.ledger import Ledger
from raydock.batch.outputs import refusing, storage_at
from raydock.batch.owner import Owner
from raydock.batch.report import Counts, Reporter
from raydock.batch.storage import drafts_dir
from raydock.batch.worker import Setting
from raydock.errors import Stopped, Terminal, Unfinished
from raydock.models import console
from raydock.models.entry import cut_traceback
from raydock.reasons import Reason
from raydock.remote.progress import ProgressClient
from raydock.wire import last_report
from raydock.wire.job import ATTEMPT_ENV, JobConfig, SaveMode
from raydock.wire.ledger import JobName, JobOutput
from raydock.wire.paths import CLAIMS_DIR, JOB_FILE, TOKEN_FILE
from raydock.wire.progress import Failure, Output
from raydock.wire.record import loads

if TYPE_CHECKING:
    from raydock.sdk.loggers.entry import ProgressData

log = logging.getLogger("raydock.batch")


def main(job_file: str = JOB_FILE, claims_dir: str = CLAIMS_DIR, token_file: str = TOKEN_FILE) -> int:
    """Run one attempt at the job of `job_file`; the exit code."""
    config = loads(JobConfig, Path(job_file).read_bytes())
    return attempt_at(config, int(os.getenv(ATTEMPT_ENV, "1")), claims_dir, token_file)


def attempt_at(
    config: JobConfig,
    attempt: int,
    claims_dir: str = CLAIMS_DIR,
    token_file: str = TOKEN_FILE,
    standby: Any = None,
) -> int:
    """Run one attempt at the job of `config`; the exit code. `standby`: see raydock.batch.engine.run."""
    console.install(config.name, "driver")
    # Only where the console made no handler: outside a pod, as in tests.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
    signal.signal(signal.SIGTERM, stop)
    client = ProgressClient(config.report_url, token_file) if config.report_url else None
    reporter = Reporter(client, log.warning)
    counts = Counts(config, attempt)
    failure: Failure | None = None
    try:
        if config.action is not None:
            counts.acted(act(config, attempt, claims_dir, counts, reporter))
            log.info("the action ended")
        else:
            published = run(config, attempt, claims_dir, counts, reporter, standby)
            counts.succeeded(config.output_uri, published)
            log.info("published %s rows to %s", published.rows, config.output_uri)
    except Unfinished as exc:
        failure = Failure(exc.reason.value, exc.message, final=isinstance(exc, Terminal))
    except Exception as exc:
        log.exception("the driver failed")
        failure = Failure(Reason.JOB_FAILED.value, f"the driver failed:\n{cut_traceback(exc)}")
    if failure is not None:
        counts.failed(failure)
        log.error("%s: %s", failure.reason, failure.message)
    taken = reporter.tell_last(counts.report)
    if failure is None and taken:
        return 0
    if not taken:
        log.warning("the operator did not take the last report: it finds it as the end of this log")
    # Last, and again after all else: Ray keeps the end of the log only, and only that of a job that fails.
    sys.stdout.write(last_report.line(counts.report) + "\n")
    sys.stdout.flush()
    return 1


def run(
    config: JobConfig,
    attempt: int,
    claims_dir: str,
    counts: Counts,
    reporter: Reporter,
    standby: Any = None,
) -> JobOutput:
    """What the job of `config` published. Raises Unfinished."""
    with refusing():
        return _run(config, attempt, claims_dir, counts, reporter, standby)


def act(config: JobConfig, attempt: int, claims_dir: str, counts: Counts, reporter: Reporter) -> Output:
    """What the action of `config` published. Raises Unfinished."""
    from raydock.batch import action  # noqa: PLC0415 - a job over rows needs nothing of the action SDK

    def tell(told: "ProgressData") -> None:
        counts.acts(told.step or "", told.overall)
        reporter.tell(counts.report)

    with refusing():
        return action.run(config, attempt, claims_dir, tell)


def _run(
    config: JobConfig, attempt: int, claims_dir: str, counts: Counts, reporter: Reporter, standby: Any
) -> JobOutput:
    job = JobName(config.namespace, config.name, config.uid)
    storage = storage_at(config.output_uri, drafts_dir(config.uid), claims_dir)
    owner = Owner(storage, job, time.sleep)

    def shards(made: plan.Plan, missing: Any) -> Any:
        from raydock.batch import engine  # noqa: PLC0415 - seconds of imports that a refused job need not wait for

        log.info("%s rows in %s shards, %s of them to do", made.rows, len(made.shards), len(missing))
        rows = (0, *itertools.accumulate(shard.rows for shard in made.shards))
        setting = Setting(
            config,
            attempt,
            made.columns,
            claims_dir,
            storage,
            made.schema,
            first_rows=rows,
            run=secrets.token_hex(4),
        )
        return engine.run(setting, missing, standby)

    steps = driver.Steps(
        propose_plan=lambda: plan.make(config, claims_dir, storage),
        check_plan=lambda made: plan.refuse_changed_files(made, claims_dir),
        run=shards,
        tell=reporter.tell,
    )
    try:
        return driver.run(Ledger(storage, job, SaveMode(config.save_mode)), owner, counts, steps)
    except (Terminal, SystemExit):
        owner.release()
        raise


def stop(*_: object) -> NoReturn:
    """On SIGTERM: end as if by it, past all `except Exception`."""
    raise Stopped(143)


if __name__ == "__main__":
    sys.exit(main())
