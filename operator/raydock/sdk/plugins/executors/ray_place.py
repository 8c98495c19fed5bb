"""Where a Ray cluster is reached, from what a user writes."""

from typing import Final
from urllib.parse import urlsplit

AUTO: Final = "auto"
DASHBOARD_PORT: Final = 8265
CLIENT_PORT: Final = 10001


def dashboard(address: str, agent_url: str | None = None) -> str:
    """URL of the Jobs API: `address` where it is a URL of HTTP with a port, else its host's.

    `auto`: the host of the capacity agent, else this one. Raises ValueError for a text that names no host.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.scheme == "https" or (parts.scheme == "http" and parts.port):
        return address.rstrip("/")
    return f"http://{_host(address, agent_url)}:{DASHBOARD_PORT}"


def client(address: str, agent_url: str | None = None) -> str:
    """Address of Ray's client server: `address` where it is one, else on its host. `auto`: as `dashboard`."""
    if address.startswith("ray://") and urlsplit(address).port:
        return address.rstrip("/")
    return f"ray://{_host(address, agent_url)}:{CLIENT_PORT}"


def _host(address: str, agent_url: str | None) -> str:
    if address == AUTO:
        address = agent_url or "localhost"
    host = urlsplit(address if "://" in address else f"//{address}").hostname
    if not host:
        raise ValueError(f"--ray-address {address}: write auto, HOST or http://HOST:{DASHBOARD_PORT}")
    return f"[{host}]" if ":" in host else host
