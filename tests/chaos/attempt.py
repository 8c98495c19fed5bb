"""One attempt at a job: the driver's real entry point, in a process of its own.

Processes are forked from a server that has imported Ray: importing it takes longer than the jobs do here.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raydock.wire import last_report
from raydock.wire.job import ATTEMPT_ENV
from raydock.wire.progress import Failure
from tests.chaos.head import kill

FORKED: Final = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["raydock.batch.__main__", "raydock.batch.engine", "tests.chaos.inside"])
FEW_RETRIES: Final = 4
"""Of the driver at a store that is down: some two seconds, in place of minutes."""


@dataclass(frozen=True)
class Attempt:
    """A driver that was started."""

    number: int
    process: Any
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return bool(self.process.is_alive())

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return bool(self.process.exitcode == 0)

    @property
    def was_killed(self) -> bool:
        """Whether it ended by a signal."""
        return bool((self.process.exitcode or 0) < 0)

    def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        kill(self.process.pid)
        self.process.join()

    def failure(self) -> Failure | None:
        """What it said at its end."""
        report = last_report.find(self.log.read_text(errors="replace"))
        return report.failure if report else None


def start(number: int, claims: Path, address: str, variables: Mapping[str, str]) -> Attempt:
    """Attempt `number` at the job in `claims`, on the Ray at `address`."""
    log = claims / f"attempt-{number}-{len(list(claims.glob('attempt-*')))}.log"
    log.touch()
    environment = {**variables, "RAY_ADDRESS": address, ATTEMPT_ENV: str(number), "RAY_AUTH_MODE": "disabled"}
    process = FORKED.Process(target=_drive, args=(str(claims), str(log), environment), daemon=True)
    process.start()
    return Attempt(number, process, log)


def _drive(claims: str, log: str, environment: Mapping[str, str]) -> None:
    import ray  # noqa: PLC0415 - only here, and in the fork server: the harness itself is no driver

    from raydock.batch import __main__ as driver  # noqa: PLC0415
    from raydock.batch import object_storage  # noqa: PLC0415
    from tests.chaos import inside  # noqa: PLC0415

    os.environ.update(environment)  # noqa: TID251 - this process's own
    out = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    object_storage.MAX_RETRIES = FEW_RETRIES  # type: ignore[misc]  # in this process alone
    inside.arm(Path(claims) / "side", "driver")
    code = driver.main(f"{claims}/job.json", claims, "no-token")
    ray.shutdown()  # at exit, in a process that was not forked
    sys.exit(code)
