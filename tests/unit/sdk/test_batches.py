"""A batch of one queue, sorted by the model that each request is for."""

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from raydock.sdk.plugins.actions.inference import BaseServeDeployment
from raydock.sdk.plugins.actions.inference.serve_class import _in_groups
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.batches import Model, Waiting, in_groups
from raydock.sdk.plugins.serving.failures import Failure
from raydock.sdk.plugins.serving.scope import Scope, current, entered
from tests.unit.sdk.waiting import gone

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, at its import
    import ray.serve  # noqa: F401 - replicas look whether they are of Ray Serve


def queued(*requests: tuple[Model, Any]) -> list[Waiting]:
    return [Waiting(model, Scope(f"token of {model}"), body) for model, body in requests]


async def test_each_call_is_for_one_model_and_tenant() -> None:
    calls: list[tuple[str | None, list[Any]]] = []

    async def infer(bodies: list[Any]) -> list[Any]:
        scope = current()
        assert scope is not None
        calls.append((scope.token, bodies))
        return [body * 10 for body in bodies]

    a, b, own = (None, "a"), ("tenant", "a"), None
    found = await in_groups(queued((a, 1), (b, 2), (a, 3), (own, 4), (b, 5)), infer)
    assert [one.taken() for one in found] == [10, 20, 30, 40, 50]
    assert sorted(bodies for _, bodies in calls) == [[1, 3], [2, 5], [4]]
    assert {token for token, _ in calls} == {f"token of {model}" for model in (a, b, own)}


async def test_what_one_model_raises_is_no_matter_of_the_others() -> None:
    async def infer(bodies: list[Any]) -> list[Any]:
        if bodies == ["bad"]:
            raise KeyError("bad")
        return bodies

    good, bad = await in_groups(queued(((None, "a"), "good"), ((None, "b"), "bad")), infer)
    assert good.taken() == "good"
    with pytest.raises(KeyError):
        bad.taken()


async def test_there_is_a_result_for_each_request_or_none_at_all() -> None:
    async def infer(bodies: list[Any]) -> list[Any]:
        return bodies[1:]

    for one in await in_groups(queued((None, 1), (None, 2)), infer):
        with pytest.raises(ValueError, match="infer_batch gave 1 results for 2 requests"):
            one.taken()


async def test_files_of_all_stay_until_the_batch_has_ended() -> None:
    waiting = queued((None, 1), (None, 2), (None, 3))
    directories = [one.scope.files.directory() for one in waiting]

    async def infer(bodies: list[Any]) -> list[Any]:
        for one in waiting:  # their callers go away
            one.scope.close()
        assert all(directory.is_dir() for directory in directories)
        return bodies

    assert [one.taken() for one in await in_groups(waiting, infer)] == [1, 2, 3]
    for directory in directories:
        await gone(directory)


async def test_who_lost_the_right_gives_way_to_the_next() -> None:
    waiting = [Waiting((None, "a"), Scope(token), token) for token in ("lost", "good", "too")]

    async def infer(bodies: list[Any]) -> list[Any]:
        scope = current()
        assert scope is not None
        if scope.token == "lost":
            raise Failure.FORBIDDEN.error("not any more", "a")
        return bodies

    lost, good, too = await in_groups(waiting, infer)
    assert (good.taken(), too.taken()) == ("good", "too")
    with pytest.raises(ModelLoadError, match="not any more"):
        lost.taken()


async def test_where_all_lost_the_right_each_is_told_so() -> None:
    asked: list[int] = []

    async def infer(bodies: list[Any]) -> list[Any]:
        asked.append(len(bodies))
        raise Failure.FORBIDDEN.error("not any more", "a")

    for one in await in_groups(queued((None, 1), (None, 2)), infer):
        with pytest.raises(ModelLoadError, match="not any more"):
            one.taken()
    assert asked == [2, 1]


class Double(BaseServeDeployment):
    app: ClassVar[Any] = None

    @override
    async def _get_model(self, model_info: dict[str, Any]) -> Any:
        return model_info

    @override
    async def infer(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] * 2


class OneByOne(ModuleType):
    """Ray Serve, as far as it makes batches."""

    def batch(self, **_: Any) -> Callable[[Any], Any]:
        def decorate(function: Any) -> Any:
            async def call(itself: Any, request: Any) -> Any:
                return (await function(itself, [request]))[0]

            return call

        return decorate


async def test_a_batched_class_takes_one_request_and_asks_for_the_right_first() -> None:
    made = _in_groups(Double, "Double_Batched", OneByOne("serve"), {"max_batch_size": 8})
    assert made.__name__ == "Double_Batched"
    replica = made("http://127.0.0.1:9")
    with entered(Scope()):
        assert await replica.infer_batch(4) == 8
    with entered(Scope("no token")), pytest.raises(ModelLoadError) as raised:
        await replica.infer_batch(4)
    assert raised.value.code == "ModelTokenInvalid"
    await replica.end_replica()
