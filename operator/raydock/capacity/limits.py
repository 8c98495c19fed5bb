"""What LimitRanges make of a pod, as the API server's LimitRanger does.

Source: plugin/pkg/admission/limitranger/admission.go (Kubernetes 1.34).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from raydock.capacity.demand import PodShape
from raydock.facts.container import Container
from raydock.facts.namespace import Limit, LimitRange
from raydock.facts.podspec import PodSpec
from raydock.facts.quantity import amount_text
from raydock.facts.room import Amounts


def filled_in(shape: PodShape, ranges: Iterable[LimitRange]) -> PodShape:
    """`shape` with what the LimitRanges give to containers that ask for nothing."""
    if shape.template is None:
        return shape
    containers = shape.template.containers
    for limits in ranges:
        containers = tuple(_filled_in(container, limits) for container in containers)
    if containers == shape.template.containers:
        return shape
    template = shape.template.with_containers(containers)
    return replace(shape, template=template, requests=template.requests)


def refused(shape: PodShape, ranges: Iterable[LimitRange]) -> str:
    """Why such a pod, filled in, would not be taken; empty when it would."""
    spec = shape.template
    if spec is None:
        return ""
    for container in spec.containers:
        for name, most in container.limits.items():
            if container.requests.get(name, 0) > most:
                who = f"container {container.name} requests more {name} than its limit"
                return f"{who}, {amount_text(name, most)}, which a LimitRange may have set"
    for limits in ranges:
        for limit in limits.limits:
            for who, requests, most_of_it in _sized(limit, shape.name, spec):
                why = _out_of_bounds(limit, requests, most_of_it)
                if why:
                    return f"LimitRange {limits.name} refuses {who}: {why}"
    return ""


def _sized(limit: Limit, name: str, spec: PodSpec) -> Iterator[tuple[str, Amounts, Amounts]]:
    """What the entry is about, with its requests and limits."""
    if limit.type == "Container":
        for container in spec.containers:
            yield f"container {container.name}", container.requests, container.limits
    elif limit.type == "Pod":
        yield f"the {name} pod", spec.total(overhead=False), spec.total_limits(overhead=False)


def _filled_in(container: Container, limits: LimitRange) -> Container:
    requests: dict[str, int] = {}
    most: dict[str, int] = {}
    for limit in limits.limits:
        if limit.type == "Container":
            requests |= limit.default_requests
            most |= limit.default_limits
    return replace(
        container, requests={**requests, **container.requests}, limits={**most, **container.limits}
    )


def _out_of_bounds(limit: Limit, requests: Amounts, most: Amounts) -> str:
    """What of a pod or container is out of the LimitRange's bounds; empty when nothing is."""
    for name, least in limit.least.items():
        if name not in requests or requests[name] < least or most.get(name, least) < least:
            return f"it wants at least {amount_text(name, least)} {name}"
    for name, bound in limit.most.items():
        if name not in most or most[name] > bound or requests.get(name, 0) > bound:
            return f"it wants a limit of at most {amount_text(name, bound)} {name}"
    for name, ratio in limit.ratio.items():
        asked, may = requests.get(name, 0), most.get(name, 0)
        if not asked or not may or may * 1000 > asked * ratio:
            return f"it wants a {name} limit of at most {ratio / 1000:g} times the request"
    return ""
