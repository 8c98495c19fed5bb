"""What a NetworkPolicy admits, by the rules of networking.k8s.io/v1: for networks that enforce none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Pod:
    """Either end of a connection."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> dict[str, str]:
        """Those that the API server gives each namespace."""
        return {"kubernetes.io/metadata.name": self.namespace}


def admits(policy: Mapping[str, Any], source: Pod, target: Pod, port: int) -> bool:
    """Whether a TCP connection may be opened; everybody may to pods that the policy does not select."""
    spec, namespace = policy["spec"], policy["metadata"]["namespace"]
    if target.namespace != namespace or not _selects(spec["podSelector"], target.labels):
        return True
    assert spec["policyTypes"] == ["Ingress"]
    return any(_rule(rule, source, namespace, port) for rule in spec["ingress"])


def _rule(rule: Mapping[str, Any], source: Pod, namespace: str, port: int) -> bool:
    ports = rule.get("ports")
    if ports and port not in [one["port"] for one in ports if one["protocol"] == "TCP"]:
        return False
    peers = rule.get("from")
    return not peers or any(_peer(peer, source, namespace) for peer in peers)


def _peer(peer: Mapping[str, Any], source: Pod, namespace: str) -> bool:
    if not peer.keys() <= {"namespaceSelector", "podSelector"}:
        raise NotImplementedError(f"{sorted(peer)}: blocks of addresses are not evaluated")
    if "namespaceSelector" in peer:
        there = _selects(peer["namespaceSelector"], source.namespace_labels)
    else:
        there = source.namespace == namespace
    return there and _selects(peer.get("podSelector") or {}, source.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if not selector.keys() <= {"matchLabels"}:
        raise NotImplementedError(f"{sorted(selector)}: only matchLabels is evaluated")
    return all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items())
