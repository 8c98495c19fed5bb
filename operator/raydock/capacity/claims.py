"""How much room an object of KubeRay's stands for, to see when it stands for less."""

from collections.abc import Iterable
from typing import Any

from raydock.capacity.reservations import gives_up
from raydock.facts.raycluster import Group, ray_cluster
from raydock.facts.rayjob import ray_job
from raydock.facts.rayservice import ray_service
from raydock.facts.room import Room


def claim(kind: str, obj: Any) -> Room:
    """What all pods of a RayService, RayJob or RayCluster ask for; nothing when it will not start any."""
    match kind:
        case "RayService":
            service = ray_service(obj)
            over = service.meta.deleting or service.suspended or gives_up(service)
            return Room() if over else _sum(service.groups)
        case "RayJob":
            job = ray_job(obj)
            return Room() if job.meta.deleting or job.suspended or job.is_over else _sum(job.groups)
        case _:
            cluster = ray_cluster(obj)
            return Room() if cluster.meta.deleting or cluster.suspended else _sum(cluster.groups)


def _sum(groups: Iterable[Group]) -> Room:
    return sum((group.spec.requests * group.pods for group in groups), Room())
