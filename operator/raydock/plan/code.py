"""Code from a ConfigMap, copied into an immutable one: a ConfigMap volume changes in running pods."""

from collections.abc import Mapping
from typing import Any

from raydock.api.base import Metadata
from raydock.plan.meta import Manifest, child, fingerprint, sealed


def code_hash(config_map: Mapping[str, Any]) -> str:
    """Fingerprint of what is mounted."""
    return fingerprint([config_map.get("data") or {}, config_map.get("binaryData") or {}])


def copy_name(owner: str, content: str, owner_kind: str = "Deployment") -> str:
    """Name of the copy: owner's name and content, so an old version's copy stays beside the new one's."""
    # A BatchJob may have the name of a Deployment beside it, and the same code.
    return f"{owner}-{'code' if owner_kind == 'Deployment' else 'jobcode'}-{content}"


def code_copy(
    owner: Metadata, owner_kind: str, source: Mapping[str, Any], labels: Mapping[str, str]
) -> Manifest:
    """The immutable copy of the user's ConfigMap `source`, owned by the Deployment or BatchJob."""
    name = copy_name(owner.name, code_hash(source), owner_kind)
    manifest = child(owner, owner_kind, "v1", "ConfigMap", name, labels)
    manifest["immutable"] = True
    for part in ("data", "binaryData"):
        if source.get(part):
            manifest[part] = dict(source[part])
    return sealed(manifest)
