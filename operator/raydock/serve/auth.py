"""Who may call: keys and tokens checked against the access file, by the rules of api.md, "Keys"."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from raydock.serve.answer import Code, Refused
from raydock.serve.jwt import FetchedKeys, InlineKeys, Invalid, Issuer, UnknownKey, fetched
from raydock.wire.access import Access, AsyncAccess, EndpointAccess, JwtAccess, digest
from raydock.wire.record import WireError, loads

LOOK_EVERY_S: Final = 0.2
"""Seconds between two looks at the file's times: a stat on memory is cheap, one per request is not needed."""
HOLD_S: Final = 5.0
"""How long a token of an unknown key waits for a newer access file: it may have been published just now."""
REFRESH_EVERY_S: Final = 30.0
HELD_MAX: Final = 64
"""Tokens that may wait so at a time: strangers can make any number of them."""
_OPEN: Final = "None"
_JWT: Final = "JWT"


class AccessFile:
    """The mounted Secret: read again when it changed, and nobody may call while it cannot be read."""

    def __init__(self, path: Path, fetch: Callable[[str], FetchedKeys] = fetched) -> None:
        """`fetch`: the keys at an address."""
        self._path = path
        self._fetch = fetch
        self._fetched: dict[str, FetchedKeys] = {}
        self._held = 0
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
            access = loads(Access, content)
            issuers = {
                n: self._issuer(e.jwt) for n, e in access.endpoints.items() if e.mode == _JWT and e.jwt
            }
            self.rules, self.digest, self._stamp = Rules(access, issuers), digest(content), stamp
        except (OSError, WireError):
            self.rules, self.digest, self._stamp = Rules(Access()), "", None

    def _issuer(self, rules: JwtAccess) -> Issuer:
        if rules.jwks_uri is None:
            return Issuer(rules, InlineKeys(rules.jwks or ""))
        return Issuer(rules, self._fetched.setdefault(rules.jwks_uri, self._fetch(rules.jwks_uri)))

    async def learn(self, endpoint: str | None) -> None:
        """Look for the key of a token that nobody knows here, for HOLD_S at most."""
        if self._held >= HELD_MAX:
            return
        self._held += 1
        try:
            async with asyncio.timeout(HOLD_S):
                await self._learn(endpoint)
        except TimeoutError:
            return
        finally:
            self._held -= 1

    async def _learn(self, endpoint: str | None) -> None:
        sources = [issuer.source for issuer in self.rules.issuers(endpoint)]
        remote = [source for source in sources if isinstance(source, FetchedKeys)]
        if remote:
            for source in remote:
                await source.look()
            return
        before = self.digest
        self.look(time.monotonic())
        while self.digest == before:  # a file has no event
            await asyncio.sleep(LOOK_EVERY_S)  # noqa: TID251 - between two looks at it
            self.look(time.monotonic())

    async def refresh(self) -> None:
        """Read again what was fetched long ago: that a key was withdrawn is seen by nothing else."""
        for source in list(self._fetched.values()):
            if source.is_old:
                await source.look()

    async def keep_fresh(self) -> None:
        """Do so until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_EVERY_S)  # noqa: TID251 - no issuer tells of its keys


class Rules:
    """An Access, turned round for checking: hashes to compare with, by what they are good for."""

    def __init__(self, access: Access, issuers: Mapping[str, Issuer] | None = None) -> None:
        """`issuers`: by endpoint."""
        issuers = issuers or {}
        here = {name: endpoint for name, endpoint in access.endpoints.items() if endpoint.routes_here}
        self._open = frozenset(name for name, endpoint in here.items() if endpoint.mode == _OPEN)
        self._by_endpoint = {name: _hashes([endpoint]) for name, endpoint in here.items()}
        self._any_here = _hashes(here.values())
        self._any = _hashes(access.endpoints.values())
        self.asynchronous: Mapping[str, AsyncAccess] = {
            name: endpoint.asynchronous for name, endpoint in here.items() if endpoint.asynchronous
        }
        """By endpoint; those that take asynchronous requests."""
        self._issuers = issuers
        self._issuers_here = {name: issuer for name, issuer in issuers.items() if name in here}

    def known(self, endpoint: str | None) -> str:
        """`endpoint` if it routes here, else nothing: past the gateway a caller may name any."""
        return endpoint if endpoint in self._by_endpoint else ""

    def check(self, endpoint: str | None, credentials: list[bytes]) -> bool:
        """Whether the credentials were used up by this check, so that the app must not see them.

        `endpoint`: the one that the route names, None past the gateway. Raises Refused 401 or 403, and
        UnknownKey for a token that may be good once `AccessFile.learn` has looked.
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
        issuers = self.issuers(endpoint)
        if issuers:
            return self._opens(key, issuers)
        if _opens_one(key, self._issuers.values()):
            raise Refused(Code.FORBIDDEN, "this token is another endpoint's")
        raise Refused(Code.UNAUTHORIZED, "the key is not known here")

    def issuers(self, endpoint: str | None) -> list[Issuer]:
        """Whose tokens open an endpoint, or past the gateway any that routes here."""
        found = self._issuers_here
        return list(found.values()) if endpoint is None else [found[endpoint]] if endpoint in found else []

    def _opens(self, token: bytes, issuers: list[Issuer]) -> bool:
        unknown, why = False, ""
        for issuer in issuers:
            try:
                issuer.check(token, time.time())
            except UnknownKey:
                unknown = True
            except Invalid as invalid:
                why = why or str(invalid)
            else:
                return True
        if _opens_one(token, [other for other in self._issuers.values() if other not in issuers]):
            raise Refused(Code.FORBIDDEN, "this token is another endpoint's")
        if unknown:
            raise UnknownKey
        raise Refused(Code.UNAUTHORIZED, why)


def _opens_one(token: bytes, issuers: Iterable[Issuer]) -> bool:
    for issuer in issuers:
        try:
            issuer.check(token, time.time())
        except (Invalid, UnknownKey):
            continue
        return True
    return False


def _hashes(endpoints: Iterable[EndpointAccess]) -> tuple[str, ...]:
    return tuple(
        found for endpoint in endpoints if endpoint.mode not in {_OPEN, _JWT} for found in endpoint.key_hashes
    )


def _one_of(credentials: list[bytes]) -> bytes:
    if not credentials:
        raise Refused(
            Code.UNAUTHORIZED, "send the endpoint's key or token as Authorization: Bearer or api-key"
        )
    if any(other != credentials[0] for other in credentials[1:]):
        raise Refused(Code.UNAUTHORIZED, "two different keys were sent")
    return credentials[0]


def _is_among(offered: str, known: tuple[str, ...]) -> bool:
    """Compare with each, so that the time taken says nothing about which one was close."""
    found = False
    for one in known:
        found |= hmac.compare_digest(offered, one)
    return found
