"""What a reconcile function gets, and what it gives back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from raydock.api.batch_status import JobState
from raydock.facts.pod import Pod
from raydock.facts.requests import Answered
from raydock.facts.serve import ServeState
from raydock.plan.defaults import Defaults
from raydock.reasons import Reason
from raydock.reconcile.idle import Idle
from raydock.wire.host import Health
from raydock.wire.progress import Report

if TYPE_CHECKING:
    from raydock.reconcile.gate import Gate
    from raydock.reconcile.registrar import Registrar

Object = Mapping[str, Any]
"""A Kubernetes object as parsed JSON."""


class Key(NamedTuple):
    """What is reconciled: one object of one of our kinds."""

    kind: str
    namespace: str
    name: str


class Newcomer(NamedTuple):
    """A Deployment whose requests through an endpoint are judged."""

    namespace: str
    deployment: str
    endpoint: str


@dataclass(frozen=True)
class Event:
    """One line for `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    message: str
    about: Key


RolloutWay = Literal["Create", "InPlace", "BlueGreen", "Recreate"]
Way = Literal[RolloutWay, "Scale", "Job"]
"""What room is asked for: the way of a rollout, another number of replicas, or an attempt of a BatchJob."""


class GateVerdict(NamedTuple):
    """The gate was asked and answered."""

    provider: Literal["cluster", "agent", "none"]
    way: Way
    result: Literal["allowed", "provisioning", "denied", "unclear"]
    """`provisioning`: no room yet, a node autoscaler will make some; `unclear`: no answer to rely on."""


class RolloutEnded(NamedTuple):
    """A Deployment's rollout came to its end."""

    way: RolloutWay
    result: Literal["done", "rolled_back", "failed", "superseded"]
    """`superseded`: by another edit; `failed`: given up with nothing to go back to."""


class JobEnded(NamedTuple):
    """A BatchJob came to its end."""

    result: JobState


Counted = GateVerdict | RolloutEnded | JobEnded
"""What a pass tells the metrics: words of fixed sets, as each object's name would be a series of its own."""


@dataclass(frozen=True)
class Outcome:
    """What a pass leaves behind beside the objects it wrote."""

    look_again_s: float | None = None
    """Seconds until a pass is due although nothing was reported; None: only when something is."""
    events: tuple[Event, ...] = ()
    """One for each decision; each is a line of the log, too."""
    wake: tuple[Key, ...] = ()
    counted: tuple[Counted, ...] = ()
    revision: str = ""
    """What the spec asks for, where the kind has revisions; for the log."""


class Store(Protocol):
    """Slim copies of what the watches reported. Kinds by their `kind`."""

    def get(self, kind: str, namespace: str, name: str) -> Any | None: ...
    def owned_by(self, kind: str, uid: str) -> Sequence[Any]: ...
    def in_namespace(self, kind: str, namespace: str) -> Sequence[Any]: ...
    def labelled(self, kind: str, namespace: str, label: str, value: str) -> Sequence[Any]: ...
    def all(self, kind: str) -> Sequence[Any]: ...
    def put(self, kind: str, obj: Object) -> object: ...


class Kube(Protocol):
    """The API calls that a reconcile function may make (raydock.kube.client.Kube)."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]: ...
    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def find_metadata(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def apply(self, manifest: Object) -> dict[str, Any]: ...
    async def apply_status(self, manifest: Object) -> dict[str, Any]: ...
    async def create(self, manifest: Object) -> dict[str, Any]: ...
    async def annotate(
        self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]
    ) -> None: ...
    async def patch(self, kind: str, namespace: str, name: str, merge_patch: Object) -> dict[str, Any]: ...
    async def patch_status(self, kind: str, namespace: str, name: str, fields: Object) -> dict[str, Any]: ...
    async def delete(
        self, obj: Object, *, propagation: str = "Background", unchanged: bool = False
    ) -> None: ...
    async def log_end(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        lines: int,
        limit_bytes: int,
        since: datetime | None = None,
    ) -> str: ...


class Probe(Protocol):
    """Asks a serving pod how it is (raydock.remote.health.Probe)."""

    async def ready(self, host: str, port: int, timeout_s: float) -> Health | object: ...


class RayServe(Protocol):
    """Asks Ray Serve about replicas (raydock.reconcile.ray_serve.RayServe)."""

    async def state(self, namespace: str, cluster: str, host: str, application: str) -> ServeState | None: ...


class Requests(Protocol):
    """What pods answered and still answer (raydock.reconcile.requests.Requests)."""

    async def answered(self, who: Newcomer, pods: Iterable[Pod]) -> Answered | None: ...
    async def ongoing(self, pods: Iterable[Pod]) -> bool: ...
    def forget(self, who: Newcomer) -> None: ...


class Reports(Protocol):
    """Newest report of each batch driver (raydock.reconcile.reports.Reports)."""

    def get(self, uid: str) -> Report | None: ...
    def written(self, uid: str, report: Report) -> None: ...
    def forget(self, uid: str) -> None: ...
    def forget_named(self, namespace: str, name: str) -> None: ...


@dataclass(frozen=True)
class Deps:
    """The outside, as a reconcile function sees it; tests pass real ones too."""

    kube: Kube
    store: Store
    gate: "Gate"
    reports: Reports
    probe: Probe
    serve: RayServe
    requests: Requests
    clock: Callable[[], datetime]
    """Now, in UTC."""
    defaults: Defaults
    registrar: "Registrar"
    idle: Idle = field(default_factory=Idle)
