"""What keeps node and host apart: mounts, sysctls and addresses inside, cgroups and the link outside."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hack.node.command import output, run
from hack.node.layout import Layout

KUBELET_SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What the kubelet sets, machine-wide (pkg/kubelet/cm/container_manager_linux.go, v1.34)."""

ROUTER_SYSCTLS = {
    "ipv4/ip_forward": 1,
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "bridge/bridge-nf-call-iptables": 1,
}
"""Of the node's own network namespace: it routes between the host and its pods."""


def enter(node: Layout) -> None:
    """Readies mounts and network of the namespaces that this process was started in."""
    _mount("--make-rslave", "/")
    _mount("--make-rshared", "/")  # kubelet and containerd pass mounts on to each other
    _mount("-t", "proc", "proc", "/proc")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    for inside, outside in (("/var/log", node.logs), ("/var/lib/cni", node.home / "cni")):
        outside.mkdir(parents=True, exist_ok=True)
        Path(inside).mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(outside), inside)
    _shield_sysctls()
    run(["hostname", node.name])
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "addr", "add", f"{node.node_ip}/30", "dev", "eth0"])
    run(["ip", "link", "set", "eth0", "up"])
    run(["ip", "route", "add", "default", "via", node.host_ip])
    for name, value in ROUTER_SYSCTLS.items():
        try:
            Path("/proc/sys/net", name).write_text(str(value))
        except OSError as error:  # a kernel without bridge filtering routes services all the same
            sys.stdout.write(f"sysctl {name}: {error}\n")


def connect(node: Layout, pid: int) -> None:
    """The host's side: a veth pair into the network namespace of `pid`, routes to pods and services."""
    disconnect(node)
    run(["ip", "link", "add", node.veth, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "addr", "add", f"{node.host_ip}/30", "dev", node.veth])
    run(["ip", "link", "set", node.veth, "up"])
    for cidr in (node.pod_cidr, node.service_cidr):
        run(["ip", "route", "replace", cidr, "via", node.node_ip])


def disconnect(node: Layout) -> None:
    """Takes the link away, and its routes with it."""
    output(["ip", "link", "del", node.veth])


def cgroups(node: Layout) -> list[Path]:
    """The node's group in each hierarchy of this machine, whether it exists or not."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted({Path(fields[1], node.name) for fields in mounts if fields[2] in ("cgroup", "cgroup2")})


def make_cgroups(node: Layout) -> None:
    """Creates the kubelet's root group."""
    for group in cgroups(node):
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # v1: a new group is born with none
            here, parent = group / name, group.parent / name
            if here.exists() and parent.exists() and not here.read_text().strip():
                here.write_text(parent.read_text())


def remove_cgroups(node: Layout, limit_s: float = 5.0) -> None:
    """Removes the node's groups; a group whose last process is just ending stays busy for a moment."""
    end = time.monotonic() + limit_s
    for top in cgroups(node):
        while top.exists():
            for group in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                _remove(group)
            if _remove(top) or time.monotonic() > end:
                break
            time.sleep(0.05)


def _remove(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return not group.exists()
    return True


def _shield_sysctls() -> None:
    """Files with the wanted values lie over the kubelet's sysctls: it finds nothing to change."""
    values = Path("/run/sysctl")
    values.mkdir()
    for name, value in KUBELET_SYSCTLS.items():
        target = Path("/proc/sys", name)
        if target.exists():
            over = values / name.replace("/", ".")
            over.write_text(f"{value}\n")
            _mount("--bind", str(over), str(target))


def _mount(*args: str) -> None:
    run(["mount", *args])
