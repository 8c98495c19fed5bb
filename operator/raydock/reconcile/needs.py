"""What a spec names must be there before pods are made that would only wait for it."""

from collections.abc import Iterable

from raydock.api.core import EnvFromSource, EnvVar, LocalObjectReference
from raydock.errors import Waiting
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps

LOOK_AGAIN_S = 10.0
"""No watch reports Secrets, ConfigMaps and claims of other people's."""
KINDS = {"PersistentVolumeClaim": "PersistentVolumeClaim", "Secret": "Secret", "ConfigMap": "ConfigMap"}


def named(
    env: Iterable[EnvVar],
    env_from: Iterable[EnvFromSource],
    pull_secrets: Iterable[LocalObjectReference],
    claims: Iterable[str],
) -> list[tuple[str, str]]:
    """Kind and name of everything that pods could not start without, in the order in which users write it."""
    found: list[tuple[str, str]] = []
    for var in env:
        source = var.value_from
        if source and source.secret_key_ref and not source.secret_key_ref.optional:
            found.append(("Secret", source.secret_key_ref.name))
        if source and source.config_map_key_ref and not source.config_map_key_ref.optional:
            found.append(("ConfigMap", source.config_map_key_ref.name))
    for each in env_from:
        if each.secret_ref and not each.secret_ref.optional:
            found.append(("Secret", each.secret_ref.name))
        if each.config_map_ref and not each.config_map_ref.optional:
            found.append(("ConfigMap", each.config_map_ref.name))
    found += [("Secret", ref.name) for ref in pull_secrets]
    found += [("PersistentVolumeClaim", claim) for claim in claims]
    return list(dict.fromkeys(found))


async def require(namespace: str, wanted: Iterable[tuple[str, str]], do: Deps) -> None:
    """Raises Waiting with all that is missing. Only metadata is read."""
    missing = [
        f"{kind} {name}"
        for kind, name in wanted
        if await do.kube.find_metadata(kind, namespace, name) is None
    ]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        raise Waiting(
            Reason.DEPENDENCY_MISSING,
            f"{', '.join(missing)} {verb} not exist in namespace {namespace}: create it, or correct "
            "the name; goes on by itself",
            look_again_s=LOOK_AGAIN_S,
        )


async def require_entry(namespace: str, secret: str, entry: str, do: Deps) -> None:
    """Raises Waiting where the Secret is there and the entry that pods mount is not."""
    found = await do.kube.find("Secret", namespace, secret)
    if found is not None and not (found.get("data") or {}).get(entry):
        raise Waiting(
            Reason.DEPENDENCY_MISSING,
            f"Secret {secret} has no entry {entry}: write the key there; goes on by itself",
            look_again_s=LOOK_AGAIN_S,
        )
