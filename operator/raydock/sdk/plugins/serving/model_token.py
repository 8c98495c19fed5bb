"""Model tokens: which model a request is for, and with whose right (contracts/actions.md 10).

A token is a JWT that the caller signs and a replica verifies. Anyone who holds it can read its claims: it is
a credential.
"""

import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.failures import Failure
from raydock.wire.paths import TOKEN_KEY_FILE_ENV

if TYPE_CHECKING:
    import jwt

KEY_FILE_ENV: Final = TOKEN_KEY_FILE_ENV
KEY_ENV: Final = "RAYDOCK_MODEL_TOKEN_KEY"
AUDIENCE: Final = "raydock"
KEY_MIN: Final = 32
"""Bytes of a signing key: as many as SHA-256 gives (RFC 7518, 3.2)."""
STEP_S: Final = 300
"""Tokens end on multiples of it, so that those made one after the other are the same text."""
LEEWAY_S: Final = 30
"""How far the signer's clock may be off."""
_ALGORITHM: Final = "HS256"
_NOT_TAKEN: Final = "the model token is not one that is taken here"


class LegacyModelTokenWarning(UserWarning):
    """A token is signed with the backend's URL, which is no secret: whoever knows it can forge tokens."""


@dataclass(frozen=True)
class Claims:
    """What a token says."""

    model: str
    """The model's id in the backend."""
    token: str = field(repr=False)
    """The caller's credential there."""
    tenant: str | None = None

    def payload(self) -> dict[str, Any]:
        """As it stands in the token."""
        found = {"model": self.model, "token": self.token}
        return {**found, "tenant": self.tenant} if self.tenant else found


@dataclass(frozen=True)
class Rules:
    """Which tokens a replica takes."""

    keys: tuple[bytes, ...] = field(repr=False)
    """The signing key, and the one before it."""
    audience: str = AUDIENCE
    legacy: bool = False
    """Whether tokens without audience and end are taken too, and the URL is a key for them."""
    backend_url: str = field(default="", repr=False)


def create_serve_multiplexed_model_id(
    model_id: int | str,
    token: str,
    backend_url: str,
    tenant: str | None = None,
    *,
    signing_key: str | bytes | None = None,
    audience: str = AUDIENCE,
    ttl_seconds: float = 3600,
) -> str:
    """A model token: the value of the header `serve_multiplexed_model_id`.

    `token`, `tenant`: the caller's at the backend. The key is `signing_key`, else what the environment names;
    without one the token is signed with `backend_url`, which a replica takes only where it is told so.
    Raises ValueError for a key below 32 bytes, one that cannot be read, or a `ttl_seconds` that is not above
    0; jwt.InvalidKeyError where there is neither a key nor a URL.
    """
    claims = Claims(str(model_id), token, tenant or None)
    key = _checked(signing_key, "signing_key") if signing_key is not None else environment_key(os.environ)  # noqa: TID251 - a caller's process has no settings.py
    if key is not None:
        return signed(claims, key, audience=audience, ttl_s=ttl_seconds, now=time.time())
    warnings.warn(
        "the model token is signed with the backend's URL, which is no secret: give signing_key, or set "
        f"{KEY_FILE_ENV}",
        LegacyModelTokenWarning,
        stacklevel=2,
    )
    return _encoded(claims.payload(), backend_url.encode(), None)


def signed(claims: Claims, key: bytes, *, audience: str, ttl_s: float, now: float) -> str:
    """The token that is good for `ttl_s` from `now` on, seconds since 1970, and for up to STEP_S more."""
    if not ttl_s > 0 or not math.isfinite(ttl_s):
        raise ValueError("ttl_seconds: want a number above 0")
    ends = math.ceil((now + ttl_s) / STEP_S) * STEP_S
    return _encoded({**claims.payload(), "aud": audience, "exp": ends}, key, {"kid": key_id(key)})


def verified(text: str, rules: Rules, now: float) -> Claims:
    """What the token `text` says. `now`: seconds since 1970.

    Raises ModelLoadError: 401 ModelTokenInvalid, 401 ModelTokenExpired or 400 ModelTokenMalformed, whose
    texts hold nothing of the token.
    """
    payload, by_url = _payload(text, rules)
    if not isinstance(payload, dict):
        raise _malformed("it holds no claims")
    if "aud" in payload or "exp" in payload:
        _check_time_and_audience(payload, rules, by_url=by_url, now=now)
    elif not rules.legacy:
        raise Failure.TOKEN_INVALID.error("the model token has no end and no audience: sign it with the key")
    return _claims(payload)


def key_id(key: bytes) -> str:
    """By which a token says what it was signed with."""
    return hashlib.sha256(key).hexdigest()[:16]


def environment_key(environment: Mapping[str, str]) -> bytes | None:
    """The key that `environment` names, a file or the key itself; None without any. Raises ValueError."""
    if file := environment.get(KEY_FILE_ENV):
        try:
            return _checked(Path(file).read_bytes(), KEY_FILE_ENV)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ValueError(f"{KEY_FILE_ENV}: the file cannot be read: {why}") from None
    key = environment.get(KEY_ENV)
    return _checked(key, KEY_ENV) if key else None


def without_line_end(key: str | bytes) -> bytes:
    """As keys are compared: a line end that an editor or `echo` left behind is no part of one."""
    found = key.encode() if isinstance(key, str) else key
    return found.rstrip(b"\r\n")


def _checked(key: str | bytes, source: str) -> bytes:
    found = without_line_end(key)
    if len(found) < KEY_MIN:
        raise ValueError(f"{source}: a key of model tokens needs {KEY_MIN} bytes or more")
    return found


def _payload(text: str, rules: Rules) -> tuple[Any, bool]:
    """The claims, and whether the backend's URL signed them. Raises ModelLoadError: it was none of ours."""
    from jwt import PyJWTError  # noqa: PLC0415 - a machine that only calls others needs no tokens

    url = rules.backend_url.encode() if rules.legacy else b""
    for key in (*rules.keys, *((url,) if url else ())):
        try:
            content: bytes = _jws().decode_complete(text, key, algorithms=[_ALGORITHM])["payload"]
        except (PyJWTError, ValueError):
            continue
        try:
            return json.loads(content), key == url
        except (ValueError, RecursionError):
            return None, key == url
    raise Failure.TOKEN_INVALID.error(_NOT_TAKEN)


def _check_time_and_audience(payload: Mapping[str, Any], rules: Rules, *, by_url: bool, now: float) -> None:
    told = payload.get("aud")
    if by_url or rules.audience not in (told if isinstance(told, list) else [told]):
        raise Failure.TOKEN_INVALID.error(_NOT_TAKEN)
    if "exp" not in payload:
        raise Failure.TOKEN_INVALID.error("the model token has no end")
    ends = payload["exp"]
    if isinstance(ends, bool) or not isinstance(ends, int | float):
        raise _malformed("its end is no time")
    if isinstance(ends, float) and not math.isfinite(ends):  # JSON as Python reads it knows Infinity
        raise _malformed("its end is no time")
    if ends <= now - LEEWAY_S:
        raise Failure.TOKEN_EXPIRED.error("the model token has expired: make a new one")


def _claims(payload: Mapping[str, Any]) -> Claims:
    model, token, tenant = (payload.get(name) for name in ("model", "token", "tenant"))
    if not isinstance(model, str) or not isinstance(token, str) or not isinstance(tenant, str | None):
        raise _malformed("want model and token as texts, and tenant as one if there is any")
    if model in ("", ".", "..") or not token or not _is_encodable(model):
        raise _malformed("model or token is empty, or no id")
    return Claims(model, token, tenant or None)


def _is_encodable(text: str) -> bool:
    """Whether `text` can be sent: JSON may name halves of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _malformed(why: str) -> ModelLoadError:
    return Failure.TOKEN_MALFORMED.error(f"the model token is not as it must be: {why}")


def _encoded(payload: Mapping[str, Any], key: bytes, headers: dict[str, Any] | None) -> str:
    text = json.dumps(payload, separators=(",", ":")).encode()
    return _jws().encode(text, key, algorithm=_ALGORITHM, headers=headers)


@cache
def _jws() -> "jwt.PyJWS":
    """Of one algorithm: a token cannot choose another."""
    from jwt import PyJWS  # noqa: PLC0415 - as above
    from jwt.algorithms import HMACAlgorithm  # noqa: PLC0415 - as above

    class Hmac(HMACAlgorithm):
        """Lengths of keys are looked at where they come from; a URL is as long as it is."""

        @override
        def check_key_length(self, key: bytes) -> str | None:
            return None

    found = PyJWS(algorithms=())
    found.register_algorithm(_ALGORITHM, Hmac(HMACAlgorithm.SHA256))
    return found
