"""core/v1 Service: which Ray cluster requests go to."""

from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient
from raydock.facts.meta import Meta, meta
from raydock.facts.pod import CLUSTER_LABEL


@dataclass(frozen=True, slots=True)
class Service:
    """A Service that selects the pods of one Ray cluster."""

    meta: Meta
    cluster: str
    """Name of the RayCluster; empty when it selects by something else."""


def service(obj: Any) -> Service:
    """A core/v1 Service."""
    return Service(meta(obj), lenient.text(lenient.at(obj, "spec", "selector", CLUSTER_LABEL)))
