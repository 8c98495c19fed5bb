"""Parts that every Ray pod of raydock's shares: the `ray` container, its resources, volumes and security."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from raydock.api.core import EnvFromSource, EnvVar, LocalObjectReference, ResourceRequirements
from raydock.api.scheduling import Scheduling
from raydock.facts import quantity
from raydock.facts.room import Room, room
from raydock.plan.defaults import Defaults, Shape
from raydock.plan.meta import Manifest, fingerprint
from raydock.wire import paths

UID: Final = 1000
"""User of raydock's images; KubeRay's own images use it too."""
CONTAINER: Final = "ray"
PORTS: Final = (
    {"containerPort": 6379, "name": "gcs-server"},
    {"containerPort": 8265, "name": "dashboard"},
    {"containerPort": 10001, "name": "client"},
    {"containerPort": 8000, "name": "serve"},
)
"""KubeRay adds none of its own as soon as one is listed, and looks for `dashboard` and `serve` by name."""


USERS: Final = frozenset(
    {
        paths.TOKEN_KEY_FILE_ENV,
        "RAYDOCK_MODEL_TOKEN_KEY",
        "RAYDOCK_SERVE_URL",
        "RAYDOCK_ENDPOINT_KEY",
        "RAYDOCK_INFER_TIMEOUT_SECONDS",
        "RAYDOCK_MAX_ARTIFACT_BYTES",
        "RAYDOCK_FILE_FIELD_NETWORKS",
    }
)
"""Variables with raydock's prefix that are the users': settings of the action SDK."""


@dataclass(frozen=True)
class PodParts:
    """What the user's spec says about pods, of a Deployment or of a BatchJob."""

    image: str
    image_pull_secrets: tuple[LocalObjectReference, ...]
    env: tuple[EnvVar, ...]
    env_from: tuple[EnvFromSource, ...]
    scheduling: Scheduling
    code_config_map: str | None
    """Name of the immutable copy."""
    claims: tuple[tuple[str, bool], ...]
    """PersistentVolumeClaims: name, and whether only for reading."""
    cache_models: bool
    """Whether something is downloaded, so that the pod needs the cache volume."""


def pod_template(
    parts: PodParts,
    defaults: Defaults,
    *,
    metadata: Manifest,
    env: Mapping[str, str],
    resources: Shape,
    grace_s: int,
    extra_volumes: Iterable[Manifest] = (),
    pre_stop: str | None = None,
) -> Manifest:
    """The template of one Ray pod. `env` is raydock's own; the user's win, but for RAYDOCK_ beyond USERS."""
    volumes, mounts = _volumes(parts, defaults, extra_volumes)
    container: Manifest = {
        "name": CONTAINER,
        "image": parts.image,
        "imagePullPolicy": defaults.image_pull_policy,
        "env": _env(env, parts.env),
        "ports": [dict(port) for port in PORTS],
        "resources": _shown(resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
        },
        "volumeMounts": mounts,
    }
    if parts.env_from:
        container["envFrom"] = [_said(source) for source in parts.env_from]
    if pre_stop:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/bash", "-c", pre_stop]}}}
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
        **scheduling(parts.scheduling),
    }
    if parts.image_pull_secrets:
        spec["imagePullSecrets"] = [_said(ref) for ref in parts.image_pull_secrets]
    return {"metadata": metadata, "spec": spec}


def scheduling(wanted: Scheduling) -> Manifest:
    """The fields of a pod's spec that say where it may run; absent ones are left out."""
    fields = (
        ("nodeSelector", dict(wanted.node_selector)),
        ("tolerations", [_said(t) for t in wanted.tolerations]),
        ("affinity", dict(wanted.affinity)),
        ("priorityClassName", wanted.priority_class_name),
        ("serviceAccountName", wanted.service_account_name),
    )
    return {name: value for name, value in fields if value}


def of_replica(asked: ResourceRequirements | None, default: Shape) -> Shape:
    """What one replica or worker takes: a limit without a request is also its request, as in Kubernetes."""
    requests = dict(asked.requests) if asked else {}
    limits = dict(asked.limits) if asked else {}
    return Shape(requests={**default.requests, **limits, **requests}, limits=limits)


def of_ray(asked: ResourceRequirements | None, default: Shape) -> Shape:
    """What Ray itself takes in a pod."""
    if asked is None:
        return default
    requests = {**asked.limits, **asked.requests}
    return Shape(requests={**default.requests, **requests}, limits=dict(asked.limits))


def together(ray: Shape, each: Shape, count: int) -> Shape:
    """One container that holds Ray and `count` replicas.

    A resource is limited only when each replica limits it; Ray's own share is then its limit, or its request.
    """
    names = dict.fromkeys([*ray.requests, *each.requests])
    requests = {n: _sum(n, ray.requests.get(n), each.requests.get(n), count) for n in names}
    limits = {
        n: _sum(n, ray.limits.get(n, ray.requests.get(n)), limit, count) for n, limit in each.limits.items()
    }
    return Shape(requests={n: v for n, v in requests.items() if v != "0"}, limits=limits)


def room_of_replica(asked: ResourceRequirements | None, defaults: Defaults) -> Room:
    """What one replica requests, without Ray's own share of its pod."""
    return room(of_replica(asked, defaults.replica_resources).requests)


def logical_cpus(shape: Shape) -> float:
    """Ray's `num_cpus` of one replica: its CPU request in cores."""
    return quantity.millicores(shape.requests.get("cpu", "0")) / 1000


def gpus(shape: Shape) -> float:
    """Ray's `num_gpus` of one replica: every device whose resource name ends in `/gpu`."""
    return float(sum(quantity.count(v) for n, v in shape.limits.items() if n.endswith("/gpu")))


def claim_mount(claim: str) -> str:
    """Name of the volume of a PersistentVolumeClaim."""
    plain = f"claim-{claim}"
    # A volume's name is a DNS label: what had to be changed could else be another claim's name.
    return plain if len(plain) <= 63 and "." not in plain else f"claim-{fingerprint(claim)}"


def _volumes(
    parts: PodParts, defaults: Defaults, extra: Iterable[Manifest]
) -> tuple[list[Manifest], list[Manifest]]:
    volumes: list[Manifest] = []
    mounts: list[Manifest] = []
    for volume in extra:
        volumes.append(volume["volume"])
        mounts.append(volume["mount"])
    if parts.code_config_map:
        volumes.append({"name": "code", "configMap": {"name": parts.code_config_map}})
        mounts.append({"name": "code", "mountPath": paths.CODE_DIR, "readOnly": True})
    if parts.cache_models:
        volumes.append({"name": "models", "emptyDir": {"sizeLimit": defaults.model_cache_size}})
        mounts.append({"name": "models", "mountPath": paths.MODEL_CACHE_DIR})
    for claim, read_only in parts.claims:
        source = {"claimName": claim, "readOnly": True} if read_only else {"claimName": claim}
        volumes.append({"name": claim_mount(claim), "persistentVolumeClaim": source})
        mount = {"name": claim_mount(claim), "mountPath": f"{paths.CLAIMS_DIR}/{claim}"}
        mounts.append({**mount, "readOnly": True} if read_only else mount)
    return volumes, mounts


def _env(own: Mapping[str, str], users: tuple[EnvVar, ...]) -> list[Manifest]:
    # The user may set RAY_… to tune Ray; RAYDOCK_… is how the two halves of raydock speak, so it stays ours.
    said = {v.name: _said(v) for v in users if v.name in USERS or not v.name.startswith("RAYDOCK_")}
    ours = {name: {"name": name, "value": value} for name, value in own.items() if name not in said}
    path = said.get("PYTHONPATH", {}).get("value")
    if path is not None and own.get("PYTHONPATH"):
        said["PYTHONPATH"] = {"name": "PYTHONPATH", "value": f"{own['PYTHONPATH']}:{path}"}
    return [*ours.values(), *said.values()]


def _said(part: Any) -> Manifest:
    return dict(part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True))


def _shown(shape: Shape) -> Manifest:
    out: Manifest = {"requests": dict(shape.requests)}
    if shape.limits:
        out["limits"] = dict(shape.limits)
    return out


def _sum(name: str, ray: str | None, each: str | None, count: int) -> str:
    ray, each = ray or "0", each or "0"
    if name == "cpu":
        return quantity.cpu_text(quantity.millicores(ray) + count * quantity.millicores(each))
    if name in {"memory", "ephemeral-storage"} or name.startswith("hugepages-"):
        return quantity.memory_text(quantity.count(ray) + count * quantity.count(each))
    return str(quantity.count(ray) + count * quantity.count(each))
