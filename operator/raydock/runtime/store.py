"""What the watches reported: slim copies by kind, with the few lookups that reconciling needs.

An object is kept whole, less what nobody reads, or as a frozen fact where a projection is given for its
kind. Facts come in thousands (pods), whole objects in hundreds.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

Object = Mapping[str, Any]
Place = tuple[str, str]
"""Namespace and name; an empty namespace for cluster-scoped kinds."""
Projection = Callable[[Object], Any]

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


class Change(NamedTuple):
    """What an event did to the store."""

    old: Any
    """What was known before; None for a new object."""
    new: Any
    """What is known now; None for a removed one."""


@dataclass(frozen=True, slots=True)
class _Entry:
    uid: str
    version: str
    owner: str
    """Uid of the controller; empty when there is none."""
    labels: Mapping[str, str]
    value: Any


class _Shelf:
    """One kind's objects with their indexes."""

    def __init__(self) -> None:
        self.entries: dict[Place, _Entry] = {}
        self.names: defaultdict[str, set[str]] = defaultdict(set)
        """Names by namespace."""
        self.owned: defaultdict[str, set[Place]] = defaultdict(set)
        """Places by the owner's uid."""

    def set(self, place: Place, entry: _Entry) -> None:
        self.unset(place)
        self.entries[place] = entry
        self.names[place[0]].add(place[1])
        if entry.owner:
            self.owned[entry.owner].add(place)

    def unset(self, place: Place) -> None:
        entry = self.entries.pop(place, None)
        if entry is None:
            return
        _drop(self.names, place[0], place[1])
        if entry.owner:
            _drop(self.owned, entry.owner, place)


class Store:
    """All kinds. Written by the watches and the relist only, read by everybody, never awaited."""

    def __init__(self, projections: Mapping[str, Projection] | None = None) -> None:
        """`projections`: by kind, what is kept of an object instead of a slim copy."""
        self._projections = dict(projections or {})
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)

    def put(self, kind: str, obj: Object, *, force: bool = False) -> Change | None:
        """Remember `obj`; None when what is known is newer, or differs in nothing that is kept.

        `force`: also when it looks older than what is known, as after a backup was restored.
        """
        meta = obj["metadata"]
        shelf, place = self._shelves[kind], _place(meta)
        before = shelf.entries.get(place)
        uid, version = meta.get("uid", ""), meta.get("resourceVersion", "")
        if before is not None and not force and not _newer(version, before.version):
            return None
        projection = self._projections.get(kind)
        value = projection(obj) if projection else slim(obj)
        shelf.set(place, _Entry(uid, version, owner_uid(meta), labels_of(value), value))
        old = before.value if before is not None else None
        return None if old is not None and _same(old, value) else Change(old, value)

    def remove(self, kind: str, obj: Object) -> Change | None:
        """Forget `obj`; None when it isn't known, or when its name belongs to a successor by now."""
        meta = obj["metadata"]
        return self.remove_uid(kind, *_place(meta), uid=meta.get("uid", ""))

    def remove_uid(self, kind: str, namespace: str, name: str, *, uid: str) -> Change | None:
        """As `remove`, for an object of which only the identity is known."""
        shelf = self._shelves[kind]
        before = shelf.entries.get((namespace, name))
        if before is None or before.uid != uid:
            return None
        shelf.unset((namespace, name))
        return Change(before.value, None)

    def get(self, kind: str, namespace: str, name: str) -> Any | None:
        """The object, or its fact; None when it isn't there."""
        entry = self._shelves[kind].entries.get((namespace, name))
        return entry.value if entry else None

    def uid(self, kind: str, namespace: str, name: str) -> str:
        """The object's uid; empty when it isn't there."""
        entry = self._shelves[kind].entries.get((namespace, name))
        return entry.uid if entry else ""

    def owned_by(self, kind: str, uid: str) -> Sequence[Any]:
        """The objects whose controller has this uid, by name."""
        shelf = self._shelves[kind]
        return [shelf.entries[place].value for place in sorted(shelf.owned.get(uid, ()))]

    def in_namespace(self, kind: str, namespace: str) -> Sequence[Any]:
        """The objects of one namespace, by name."""
        shelf = self._shelves[kind]
        return [shelf.entries[namespace, name].value for name in sorted(shelf.names.get(namespace, ()))]

    def labelled(self, kind: str, namespace: str, label: str, value: str) -> Sequence[Any]:
        """The objects of one namespace that carry `label: value`, by name."""
        shelf = self._shelves[kind]
        found = (shelf.entries[namespace, name] for name in sorted(shelf.names.get(namespace, ())))
        return [entry.value for entry in found if entry.labels.get(label) == value]

    def all(self, kind: str) -> Sequence[Any]:
        """Every object of a kind, in no order."""
        return [entry.value for entry in self._shelves[kind].entries.values()]

    def nodes(self) -> Sequence[Any]:
        """Every Node."""
        return self.all("Node")

    def pods(self) -> Sequence[Any]:
        """Every Pod, of whoever."""
        return self.all("Pod")

    def places(self, kind: str) -> list[Place]:
        """Where the objects of a kind are, in order."""
        return sorted(self._shelves[kind].entries)

    def versions(self, kind: str) -> dict[Place, tuple[str, str]]:
        """Uid and resourceVersion of each object of a kind."""
        return {place: (entry.uid, entry.version) for place, entry in self._shelves[kind].entries.items()}

    def version(self, kind: str, place: Place) -> tuple[str, str] | None:
        """Uid and resourceVersion of what is at `place`; None when nothing is."""
        entry = self._shelves[kind].entries.get(place)
        return (entry.uid, entry.version) if entry else None

    def counts(self) -> dict[str, int]:
        """How many objects of each kind are held."""
        return {kind: len(shelf.entries) for kind, shelf in self._shelves.items()}


def slim(obj: Object) -> dict[str, Any]:
    """`obj` less managedFields and kubectl's copy of the manifest: together often more than half of it."""
    meta = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    if _LAST_APPLIED in (meta.get("annotations") or {}):
        meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k != _LAST_APPLIED}
    return {**obj, "metadata": meta}


def without_data(obj: Object) -> dict[str, Any]:
    """A slim ControllerRevision: its data is a whole manifest, and is read when it is needed."""
    return {k: v for k, v in slim(obj).items() if k != "data"}


def owner_uid(meta: Mapping[str, Any]) -> str:
    """Uid of the controller in an object's metadata; empty when it has none."""
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return ""


def labels_of(value: Any) -> Mapping[str, str]:
    """Labels of a slim object, or those that a fact keeps: they are not held twice."""
    labels = value["metadata"].get("labels") if isinstance(value, dict) else getattr(value, "labels", None)
    return labels or {}


def _place(meta: Mapping[str, Any]) -> Place:
    return meta.get("namespace") or "", meta["name"]


def _newer(version: str, known: str) -> bool:
    """Whether `version` came after `known`; versions that are no numbers are taken as they come.

    The API server promises an order among the objects of one kind since 1.35 (KEP-5504), and always had
    one: etcd's revisions.
    """
    if version.isdigit() and known.isdigit():
        return int(version) > int(known)
    return version != known


def _same(old: Any, new: Any) -> bool:
    """Whether nothing changed but the version."""
    if not isinstance(old, dict):
        return bool(old == new)
    return _versionless(old) == _versionless(new)


def _versionless(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}


def _drop(index: defaultdict[str, set[Any]], key: str, member: Any) -> None:
    index[key].discard(member)
    if not index[key]:
        del index[key]
