"""Tokens: what opens an endpoint, and keys that come and go."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from raydock.serve.answer import Code, Refused
from raydock.serve.auth import HOLD_S, AccessFile
from raydock.serve.jwt import FETCH_EVERY_S, KEEP_S, FetchedKeys, UnknownKey
from raydock.wire.access import Access, EndpointAccess, JwtAccess, key_hash
from raydock.wire.record import dumps
from tests.kit import virtual_time

ISSUER, AUDIENCE = "https://issuer.example", "iris"
RSA, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


def public(kid: str, key: Any = RSA) -> dict[str, Any]:
    algorithm: Any = jwt.algorithms.ECAlgorithm if key is EC else jwt.algorithms.RSAAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def token(kid: str | None = "a", key: Any = RSA, algorithm: str = "RS256", **claims: Any) -> bytes:
    said = {"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 600, **claims}
    kept = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid} if kid else None).encode()


def endpoint(
    text: str | None = None, *, uri: str | None = None, here: bool = True, audience: str = AUDIENCE
) -> EndpointAccess:
    return EndpointAccess("JWT", here, jwt=JwtAccess(ISSUER, (audience, "more"), text, uri))


def access(
    where: Path, fetch: Callable[[str], FetchedKeys] | None = None, **endpoints: EndpointAccess
) -> AccessFile:
    (where / "access.json").write_text(dumps(Access(endpoints)))
    file = AccessFile(where / "access.json", fetch) if fetch else AccessFile(where / "access.json")
    file.look(time.monotonic())
    return file


def said(file: AccessFile, credential: bytes, through: str | None = "iris") -> str:
    """`ok`, the code of a refusal, or `unknown`."""
    try:
        file.rules.check(through, [credential])
    except Refused as refused:
        return refused.code.word
    except UnknownKey:
        return "unknown"
    return "ok"


@pytest.mark.parametrize(
    ("offered", "want"),
    [
        pytest.param(token, "ok", id="good"),
        pytest.param(lambda: token(aud=["x", "more"]), "ok", id="one audience of several"),
        pytest.param(lambda: token(key=EC, kid="e", algorithm="ES256"), "ok", id="another kind of key"),
        pytest.param(lambda: token(exp=time.time() - 20), "ok", id="within the leeway"),
        pytest.param(lambda: token(exp=time.time() - 40), "Unauthorized", id="expired"),
        pytest.param(lambda: token(nbf=time.time() + 60), "Unauthorized", id="not valid yet"),
        pytest.param(lambda: token(exp=None), "Unauthorized", id="without an end"),
        pytest.param(lambda: token(iss="https://other.example"), "Unauthorized", id="another issuer"),
        pytest.param(lambda: token(aud="other"), "Unauthorized", id="another audience"),
        pytest.param(lambda: token(aud=None), "Unauthorized", id="no audience"),
        pytest.param(lambda: token(key=OTHER), "Unauthorized", id="another key of the same name"),
        pytest.param(lambda: token(kid="z"), "unknown", id="a key that nobody knows"),
        pytest.param(lambda: token(kid=None), "unknown", id="no name, and there are two keys"),
        pytest.param(lambda: token(key="s" * 32, algorithm="HS256"), "Unauthorized", id="a shared secret"),
        pytest.param(lambda: token(key=None, algorithm="none"), "Unauthorized", id="not signed"),
        pytest.param(lambda: b"no.token", "Unauthorized", id="no token"),
    ],
)
def test_what_a_token_must_say(tmp_path: Path, offered: Callable[[], bytes], want: str) -> None:
    credential = offered()  # made now: its times are the clock's
    file = access(tmp_path, iris=endpoint(jwks(public("a"), public("e", EC))))
    assert [said(file, credential) for _ in range(2)] == [want, want]
    assert said(file, credential, None) == want, "past the gateway the same tokens count"


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256"])
def test_a_key_that_names_no_algorithm_is_good_for_each_of_its_kind(tmp_path: Path, algorithm: str) -> None:
    document = {name: value for name, value in public("a").items() if name != "alg"}
    file = access(tmp_path, iris=endpoint(jwks(document)))
    assert said(file, token(algorithm=algorithm)) == "ok"
    assert said(file, token(key=EC, algorithm="ES256")) == Code.UNAUTHORIZED.word


def test_a_head_that_is_none_is_refused(tmp_path: Path) -> None:
    file = access(tmp_path, iris=endpoint(jwks(public("a"))))
    head = b64encode(b'{"alg": ["RS256"], "kid": "a"}').rstrip(b"=")
    assert said(file, b".".join((head, *token().split(b".")[1:]))) == Code.UNAUTHORIZED.word


def test_a_token_without_a_name_is_of_the_only_key(tmp_path: Path) -> None:
    file = access(tmp_path, iris=endpoint(jwks(public("a"))))
    assert said(file, token(kid=None)) == "ok"


def test_a_secret_that_checks_tokens_could_make_them(tmp_path: Path) -> None:
    shared = {"kty": "oct", "kid": "a", "k": "c2VjcmV0"}
    assert said(access(tmp_path, iris=endpoint(jwks(shared))), token()) == "unknown"


def test_of_another_endpoint_is_not_unknown(tmp_path: Path) -> None:
    file = access(
        tmp_path,
        iris=endpoint(jwks(public("a"))),
        other=endpoint(jwks(public("a")), here=False, audience="other"),
        keys=EndpointAccess("Key", True, (key_hash("key"),)),
    )
    assert said(file, token(aud="other")) == Code.FORBIDDEN.word
    assert said(file, b"key") == Code.FORBIDDEN.word
    assert said(file, token(), "keys") == Code.FORBIDDEN.word
    assert said(file, b"key", "keys") == said(file, b"key", None) == said(file, token(), None) == "ok"


def test_a_key_that_was_withdrawn_opens_nothing(tmp_path: Path) -> None:
    file = access(tmp_path, iris=endpoint(jwks(public("a"))))
    assert said(file, token()) == "ok"
    (tmp_path / "access.json").write_text(dumps(Access({"iris": endpoint(jwks(public("b", OTHER)))})))
    file.look(time.monotonic() + 1)
    assert said(file, token()) == "unknown"
    assert said(file, token("b", OTHER)) == "ok"


class Published:
    """A JWKS address that counts how often it is asked."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.document: Any = {"keys": list(keys)}
        self.asked: list[float] = []

    async def fetch(self) -> Any:
        self.asked.append(virtual_time.now())
        if isinstance(self.document, Exception):
            raise self.document
        return self.document

    def keys(self, _: str) -> FetchedKeys:
        return FetchedKeys(self.fetch, asyncio.get_running_loop().time)


def test_a_key_is_known_as_soon_as_it_is_published(tmp_path: Path) -> None:
    async def test() -> None:
        at = Published(public("a"))
        file = access(tmp_path, at.keys, iris=endpoint(uri="https://issuer.example/keys"))
        assert said(file, token()) == "unknown"
        await file.learn("iris")
        assert said(file, token()) == "ok"
        at.document = {"keys": [public("a"), public("b", OTHER)]}
        new = token("b", OTHER)
        assert said(file, new) == "unknown"
        await asyncio.gather(*(file.learn("iris") for _ in range(20)))
        assert said(file, new) == "ok"
        assert len(at.asked) == 2, "who waits meanwhile waits for the same answer"
        assert at.asked[1] - at.asked[0] >= FETCH_EVERY_S

    virtual_time.run(test)


def test_strangers_do_not_make_it_ask_and_ask(tmp_path: Path) -> None:
    async def test() -> None:
        at = Published(public("a"))
        file = access(tmp_path, at.keys, iris=endpoint(uri="https://issuer.example/keys"))
        await asyncio.gather(*(file.learn("iris") for _ in range(500)))
        assert len(at.asked) <= 1 + HOLD_S / FETCH_EVERY_S
        assert virtual_time.now() <= HOLD_S

    virtual_time.run(test)


@pytest.mark.parametrize("document", [OSError("down"), ValueError("no JSON"), [], {"keys": "x"}, {}])
def test_an_address_that_fails_leaves_the_keys_that_are_known(tmp_path: Path, document: Any) -> None:
    async def test() -> None:
        at = Published(public("a"))
        file = access(tmp_path, at.keys, iris=endpoint(uri="https://issuer.example/keys"))
        await file.learn("iris")
        at.document = document
        await virtual_time.pass_time(KEEP_S + 1)
        await file.refresh()
        assert len(at.asked) == 2
        assert said(file, token()) == "ok"

    virtual_time.run(test)


async def test_where_the_file_holds_the_keys_a_newer_file_is_waited_for(tmp_path: Path) -> None:
    file = access(tmp_path, iris=endpoint(jwks(public("a"))))
    waiting = asyncio.ensure_future(file.learn("iris"))
    (tmp_path / "access.json").write_text(dumps(Access({"iris": endpoint(jwks(public("b", OTHER)))})))
    await waiting
    assert said(file, token("b", OTHER)) == "ok"
