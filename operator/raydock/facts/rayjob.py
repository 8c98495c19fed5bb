"""KubeRay's RayJob (ray.io/v1, KubeRay 1.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from raydock.facts import lenient
from raydock.facts.meta import Meta, meta
from raydock.facts.raycluster import Group, groups

_ENDED: Final = frozenset({"Complete", "Failed", "ValidationFailed"})


@dataclass(frozen=True, slots=True)
class RayJob:
    """One attempt of a BatchJob."""

    meta: Meta
    cluster_config: Mapping[str, Any]
    """spec.rayClusterSpec as stored."""
    groups: tuple[Group, ...]
    """Of cluster_config; the head first."""
    suspended: bool
    """spec.suspend."""
    ttl_s: int
    """spec.ttlSecondsAfterFinished."""
    job_id: str
    """Ray's submission id; empty until KubeRay chose one."""
    cluster: str
    """Name of the RayCluster; empty until KubeRay chose one."""
    job_status: str
    """Ray's: empty, `PENDING RUNNING STOPPED SUCCEEDED FAILED`."""
    deployment_status: str
    """KubeRay's: empty, `Initializing Running Complete Failed ValidationFailed Retrying Suspended …`."""
    reason: str
    """Why it failed: `SubmissionFailed AppFailed DeadlineExceeded …`."""
    message: str
    """Ray's last words; KubeRay renews it only when a state changes."""
    succeeded: int
    failed: int
    started: datetime | None
    ended: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether KubeRay will do nothing more for it."""
        return self.deployment_status in _ENDED


def ray_job(obj: Any) -> RayJob:
    """A ray.io/v1 RayJob."""
    spec, status = lenient.mapping(lenient.at(obj, "spec")), lenient.mapping(lenient.at(obj, "status"))
    config = lenient.mapping(spec.get("rayClusterSpec"))
    return RayJob(
        meta=meta(obj),
        cluster_config=config,
        groups=groups(config),
        suspended=spec.get("suspend") is True,
        ttl_s=lenient.number(spec.get("ttlSecondsAfterFinished")),
        job_id=lenient.text(status.get("jobId")),
        cluster=lenient.text(status.get("rayClusterName")),
        job_status=lenient.word(status.get("jobStatus")),
        deployment_status=lenient.word(status.get("jobDeploymentStatus")),
        reason=lenient.word(status.get("reason")),
        message=lenient.text(status.get("message")),
        succeeded=lenient.number(status.get("succeeded")),
        failed=lenient.number(status.get("failed")),
        started=lenient.when(status.get("startTime")),
        ended=lenient.when(status.get("endTime")),
    )
