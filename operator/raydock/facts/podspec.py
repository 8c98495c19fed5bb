"""What the spec of a pod, or of a pod template, asks of the scheduler: room, and which nodes may take it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raydock.facts import lenient
from raydock.facts.container import Container, add, containers, together
from raydock.facts.room import Amounts, Room, amounts, room_of


@dataclass(frozen=True, slots=True)
class Toleration:
    """Which taints are put up with; an empty `key` or `effect` means every one."""

    key: str
    operator: str
    """`Equal` or `Exists`."""
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Expression:
    """One requirement on a node's label, or with `is_field` on its field (`metadata.name`)."""

    key: str
    operator: str
    """`In NotIn Exists DoesNotExist Gt Lt`."""
    values: tuple[str, ...]
    is_field: bool = False


Term = tuple[Expression, ...]
"""Expressions that must all hold; a node selector is a list of terms of which one must."""


@dataclass(frozen=True, slots=True)
class PodSpec:
    """The scheduler's part of a pod's spec, and what a namespace's rules look at."""

    requests: Room
    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    affinity: tuple[Term, ...] | None
    """Required node affinity; None: any node. An empty tuple matches no node, as in Kubernetes."""
    containers: tuple[Container, ...] = ()
    overhead: Amounts = field(default_factory=dict, hash=False)
    pod_requests: Amounts = field(default_factory=dict, hash=False)
    """Of the pod as a whole, in place of its containers' sum (`spec.resources`, Kubernetes 1.34)."""
    pod_limits: Amounts = field(default_factory=dict, hash=False)
    priority_class: str = ""
    """As written; empty: the cluster's default."""
    has_deadline: bool = False
    """spec.activeDeadlineSeconds is set."""
    looks_across_namespaces: bool = False
    """A pod (anti)affinity term names namespaces."""

    def total(self, *, overhead: bool = True) -> Amounts:
        """Requests of the pod, each resource that somebody names."""
        found = {**together(self.containers, lambda c: c.requests), **self.pod_requests}
        return add(found, self.overhead) if overhead else found

    def total_limits(self, *, overhead: bool = True) -> Amounts:
        """Limits of the pod; overhead only comes upon a limit (component-helpers, `PodLimits`)."""
        found = {**together(self.containers, lambda c: c.limits), **self.pod_limits}
        return add(found, {k: n for k, n in self.overhead.items() if overhead and found.get(k)})

    def with_containers(self, containers: tuple[Container, ...]) -> "PodSpec":
        """The same pod with other containers."""
        other = replace(self, containers=containers)
        return replace(other, requests=room_of(other.total()))


def pod_spec(spec: Any, added: Iterable[Container] = ()) -> PodSpec:
    """The `spec` of a pod, or of a template's. `added`: containers that somebody else puts in."""
    read = PodSpec(
        requests=Room(),
        node_selector=lenient.texts(lenient.at(spec, "nodeSelector")),
        tolerations=tuple(_toleration(entry) for entry in lenient.objects(lenient.at(spec, "tolerations"))),
        affinity=_required_affinity(spec),
        overhead=amounts(lenient.at(spec, "overhead")),
        pod_requests=amounts(lenient.at(spec, "resources", "requests")),
        pod_limits=amounts(lenient.at(spec, "resources", "limits")),
        priority_class=lenient.text(lenient.at(spec, "priorityClassName")),
        has_deadline=lenient.at(spec, "activeDeadlineSeconds") is not None,
        looks_across_namespaces=_looks_across_namespaces(lenient.at(spec, "affinity")),
    )
    return read.with_containers((*containers(spec), *added))


def requests(spec: Any, status: Any = None) -> Room:
    """What the scheduler counts for the pod: its containers, or what it says as a whole, and overhead.

    With `status`, a container that was resized in place counts what it still holds.
    """
    held = _held(status)

    def of(container: Container) -> Amounts:
        still = held.get(container.name)
        if not still:
            return container.requests
        return {
            k: max(container.requests.get(k, 0), still.get(k, 0)) for k in {**container.requests, **still}
        }

    whole = amounts(lenient.at(spec, "resources", "requests"))
    return room_of(add({**together(containers(spec), of), **whole}, amounts(lenient.at(spec, "overhead"))))


def _held(status: Any) -> Mapping[str, Amounts]:
    """Requests in force by container, from `status`."""
    return {
        lenient.text(entry.get("name")): amounts(asked)
        for which in ("containerStatuses", "initContainerStatuses")
        for entry in lenient.objects(lenient.at(status, which))
        if (asked := lenient.at(entry, "resources", "requests"))
    }


def _looks_across_namespaces(affinity: Any) -> bool:
    """As a ResourceQuota's scope asks (quota/v1/evaluator/core/pods.go, `usesCrossNamespacePodAffinity`)."""
    terms: list[Mapping[str, Any]] = []
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = lenient.mapping(lenient.at(affinity, kind))
        terms += lenient.objects(rules.get("requiredDuringSchedulingIgnoredDuringExecution"))
        preferred = lenient.objects(rules.get("preferredDuringSchedulingIgnoredDuringExecution"))
        terms += [lenient.mapping(entry.get("podAffinityTerm")) for entry in preferred]
    return any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms)


def _toleration(entry: Mapping[str, Any]) -> Toleration:
    return Toleration(
        key=lenient.word(entry.get("key")),
        operator=lenient.word(entry.get("operator")) or "Equal",
        value=lenient.text(entry.get("value")),
        effect=lenient.word(entry.get("effect")),
    )


def _required_affinity(spec: Any) -> tuple[Term, ...] | None:
    required = lenient.at(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    if not isinstance(required, Mapping):
        return None
    return tuple(
        (
            *_expressions(term.get("matchExpressions"), is_field=False),
            *_expressions(term.get("matchFields"), is_field=True),
        )
        for term in lenient.objects(required.get("nodeSelectorTerms"))
    )


def _expressions(value: Any, *, is_field: bool) -> Term:
    return tuple(
        Expression(
            key=lenient.text(entry.get("key")),
            operator=lenient.word(entry.get("operator")),
            values=lenient.strings(entry.get("values")),
            is_field=is_field,
        )
        for entry in lenient.objects(value)
    )
