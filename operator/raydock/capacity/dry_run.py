"""Somebody else's question, counted like one of our own, with nothing reserved."""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from raydock.capacity.check import check
from raydock.capacity.demand import Demand, Owner, PodShape
from raydock.capacity.seen import Growth, Seen
from raydock.capacity.verdict import Verdict
from raydock.facts.node import Node
from raydock.facts.room import Room
from raydock.wire.capacity import Answer, Question

GPU: Final = "nvidia.com/gpu"
"""What a GPU is called where no node has any."""
_NOBODY: Final = "dry-run"


def dry_run(
    question: Question, namespace: str, seen: Seen, at: datetime, growth: Growth | None = None
) -> Answer:
    """The gate's answer to `question` for pods in `namespace`: each replica is one pod.

    A question doesn't say whose GPUs it means: those of any one make will do.
    """
    verdicts = (check(_demand(question, namespace, gpu), seen, at, growth) for gpu in _gpus(seen.nodes))
    first = next(verdicts)
    return answer_of(first if first.allowed else next((v for v in verdicts if v.allowed), first))


def answer_of(verdict: Verdict) -> Answer:
    """A verdict as others read it."""
    return Answer(
        allowed=verdict.allowed,
        reasons=verdict.reasons,
        messages=(verdict.message,) if verdict.message else (),
        feasible_replicas=verdict.feasible_replicas,
    )


def _demand(question: Question, namespace: str, gpu: str) -> Demand:
    gpus = math.ceil(question.num_gpus)  # Kubernetes gives whole ones
    room = Room(math.ceil(question.num_cpus * 1000), question.memory_bytes or 0, {gpu: gpus} if gpus else {})
    return Demand(
        owner=Owner("", namespace, "", _NOBODY),
        shapes=(PodShape("replica", room, question.replicas),),
        way="create",
        replicas=question.replicas,
    )


def _gpus(nodes: Iterable[Node]) -> list[str]:
    names = {name for node in nodes for name in node.allocatable.extended if name.endswith("/gpu")}
    return sorted(names, key=lambda name: (name != GPU, name)) or [GPU]
