"""What raydock notes on a RayService about itself: status can be lost, so what a later pass needs is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from raydock.api.base import GROUP
from raydock.plan.revision import Revision

REVISION_ANNOTATION: Final = f"{GROUP}/revision"
"""Revision.whole as it was applied. In status: what answers."""
APPLICATION_ANNOTATION: Final = f"{GROUP}/application-revision"
PODS_ANNOTATION: Final = f"{GROUP}/pods-revision"
CLUSTER_ANNOTATION: Final = f"{GROUP}/cluster-revision"
"""Which Ray cluster is meant; also on the pods' template, so that another value makes another cluster."""
REPLICAS_ANNOTATION: Final = f"{GROUP}/holds-replicas"
"""How many replicas the head pod is sized for; also on the pods' template."""
CODE_ANNOTATION: Final = f"{GROUP}/code"
"""Name of the copy of the code that its pods mount."""
ATTEMPT_ANNOTATION: Final = f"{GROUP}/rollout"
STARTED_ANNOTATION: Final = f"{GROUP}/rollout-started"
WAY_ANNOTATION: Final = f"{GROUP}/rollout-way"
WHY_ANNOTATION: Final = f"{GROUP}/rollout-why"
WHY_MAX: Final = 512
"""Characters of the explanation that are kept."""


class Way(StrEnum):
    """How a version is brought in."""

    CREATE = "create"
    IN_PLACE = "in place"
    ROLLING = "rolling"
    BLUE_GREEN = "blue/green"
    RECREATE = "recreate"
    BACK = "back"
    """To what served before: after a failure, or since the edit was taken back."""


_WAYS: Final[Mapping[str, Way]] = {way.value: way for way in Way}


@dataclass(frozen=True)
class Marks:
    """The notes on one RayService, or on the record of a former one."""

    revision: Revision
    cluster: str
    """Identity of the Ray cluster."""
    replicas: int
    """How many the head pod holds."""
    attempt: str = ""
    """Identity of the rollout: what was wanted, and from where."""
    started: str = ""
    """RFC 3339: when the rollout began."""
    way: Way = Way.CREATE
    why: str = ""
    code: str = ""
    """Name of the copy of the code; empty when it is in the image."""

    def annotations(self) -> dict[str, str]:
        """As they stand on the RayService."""
        found = {
            REVISION_ANNOTATION: self.revision.whole,
            APPLICATION_ANNOTATION: self.revision.application,
            PODS_ANNOTATION: self.revision.pods,
            CLUSTER_ANNOTATION: self.cluster,
            REPLICAS_ANNOTATION: str(self.replicas),
            ATTEMPT_ANNOTATION: self.attempt,
            STARTED_ANNOTATION: self.started,
            WAY_ANNOTATION: self.way.value,
        }
        more = {WHY_ANNOTATION: self.why[:WHY_MAX], CODE_ANNOTATION: self.code}
        return {**found, **{name: text for name, text in more.items() if text}}

    def on_pods(self) -> dict[str, str]:
        """As they stand on the pods' template: what other pods are needed for, and nothing else."""
        return {CLUSTER_ANNOTATION: self.cluster, REPLICAS_ANNOTATION: str(self.replicas)}

    def same_place(self, other: "Marks | None") -> bool:
        """Whether both speak of one version in one Ray cluster."""
        return (
            other is not None
            and self.revision.whole == other.revision.whole
            and self.cluster == other.cluster
        )


def marks(annotations: Mapping[str, str]) -> Marks:
    """The notes of a RayService or of its record; what is missing or unreadable matches nothing."""
    replicas = annotations.get(REPLICAS_ANNOTATION, "")
    way = annotations.get(WAY_ANNOTATION, "")
    return Marks(
        revision=Revision(
            pods=annotations.get(PODS_ANNOTATION, ""),
            application=annotations.get(APPLICATION_ANNOTATION, ""),
            whole=annotations.get(REVISION_ANNOTATION, ""),
        ),
        cluster=annotations.get(CLUSTER_ANNOTATION, ""),
        replicas=int(replicas) if replicas.isdigit() else 0,
        attempt=annotations.get(ATTEMPT_ANNOTATION, ""),
        started=annotations.get(STARTED_ANNOTATION, ""),
        way=_WAYS.get(way, Way.CREATE),
        why=annotations.get(WHY_ANNOTATION, ""),
        code=annotations.get(CODE_ANNOTATION, ""),
    )
