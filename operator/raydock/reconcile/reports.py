"""The newest word of each batch driver, until it stands in the BatchJob's status."""

import asyncio
from dataclasses import dataclass, field

from raydock.wire.progress import Report


@dataclass
class _Job:
    newest: Report
    written: Report | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Reports:
    """Reports by the uid of their BatchJob. In the leader's memory: a new leader is told again soon."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}

    def put(self, report: Report) -> bool:
        """Keep `report` if nothing newer is known; whether it was kept.

        An older attempt's driver may live on for half a minute beside its successor, and a report that
        was sent before the final one may arrive after it.
        """
        job = self._jobs.get(report.uid)
        if job is None:
            self._jobs[report.uid] = _Job(report)
            return True
        if report.attempt < job.newest.attempt:
            return False
        if report.attempt == job.newest.attempt and _final(job.newest) and not _final(report):
            return False
        job.newest = report
        return True

    def get(self, uid: str) -> Report | None:
        """The newest report about the job; None when there is none."""
        job = self._jobs.get(uid)
        return job.newest if job else None

    def written(self, uid: str, report: Report) -> None:
        """`report` stands in the job's status."""
        job = self._jobs.get(uid)
        if job is not None:
            job.written = report
            job.changed.set()
            job.changed = asyncio.Event()

    async def wait_written(self, uid: str, report: Report, timeout_s: float) -> bool:
        """Whether `report`, or what overtook it, stands in the job's status within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                job = self._jobs.get(uid)
                while job is not None:
                    # First: an ended job is forgotten as soon as its last report is written.
                    if job.written is not None and _covers(job.written, report):
                        return True
                    if self._jobs.get(uid) is not job:
                        return False
                    await job.changed.wait()
        except TimeoutError:
            return False
        return False

    def forget(self, uid: str) -> None:
        """The job ended and its last report is written, or it is gone."""
        job = self._jobs.pop(uid, None)
        if job is not None:
            job.changed.set()

    def forget_named(self, namespace: str, name: str) -> None:
        """As `forget`, for a job of which only the name is left."""
        named = [
            uid for uid, j in self._jobs.items() if (j.newest.namespace, j.newest.name) == (namespace, name)
        ]
        for uid in named:
            self.forget(uid)


def _final(report: Report) -> bool:
    return report.output is not None or report.failure is not None


def _covers(written: Report, report: Report) -> bool:
    """Whether who reads `written` has nothing more to learn from `report`."""
    if written.attempt != report.attempt:
        return written.attempt > report.attempt
    return written == report or (_final(written) and not _final(report))
