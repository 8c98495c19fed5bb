"""What a node has on the host: empty once it is down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from hack.node import isolation
from hack.node.command import output
from hack.node.layout import Layout

OUR_RULES = ("kube-proxy", "KUBE-", "CNI-", "cni_hostport")
"""In the names of tables and chains that kube-proxy and the CNI plugins make."""


def leftovers(node: Layout) -> list[str]:
    """One line for each process, mount, link, route, cgroup, named network namespace and rule of the node."""
    return [*_processes(node), *_mounts(node), *_network(node), *_groups(node), *_rules()]


def _processes(node: Layout) -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            groups = (folder / "cgroup").read_text()
        except OSError:  # ended meanwhile
            continue
        ours = (
            str(node.home) in command
            or f":/{node.name}/" in groups
            or f"hack.node supervise {node.name} " in f"{command} "
        )
        if ours and " leftovers" not in command:
            yield f"process {folder.name}: {command[:120]}"


def _mounts(node: Layout) -> Iterator[str]:
    for line in Path("/proc/mounts").read_text().splitlines():
        target = line.split()[1]
        if target.startswith((str(node.home), "/run/netns/cni-", "/run/containerd/")):
            yield f"mount {target}"


def _network(node: Layout) -> Iterator[str]:
    if Path("/sys/class/net", node.veth).exists():
        yield f"link {node.veth}"
    for cidr in (node.pod_cidr, node.service_cidr, f"{node.link}.0/30"):
        for route in output(["ip", "route", "show", "root", cidr]).splitlines():
            yield f"route {route.strip()}"
    for netns in Path("/run/netns").glob("cni-*"):
        yield f"network namespace {netns.name}"


def _groups(node: Layout) -> Iterator[str]:
    for group in isolation.cgroups(node):
        if group.exists():
            yield f"cgroup {group}"


def _rules() -> Iterator[str]:
    if shutil.which("nft"):
        for line in output(["nft", "list", "ruleset"]).splitlines():
            words = line.split()
            if words[:1] in (["table"], ["chain"]) and any(name in line for name in OUR_RULES):
                yield f"firewall {line.strip(' {')}"
