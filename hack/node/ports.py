"""Ports of loopback, for servers that are told theirs."""

import random
import socket
from typing import Final

from hack.node.failure import NodeError

_RANGE: Final = range(20_000, 30_000)
"""Below those that Linux gives to outgoing connections (32768 on), of which one may take a port before its
server does, and NodePorts (30000 on); above those of Ray's workers (up to 19999)."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now. Raises NodeError where there are none."""
    found: list[int] = []
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise NodeError("ports", f"no {count} are free between {_RANGE.start} and {_RANGE.stop}")
