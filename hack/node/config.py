"""Configuration files of containerd, CNI, kubelet and kube-proxy. Written anew by each `up`."""

from __future__ import annotations

import json
import resource
from typing import Any

from hack.node.layout import DOMAIN, Layout

PAUSE = "localhost/pause:1"

UNUSED_PLUGINS = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)


def write(node: Layout) -> None:
    """All files below `node.etc`."""
    cni = node.etc / "cni"
    cni.mkdir(parents=True, exist_ok=True)
    # pods have no way out: the host does not masquerade for them, and no resolver is upstream
    (node.etc / "resolv.conf").write_text(f"nameserver {node.host_ip}\n")
    (cni / "10-raydock.conflist").write_text(json.dumps(_cni(node), indent=1))
    (node.etc / "containerd.toml").write_text(_containerd(node))
    (node.etc / "kubelet.json").write_text(json.dumps(_kubelet(node), indent=1))
    (node.etc / "proxy.json").write_text(json.dumps(_proxy(node), indent=1))


def _cni(node: Layout) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": [[{"subnet": node.pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    return {
        "cniVersion": "1.0.0",
        "name": "raydock",
        "plugins": [
            {**bridge, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _containerd(node: Layout) -> str:
    # restrict_oom_score_adj: without CAP_SYS_RESOURCE no score below our own may be set, and runc then fails
    # with "can't get final child's PID from pipe: EOF"
    return f"""version = 2
root = "{node.containerd}"
state = "/run/containerd"
disabled_plugins = {json.dumps(UNUSED_PLUGINS)}
[grpc]
  address = "{node.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{node.etc / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _kubelet(node: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "readOnlyPort": 0,
        "healthzPort": 10248,
        "tlsCertFile": str(node.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(node.pki / "kubelet-server.key"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(node.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [node.dns_ip],
        "clusterDomain": DOMAIN,
        "resolvConf": str(node.etc / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "podLogsDir": str(node.logs / "pods"),
        "volumePluginDir": str(node.kubelet / "volumeplugins"),
        # images come from archives and cannot be pulled again: never collect one
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        # what a root without CAP_SYS_RESOURCE may have
        "oomScoreAdj": 0,
        "maxOpenFiles": min(1_000_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        "serializeImagePulls": False,
        "registerNode": True,
    }


def _proxy(node: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(node.pki / "proxy.kubeconfig")},
        "mode": "nftables",
        "clusterCIDR": node.pod_cidr,
        "hostnameOverride": node.name,
        "bindAddress": "0.0.0.0",
        "oomScoreAdj": 0,
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "127.0.0.1:10256",
        # nf_conntrack_max is read-only outside the first network namespace: ask for no change
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
