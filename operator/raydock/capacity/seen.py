"""What the gate counts with: a picture of the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raydock.capacity.demand import Demand, PodShape
from raydock.capacity.nodes import refusal
from raydock.capacity.reservations import Reservation, standing
from raydock.capacity.rules import NO_RULES, Rules
from raydock.facts.node import Node
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster


@dataclass(frozen=True)
class Growth:
    """The cluster adds nodes for pods that find none."""

    nodes: tuple[Node, ...] = ()
    """What they are like, empty of pods; none: they may be anything."""

    def holds(self, shape: PodShape) -> bool:
        """Whether a new node could take one such pod."""
        return not self.nodes or any(
            refusal(shape, node) is None and shape.requests.fits_in(node.allocatable) for node in self.nodes
        )


@dataclass(frozen=True)
class Seen:
    """Nodes, pods and promises of the whole cluster, and what namespaces allow."""

    nodes: Sequence[Node]
    pods: Sequence[Pod]
    reserved: Sequence[Reservation] = ()
    clusters: Sequence[RayCluster] = ()
    """Ours."""
    rules: Mapping[str, Rules] = field(default_factory=dict)
    """By namespace, where there are any."""
    everywhere: Rules = NO_RULES
    """Of all other namespaces."""

    def rules_of(self, namespace: str) -> Rules:
        """What this namespace allows."""
        return self.rules.get(namespace, self.everywhere)

    def filled_in(self, entry: Reservation) -> PodShape:
        """The pods of a reservation as the API server will make them."""
        return self.rules_of(entry.namespace).filled_in(entry.shape)

    def to_come(self, demand: Demand) -> list[PodShape]:
        """Pods that others in the demand's namespace were promised and that do not exist yet."""
        return [
            self.filled_in(entry.without_existing())
            for entry in self.reserved
            if entry.namespace == demand.owner.namespace and not entry.belongs_to(demand)
        ]

    def leaving(self, demand: Demand) -> list[PodShape]:
        """Pods that exist and make place for the demand: those of its own clusters."""
        rules = self.rules_of(demand.owner.namespace)
        return [rules.filled_in(shape) for shape in standing(demand, self.clusters, self.pods)]
