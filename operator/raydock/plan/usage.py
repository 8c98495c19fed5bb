"""What a job used: requests of its pods, times the seconds that they ran.

A pod counts from when its kubelet took it until it was seen to end or to be deleted. Then its share goes into
the bank, which lies in the job's record. What vanished unseen, while no operator ran, is made up for by what
the status told last: the sum never falls.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

from raydock.api.base import GROUP
from raydock.api.batch_status import JobUsage
from raydock.facts.pod import Pod
from raydock.plan.meta import Manifest
from raydock.wire.record import dumps

USAGE_ANNOTATION: Final = f"{GROUP}/usage"
"""On the record: wire-form Bank."""
TOLD_EVERY_S: Final = 60
"""A sum that grows with the clock alone is told anew after so many seconds of the pods that run."""
_GIB: Final = 2**30


@dataclass(frozen=True)
class Bank:
    """What pods used that have ended."""

    cpu: int = 0
    """Millicores times seconds."""
    gpu: int = 0
    """Devices times seconds."""
    memory: int = 0
    """Bytes times seconds."""
    counted: tuple[str, ...] = ()
    """Uids of pods that are in the sums and were still there."""

    def plus(self, cpu: int, gpu: int, memory: int) -> "Bank":
        """With so much more in it."""
        return replace(self, cpu=self.cpu + cpu, gpu=self.gpu + gpu, memory=self.memory + memory)

    @property
    def sums(self) -> tuple[int, int, int]:
        """Without the pods."""
        return self.cpu, self.gpu, self.memory


NOTHING: Final = Bank()


class Tally(NamedTuple):
    """The sum now."""

    bank: Bank
    """What to keep: the same object as before when nothing came in."""
    used: JobUsage | None
    """None while no pod has run."""


def tally(bank: Bank, told: JobUsage | None, pods: Iterable[Pod], now: datetime) -> Tally:
    """The sum of all `pods` of the job and of those in the bank. `told`: by the status, before."""
    there = [pod for pod in pods if pod.started is not None]
    over = [pod for pod in there if _is_over(pod) and pod.uid not in bank.counted]
    running = [pod for pod in there if not _is_over(pod)]
    new = bank
    for pod in over:
        new = new.plus(*_share(pod, now))
    sums = new
    for pod in running:
        sums = sums.plus(*_share(pod, now))
    unseen = _unseen(told, sums)
    new, sums = new.plus(*unseen), sums.plus(*unseen)
    if new.sums == bank.sums:
        new = bank
    else:
        still = {pod.uid for pod in there if _is_over(pod)}
        new = replace(new, counted=tuple(sorted(still)))
    return Tally(new, _usage(sums) if any(sums.sums) else None)


def may_wait(told: JobUsage | None, used: JobUsage | None, pods: Iterable[Pod]) -> bool:
    """Whether less than TOLD_EVERY_S seconds of what runs have come in since `told` was told."""
    if told is None or used is None:
        return told == used
    running = [pod for pod in pods if pod.started is not None and not _is_over(pod)]
    rates = (
        sum(pod.requests.cpu_m for pod in running) / 1000,
        sum(_gpus(pod) for pod in running),
        sum(pod.requests.memory for pod in running) / _GIB,
    )
    more = (
        used.cpu_seconds - told.cpu_seconds,
        used.gpu_seconds - told.gpu_seconds,
        used.memory_gib_seconds - told.memory_gib_seconds,
    )
    return any(rates) and all(m < rate * TOLD_EVERY_S for m, rate in zip(more, rates, strict=True) if rate)


def kept(bank: Bank, patch: Manifest | None) -> Manifest:
    """Merge patch of the record, with what else is in `patch`."""
    others = patch["metadata"]["annotations"] if patch else {}
    return {"metadata": {"annotations": {**others, USAGE_ANNOTATION: dumps(bank)}}}


def _is_over(pod: Pod) -> bool:
    return pod.deleting or pod.phase in {"Succeeded", "Failed"}


def _share(pod: Pod, now: datetime) -> tuple[int, int, int]:
    seconds = max(0, int((now - pod.started).total_seconds())) if pod.started else 0
    asked = pod.requests
    return asked.cpu_m * seconds, _gpus(pod) * seconds, asked.memory * seconds


def _gpus(pod: Pod) -> int:
    return sum(n for name, n in pod.requests.extended.items() if name.endswith("/gpu"))


def _unseen(told: JobUsage | None, sums: Bank) -> tuple[int, int, int]:
    """What the status told and `sums` lack."""
    if told is None:
        return 0, 0, 0
    return (
        max(0, told.cpu_seconds * 1000 - sums.cpu),
        max(0, told.gpu_seconds - sums.gpu),
        max(0, told.memory_gib_seconds * _GIB - sums.memory),
    )


def _usage(sums: Bank) -> JobUsage:
    return JobUsage(
        cpu_seconds=sums.cpu // 1000, gpu_seconds=sums.gpu, memory_gib_seconds=sums.memory // _GIB
    )
