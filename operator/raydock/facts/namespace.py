"""What a namespace's ResourceQuotas and LimitRanges say, and the cluster's PriorityClasses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient, quantity
from raydock.facts.room import Amounts, amounts


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pods a quota counts: those for which this holds."""

    name: str
    """`Terminating NotTerminating BestEffort NotBestEffort PriorityClass CrossNamespacePodAffinity`."""
    operator: str = "Exists"
    """`In NotIn Exists DoesNotExist`."""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota, as its controller counts it."""

    namespace: str
    name: str
    hard: Amounts
    """By the quota's own names: `requests.cpu`, `limits.memory`, `pods`, `requests.nvidia.com/gpu`, …"""
    used: Amounts
    """Less keys than `hard` until it was counted the first time; then no pod is admitted."""
    scopes: tuple[Scope, ...]
    """All must hold."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One entry of a LimitRange."""

    type: str
    """`Container`, `Pod` or `PersistentVolumeClaim`."""
    least: Amounts
    most: Amounts
    default_requests: Amounts
    default_limits: Amounts
    ratio: Mapping[str, int]
    """Limit by request at most, in thousandths."""


@dataclass(frozen=True, slots=True)
class LimitRange:
    """What pods and containers of a namespace may ask for, and what they get when they ask for nothing."""

    namespace: str
    name: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class PriorityClass:
    """A scheduling.k8s.io/v1 PriorityClass."""

    name: str
    value: int
    is_default: bool
    """Of pods that name none."""


def quota(obj: Any) -> Quota:
    """A core/v1 ResourceQuota."""
    selector = lenient.at(obj, "spec", "scopeSelector", "matchExpressions")
    named = (Scope(name) for name in lenient.strings(lenient.at(obj, "spec", "scopes")))
    chosen = (
        Scope(
            name=lenient.word(entry.get("scopeName")),
            operator=lenient.word(entry.get("operator")),
            values=lenient.strings(entry.get("values")),
        )
        for entry in lenient.objects(selector)
    )
    return Quota(
        namespace=lenient.word(lenient.at(obj, "metadata", "namespace")),
        name=lenient.text(lenient.at(obj, "metadata", "name")),
        hard=_quota_amounts(lenient.at(obj, "status", "hard") or lenient.at(obj, "spec", "hard")),
        used=_quota_amounts(lenient.at(obj, "status", "used")),
        scopes=(*named, *chosen),
    )


def limit_range(obj: Any) -> LimitRange:
    """A core/v1 LimitRange."""
    return LimitRange(
        namespace=lenient.word(lenient.at(obj, "metadata", "namespace")),
        name=lenient.text(lenient.at(obj, "metadata", "name")),
        limits=tuple(_limit(entry) for entry in lenient.objects(lenient.at(obj, "spec", "limits"))),
    )


def priority_class(obj: Any) -> PriorityClass:
    """A scheduling.k8s.io/v1 PriorityClass."""
    return PriorityClass(
        name=lenient.text(lenient.at(obj, "metadata", "name")),
        value=lenient.number(lenient.at(obj, "value")),
        is_default=lenient.at(obj, "globalDefault") is True,
    )


def _limit(entry: Mapping[str, Any]) -> Limit:
    ratio = lenient.mapping(entry.get("maxLimitRequestRatio"))
    return Limit(
        type=lenient.word(entry.get("type")),
        least=amounts(entry.get("min")),
        most=amounts(entry.get("max")),
        default_requests=amounts(entry.get("defaultRequest")),
        default_limits=amounts(entry.get("default")),
        ratio={name: quantity.or_none(quantity.millicores, value) for name, value in ratio.items()},
    )


def _quota_amounts(value: Any) -> dict[str, int]:
    """CPU in millicores under each of its names in a quota."""
    return {
        name: quantity.or_none(
            quantity.millicores if name in ("cpu", "requests.cpu", "limits.cpu") else quantity.count, entry
        )
        for name, entry in lenient.mapping(value).items()
    }
