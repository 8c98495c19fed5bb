"""Which addresses may be read from where somebody else names them: whatever a gateway makes of them."""

import ipaddress
from collections.abc import Collection, Iterator
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "168.63.129.16", "100.100.100.200")))
"""Addresses beside link-local ones at which clouds tell a machine its secrets (AWS, Azure, Alibaba)."""
_LAST_BYTES: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""Networks whose addresses have an IPv4 address at their end: NAT64 (RFC 6052, 8215), IPv4-compatible."""


def networks(text: str) -> tuple[Network, ...]:
    """Those in `text`, with commas between them. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_open(address: str, allowed: Collection[Network] = ()) -> bool:
    """Whether `address` may be read from: it is public, or in one of `allowed`."""
    found = _plain(address)
    if any(found.version == network.version and found in network for network in allowed):
        return True
    return all(one.is_global and not one.is_multicast for one in _reached(found)) and not is_metadata(address)


def is_metadata(address: str) -> bool:
    """Whether a machine's own secrets are told at `address`."""
    return any(one.is_link_local or one in METADATA for one in _reached(_plain(address)))


def _plain(address: str) -> Address:
    found: Address = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped


def _reached(address: Address) -> Iterator[Address]:
    """`address`, and the IPv4 address that a gateway on the way may make of it: NAT64, 6to4, Teredo."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _LAST_BYTES):
            yield ipaddress.IPv4Address(address.packed[-4:])
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield address.teredo[1]
