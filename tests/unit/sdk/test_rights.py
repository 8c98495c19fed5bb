"""How long the backend's yes to a token counts."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving import rights as rights_module
from raydock.sdk.plugins.serving.failures import Failure
from raydock.sdk.plugins.serving.model_token import Claims
from raydock.sdk.plugins.serving.rights import Rights

ONE = Claims("1", "tok")


class Backend:
    """Answers when a test lets it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[Claims] = []
        self.refuses = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.rights = Rights(self._ask, lambda: self.now)

    async def _ask(self, claims: Claims) -> Mapping[str, Any]:
        self.asked.append(claims)
        await self.gate.wait()
        if self.refuses:
            raise Failure.FORBIDDEN.error("no", claims.model)
        return {"id": claims.model}


async def test_a_right_that_was_withdrawn_ends_within_a_minute() -> None:
    backend = Backend()
    await backend.rights.metadata(ONE)
    backend.refuses = True
    backend.now = 59.9
    assert await backend.rights.metadata(ONE) == {"id": "1"}
    assert len(backend.asked) == 1
    backend.now = 60.0
    for _ in range(2):
        with pytest.raises(ModelLoadError) as raised:
            await backend.rights.metadata(ONE)
        assert raised.value.code == "ModelForbidden"
    assert len(backend.asked) == 3, "a no is not remembered"
    backend.refuses = False
    assert await backend.rights.metadata(ONE) == {"id": "1"}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Claims("1", "another"), id="another user"),
        pytest.param(Claims("1", "tok", "tenant"), id="another tenant"),
        pytest.param(Claims("2", "tok"), id="another model"),
    ],
)
async def test_a_right_is_one_user_s_to_one_model(other: Claims) -> None:
    backend = Backend()
    await backend.rights.metadata(ONE)
    await backend.rights.metadata(other)
    assert backend.asked == [ONE, other]


async def test_requests_at_the_same_time_ask_once() -> None:
    backend = Backend()
    backend.gate.clear()
    waiting = [asyncio.ensure_future(backend.rights.metadata(ONE)) for _ in range(50)]
    await asyncio.sleep(0)  # noqa: TID251 - lets them begin
    waiting[0].cancel()
    backend.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [one for one in found if one == {"id": "1"}] == [{"id": "1"}] * 49
    assert len(backend.asked) == 1


async def test_answers_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights_module, "KNOWN_MAX", 2)
    backend = Backend()
    for token in ("a", "b", "c", "c", "a"):
        await backend.rights.metadata(Claims("1", token))
    assert [claims.token for claims in backend.asked] == ["a", "b", "c", "a"]
