"""How an output moves from one `_SUCCESS` to the next: decided once, carried out by anyone.

    OUTPUT/_SUCCESS                          wire.ledger.Success: what the output holds now
    OUTPUT/_staging/publish-<sum>.json       Decision: what follows the `_SUCCESS` with this SHA-256

A decision is made by exclusive create under the name of the `_SUCCESS` that it follows, so each `_SUCCESS`
has one successor, whoever makes it. No two are alike (each names another job), so a name never comes again,
and what follows from a decision can be done by anyone, also twice: copy the staged files to their final
names, replace exactly that `_SUCCESS`, remove what no `_SUCCESS` lists any more, take the decision away.

A decision counts if the `_SUCCESS` that it follows is still there after the decision was read: somebody who
slept may make one for a `_SUCCESS` that is gone, and nobody follows it. A file gets its final name only by a
decision that counts, and such a decision is always carried out. So a published file that is neither listed
nor in the decision for the present `_SUCCESS` belongs to a job that was published before, and can go. A job
whose uid `_SUCCESS` names, as its own or as an earlier one's, is published and decides no more.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from raydock.batch.storage import Storage
from raydock.errors import Retry, Terminal
from raydock.reasons import Reason
from raydock.wire.job import SaveMode
from raydock.wire.ledger import (
    EARLIER_MOST,
    ERRORS_DIR,
    RESULT_FILE,
    STAGING_DIR,
    SUCCESS_FILE,
    JobName,
    JobOutput,
    OutputFile,
    Success,
)
from raydock.wire.record import WireError, dumps, loads

FIRST: Final = "first"
"""In place of a sum: there was no `_SUCCESS`."""
DECISION: Final = re.compile(r"publish-(\w+)\.json")
PART: Final = re.compile(r"part-([0-9a-f]{8})-\d{5,}\.parquet")
"""A published file; the group is the start of the uid of the job that wrote it."""
TRIES: Final = 100
"""How often an output may move on while a job looks at it, before the attempt gives up."""


@dataclass(frozen=True)
class Decision:
    """What follows a `_SUCCESS`.

    `staged` are the new files' paths, first of `files`, then of `errors`, then of an action's `result`.
    """

    success: Success
    staged: tuple[str, ...]

    @property
    def final(self) -> tuple[str, ...]:
        """Where each of `staged` gets to."""
        files = (*self.success.files, *self.success.errors, *self.success.results)
        return tuple(file.path for file in files if file.job is None)


@dataclass(frozen=True)
class Standing:
    """An output at one moment."""

    success: Success | None
    version: str | None
    """The storage's name for this state of `_SUCCESS`."""
    slot: str
    """Path of the decision what follows."""


def following(success: Success, staged: Iterable[str], now: Success | None, mode: SaveMode) -> Decision:
    """The decision that `success` follows `now` in `mode`."""
    if now is None:
        return Decision(success, tuple(staged))
    earlier = (now.own, *now.earlier)[:EARLIER_MOST]
    success = replace(success, earlier=earlier)
    if mode is SaveMode.APPEND:
        files, errors = (_with_job(listed, now.job) for listed in (now.files, now.errors))
        result = next(iter(_with_job(now.results, now.job)), None)
        success = replace(
            success,
            files=(*success.files, *files),
            errors=(*success.errors, *errors),
            result=success.result or result,
        )
    return Decision(success, tuple(staged))


def uid_start(uid: str) -> str:
    """How a job's uid stands in the names of its files."""
    return uid[:8]


class Output:
    """An output's `_SUCCESS` and the decisions about it, as seen by `job`."""

    def __init__(self, storage: Storage, job: JobName, mode: SaveMode = SaveMode.ERROR) -> None:
        self._storage = storage
        self._job = job
        self._mode = mode

    def published(self) -> JobOutput | None:
        """What this job published. Writes nothing.

        Raises Terminal(OUTPUT_NOT_EMPTY) when another job did and must be left alone.
        """
        return self._mine(self.look())

    def look(self) -> Standing:
        """The output as it is. Writes nothing. Raises Terminal(OUTPUT_NOT_EMPTY) for others' `_SUCCESS`."""
        found = self._storage.read_version(SUCCESS_FILE)
        if found is None:
            return Standing(None, None, _slot(FIRST))
        content, version = found
        try:
            success = loads(Success, content)
        except WireError:
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                f"the output's {SUCCESS_FILE} was not written by raydock: give this job an empty output.uri",
            ) from None
        return Standing(success, version, _slot(hashlib.sha256(content).hexdigest()[:32]))

    def pending(self, now: Standing) -> Decision | None:
        """The decision that counts, if one is made and not carried out. Writes nothing."""
        content = self._storage.read(now.slot)
        return loads(Decision, content) if content is not None and self.is_at(now) else None

    def is_at(self, then: Standing) -> bool:
        """Whether the output is still as it was `then`."""
        return self.look().slot == then.slot

    def settled(self) -> Standing:
        """The output as it is, once a decision that was left half-way is carried out."""
        for _ in range(TRIES):
            now = self.look()
            decision = self.pending(now)
            if decision is not None:
                self._carry_out(decision, now)
            elif self.is_at(now):
                return now
        raise Retry(Reason.JOB_FAILED, "other jobs published to this output all the time")

    def publish(self, success: Success, staged: tuple[str, ...]) -> JobOutput:
        """Publish `success`, with the files `staged`. Repeatable by anyone, also half-way.

        Raises Terminal(OUTPUT_NOT_EMPTY) when another job published and must be left alone, Retry when staged
        files are gone.
        """
        for _ in range(TRIES):
            now = self.settled()
            mine = self._mine(now)
            if mine is not None:
                return mine
            decision = following(success, staged, now.success, self._mode)
            self._storage.create(now.slot, dumps(decision).encode())
            if not self.is_at(now):
                self._storage.remove(now.slot)  # carried out by another, or made too late to count
        raise Retry(Reason.JOB_FAILED, "other jobs published to this output all the time")

    def tidy(self, *, of_all: bool = False) -> list[str]:
        """Remove files that are part of the output no more, and decisions that are over; paths of the files.

        Only files whose names have the uid of a job that `_SUCCESS` names; `of_all`: of any job, for when
        none is running; and RESULT_FILE after a job that published one. What has no such name is never
        touched, nor anything where `_SUCCESS` is missing.
        """
        found = [*self._parts(""), *self._parts(ERRORS_DIR)]
        decisions = [name for name in self._storage.names(STAGING_DIR) if DECISION.fullmatch(name)]
        now = self.look()
        decision = self.pending(now)
        if now.success is None or not self.is_at(now):
            return []  # whoever moved it on tidies up too
        kept = now.success.paths | (decision.success.paths if decision else frozenset())
        known = {uid_start(one.job.uid) for one in (now.success.own, *now.success.earlier)}
        left = [path for path, uid in found if (of_all or uid in known) and path not in kept]
        if RESULT_FILE not in kept and any(one.result for one in now.success.earlier):
            # No action publishes to an output that has a `_SUCCESS`, so it cannot come again meanwhile.
            left += [name for name in self._storage.names("") if name == RESULT_FILE]
        self._storage.remove(*left)
        over = [path for path in (f"{STAGING_DIR}/{name}" for name in decisions) if path != now.slot]
        self._storage.remove(*over)
        if found:
            self._storage.remove_empty(ERRORS_DIR)
        self._storage.sweep()
        return left

    def _parts(self, folder: str) -> list[tuple[str, str]]:
        """Path and start of the job's uid of each published file in `folder`."""
        matches = [PART.fullmatch(name) for name in self._storage.names(folder)]
        return [(f"{folder}/{m[0]}".lstrip("/"), m[1]) for m in matches if m]

    def _mine(self, now: Standing) -> JobOutput | None:
        if now.success is None:
            return None
        mine = now.success.of(self._job.uid)
        if mine is None and self._mode is SaveMode.ERROR:
            job = now.success.job
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                f"the output holds the result of BatchJob {job.namespace}/{job.name}: "
                "give this job an empty output.uri, or write output.saveMode Overwrite or Append",
            )
        return mine

    def _carry_out(self, decision: Decision, now: Standing) -> None:
        try:
            self._storage.promote(zip(decision.staged, decision.final, strict=True))
        except FileNotFoundError:
            if self.is_at(now):
                self._give_up(decision, now)
            return
        content = dumps(decision.success).encode()
        if now.version is None:
            self._storage.create(SUCCESS_FILE, content)
        else:
            self._storage.replace(SUCCESS_FILE, content, now.version)
        if not self.is_at(now):
            self._storage.remove(now.slot)

    def _give_up(self, decision: Decision, now: Standing) -> None:
        """Nobody can carry it out: data that somebody removed by hand. Its job is not published by it."""
        listed = now.success.paths if now.success else frozenset()
        self._storage.remove(*(path for path in decision.final if path not in listed), now.slot)
        if decision.success.job.uid == self._job.uid:
            raise Retry(Reason.JOB_FAILED, "data files in the job's staging folder were removed while it ran")


def _slot(name: str) -> str:
    return f"{STAGING_DIR}/publish-{name}.json"


def _with_job(files: tuple[OutputFile, ...], job: JobName) -> tuple[OutputFile, ...]:
    return tuple(replace(file, job=file.job or job.uid) for file in files)
