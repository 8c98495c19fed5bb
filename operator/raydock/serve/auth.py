"""Who may call: keys checked against the hashes in the access file, by the rules of api.md, "Keys"."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from raydock.serve.answer import Code, Refused
from raydock.wire.access import Access, EndpointAccess, digest
from raydock.wire.record import WireError, loads

LOOK_EVERY_S: Final = 0.2
"""Seconds between two looks at the file's times: a stat on memory is cheap, one per request is not needed."""
_OPEN: Final = "None"


class AccessFile:
    """The mounted Secret: read again when it changed, and nobody may call while it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self.rules = Rules(Access())
        self.digest = ""
        """wire.access.digest of what is held; empty when there is nothing readable."""

    def look(self, now: float) -> "Rules":
        """The rules in force at the monotonic time `now`, at most LOOK_EVERY_S old."""
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._read_if_changed()
        return self.rules

    def _read_if_changed(self) -> None:
        try:
            seen = self._path.stat()
            stamp = (seen.st_mtime_ns, seen.st_ino, seen.st_size)
            if stamp == self._stamp:
                return
            content = self._path.read_bytes()
            self.rules, self.digest, self._stamp = Rules(loads(Access, content)), digest(content), stamp
        except (OSError, WireError):
            self.rules, self.digest, self._stamp = Rules(Access()), "", None


class Rules:
    """An Access, turned round for checking: hashes to compare with, by what they are good for."""

    def __init__(self, access: Access) -> None:
        here = {name: endpoint for name, endpoint in access.endpoints.items() if endpoint.routes_here}
        self._open = frozenset(name for name, endpoint in here.items() if endpoint.mode == _OPEN)
        self._by_endpoint = {name: _hashes([endpoint]) for name, endpoint in here.items()}
        self._any_here = _hashes(here.values())
        self._any = _hashes(access.endpoints.values())

    def known(self, endpoint: str | None) -> str:
        """`endpoint` if it routes here, else nothing: past the gateway a caller may name any."""
        return endpoint if endpoint in self._by_endpoint else ""

    def check(self, endpoint: str | None, credentials: list[bytes]) -> bool:
        """Whether the credentials were used up by this check, so that the app must not see them.

        `endpoint`: the one that the route names, None past the gateway. Raises Refused 401 or 403.
        """
        if endpoint in self._open:
            return False
        key = _one_of(credentials)
        wanted = self._any_here if endpoint is None else self._by_endpoint.get(endpoint, ())
        offered = hashlib.sha256(key).hexdigest()
        if _is_among(offered, wanted):
            return True
        if _is_among(offered, self._any):
            raise Refused(Code.FORBIDDEN, "this key is another endpoint's")
        raise Refused(Code.UNAUTHORIZED, "the key is not known here")


def _hashes(endpoints: Iterable[EndpointAccess]) -> tuple[str, ...]:
    return tuple(found for endpoint in endpoints if endpoint.mode != _OPEN for found in endpoint.key_hashes)


def _one_of(credentials: list[bytes]) -> bytes:
    if not credentials:
        raise Refused(Code.UNAUTHORIZED, "send a key of the endpoint as Authorization: Bearer or api-key")
    if any(other != credentials[0] for other in credentials[1:]):
        raise Refused(Code.UNAUTHORIZED, "two different keys were sent")
    return credentials[0]


def _is_among(offered: str, known: tuple[str, ...]) -> bool:
    """Compare with each, so that the time taken says nothing about which one was close."""
    found = False
    for one in known:
        found |= hmac.compare_digest(offered, one)
    return found
