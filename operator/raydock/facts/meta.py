"""Object metadata that every fact starts with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from raydock.facts import lenient

_OURS: Final = ("raydock.io/", "ray.io/")
"""Prefixes of the annotations that are kept; the others can be long (`last-applied-configuration`)."""


@dataclass(frozen=True, slots=True)
class Meta:
    """`metadata`, less what nobody here asks for.

    Without resourceVersion, so that two facts are equal when nothing that is kept has changed.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    """Those under `raydock.io/` and `ray.io/`."""
    owner_uid: str
    """Uid of the controller, empty when there is none."""
    owner_kind: str
    deleting: bool
    created: datetime | None


def meta(obj: Any) -> Meta:
    """The metadata of a parsed Kubernetes object."""
    found = lenient.mapping(lenient.at(obj, "metadata"))
    owner = controller(found)
    return Meta(
        namespace=lenient.word(found.get("namespace")),
        name=lenient.text(found.get("name")),
        uid=lenient.text(found.get("uid")),
        generation=lenient.number(found.get("generation")),
        labels=lenient.texts(found.get("labels")),
        annotations=our_annotations(found),
        owner_uid=lenient.text(owner.get("uid")),
        owner_kind=lenient.word(owner.get("kind")),
        deleting=found.get("deletionTimestamp") is not None,
        created=lenient.when(found.get("creationTimestamp")),
    )


def controller(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The owner reference of the controller; empty when there is none."""
    for owner in lenient.objects(metadata.get("ownerReferences")):
        if owner.get("controller") is True:
            return owner
    return {}


def our_annotations(metadata: Any) -> Mapping[str, str]:
    """The annotations under `raydock.io/` and `ray.io/`."""
    return {
        k: v for k, v in lenient.texts(lenient.at(metadata, "annotations")).items() if k.startswith(_OURS)
    }
