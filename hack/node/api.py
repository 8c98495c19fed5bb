"""Asking the node's API server and DNS, and whether what they say is of this boot."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hack.node.command import Arg, run
from hack.node.layout import BIN, DOMAIN, Layout


class Api:
    """The API server of one node, as cluster admin."""

    def __init__(self, node: Layout) -> None:
        self._node = node
        self._opener: urllib.request.OpenerDirector | None = None

    def get(self, path: str) -> str:
        """The body of an answer, or an empty string for anything but success."""
        if self._opener is None:
            context = ssl.create_default_context(cafile=str(self._node.pki / "ca.crt"))
            context.load_cert_chain(self._node.pki / "admin.crt", self._node.pki / "admin.key")
            # no proxy of the shell's is between the host and its own node
            unproxied = urllib.request.ProxyHandler({})
            self._opener = urllib.request.build_opener(
                unproxied, urllib.request.HTTPSHandler(context=context)
            )
        url = f"https://{self._node.node_ip}:6443{path}"
        try:
            with self._opener.open(url, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def read(self, path: str) -> dict[str, Any]:
        """An object or list, empty when there is none."""
        found = json.loads(self.get(path) or "{}")
        return found if isinstance(found, dict) else {}

    def ready(self) -> bool:
        """Whether the API server says so of itself."""
        return self.get("/readyz") == "ok"

    def node_ready(self, since: float = 0) -> bool:
        """Ready, by a heartbeat not before `since` (Unix time): what the last boot left says Ready too."""
        status = self.read(f"/api/v1/nodes/{self._node.name}").get("status", {})
        return any(
            condition["type"] == "Ready"
            and condition["status"] == "True"
            and _unix(condition["lastHeartbeatTime"]) >= int(since)
            for condition in status.get("conditions", [])
        )

    def pods_ready(self, namespace: str, since: float = 0) -> bool:
        """Whether there are pods, all their containers ready and started not before `since` (Unix time)."""
        pods = self.read(f"/api/v1/namespaces/{namespace}/pods").get("items", [])
        lasting = [pod for pod in pods if _lasting(pod)]
        return bool(lasting) and all(_started(pod, since) for pod in lasting)

    def unready_pods(self) -> list[str]:
        """Namespace and name of each pod that should run, and does not or not quite."""
        return [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in self.read("/api/v1/pods").get("items", [])
            if _lasting(pod) and not _started(pod, since=0)
        ]

    def kubectl(self, *args: Arg, stdin: str | None = None, component: str = "kubectl") -> str:
        """Runs kubectl as cluster admin. Raises NodeError with its output when it fails."""
        argv: Sequence[Arg] = [BIN / "kubectl", "--kubeconfig", self._node.kubeconfig, *args]
        return run(argv, stdin=stdin, component=component)


def dns_answers(node: Layout) -> bool:
    """Asks the cluster's DNS, at its service address, for the API server's name."""
    labels = f"kubernetes.default.svc.{DOMAIN}".split(".")
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.5)
        try:
            udp.sendto(query, (node.dns_ip, 53))
            answer = udp.recv(512)
        except OSError:
            return False
    no_error, answers = answer[3] & 15 == 0, answer[7]
    return answer[:2] == query[:2] and no_error and answers > 0


def _lasting(pod: dict[str, Any]) -> bool:
    return (
        pod["status"].get("phase") not in ("Succeeded", "Failed")
        and "deletionTimestamp" not in pod["metadata"]
    )


def _started(pod: dict[str, Any], since: float) -> bool:
    containers = pod["status"].get("containerStatuses", [])
    return bool(containers) and all(
        container["ready"] and _unix(container["state"]["running"]["startedAt"]) >= int(since)
        for container in containers
    )


def _unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
