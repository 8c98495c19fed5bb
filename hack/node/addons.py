"""What runs in the cluster beside raydock: DNS, volumes, KubeRay, the gateway.

Manifests are upstream's own, out of the Go modules that the binaries are built from, under a small overlay
of ours. The node and kind get the same; only the images differ.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from hack.node import build, containers
from hack.node.api import Api
from hack.node.command import Arg, run
from hack.node.layout import BIN, CACHE, DOMAIN, SOURCES, Layout
from hack.node.versions import module_version

MANIFESTS = SOURCES / "manifests"
KUBERAY_MODULE = "github.com/ray-project/kuberay/ray-operator"
GATEWAY_MODULE = "github.com/envoyproxy/gateway"
RECORD = "raydock-node"
"""ConfigMap in kube-system: which manifests of each add-on were applied, kept where what it tells of is."""


@dataclass(frozen=True)
class Addon:
    """Stages are applied in order; custom resource definitions of one are there before the next."""

    name: str
    namespace: str
    stages: Callable[[], list[str]]
    before: tuple[str, ...] = ()
    """A kubectl command to run first, for what cannot be applied over itself."""


def dns(node: Layout) -> Addon:
    """CoreDNS at the address that the kubelet writes into every pod."""
    return Addon(
        "coredns", "kube-system", lambda: [_filled("coredns.yaml", DNS_IP=node.dns_ip, DOMAIN=DOMAIN)]
    )


def storage(node: Layout) -> Addon:
    """The default StorageClass, its volumes writable for any user."""

    def stages() -> list[str]:
        module = build.module_folder("storage", "github.com/rancher/local-path-provisioner")
        name, _, tag = containers.STORAGE.rpartition(":")
        fields = {
            "IMAGE_NAME": name,
            "IMAGE_TAG": tag,
            "VOLUMES": str(node.volumes),
            "HELPER": containers.HELPER,
        }
        folder = _staged("storage", **fields)
        _copy(module / "deploy" / "local-path-storage.yaml", folder / "upstream.yaml")
        return [_kustomize(folder)]

    return Addon("storage", "local-path-storage", stages)


def kuberay(image: str = containers.KUBERAY, command: str = "/kuberay-operator") -> Addon:
    """The KubeRay operator with the roles that KubeRay itself grants it."""

    def stages() -> list[str]:
        config = build.module_folder("kuberay", KUBERAY_MODULE) / "config"
        name, _, tag = image.rpartition(":")
        folder = _staged("kuberay", IMAGE_NAME=name, IMAGE_TAG=tag, COMMAND=command)
        for part in ("rbac", "manager"):
            _copy(config / part, folder / "upstream" / part)
        return [_concatenated(config / "crd" / "bases"), _kustomize(folder)]

    return Addon("kuberay", "kuberay-system", stages)


CLUSTER_IP = "{type: ClusterIP}"
"""Envoy's Service where the host has a route to it."""


def gateway(
    image: str = containers.GATEWAY, envoy: str = containers.ENVOY, service: str = CLUSTER_IP
) -> Addon:
    """Gateway API, Envoy Gateway, and the GatewayClass `raydock` whose Envoys get `service`."""

    def stages() -> list[str]:
        chart = build.module_folder("gateway", GATEWAY_MODULE) / "charts" / "gateway-helm"
        folder = _staged("gateway", IMAGE=image, ENVOY=envoy, SERVICE=service)
        _copy(chart, folder / "chart")
        # the module holds the chart's values as a template only; our values override its two variables
        (folder / "chart" / "values.yaml").write_text((chart / "values.tmpl.yaml").read_text())
        template: list[Arg] = [BIN / "helm", "template", "eg", folder / "chart", "-n", "envoy-gateway-system"]
        rendered = run([*template, "--values", folder / "values.yaml"], component="gateway")
        standard = build.module_folder("gateway", "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
        crds = [_concatenated(standard), _concatenated(chart / "charts" / "crds" / "crds" / "generated")]
        return ["\n---\n".join(crds), rendered, (folder / "class.yaml").read_text()]

    # the job that makes certificates is immutable, and makes none that are there already
    job = ("delete", "job", "eg-gateway-helm-certgen", "-n", "envoy-gateway-system", "--ignore-not-found")
    return Addon("gateway", "envoy-gateway-system", stages, before=job)


def ensure(api: Api, addon: Addon) -> bool:
    """Applies the add-on unless the cluster has exactly this already; returns whether it did."""
    stages = addon.stages()
    wanted = hashlib.sha256("\0".join(stages).encode()).hexdigest()
    record = api.kubectl("get", "configmap", RECORD, "-n", "kube-system", "--ignore-not-found", "-o", "json")
    if record.strip() and json.loads(record).get("data", {}).get(addon.name) == wanted:
        return False
    if addon.before:
        api.kubectl(*addon.before, component=addon.name)
    for number, stage in enumerate(stages):
        if number:
            api.kubectl(
                "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s", component=addon.name
            )
        api.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=stage, component=addon.name
        )
    mark = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": RECORD, "namespace": "kube-system"}}
    filled = json.dumps({**mark, "data": {addon.name: wanted}})
    # one field manager an add-on: each owns its own key of the map
    owner = f"--field-manager=raydock-node-{addon.name}"
    api.kubectl("apply", "--server-side", owner, "-f", "-", stdin=filled)
    return True


def versions() -> str:
    """What `make node-status` says of the add-ons."""
    named = {"kuberay": KUBERAY_MODULE, "gateway": GATEWAY_MODULE}
    return "  ".join(f"{module} {module_version(module, path)}" for module, path in named.items())


def _filled(name: str, **values: str) -> str:
    return Template((MANIFESTS / name).read_text()).substitute(values)


def _staged(name: str, **values: str) -> Path:
    """A copy of our overlay in the cache, filled in: upstream's files are laid beside it."""
    folder = CACHE / "addons" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source in sorted((MANIFESTS / name).iterdir()):
        (folder / source.name).write_text(_filled(f"{name}/{source.name}", **values))
    return folder


def _copy(source: Path, target: Path) -> None:
    """A writable copy: Go's module cache is read-only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    run(["cp", "-r", "--no-preserve=mode", source, target])


def _kustomize(folder: Path) -> str:
    return run([BIN / "kubectl", "kustomize", folder], component="kustomize")


def _concatenated(folder: Path) -> str:
    files = sorted(path for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
    return "\n---\n".join(path.read_text() for path in files)
