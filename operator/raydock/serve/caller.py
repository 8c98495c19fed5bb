"""Who asks, for apps that answer a caller later: told by a digest, since the app does not see the key."""

import base64
import hashlib
import json


def caller(endpoint: str | None, credential: bytes) -> str:
    """The same for all requests of one caller. `credential`: a key, or a token (JWT), that was found good.

    A token is renewed while an answer is waited for: what counts is whose it is. The keys of an endpoint are
    replaced one after the other: all who have one are the same caller.
    """
    if credential.count(b".") == 2:
        return _digest(_subject(credential) or credential)
    return _digest(f"key of {endpoint}".encode() if endpoint else credential)


def _subject(token: bytes) -> bytes | None:
    """Issuer and subject; None for a token that names nobody."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(b".")[1] + b"=="))
        return json.dumps([str(claims["iss"]), str(claims["sub"])]).encode()
    except (ValueError, KeyError, TypeError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
