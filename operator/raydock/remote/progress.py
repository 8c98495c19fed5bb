"""A batch driver's client of the operator's POST /v1/progress, with the standard library alone."""

import http.client
import socket
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from raydock.wire.progress import PROGRESS_PATH, Report
from raydock.wire.record import dumps

CONNECT_S: Final = 3.0
"""Seconds for one address to be connected to: one that is gone must not keep the others from being asked."""
ANSWER_S: Final = 15.0
"""Seconds for an answer: a job's last report is answered once it is written down (runtime.http: 10 s)."""
NOT_LEADER: Final = 503


class Unreachable(Exception):
    """No address took the report; the message names none of them."""


class ProgressClient:
    """Sends reports to `base_url`, a headless Service: of its pods one, the leader, takes them."""

    def __init__(self, base_url: str, token_file: str) -> None:
        split = urlsplit(base_url)
        if split.scheme != "http" or split.hostname is None:
            raise ValueError("want http://HOST[:PORT]")
        self._host = split.hostname
        self._port = split.port or 80
        self._path = split.path.rstrip("/") + PROGRESS_PATH
        self._token_file = Path(token_file)

    def post(self, report: Report) -> int:
        """The HTTP status of the first address that does not answer 503, else 503. Raises Unreachable."""
        try:
            # Read each time: the kubelet renews the token while the job runs.
            token = self._token_file.read_text().strip()
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise Unreachable(f"{type(exc).__name__}: {exc.strerror}") from exc
        addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
        status: int | None = None
        error: Exception | None = None
        for address in addresses:
            try:
                status = self._post_to(address, token, dumps(report).encode())
            except (OSError, http.client.HTTPException) as exc:
                error = exc
                continue
            if status != NOT_LEADER:
                return status
        if status is None:
            raise Unreachable(type(error).__name__) from error
        return status

    def _post_to(self, address: str, token: str, body: bytes) -> int:
        connection = http.client.HTTPConnection(address, self._port, timeout=CONNECT_S)
        headers = {
            "Host": f"{self._host}:{self._port}",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_S)
            connection.request("POST", self._path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()
