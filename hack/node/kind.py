"""The add-ons into a cluster that kind made, with upstream's public images: for people who have Docker."""

from __future__ import annotations

import re
from pathlib import Path

from hack.node import addons, build
from hack.node.api import Api
from hack.node.failure import NodeError
from hack.node.layout import CACHE, Layout
from hack.node.progress import Progress
from hack.node.versions import module_version

NODE_PORT = 30080
"""Of every Gateway's Envoy, so there can be one; kind-config.yaml maps a port of the host to it."""


def cluster() -> Layout:
    """Stands for kind's cluster: only its kubeconfig is used, which hack/kind.sh writes."""
    return Layout(home=CACHE / "kind", name="kind")


def ensure_addons() -> None:
    """KubeRay and Envoy Gateway with their definitions; storage and DNS are kind's own."""
    progress = Progress()
    build.ensure([build.NODE[0], *(binary for binary in build.ADDONS if binary.name == "helm")], progress)
    api = Api(cluster())
    kuberay = (
        build.module_folder("kuberay", addons.KUBERAY_MODULE) / "config" / "default" / "kustomization.yaml"
    )
    name, tag = _found(kuberay, r"newName: (\S+)"), _found(kuberay, r"newTag: (\S+)")
    gateway = build.module_folder("gateway", addons.GATEWAY_MODULE)
    envoy = _found(gateway / "api" / "v1alpha1" / "shared_types.go", r'DefaultEnvoyProxyImage = "([^"@]+)')
    version = module_version("gateway", addons.GATEWAY_MODULE)
    port = f"{{port: 80, nodePort: {NODE_PORT}}}"
    service = f"{{type: NodePort, patch: {{type: StrategicMerge, value: {{spec: {{ports: [{port}]}}}}}}}}"
    for addon in (
        addons.kuberay(f"{name}:{tag}", "/manager"),
        addons.gateway(f"envoyproxy/gateway:{version}", envoy, service),
    ):
        with progress.step(f"{addon.name} applied"):
            addons.ensure(api, addon)
    for namespace in ("kuberay-system", "envoy-gateway-system"):
        with progress.step(f"{namespace} ready"):
            api.kubectl(
                "wait", "--for=condition=Available", "deployment", "--all", "-n", namespace, "--timeout=300s"
            )


def _found(file: Path, pattern: str) -> str:
    match = re.search(pattern, file.read_text())
    if match is None:
        raise NodeError("kind", f"{file} names no image any more: {pattern}")
    return match[1]
