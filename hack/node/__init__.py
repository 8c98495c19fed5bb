"""The embedded node: a real single-node Kubernetes on a bare Linux machine, without Docker.

One supervisor process is PID 1 of its own network, mount, PID and UTS namespaces; etcd, the control plane,
kubelet, kube-proxy and containerd run below it. When it ends, the kernel ends every process, mount,
interface and packet-filter rule of the node with it. The host sees one veth pair and two routes, so that pod
and service addresses work from it.

The way of `make node-up`: `host` (what the machine lacks) → `build` (binaries) → `keys` and `config` (files)
→ `launch` (namespaces) → `supervisor` (processes) → `containers` (images) → `addons` (what runs in it).

Tests take `hack.node.control_plane.control_plane`: etcd and the API server alone, on loopback.
"""
