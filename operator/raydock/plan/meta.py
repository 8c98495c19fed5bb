"""Names, labels and marks of the objects that raydock makes, and whether one of them must be written."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from raydock.api.base import API_VERSION, GROUP, Metadata
from raydock.facts.pod import BATCH_JOB_LABEL

Manifest = dict[str, Any]

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
RAYDOCK: Final = "raydock"
DEPLOYMENT_LABEL: Final = f"{GROUP}/deployment"
ENDPOINT_LABEL: Final = f"{GROUP}/endpoint"
JOB_LABEL: Final = f"{GROUP}/batchjob"
JOB_UID_LABEL: Final = BATCH_JOB_LABEL
"""On a job's pods: the operator takes progress only from a pod that carries the job's uid."""
MANIFEST_ANNOTATION: Final = f"{GROUP}/manifest"
"""Fingerprint of what raydock last wrote: finds a field that the manifest no longer has."""
HASH_LENGTH: Final = 12


def fingerprint(value: Any) -> str:
    """Twelve hex digits over `value` as JSON with sorted keys; `value` holds only plain JSON types."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]


def child(
    owner: Metadata, owner_kind: str, api_version: str, kind: str, name: str, labels: Mapping[str, str]
) -> Manifest:
    """Head of a child's manifest: in the owner's namespace, owned by it, marked as raydock's."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": {MANAGED_BY: RAYDOCK, **labels},
            "annotations": {},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": owner_kind,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }


def sealed(manifest: Manifest) -> Manifest:
    """`manifest` with its fingerprint in it; call it last."""
    metadata = manifest["metadata"]
    marks = {k: v for k, v in metadata["annotations"].items() if k != MANIFEST_ANNOTATION}
    mark = fingerprint({**manifest, "metadata": {**metadata, "annotations": marks}})
    return {**manifest, "metadata": {**metadata, "annotations": {**marks, MANIFEST_ANNOTATION: mark}}}


def holds(live: Mapping[str, Any] | None, wanted: Manifest) -> bool:
    """Whether `live` is already what `wanted` says, so that writing it would change nothing.

    The fingerprint finds what `wanted` gave up since, the comparison what somebody else changed.
    """
    return live is not None and _contains(live, wanted)


def _has(name: str, live: Any, wanted: Any) -> bool:
    if name == "ownerReferences":  # an endpoint owns a Service beside its Deployment
        return all(any(_contains(found, owner) for found in live) for owner in wanted)
    return _contains(live, wanted)


def _contains(live: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            (k in live and _has(k, live[k], v)) or (k not in live and v in ({}, [], None))
            for k, v in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return (
            isinstance(live, Sequence)
            and len(live) == len(wanted)
            and all(_contains(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)
