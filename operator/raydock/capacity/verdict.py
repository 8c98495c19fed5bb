"""The gate's answer."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from raydock.capacity.demand import PodShape
from raydock.reasons import Reason


class Code(StrEnum):
    """Why not (contracts/actions.md 8)."""

    CPU_INSUFFICIENT = "cpu_insufficient"
    MEMORY_INSUFFICIENT = "memory_insufficient"
    GPU_INSUFFICIENT = "gpu_insufficient"
    """No node has that many, used or not."""
    GPU_BUSY = "gpu_busy"
    """A node has as many, but others hold them."""
    UNSCHEDULABLE = "unschedulable"
    """Selectors, affinity, taints, cordons or the number of pods leave no node."""
    NO_NODES = "no_nodes"
    QUOTA_EXCEEDED = "quota_exceeded"
    """A ResourceQuota or LimitRange of the namespace."""
    REPLICA_LIMIT = "replica_limit"
    """More replicas than whoever asks may have; only agents say so."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a demand may go on, and what to tell its owner."""

    allowed: bool
    provider: str
    """`cluster`, `agent` or `none`."""
    reasons: tuple[str, ...] = ()
    """Values of Code, or an agent's own; empty when allowed, or when it is not the job's turn."""
    message: str = ""
    """One sentence for the user."""
    feasible_replicas: int | None = None
    """How many replicas of the asked kind would fit now; None: nobody counted, an agent need not say it."""
    requested: tuple[PodShape, ...] = ()
    checked_at: datetime | None = None
    """UTC; whoever asks says it."""
    provisioning: bool = False
    """Allowed although no node has the room yet: a node autoscaler adds nodes only for pods that exist."""
    unsettled: bool = False
    """Not allowed beside pods that were admitted before and still start: where they go may change it."""
    failed: bool = False
    """Not allowed since nobody could tell: the check itself failed."""
    queued: bool = False
    """Not allowed since jobs wait in line before this one, and it would delay one of them."""
    position: int | None = None
    """Where in line a job that is not allowed waits, from 1; None where it waits for no turn."""

    @property
    def reason(self) -> Reason:
        """Reason of the condition CapacityAvailable."""
        if self.failed:
            return Reason.CHECK_FAILED
        if self.queued:
            return Reason.QUEUED
        if not self.allowed:
            return Reason.INSUFFICIENT
        if self.provisioning:
            return Reason.PROVISIONING
        return Reason.GATE_OFF if self.provider == "none" else Reason.FITS
