"""Tokens (JWT) of one issuer: what they must say, and the keys that they may be signed with.

A token of a key that is not known here may be one that was published a moment ago: it is held while the keys
are looked for again, and refused only then.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import jwt
from starlette.concurrency import run_in_threadpool

from raydock.wire.access import JwtAccess

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""With a public key only: who checks tokens must not be able to make them."""
LEEWAY_S: Final = 30
"""How far the issuer's clock may be off."""
SEEN_MAX: Final = 4096
"""Tokens that are remembered as good: a signature costs some 50 microseconds, a look a fraction of one."""
FETCH_TIMEOUT_S: Final = 5
FETCH_EVERY_S: Final = 2.0
"""Between two looks for a key that nobody knows: strangers must not make this replica ask and ask."""
KEEP_S: Final = 60.0
"""How old fetched keys may be: a withdrawn one is taken for this long at most."""

Clock = Callable[[], float]
log = logging.getLogger(__name__)


class Invalid(Exception):
    """A token that opens nothing here; the message holds nothing of it."""


class UnknownKey(Exception):
    """A token that names a key which is not known (yet)."""


class Source(Protocol):
    """Where an issuer's keys come from."""

    keys: jwt.PyJWKSet | None
    version: int


class Issuer:
    """Checks tokens by one JwtAccess and the keys of its issuer."""

    def __init__(self, rules: JwtAccess, source: Source) -> None:
        self._rules = rules
        self.source = source
        self._version = -1
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def check(self, token: bytes, now: float) -> None:
        """`now`: seconds since 1970. Raises Invalid or UnknownKey."""
        if self.source.version != self._version:  # a withdrawn key opens nothing any more
            self._version = self.source.version
            self._keys = {key.key_id: key for key in self.source.keys.keys} if self.source.keys else {}
            self._seen.clear()
        mark = hashlib.sha256(token).digest()
        ends = self._seen.get(mark)
        if ends is not None and now < ends:
            return
        claims = self._verified(token)
        self._seen[mark] = float(claims["exp"]) + LEEWAY_S
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    def _verified(self, token: bytes) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Invalid("this is no token") from None
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise Invalid("the token is signed in a way that is not taken here")
        kid = header.get("kid")
        key = self._keys.get(kid) if kid is not None else self._only()
        if key is None:
            raise UnknownKey
        try:
            return dict(
                jwt.decode(
                    token,
                    key.key,  # a JWK may leave its `alg` out, and PyJWT would guess one
                    algorithms=[algorithm],
                    issuer=self._rules.issuer,
                    audience=list(self._rules.audiences),
                    leeway=LEEWAY_S,
                    options={"require": ["exp", "iss", "aud"]},
                )
            )
        except jwt.ExpiredSignatureError:
            raise Invalid("the token has expired") from None
        except (jwt.PyJWTError, TypeError):  # TypeError: a key of another kind
            raise Invalid("the token is not one of this endpoint's issuer and audience") from None

    def _only(self) -> jwt.PyJWK | None:
        """The key of tokens that name none."""
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None


class InlineKeys:
    """The keys that the access file holds."""

    def __init__(self, text: str) -> None:
        try:
            self.keys = key_set(json.loads(text))
        except ValueError:
            self.keys = None
        self.version = 0


class FetchedKeys:
    """The keys at one address, as this replica read them last."""

    def __init__(self, fetch: Callable[[], Awaitable[Any]], clock: Clock = time.monotonic) -> None:
        """`fetch`: reads the document; what it raises leaves the keys that are known."""
        self._fetch = fetch
        self._clock = clock
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._document: Any = None
        self.keys: jwt.PyJWKSet | None = None
        self.version = 0
        """Counts the changes of `keys`."""

    @property
    def is_old(self) -> bool:
        """Whether they should be read again though nobody misses one."""
        return self._clock() - self._looked_at > KEEP_S

    async def look(self) -> None:
        """Read them again, at most every FETCH_EVERY_S; who asks meanwhile waits for the same answer."""
        before = self.version
        async with self._lock:
            if self.version != before:
                return
            wait_s = self._looked_at + FETCH_EVERY_S - self._clock()
            if wait_s > 0:
                await asyncio.sleep(wait_s)  # noqa: TID251 - paces questions to somebody else's server
            self._looked_at = self._clock()
            try:
                document = await self._fetch()
            except (jwt.PyJWTError, OSError, ValueError) as error:
                log.warning("the issuer's keys could not be read: %s", type(error).__name__)
                return
            keys = key_set(document)
            if keys is None:
                log.warning("the issuer's keys could not be read: no JWKS with a public key")
            elif document != self._document:
                self._document, self.keys, self.version = document, keys, self.version + 1


def fetched(uri: str) -> FetchedKeys:
    """The JWKS at `uri`."""
    client = jwt.PyJWKClient(uri, cache_jwk_set=False, timeout=FETCH_TIMEOUT_S)
    return FetchedKeys(lambda: run_in_threadpool(client.fetch_data))


def key_set(document: Any) -> jwt.PyJWKSet | None:
    """The public keys of a JWKS document; None for what is none. Who checks by `oct` could make tokens."""
    try:
        return jwt.PyJWKSet([key for key in document["keys"] if key.get("kty") != "oct"])
    except (TypeError, KeyError, AttributeError, jwt.PyJWTError):
        return None
