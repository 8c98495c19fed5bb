"""Containers of a pod's spec, and what a pod asks for that has them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raydock.facts import lenient
from raydock.facts.room import Amounts, amounts


@dataclass(frozen=True, slots=True)
class Container:
    """What one container asks for and may take at most. Zeros are kept: 0 is said, absent is not."""

    name: str
    requests: Amounts = field(hash=False)
    """A limit without a request is also the request, as the API server fills in (core/v1 defaults.go)."""
    limits: Amounts = field(hash=False)
    init: bool = False
    """It runs before the containers, and must end."""
    stays: bool = False
    """An init container that runs on beside the others (`restartPolicy: Always`)."""


def containers(spec: Any) -> tuple[Container, ...]:
    """The containers of a pod's spec, and after them its init containers."""
    ordinary = (_container(entry) for entry in lenient.objects(lenient.at(spec, "containers")))
    before = (_container(entry, init=True) for entry in lenient.objects(lenient.at(spec, "initContainers")))
    return (*ordinary, *before)


def of_resources(name: str, resources: Any, *, init: bool = False) -> Container:
    """A container with `resources` (core/v1 ResourceRequirements)."""
    return _container({"name": name, "resources": resources}, init=init)


def together(found: Iterable[Container], of: Callable[[Container], Amounts]) -> dict[str, int]:
    """What a pod with these containers asks for (component-helpers resource/helpers.go, `PodRequests`).

    The sum of the containers, or the largest init container if that is more. Init containers that stay count
    like containers, and beside each init container after them. `of`: requests or limits.
    """
    total: dict[str, int] = {}
    staying: dict[str, int] = {}
    largest: dict[str, int] = {}
    for container in found:
        asked = of(container)
        if container.init and not container.stays:
            _raise_to(largest, add(dict(staying), asked))
            continue
        add(total, asked)
        if container.stays:
            _raise_to(largest, add(staying, asked))
    return _raise_to(total, largest)


def add(total: dict[str, int], more: Amounts) -> dict[str, int]:
    """`total`, with `more` added to it."""
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount
    return total


def _raise_to(total: dict[str, int], least: Amounts) -> dict[str, int]:
    for name, amount in least.items():
        total[name] = max(total.get(name, 0), amount)
    return total


def _container(entry: Mapping[str, Any], *, init: bool = False) -> Container:
    limits = amounts(lenient.at(entry, "resources", "limits"))
    requests = amounts(lenient.at(entry, "resources", "requests"))
    return Container(
        name=lenient.text(entry.get("name")),
        requests={**limits, **requests},
        limits=limits,
        init=init,
        stays=init and entry.get("restartPolicy") == "Always",
    )
