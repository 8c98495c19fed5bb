"""Posts to the operator from a Ray pod, with the pod's projected token and the standard library alone."""

import http.client
import socket
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

CONNECT_S: Final = 3.0
"""Seconds for one address to be connected to: one that is gone must not keep the others from being asked."""
ANSWER_S: Final = 15.0
"""Seconds for an answer: a job's last report is answered once it is written down (runtime.http: 10 s)."""
NOT_LEADER: Final = 503


class Unreachable(Exception):
    """No address took the request; the message names none of them."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class OperatorClient:
    """Posts to `base_url`, a headless Service: of its pods one, the leader, answers."""

    def __init__(self, base_url: str, token_file: str) -> None:
        split = urlsplit(base_url)
        if split.scheme != "http" or split.hostname is None:
            raise ValueError("want http://HOST[:PORT]")
        self._host = split.hostname
        self._port = split.port or 80
        self._base = split.path.rstrip("/")
        self._token_file = Path(token_file)

    def post(self, path: str, body: bytes = b"") -> Answer:
        """The answer of the first address that does not answer 503, else a 503. Raises Unreachable."""
        try:
            # Read each time: the kubelet renews the token while the job runs.
            token = self._token_file.read_text().strip()
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise Unreachable(f"{type(exc).__name__}: {exc.strerror}") from exc
        addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
        answer: Answer | None = None
        error: Exception | None = None
        for address in addresses:
            try:
                answer = self._post_to(address, token, self._base + path, body)
            except (OSError, http.client.HTTPException) as exc:
                error = exc
                continue
            if answer.status != NOT_LEADER:
                return answer
        if answer is None:
            raise Unreachable(type(error).__name__) from error
        return answer

    def _post_to(self, address: str, token: str, path: str, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(address, self._port, timeout=CONNECT_S)
        headers = {
            "Host": f"{self._host}:{self._port}",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_S)
            connection.request("POST", path, body, headers)
            said = connection.getresponse()
            return Answer(said.status, said.read())
        finally:
            connection.close()
