"""The command line of each process of the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hack.node.layout import BIN, DOMAIN, Layout

ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True)
class Component:
    """One process that the supervisor keeps alive."""

    name: str
    argv: tuple[str, ...]


def before_the_api(node: Layout) -> tuple[Component, ...]:
    """What needs no API server, and the API server itself."""
    containerd = ("/usr/bin/containerd", "--config", str(node.etc / "containerd.toml"))
    return (
        etcd(node.home / "etcd", ETCD, "http://127.0.0.1:2380"),
        Component("containerd", containerd),
        api_server(node.pki, ETCD, "0.0.0.0", 6443, node.node_ip, node.service_cidr),
    )


def after_the_api(node: Layout) -> tuple[Component, ...]:
    """Clients of the API server; they would only log errors before it answers."""
    return (_kubelet(node), _controller_manager(node), _scheduler(node), _proxy(node))


def etcd(data: Path, client_url: str, peer_url: str) -> Component:
    """A member of a cluster of one. No fsync: a machine that loses power may lose the node's state."""
    return Component(
        "etcd",
        (
            str(BIN / "etcd"),
            "--name=node",
            f"--data-dir={data}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=node={peer_url}",
            "--auto-compaction-mode=periodic",
            "--auto-compaction-retention=10m",
            "--log-level=warn",
        ),
    )


def api_server(
    pki: Path, etcd_url: str, bind: str, port: int, advertise: str, service_cidr: str
) -> Component:
    """The API server: RBAC and node authorizer, service account tokens, aggregation, TokenReview."""
    return Component(
        "kube-apiserver",
        (
            str(BIN / "kube-apiserver"),
            f"--etcd-servers={etcd_url}",
            f"--bind-address={bind}",
            f"--secure-port={port}",
            f"--advertise-address={advertise}",
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--service-cluster-ip-range={service_cidr}",
            f"--requestheader-client-ca-file={pki / 'front.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={pki / 'front-client.crt'}",
            f"--proxy-client-key-file={pki / 'front-client.key'}",
            "--endpoint-reconciler-type=lease",
            "--profiling=false",
        ),
    )


def _kubelet(node: Layout) -> Component:
    return Component(
        "kubelet",
        (
            str(BIN / "kubelet"),
            f"--config={node.etc / 'kubelet.json'}",
            f"--kubeconfig={node.pki / 'kubelet.kubeconfig'}",
            f"--root-dir={node.kubelet}",
            f"--cert-dir={node.pki}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.node_ip}",
        ),
    )


def _controller_manager(node: Layout) -> Component:
    return Component(
        "kube-controller-manager",
        (
            *_client(node, "kube-controller-manager", "controller-manager"),
            "--use-service-account-credentials=true",
            # with the defaults its own first start is throttled for 5 s
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            f"--service-account-private-key-file={node.pki / 'sa.key'}",
            f"--root-ca-file={node.pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={node.pki / 'ca.crt'}",
            f"--cluster-signing-key-file={node.pki / 'ca.key'}",
            f"--flex-volume-plugin-dir={node.kubelet / 'volumeplugins'}",
        ),
    )


def _scheduler(node: Layout) -> Component:
    return Component("kube-scheduler", _client(node, "kube-scheduler", "scheduler"))


def _proxy(node: Layout) -> Component:
    return Component("kube-proxy", (str(BIN / "kube-proxy"), f"--config={node.etc / 'proxy.json'}"))


def _client(node: Layout, binary: str, user: str) -> tuple[str, ...]:
    kubeconfig = node.pki / f"{user}.kubeconfig"
    return (
        str(BIN / binary),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",  # one node: nobody to elect against
        "--profiling=false",
    )
