"""etcd and the API server alone, on loopback, in a folder: what integration tests run against.

The same binaries and flags as on the node; no root, no namespaces, no kubelet and no controllers: nothing
happens that a test did not do.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hack.node import build, components, keys
from hack.node.components import Component
from hack.node.layout import DOMAIN
from hack.node.ports import free_ports
from hack.node.progress import Progress, wait_for

READY_LIMIT_S = 60.0
STOP_LIMIT_S = 5.0


@contextmanager
def control_plane(folder: Path) -> Iterator[Path]:
    """Runs a control plane with its state in `folder`; gives the path of an admin's kubeconfig.

    Ready when it gives: RBAC's default roles are there, and so is the namespace `default`. Ends with the
    `with` block, and with this process if it is killed. Raises NodeError when it does not get ready.
    """
    build.ensure(build.NODE[:1], Progress())
    etcd_port, peer_port, api_port = free_ports(3)
    keys.ensure(folder / "pki", "control-plane", "127.0.0.1", "10.0.0.1", DOMAIN)
    server = f"https://127.0.0.1:{api_port}"
    kubeconfig = folder / "admin.kubeconfig"
    keys.write_kubeconfig(folder / "pki", "admin", server, kubeconfig, context="control-plane")
    etcd_url = f"http://127.0.0.1:{etcd_port}"
    etcd = components.etcd(folder / "etcd", etcd_url, f"http://127.0.0.1:{peer_port}")
    # 127.0.0.1 may not be the address of a Service's endpoint; nothing asks for that one here
    api = components.api_server(folder / "pki", etcd_url, "127.0.0.1", api_port, "192.0.2.1", "10.0.0.0/24")
    with ExitStack() as running:
        for component in (etcd, api):
            running.enter_context(_process(component, folder))
        context = ssl.create_default_context(cafile=str(folder / "pki" / "ca.crt"))
        context.load_cert_chain(folder / "pki" / "admin.crt", folder / "pki" / "admin.key")
        for path in ("/readyz", "/api/v1/namespaces/default"):
            wait_for(
                "kube-apiserver",
                "ready",
                lambda url=server + path: _answers(url, context),  # type: ignore[misc]
                READY_LIMIT_S,
                folder / "kube-apiserver.log",
            )
        yield kubeconfig


@contextmanager
def _process(component: Component, folder: Path) -> Iterator[None]:
    """Runs a component; the kernel ends it when this process ends without a word (--pdeathsig)."""
    argv: Sequence[str] = ["setpriv", "--pdeathsig", "KILL", *component.argv]
    with (folder / f"{component.name}.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0)
    try:
        yield
    finally:
        # nobody reads this etcd again: the API server's minute of grace for its watches would be for nothing
        process.kill()
        process.wait(STOP_LIMIT_S)


def _answers(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, context=context, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def main(folder: Path) -> None:
    """Runs until its standard input ends or it is interrupted; prints the kubeconfig's path."""
    folder.mkdir(parents=True, exist_ok=True)
    with control_plane(folder) as kubeconfig:
        sys.stdout.write(f"{kubeconfig}\n")
        sys.stdout.flush()
        sys.stdin.read()
