"""What the spec of a pod, or of a pod template, asks of the scheduler: room, and which nodes may take it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient
from raydock.facts.room import Room, room


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
    """The scheduler's part of a pod's spec."""

    requests: Room
    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]
    affinity: tuple[Term, ...] | None
    """Required node affinity; None: any node. An empty tuple matches no node, as in Kubernetes."""


def pod_spec(spec: Any) -> PodSpec:
    """The `spec` of a pod, or of a template's."""
    return PodSpec(
        requests=requests(spec),
        node_selector=lenient.texts(lenient.at(spec, "nodeSelector")),
        tolerations=tuple(_toleration(entry) for entry in lenient.objects(lenient.at(spec, "tolerations"))),
        affinity=_required_affinity(spec),
    )


def requests(spec: Any, status: Any = None) -> Room:
    """What the scheduler counts for the pod (component-helpers resource/helpers.go, `PodRequests`).

    The sum of the containers, or the largest init container if that is more. Init containers that keep
    running (`restartPolicy: Always`) count like containers, and beside each init container after them.
    Overhead comes on top. With `status`, a container that was resized in place counts what it still holds.
    """
    held = _held(status)
    total, sidecars, largest_init = Room(), Room(), Room()
    for container in lenient.objects(lenient.at(spec, "containers")):
        total += _container(container, held)
    for container in lenient.objects(lenient.at(spec, "initContainers")):
        asked = _container(container, held)
        if container.get("restartPolicy") == "Always":
            total += asked
            sidecars += asked
            asked = sidecars
        else:
            asked += sidecars
        largest_init = largest_init.at_least(asked)
    return _pod_level(spec, total.at_least(largest_init)) + room(lenient.at(spec, "overhead"))


def _container(container: Mapping[str, Any], held: Mapping[str, Any]) -> Room:
    # A template's limits become the requests that it lacks when its pods are created (core/v1 defaults.go).
    asked = room(
        {
            **lenient.mapping(lenient.at(container, "resources", "limits")),
            **lenient.mapping(lenient.at(container, "resources", "requests")),
        }
    )
    still_held = held.get(lenient.text(container.get("name")))
    return asked.at_least(room(still_held)) if still_held else asked


def _held(status: Any) -> Mapping[str, Any]:
    """Requests in force by container, from `status`."""
    return {
        lenient.text(entry.get("name")): lenient.at(entry, "resources", "requests")
        for which in ("containerStatuses", "initContainerStatuses")
        for entry in lenient.objects(lenient.at(status, which))
    }


def _pod_level(spec: Any, summed: Room) -> Room:
    """Requests of the pod as a whole stand in for the sum (`spec.resources`, Kubernetes 1.34)."""
    named = lenient.mapping(lenient.at(spec, "resources", "requests"))
    if not named:
        return summed
    asked = room(named)
    return Room(
        asked.cpu_m if "cpu" in named else summed.cpu_m,
        asked.memory if "memory" in named else summed.memory,
        {**summed.extended, **asked.extended},
    )


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
