"""Where the token of a Ray cluster comes from, and when it is asked for again."""

from base64 import b64encode
from typing import Any

import pytest

from raydock.facts.serve import ServeState
from raydock.reconcile.ray_serve import RayServe
from raydock.remote.dashboard import Denied

STATE: dict[str, Any] = {
    "applications": {"iris": {"deployments": {"host": {"target_num_replicas": 1, "replicas": []}}}}
}


class Secrets:
    """The API server, as far as it is asked."""

    def __init__(self, **tokens: str) -> None:
        self.tokens = tokens
        self.reads = 0

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        assert (kind, namespace) == ("Secret", "demo")
        self.reads += 1
        token = self.tokens.get(name)
        return {"data": {"auth_token": token}} if token is not None else None


class Head:
    """A dashboard that takes one token."""

    def __init__(self, token: str) -> None:
        self.token = token

    async def serve(self, host: str, port: int, token: str, timeout_s: float) -> Any:
        assert (host, port) == ("10.0.0.7", 8265)
        assert timeout_s > 0
        if token != self.token:
            raise Denied
        return STATE


def coded(token: str) -> str:
    return b64encode(token.encode()).decode()


async def state(serve: RayServe) -> ServeState | None:
    return await serve.state("demo", "iris_a", "10.0.0.7", "iris")


async def test_the_token_is_read_once() -> None:
    secrets = Secrets(iris_a=coded("one"))
    serve = RayServe(secrets, Head("one"))  # type: ignore[arg-type]  # as much of the API as is asked for
    assert [await state(serve) for _ in range(3)] == [ServeState(1, ())] * 3
    assert secrets.reads == 1


async def test_a_cluster_that_was_made_anew_has_another_token() -> None:
    secrets, head = Secrets(iris_a=coded("one")), Head("one")
    serve = RayServe(secrets, head)  # type: ignore[arg-type]  # as above
    assert await state(serve)
    head.token, secrets.tokens["iris_a"] = "two", coded("two")
    assert await state(serve) is None
    assert await state(serve)
    assert secrets.reads == 2


@pytest.mark.parametrize("found", [None, "", "no base64!", "/w=="])
async def test_without_a_token_nobody_is_asked(found: str | None) -> None:
    secrets = Secrets() if found is None else Secrets(iris_a=found)
    serve = RayServe(secrets, Head("one"))  # type: ignore[arg-type]  # as above
    assert await state(serve) is None
    assert await state(serve) is None
    assert secrets.reads == 2, "it may come"
