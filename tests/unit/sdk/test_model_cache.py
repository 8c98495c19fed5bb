"""The models that a replica holds: how many, for whom, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.model_cache import Key, MakeRoom, ModelCache, Use
from raydock.sdk.plugins.serving.scope import Scope, current, entered


class Place:
    """Loads that a test lets go on, and what became of the models."""

    def __init__(self, most: int) -> None:
        self.begun: list[str] = []
        self.unloaded: list[str] = []
        self.evictions = 0
        self.inside = 0
        self.most_inside = 0
        self.cache: ModelCache[str] = ModelCache(most, self._unload, self._evicted)
        self.gate = asyncio.Event()
        self.gate.set()

    async def _unload(self, model: str) -> None:
        await asyncio.sleep(0)  # noqa: TID251 - gives way once
        self.inside -= 1
        self.unloaded.append(model)

    def _evicted(self) -> None:
        self.evictions += 1

    def load(self, name: str, error: Exception | None = None) -> Callable[[MakeRoom], Awaitable[str]]:
        async def loading(make_room: MakeRoom) -> str:
            self.begun.append(name)
            await self.gate.wait()
            await make_room()
            if error is not None:
                raise error
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            await asyncio.sleep(0)  # noqa: TID251 - gives way once
            return name

        return loading

    async def use(self, name: str, tenant: str | None = None, error: Exception | None = None) -> Use[str]:
        return await self.cache.use(Key(tenant, name, "1"), self.load(f"{tenant or ''}{name}", error))


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)  # noqa: TID251 - lets everything go on that can


async def test_fifty_first_requests_are_one_load() -> None:
    place = Place(4)
    place.gate.clear()
    asked = [asyncio.ensure_future(place.use("a")) for _ in range(50)]
    await settled()
    place.gate.set()
    assert {use.model for use in await asyncio.gather(*asked)} == {"a"}
    assert place.begun == ["a"]


async def test_tenants_share_no_model() -> None:
    place = Place(4)
    assert [(await place.use("a", tenant)).model for tenant in ("x", "y", None)] == ["xa", "ya", "a"]


async def test_a_failed_load_fails_all_who_wait_and_is_not_kept() -> None:
    place = Place(4)
    place.gate.clear()
    asked = [asyncio.ensure_future(place.use("a", error=ValueError("broken"))) for _ in range(5)]
    await settled()
    place.gate.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(one) for one in told] == ["broken"] * 5
    assert (await place.use("a")).model == "a"
    assert place.begun == ["a", "a"]


async def test_who_goes_away_does_not_end_the_load_of_the_others() -> None:
    place = Place(1)
    place.gate.clear()
    first, second = (asyncio.ensure_future(place.use("a")) for _ in range(2))
    await settled()
    first.cancel()
    await settled()
    place.gate.set()
    use = await second
    use.end()
    await place.use("b")
    assert place.unloaded == ["a"], "the one who went away holds nothing"


async def test_a_load_that_nobody_waits_for_any_more_may_fail_in_silence() -> None:
    place = Place(1)
    place.gate.clear()
    asked = asyncio.ensure_future(place.use("a", error=ValueError("broken")))
    await settled()
    asked.cancel()
    place.gate.set()
    await settled()
    assert (await place.use("b")).model == "b"


async def test_the_one_that_was_used_least_recently_makes_room() -> None:
    place = Place(2)
    for name in ("a", "b", "a", "c"):
        (await place.use(name)).end()
    assert (place.unloaded, place.evictions) == (["b"], 1)
    assert place.begun == ["a", "b", "c"]


async def test_a_model_in_use_is_not_evicted() -> None:
    place = Place(2)
    kept = await place.use("a")
    (await place.use("b")).end()
    (await place.use("c")).end()
    assert place.unloaded == ["b"]
    busy = await place.use("c")
    with pytest.raises(ModelLoadError) as raised:
        await place.use("d")
    assert (raised.value.status_code, raised.value.code) == (503, "ModelCacheBusy")
    kept.end()
    kept.end()
    assert (await place.use("d")).model == "d"
    assert place.unloaded == ["b", "a"]
    busy.end()


async def test_a_load_that_never_gets_its_files_evicts_nothing() -> None:
    """Room is made when the files are there: a model that cannot be had must not cost others theirs."""
    place = Place(1)
    (await place.use("a")).end()

    async def no_files(_: MakeRoom) -> str:
        raise ValueError("no files")

    with pytest.raises(ValueError, match="no files"):
        await place.cache.use(Key(None, "b", "1"), no_files)
    assert place.unloaded == []
    assert (await place.use("a")).model == "a"
    assert place.begun == ["a"]


async def test_the_end_takes_every_model_away_once() -> None:
    place = Place(3)
    for name in ("a", "b"):
        (await place.use(name)).end()
    place.gate.clear()
    late = asyncio.ensure_future(place.use("c"))
    await settled()
    closing = asyncio.ensure_future(place.cache.close())
    await settled()
    place.gate.set()
    await closing
    assert sorted(place.unloaded) == ["a", "b", "c"]
    assert (await late).model == "c"
    with pytest.raises(ModelLoadError):
        await place.use("d")


@settings(deadline=None)
@given(
    most=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from("abcde"), st.booleans(), st.booleans()), max_size=30),
)
def test_there_are_never_more_models_than_asked_for(most: int, steps: list[tuple[str, bool, bool]]) -> None:
    """Whatever is asked for at the same time, held for long, or fails."""

    async def play() -> None:
        place, held = Place(most), []
        asked: list[asyncio.Future[Use[str]]] = []
        for name, waits, fails in steps:
            asked.append(asyncio.ensure_future(place.use(name, error=ValueError() if fails else None)))
            if waits:
                ended = await asyncio.gather(*asked, return_exceptions=True)
                held += [one for one in ended if isinstance(one, Use)]
                asked.clear()
            elif held:
                held.pop().end()
        for one in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(one, Use | ModelLoadError | ValueError)
            if isinstance(one, Use):
                one.end()
        for one in held:
            one.end()
        await place.cache.close()
        assert place.most_inside <= most
        assert place.inside == 0

    asyncio.run(play())


async def test_a_load_knows_nothing_of_the_request_that_came_first() -> None:
    place = Place(1)
    seen: list[Scope | None] = []

    async def load(make_room: MakeRoom) -> str:
        await make_room()
        seen.append(current())
        return "a"

    with entered(Scope("of the first")):
        (await place.cache.use(Key(None, "a", "1"), load)).end()
    assert seen == [None]
