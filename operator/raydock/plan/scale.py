"""How many replicas a Deployment has, and what Ray Serve is told about it.

Serve's own autoscaler holds a fixed number too, with equal bounds: to go from `num_replicas` to
`autoscaling_config` would start all replicas anew (Ray 2.60, get_app_code_version).
"""

from dataclasses import dataclass
from typing import Any, Final

from raydock.api.deployment import Autoscaling, DeploymentSpec, Topology

METRICS_S: Final = 2.0
"""Between two reports of a replica on its ongoing requests; Ray's default of 10 s would be felt."""
LOOK_BACK_S: Final = 10.0
"""Over which Serve averages them. Not less than a few reports."""


@dataclass(frozen=True)
class Bounds:
    """Between which numbers of replicas Serve may choose."""

    least: int
    most: int

    def within(self, held: int) -> "Bounds":
        """The same where no more than `held` find room."""
        return Bounds(min(self.least, held), min(self.most, held))

    @property
    def awake(self) -> "Bounds":
        """With at least one replica: a version that was not seen to answer yet has to show itself."""
        return Bounds(max(1, self.least), max(1, self.most))


def bounds(spec: DeploymentSpec) -> Bounds:
    """What the spec asks for."""
    auto = spec.autoscaling
    return Bounds(auto.min_replicas, auto.max_replicas) if auto else Bounds(spec.replicas, spec.replicas)


def stopped(spec: DeploymentSpec) -> bool:
    """Whether nothing shall run at all."""
    return spec.suspend or bounds(spec).most == 0


def is_spread(spec: DeploymentSpec) -> bool:
    """Whether each replica has a worker pod of its own."""
    return spec.topology is Topology.SPREAD


def sized(between: Bounds, auto: Autoscaling | None) -> dict[str, Any]:
    """The part of a Serve deployment's config that says how many replicas there are."""
    config: dict[str, Any] = {
        "min_replicas": between.least,
        "max_replicas": max(1, between.most),
        "metrics_interval_s": METRICS_S,
        "look_back_period_s": LOOK_BACK_S,
    }
    if auto is not None:
        config |= {
            "target_ongoing_requests": auto.target_ongoing_requests,
            "upscale_delay_s": auto.scale_up_delay_seconds,
            "downscale_delay_s": auto.scale_down_delay_seconds,
        }
    # One replica beside the others in a rolling update: Serve takes ceil(replicas * percent / 100) of them
    # (Ray 2.60, deployment_state.py).
    return {"autoscaling_config": config, "max_surge_percent": max(1, 100 // max(1, between.most))}
