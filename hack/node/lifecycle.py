"""up and down. Each step of `up` looks first whether it is done: run again, it goes on where it was cut."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hack.node import addons, build, config, containers, host, keys, launch
from hack.node.addons import Addon
from hack.node.api import Api, dns_answers
from hack.node.failure import NodeError
from hack.node.layout import DOMAIN, Layout
from hack.node.progress import Progress, wait_for

BOOT_LIMIT_S = 120.0
"""For each condition of the node's own start: about 10 times what two busy cores took."""

ADDON_LIMIT_S = 180.0
"""For an add-on's pods, the first start of all of them at once included."""


def up(node: Layout) -> None:
    """Brings the node and its add-ons up, or finds that they are. Raises NodeError naming what failed."""
    host.require_root()
    progress = Progress()
    with _alone(node):
        installed = host.ensure_packages()
        if installed:
            progress.say(f"installed {', '.join(installed)}")
        build.ensure([*build.NODE, *build.ADDONS], progress)
        with progress.step("Envoy"):
            build.envoy()
        _boot(node, progress)
        _extend(node, progress)
        progress.say(f"up: KUBECONFIG={node.kubeconfig}")


OBJECTS = ("etcd", "kubelet", "volumes")
"""What the cluster's objects are kept in."""


def down(node: Layout, *, clean: bool = False, purge: bool = False) -> None:
    """Ends the node. Its state stays, less objects and volumes if `clean`, less all of it if `purge`."""
    host.require_root()
    with _alone(node):
        launch.stop(node)
        for path in node.home.iterdir():
            # what is mounted over /var/lib/cni stays: removing it would unmount it in every other node
            if (clean and path.name in OBJECTS) or (purge and path.name not in ("cni", "run")):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _boot(node: Layout, progress: Progress) -> None:
    """The node itself, up to DNS."""
    api = Api(node)
    with progress.step("keys and configuration"):
        for folder in (node.logs / "pods", node.kubelet, node.volumes):
            folder.mkdir(parents=True, exist_ok=True)
        keys.ensure(node.pki, node.name, node.node_ip, node.api_ip, DOMAIN)
        for user in ("kubelet", *keys.USERS):
            keys.write_kubeconfig(
                node.pki, user, "https://127.0.0.1:6443", node.pki / f"{user}.kubeconfig", context=node.name
            )
        keys.write_kubeconfig(
            node.pki, "admin", f"https://{node.node_ip}:6443", node.kubeconfig, context=node.name
        )
        config.write(node)
    if not launch.alive(node):
        with progress.step("namespaces and supervisor"):
            launch.start(node)
    since = node.pidfile.stat().st_mtime
    with progress.step("containerd answers"):
        _wait(node, "containerd", "answering", lambda: containers.answers(node))
    with progress.step("images of the node"):
        containers.ensure(node, containers.node_images())
    with progress.step("API server ready"):
        _wait(node, "kube-apiserver", "ready", api.ready)
        _wait(
            node,
            "kube-apiserver",
            "done with its namespaces",
            lambda: bool(api.get("/api/v1/namespaces/kube-system")),
        )
    with progress.step("node Ready"):
        _wait(node, "kubelet", "Ready", lambda: api.node_ready(since))
    with progress.step("service accounts"):
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        _wait(node, "kube-controller-manager", "making service accounts", lambda: bool(api.get(account)))
    with progress.step("DNS answers"):
        addons.ensure(api, addons.dns(node))
        _wait(node, "coredns", "answering", lambda: dns_answers(node))


def _extend(node: Layout, progress: Progress) -> None:
    """Volumes, KubeRay and the gateway: all are applied before the first is awaited."""
    api = Api(node)
    with progress.step("images of the add-ons"):
        containers.ensure(node, containers.addon_images())
    extras = [addons.storage(node), addons.kuberay(), addons.gateway()]
    for addon in extras:
        with progress.step(f"{addon.name} applied"):
            addons.ensure(api, addon)
    since = node.pidfile.stat().st_mtime
    for addon in extras:
        with progress.step(f"{addon.name} ready"):
            _wait_for_pods(node, api, addon, since)


def _wait_for_pods(node: Layout, api: Api, addon: Addon, since: float) -> None:
    try:
        wait_for(addon.name, "ready", lambda: api.pods_ready(addon.namespace, since), ADDON_LIMIT_S)
    except NodeError as late:
        pods = api.kubectl("get", "pods", "-n", addon.namespace, "-o", "wide")
        events = api.kubectl("get", "events", "-n", addon.namespace, "--sort-by=.lastTimestamp")
        log = node.logs / f"{addon.name}-diagnosis.log"
        log.write_text("\n".join([*events.splitlines()[-15:], pods]))
        raise NodeError(addon.name, str(late).partition(": ")[2], log) from None


def _wait(node: Layout, component: str, what: str, test: Callable[[], bool]) -> None:
    log = node.log(component) if node.log(component).exists() else node.log("supervisor")
    wait_for(component, what, test, BOOT_LIMIT_S, log, alive=lambda: launch.alive(node) != 0)


@contextmanager
def _alone(node: Layout) -> Iterator[None]:
    """Holds the node's lock: a second `up` or `down` waits for the first. A killed one frees it."""
    (node.home / "run").mkdir(parents=True, exist_ok=True)
    held = os.open(node.home / "run" / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
