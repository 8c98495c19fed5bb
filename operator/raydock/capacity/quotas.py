"""What ResourceQuotas leave for pods, as the API server's quota admission counts.

Sources: pkg/quota/v1/evaluator/core/pods.go, apiserver/pkg/admission/plugin/resourcequota/controller.go
(Kubernetes 1.34). Quotas on other objects than pods are left to it: it refuses the object itself, by name.
"""

from collections.abc import Iterable
from typing import Final

from raydock.capacity.demand import PodShape
from raydock.facts.container import Container, add
from raydock.facts.namespace import Quota, Scope
from raydock.facts.podspec import PodSpec
from raydock.facts.quantity import amount_text
from raydock.facts.room import Amounts, Room

_COMPUTE: Final = ("cpu", "memory")
_ALWAYS_SAID: Final = frozenset(
    {f"{kind}{name}" for kind in ("", "requests.", "limits.") for name in _COMPUTE}
)
"""What every container must say where a quota counts it (`validationSet`)."""


def refused(
    quota: Quota,
    shapes: Iterable[PodShape],
    *,
    to_come: Iterable[PodShape],
    leaving: Iterable[PodShape],
    default_class: str,
) -> str:
    """Why the quota leaves no room for all pods of `shapes`; empty when it does.

    `to_come`: pods of the namespace that were admitted by us and do not exist yet; `leaving`: those that
    exist and make place for `shapes`. `default_class`: PriorityClass of pods that name none.
    """

    def counted(among: Iterable[PodShape]) -> list[PodShape]:
        return [shape for shape in among if _counts(quota, shape, default_class)]

    wanted = counted(shapes)
    missing = next((why for shape in wanted if (why := _unsaid(quota, shape))), "")
    if missing:
        return f"ResourceQuota {quota.name} wants {missing}"
    promised, freed = _usage(counted(to_come)), _usage(counted(leaving))
    for name, asked in sorted(_usage(wanted).items()):
        hard = quota.hard.get(name)
        if hard is None or not asked:
            continue
        if name not in quota.used:
            return f"ResourceQuota {quota.name} was not counted yet"
        left = max(0, hard - quota.used[name] - promised.get(name, 0) + freed.get(name, 0))
        if asked > left:
            free, lacking = amount_text(name, left), amount_text(name, asked - left, up=True)
            of = amount_text(name, hard)
            return f"ResourceQuota {quota.name} has {free} {name} left of {of}: {lacking} short"
    return ""


def _counts(quota: Quota, shape: PodShape, default_class: str) -> bool:
    """Whether the quota is about such pods."""
    spec = shape.template or PodSpec(shape.requests, {}, (), None, (_sole(shape.requests),))
    return all(_holds(scope, spec, default_class) for scope in quota.scopes)


def _holds(scope: Scope, spec: PodSpec, default_class: str) -> bool:
    best_effort = not any(c.requests.get(n) or c.limits.get(n) for c in spec.containers for n in _COMPUTE)
    match scope.name:
        case "Terminating" | "NotTerminating":
            return spec.has_deadline is (scope.name == "Terminating")
        case "BestEffort" | "NotBestEffort":
            return best_effort is (scope.name == "BestEffort")
        case "CrossNamespacePodAffinity":
            return spec.looks_across_namespaces
        case "PriorityClass":
            return _class_holds(scope, spec.priority_class or default_class)
        case _:
            return False


def _class_holds(scope: Scope, name: str) -> bool:
    match scope.operator:
        case "Exists":
            return bool(name)
        case "DoesNotExist":
            return not name
        case "In":
            return name in scope.values
        case "NotIn":
            return name not in scope.values
        case _:
            return False


def _unsaid(quota: Quota, shape: PodShape) -> str:
    """What a quota wants each container to say and one does not; empty when all is said."""
    spec = shape.template
    if spec is None or spec.pod_requests or spec.pod_limits:
        return ""
    for container in spec.containers:
        for name in sorted(_ALWAYS_SAID & quota.hard.keys()):
            kind, _, resource = name.rpartition(".")
            if resource not in (container.limits if kind == "limits" else container.requests):
                return (
                    f"a {resource} {'limit' if kind == 'limits' else 'request'} of container {container.name}"
                )
    return ""


def _usage(shapes: Iterable[PodShape]) -> Amounts:
    """What a quota counts for the pods, under all names that it may use (`podComputeUsageHelper`)."""
    total: dict[str, int] = {}
    for shape in shapes:
        add(total, {name: n * shape.count for name, n in _usage_of_one(shape).items()})
    return total


def _usage_of_one(shape: PodShape) -> Amounts:
    spec = shape.template
    requests = spec.total() if spec else _sole(shape.requests).requests
    limits = spec.total_limits() if spec else {}
    used = {"pods": 1, "count/pods": 1}
    for name, n in requests.items():
        used[f"requests.{name}"] = n
        if name in _COMPUTE or name == "ephemeral-storage" or name.startswith("hugepages-"):
            used[name] = n
    used |= {f"limits.{name}": n for name, n in limits.items() if "/" not in name}
    return used


def _sole(requests: Room) -> Container:
    """All that is known of a pod's containers, when only its requests are."""
    asked = {"cpu": requests.cpu_m, "memory": requests.memory, **requests.extended}
    return Container("", {name: n for name, n in asked.items() if n}, {})
