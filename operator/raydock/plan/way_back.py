"""The way back: a record of each version that was seen to work, and what was given up for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from raydock.api.base import GROUP
from raydock.api.deployment import Deployment
from raydock.facts.controller_revision import ControllerRevision
from raydock.plan.marks import Marks, marks
from raydock.plan.meta import DEPLOYMENT_LABEL, Manifest, child, fingerprint
from raydock.wire.record import WireError, dumps, loads

ROLLED_BACK_ANNOTATION: Final = f"{GROUP}/rolled-back"
"""On the record that was gone back to: RolledBack as JSON."""
KEPT: Final = 2
"""Records of one Deployment. The newest is the way back, the one before is for people."""
MESSAGE_MAX: Final = 1024
"""Characters of a failure that are kept with the record."""


@dataclass(frozen=True)
class RolledBack:
    """A version that was given up: not to be tried again until something else is asked for."""

    attempt: str
    """Marks.attempt of its rollout."""
    revision: str
    """Revision.whole of it."""
    reason: str
    message: str
    code: str = ""
    """Name of the copy of its code."""


@dataclass(frozen=True)
class Good:
    """A version that was seen to work."""

    name: str
    """Of the ControllerRevision."""
    number: int
    marks: Marks
    rolled_back: RolledBack | None
    """What was given up for this one."""


def good(record: ControllerRevision) -> Good:
    """What a record says."""
    return Good(
        name=record.meta.name,
        number=record.number,
        marks=marks(record.meta.annotations),
        rolled_back=_rolled_back(record.meta.annotations.get(ROLLED_BACK_ANNOTATION)),
    )


def record(cr: Deployment, noted: Marks, live: Mapping[str, Any], former: Sequence[Good]) -> Manifest:
    """The record of the RayService `live`, which bears `noted`. Made once it was seen to work."""
    # Its data can never be changed: the same version with other numbers of replicas is another record.
    name = f"{cr.metadata.name}-{fingerprint([noted.revision.whole, noted.cluster, live['spec']])}"
    labels = {DEPLOYMENT_LABEL: cr.metadata.name}
    manifest = child(cr.metadata, cr.kind, "apps/v1", "ControllerRevision", name, labels)
    manifest["metadata"]["annotations"] = noted.annotations()
    manifest["data"] = {"spec": live["spec"]}
    # A version that came back keeps its name and becomes the newest.
    manifest["revision"] = 1 + max((one.number for one in former), default=0)
    return manifest


def outdated(records: Sequence[Good], newest: str | None) -> Sequence[Good]:
    """The records to delete. `newest`: name of one that is being written."""
    others = [one for one in records if one.name != newest]
    return others[KEPT - (1 if newest else 0) :]


def spec_of(record_object: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The RayService's spec in a record; None for something else."""
    data = (record_object or {}).get("data")
    spec = data.get("spec") if isinstance(data, Mapping) else None
    return dict(spec) if isinstance(spec, Mapping) and "rayClusterConfig" in spec else None


def noted(given_up: RolledBack) -> dict[str, str]:
    """Annotations for the record that is gone back to."""
    return {ROLLED_BACK_ANNOTATION: dumps(replace(given_up, message=given_up.message[:MESSAGE_MAX]))}


def _rolled_back(text: str | None) -> RolledBack | None:
    if not text:
        return None
    try:
        return loads(RolledBack, text)
    except WireError:
        return None
