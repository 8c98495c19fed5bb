"""The programs that get a manifest, as judges: the CRDs of other operators, Ray Serve's schema."""

import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]  # no stubs are installed
import yaml
from pydantic import BaseModel

from hack.node import build

_KUBERAY = "kuberay", "github.com/ray-project/kuberay/ray-operator"
_PROMETHEUS = "monitoring", "github.com/prometheus-operator/prometheus-operator"
_EXAMPLES = "example/prometheus-operator-crd"
_FILES = {
    "RayService": (*_KUBERAY, "config/crd/bases/ray.io_rayservices.yaml"),
    "RayJob": (*_KUBERAY, "config/crd/bases/ray.io_rayjobs.yaml"),
    "HTTPRoute": (
        "gateway",
        "sigs.k8s.io/gateway-api",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ),
    "PodMonitor": (*_PROMETHEUS, "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"),
    "PrometheusRule": (
        *_PROMETHEUS,
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
"""Go module of hack/node, its path, and the CRD in it."""


def complaints(manifest: Mapping[str, Any]) -> list[str]:
    """What the reader of `manifest` would refuse, ignore or drop; [] for kinds of Kubernetes itself."""
    kind = str(manifest["kind"])
    if kind not in _FILES:
        return []
    found = [
        f"{kind}.{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in jsonschema.Draft202012Validator(_strict(schema(kind))).iter_errors(manifest)
    ]
    if kind == "RayService":
        found += dropped_by_serve(yaml.safe_load(manifest["spec"]["serveConfigV2"]))
    return found


def dropped_by_serve(config: Mapping[str, Any]) -> list[str]:
    """Keys of a Serve config that Serve's own schema does not know: it drops them without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        from ray.serve.schema import ServeDeploySchema  # noqa: PLC0415 - costs seconds

    ServeDeploySchema.model_validate(config)  # raises what Serve would answer
    return list(_unknown(config, ServeDeploySchema, "serveConfigV2"))


@cache
def schema(kind: str) -> dict[str, Any]:
    """The OpenAPI schema of the CRD's stored version. Raises what hack/node says when it isn't there."""
    module, path, name = _FILES[kind]
    file = build.module_folder(module, path) / name
    if not file.exists():
        raise FileNotFoundError(
            f"{file}: the CRD of {kind} is not in {path}; did hack/node/versions.toml change?"
        )
    crd = yaml.load(Path(file).read_text(), Loader=yaml.CSafeLoader)
    stored = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")
    found: dict[str, Any] = stored["schema"]["openAPIV3Schema"]
    return found


def defaulted(manifest: Any, told: Mapping[str, Any]) -> Any:
    """`manifest` as an API server gives it back: with the defaults of the schema `told` filled in."""
    if isinstance(manifest, Mapping):
        fields = told.get("properties", {})
        out = {
            k: defaulted(v, fields.get(k, told.get("additionalProperties") or {}))
            for k, v in manifest.items()
        }
        missing = {k: f["default"] for k, f in fields.items() if k not in manifest and "default" in f}
        return {**out, **missing}
    if isinstance(manifest, list):
        return [defaulted(v, told.get("items", {})) for v in manifest]
    return manifest


def _strict(told: Any) -> Any:
    """The schema with unknown fields refused, as strict field validation does, instead of dropped."""
    if isinstance(told, list):
        return [_strict(part) for part in told]
    if not isinstance(told, Mapping):
        return told
    out = {
        k: _strict(v) if k != "properties" else {n: _strict(f) for n, f in v.items()} for k, v in told.items()
    }
    if out.get("properties") and not out.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    if out.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    return out


def _unknown(value: Any, shape: Any, where: str) -> Iterator[str]:
    models = [m for m in _models(shape) if isinstance(value, Mapping)]
    for model in models[:1]:
        fields = _fields(model)
        for key, part in value.items():
            if key not in fields:
                yield f"{where}.{key}: not in {model.__name__}"
            else:
                yield from _unknown(part, fields[key], f"{where}.{key}")
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from _unknown(part, shape, f"{where}[{index}]")


def _fields(model: Any) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


def _models(shape: Any) -> list[Any]:
    """The pydantic models in a type: `list[M]`, `M | None`, `Optional[List[M]]`."""
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return [shape]
    return [model for part in get_args(shape) for model in _models(part)]
