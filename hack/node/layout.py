"""Where the node keeps its files, and which names and addresses it has on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
"""This package: manifests, Go modules and `versions.toml` lie beside the code."""

REPOSITORY = SOURCES.parent.parent

CACHE = Path(os.environ.get("RAYDOCK_CACHE") or Path.home() / ".cache" / "raydock").absolute()
"""What is costly to make and safe to delete: binaries, Go's caches, wheels, the node's state."""

BIN = CACHE / "bin"
DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Layout:
    """One node's state folder, names and addresses. Two nodes with nothing in common can run side by side."""

    home: Path
    name: str = "raydock"
    link: str = "100.64.77"
    """First three octets of the /30 between host (.1) and node (.2), out of the carrier-grade NAT range."""
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"

    @property
    def host_ip(self) -> str:
        """The host as the node and its pods see it."""
        return f"{self.link}.1"

    @property
    def node_ip(self) -> str:
        """The node as the host sees it: API server and node ports."""
        return f"{self.link}.2"

    @property
    def api_ip(self) -> str:
        """Service address of the API server."""
        return f"{self.service_cidr.rsplit('.', 2)[0]}.0.1"

    @property
    def dns_ip(self) -> str:
        """Service address of the cluster's DNS."""
        return f"{self.service_cidr.rsplit('.', 2)[0]}.0.10"

    @property
    def veth(self) -> str:
        """The host's end of the link; the kernel allows 15 characters."""
        return f"rd-{self.name[:12]}"

    @property
    def kubeconfig(self) -> Path:
        """Cluster admin."""
        return self.home / "admin.kubeconfig"

    @property
    def etc(self) -> Path:
        """Configuration files, written anew by each `up`."""
        return self.home / "etc"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.home / "pki"

    @property
    def logs(self) -> Path:
        """One file a component, and the pods' logs."""
        return self.home / "log"

    @property
    def kubelet(self) -> Path:
        """The kubelet's root."""
        return self.home / "kubelet"

    @property
    def containerd(self) -> Path:
        """Images and snapshots."""
        return self.home / "containerd"

    @property
    def volumes(self) -> Path:
        """Where volumes of the default StorageClass lie."""
        return self.home / "volumes"

    @property
    def socket(self) -> Path:
        """The address of containerd."""
        return self.home / "run" / "containerd.sock"

    @property
    def pidfile(self) -> Path:
        """The supervisor's pid and start time."""
        return self.home / "run" / "supervisor.pid"

    def log(self, component: str) -> Path:
        """The log file of a component."""
        return self.logs / f"{component}.log"


def layout() -> Layout:
    """The node that this shell's environment names; `RAYDOCK_NODE_*` make a second one beside the first."""
    name = os.environ.get("RAYDOCK_NODE_NAME", "raydock")
    return Layout(
        home=CACHE / "nodes" / name,
        name=name,
        link=os.environ.get("RAYDOCK_NODE_LINK", Layout.link),
        pod_cidr=os.environ.get("RAYDOCK_NODE_POD_CIDR", Layout.pod_cidr),
        service_cidr=os.environ.get("RAYDOCK_NODE_SERVICE_CIDR", Layout.service_cidr),
    )
