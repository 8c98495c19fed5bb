"""What of a Secret with an issuer's keys is passed on."""

import json

import pytest

from raydock.reconcile.tokens import public

RSA = {"kty": "RSA", "kid": "a", "alg": "RS256", "use": "sig", "n": "abc", "e": "AQAB"}


def test_private_parts_stay_in_the_secret() -> None:
    private = {"d": "secret", "p": "secret", "q": "secret", "dp": "secret", "dq": "secret", "qi": "secret"}
    shared = {"kty": "oct", "kid": "b", "k": "secret"}
    told = public(json.dumps({"keys": [RSA | private, shared, "none"], "more": "secret"}).encode())
    assert told is not None
    assert json.loads(told) == {"keys": [RSA]}


def test_the_same_keys_are_the_same_text() -> None:
    turned = dict(reversed(list(RSA.items())))
    assert public(json.dumps({"keys": [RSA]}).encode()) == public(
        json.dumps({"keys": [turned]}, indent=2).encode()
    )


@pytest.mark.parametrize(
    "document",
    [b"", b"\xff", b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "s"}]}'],
)
def test_what_is_no_jwks_with_a_public_key_is_none(document: bytes) -> None:
    assert public(document) is None
