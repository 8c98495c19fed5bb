"""Who asks: told to the app by a digest, since it does not see the key."""

from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.types import Receive, Scope, Send

from raydock.serve.auth import AccessFile
from raydock.serve.caller import caller
from raydock.serve.front import Front
from raydock.serve.target import Target
from raydock.wire.access import CALLER_KEY, ENDPOINT_HEADER, Access, EndpointAccess, key_hash
from raydock.wire.host import HostConfig
from raydock.wire.record import dumps
from tests.unit.serve.asgi import call


def bearer(**claims: str) -> bytes:
    return jwt.encode(claims, "k" * 32).encode()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(("iris", b"key-1"), ("iris", b"key-2"), True, id="a key that was replaced"),
        pytest.param(("iris", b"key-1"), ("lily", b"key-1"), False, id="another endpoint"),
        pytest.param((None, b"key-1"), (None, b"key-1"), True, id="past the gateway"),
        pytest.param((None, b"key-1"), (None, b"key-2"), False, id="past the gateway, another key"),
        pytest.param(
            ("iris", bearer(iss="i", sub="a", jti="1")),
            ("iris", bearer(iss="i", sub="a", jti="2")),
            True,
            id="a token that was renewed",
        ),
        pytest.param(
            ("iris", bearer(iss="i", sub="a")), ("iris", bearer(iss="i", sub="b")), False, id="another user"
        ),
        pytest.param(
            ("iris", bearer(iss="i", sub="a")), ("iris", bearer(iss="j", sub="a")), False, id="another issuer"
        ),
        pytest.param(
            ("iris", bearer(iss="i", jti="1")), ("iris", bearer(iss="i", jti="2")), False, id="nobody's token"
        ),
        pytest.param(("iris", b"a.b.c"), ("iris", b"a.b.d"), False, id="no token at all"),
    ],
)
def test_who_is_the_same_caller(
    one: tuple[str | None, bytes], other: tuple[str | None, bytes], same: bool
) -> None:
    assert (caller(*one) == caller(*other)) is same


def test_it_is_a_digest() -> None:
    assert "key" not in caller("iris", b"key-1")
    assert len({len(caller(None, b"x")), len(caller("iris", b"x"))}) == 1


@pytest.mark.parametrize(
    ("endpoint", "want"),
    [
        pytest.param("iris", caller("iris", b"key"), id="by a key"),
        pytest.param("open", None, id="anybody: the app sees what was sent"),
    ],
)
async def test_the_app_is_told_in_the_scope_alone(tmp_path: Path, endpoint: str, want: str | None) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope.get(CALLER_KEY), dict(scope["headers"]).get(b"api-key")))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    endpoints = {
        "iris": EndpointAccess("Key", True, (key_hash("key"),)),
        "open": EndpointAccess("None", True),
    }
    (tmp_path / "access.json").write_text(dumps(Access(endpoints)))
    front = Front("iris-v1", AccessFile(tmp_path / "access.json"), lambda *_: None)
    front.apply(HostConfig(revision="r1"))
    front.open(Target(app, {}))
    headers = {ENDPOINT_HEADER: endpoint, "api-key": "key", CALLER_KEY: "forged"}
    assert (await call(front, headers=headers)).status == 200
    assert seen == [(want, None if want else b"key")]
