"""Errands to backends, in virtual time: tried again with pauses, and never two records."""

import asyncio
from base64 import b64encode
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar, cast

import pytest

from raydock.api.registration import Backend, SecretEntry
from raydock.plan.registration import Standing
from raydock.reconcile.deps import Key, Kube
from raydock.reconcile.registrar import AT_ONCE, Errand, Registrar
from raydock.remote.backend import Account, Application
from raydock.remote.errors import (
    AuthenticationError,
    ClientConnectionError,
    ClientResponseIncompleteError,
    MalformedResponse,
    RateLimitError,
    ServerError,
)
from tests.kit import virtual_time
from tests.kit.virtual_time import pass_time

T = TypeVar("T")
BACKEND = Backend(
    url="https://b.example", token_secret=SecretEntry(name="backend", key="token"), tenant="acme"
)
SECRET = {"data": {"token": b64encode(b" tok \n").decode()}}


def errand(name: str = "iris", **more: Any) -> Errand:
    given = {
        "key": Key("Deployment", "demo", name),
        "uid": f"{name}-uid",
        "backend": BACKEND,
        "place": "b",
        "plugin_code": name,
        "application": Application(f"{name}-uid", "RUNNING", {"name": name}),
        "told_before": False,
    }
    return Errand(**{**given, **more})


class Rig:
    """A registrar and a backend with records that fails as a test says."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        """Job by id."""
        self.calls: list[tuple[float, str]] = []
        self.woken: list[tuple[float, str]] = []
        self.failures: list[Exception | None] = []
        """What the next calls end with; None: they work."""
        self.lost: list[Exception] = []
        """What the next posts end with after they had their effect."""
        self.accounts: list[Account] = []
        self.secret: dict[str, Any] | None = SECRET
        self.each_s = 0.0
        self.at_once = 0
        self.most = 0
        self.registrar = Registrar(cast("Kube", self), self.connect, self.wake)

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Of the API server."""
        assert (kind, namespace, name) == ("Secret", "demo", "backend")
        return self.secret

    def connect(self, account: Account) -> "Records":
        self.accounts.append(account)
        return Records(self)

    def wake(self, key: Key) -> None:
        self.woken.append((virtual_time.now(), key.name))

    async def call(self, what: str) -> None:
        self.calls.append((virtual_time.now(), what))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await pass_time(self.each_s)
        finally:
            self.at_once -= 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure

    @property
    def said(self) -> list[str]:
        return [what for _, what in self.calls]


class Records:
    """The backend's, as the registrar calls it."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def find(self, plugin_code: str, application: Application) -> str | None:
        await self._rig.call("find")
        return next((at for at, job in self._rig.records.items() if job == application.job), None)

    async def create(self, application: Application) -> str:
        await self._rig.call("create")
        found = str(42 + len(self._rig.records))
        self._rig.records[found] = application.job
        if self._rig.lost:
            raise self._rig.lost.pop(0)
        return found

    async def remove(self, record_id: str) -> None:
        await self._rig.call(f"remove {record_id}")
        self._rig.records.pop(record_id, None)


def run(test: Callable[[Rig], Coroutine[Any, Any, T]]) -> T:
    async def whole() -> T:
        rig = Rig()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(rig.registrar.run())
            try:
                return await test(rig)
            finally:
                running.cancel()

    return virtual_time.run(whole)


def test_a_new_application_is_posted_at_once_and_wakes_its_object_once() -> None:
    async def test(rig: Rig) -> None:
        rig.registrar.want(errand())
        await pass_time(100)
        assert rig.registrar.standing("iris-uid", "b") == Standing(id="42")
        assert rig.said == ["create"]
        assert rig.woken == [(0, "iris")]
        assert rig.accounts == [Account("https://b.example", "tok", "acme")]
        rig.registrar.want(errand(told_before=True))  # until its pass has noted the id
        await pass_time(100)
        assert rig.said == ["create"]
        assert rig.registrar.forget("iris-uid") is True
        assert rig.registrar.standing("iris-uid", "b") is None

    run(test)


def test_who_may_have_been_told_before_is_looked_for_first() -> None:
    async def test(rig: Rig) -> None:
        rig.records = {"7": "iris-uid"}
        rig.registrar.want(errand(told_before=True))
        rig.registrar.want(errand("lily", told_before=True))
        await pass_time(1)
        assert rig.registrar.standing("iris-uid", "b") == Standing(id="7")
        assert sorted(rig.said) == ["create", "find", "find"]
        assert len(rig.records) == 2

    run(test)


@pytest.mark.parametrize(
    ("error", "then"),
    [
        pytest.param(AuthenticationError(401), ["create", "create"], id="refused: nothing is there"),
        pytest.param(ClientConnectionError(0), ["create", "create"], id="not reached: nothing is there"),
        pytest.param(ClientResponseIncompleteError(0), ["create", "find", "find", "create"], id="no answer"),
        pytest.param(ServerError(504), ["create", "find", "find", "create"], id="a proxy gave it up"),
        pytest.param(ServerError(500), ["create", "find", "create"], id="broke at it"),
        pytest.param(MalformedResponse(201), ["create", "find", "create"], id="an answer without an id"),
    ],
)
def test_after_an_unclear_post_it_looks_before_it_posts_again(error: Exception, then: list[str]) -> None:
    async def test(rig: Rig) -> None:
        rig.failures = [error]
        rig.registrar.want(errand())
        await pass_time(0.5)
        assert rig.registrar.standing("iris-uid", "b") == Standing(error=type(error).__name__)
        await pass_time(100)
        assert rig.said == then
        assert rig.registrar.standing("iris-uid", "b") == Standing(id="42")
        assert rig.woken == [(0, "iris"), (30 if len(then) == 4 else 1, "iris")]

    run(test)


def test_a_post_whose_answer_got_lost_is_found_again() -> None:
    async def test(rig: Rig) -> None:
        rig.lost = [ClientResponseIncompleteError(0)]
        rig.registrar.want(errand())
        await pass_time(100)
        assert rig.said == ["create", "find"]
        assert rig.registrar.standing("iris-uid", "b") == Standing(id="42")
        assert rig.records == {"42": "iris-uid"}

    run(test)


def test_a_record_that_a_slow_backend_makes_after_the_answer_was_given_up_is_the_only_one() -> None:
    async def test(rig: Rig) -> None:
        rig.failures = [ClientResponseIncompleteError(0)]
        rig.registrar.want(errand())
        await pass_time(20)
        assert rig.said == ["create", "find"], "an empty list is believed once the post must have ended"
        rig.records = {"7": "iris-uid"}
        await pass_time(100)
        assert rig.said == ["create", "find", "find"]
        assert rig.registrar.standing("iris-uid", "b") == Standing(id="7")

    run(test)


def test_a_post_of_an_operator_that_ended_is_waited_for() -> None:
    async def test(rig: Rig) -> None:
        rig.registrar.want(errand(told_before=True, on_its_way=True))
        await pass_time(20)
        assert rig.said == ["find"]
        assert rig.registrar.standing("iris-uid", "b") is None
        rig.records = {"7": "iris-uid"}
        await pass_time(100)
        assert rig.said == ["find", "find"]
        assert rig.registrar.standing("iris-uid", "b") == Standing(id="7")

    run(test)


def test_a_post_on_its_way_is_taken_back_when_it_comes() -> None:
    async def test(rig: Rig) -> None:
        rig.failures = [ClientResponseIncompleteError(0)]
        rig.registrar.want(errand())
        await pass_time(0.5)
        rig.registrar.want(errand(takes_back=True, told_before=True))
        await pass_time(10)
        assert rig.registrar.taken_back("iris-uid") is False
        rig.records = {"7": "iris-uid"}
        await pass_time(30)
        assert rig.registrar.taken_back("iris-uid") is True
        assert rig.records == {}

    run(test)


def test_it_is_tried_again_ever_more_seldom_and_woken_only_by_news() -> None:
    async def test(rig: Rig) -> None:
        rig.failures = [AuthenticationError(401)] * 9
        rig.registrar.want(errand())
        await pass_time(300)
        assert [at for at, _ in rig.calls] == [0, 1, 5, 13, 28, 58, 118, 178, 238, 298]
        assert rig.woken == [(0, "iris"), (298, "iris")]

    run(test)


def test_the_wait_that_a_backend_asks_for_is_kept() -> None:
    async def test(rig: Rig) -> None:
        rig.failures = [RateLimitError(429, retry_after_s=90), RateLimitError(429, retry_after_s=9000)]
        rig.registrar.want(errand())
        await pass_time(500)
        assert [at for at, _ in rig.calls] == [0, 90, 390]

    run(test)


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (None, "Secret backend does not exist in namespace demo: create it; goes on by itself"),
        ({"data": {"other": "eA=="}}, "Secret backend has no entry token: write the backend's token there"),
        ({}, "Secret backend has no entry token: write the backend's token there"),
    ],
    ids=["no Secret", "no such entry", "an empty Secret"],
)
def test_a_missing_token_is_told_and_goes_on_when_it_is_there(
    secret: dict[str, Any] | None, told: str
) -> None:
    async def test(rig: Rig) -> None:
        rig.secret = secret
        rig.registrar.want(errand())
        await pass_time(0.5)
        assert rig.registrar.standing("iris-uid", "b") == Standing(problem=told)
        rig.secret = SECRET
        await pass_time(1)
        assert rig.registrar.standing("iris-uid", "b") == Standing(id="42")
        assert rig.said == ["create"]

    run(test)


def test_a_hanging_backend_holds_up_only_its_own() -> None:
    async def test(rig: Rig) -> None:
        rig.each_s = 20
        for number in range(10):
            rig.registrar.want(errand(f"iris-{number}"))
        await pass_time(1)
        assert rig.at_once == AT_ONCE
        rig.registrar.want(errand("lily", backend=replace_url("https://c.example")))
        await pass_time(1)
        assert rig.at_once == AT_ONCE + 1

    run(test)


def replace_url(url: str) -> Backend:
    return BACKEND.model_copy(update={"url": url})


def test_another_backend_in_the_spec_is_told_at_once_and_looked_through_first() -> None:
    async def test(rig: Rig) -> None:
        rig.failures = [AuthenticationError(401)] * 3
        rig.registrar.want(errand())
        await pass_time(10)
        moved = replace_url("https://c.example")
        rig.registrar.want(errand(backend=moved, place="c", told_before=True))
        assert rig.registrar.standing("iris-uid", "c") is None
        await pass_time(0.5)
        assert rig.calls[-2:] == [(10, "find"), (10, "create")]
        assert rig.accounts[-1].url == "https://c.example"
        assert rig.registrar.standing("iris-uid", "c") == Standing(id="42")
        assert rig.registrar.standing("iris-uid", "b") is None, "it is no id of the former backend"

    run(test)


def test_a_noted_record_is_taken_back_by_its_id() -> None:
    async def test(rig: Rig) -> None:
        rig.records = {"7": "iris-uid"}
        rig.failures = [ServerError(503)]
        rig.registrar.want(errand(takes_back=True, record_id="7", told_before=True))
        await pass_time(0.5)
        assert rig.registrar.taken_back("iris-uid") is False
        assert rig.registrar.standing("iris-uid", "b") is None
        await pass_time(1)
        assert rig.registrar.taken_back("iris-uid") is True
        assert rig.said == ["remove 7", "remove 7"]

    run(test)


def test_a_post_on_its_way_is_waited_for_and_taken_back() -> None:
    async def test(rig: Rig) -> None:
        rig.each_s = 5
        rig.registrar.want(errand())
        await pass_time(1)
        rig.registrar.want(errand(takes_back=True, told_before=True))
        await pass_time(20)
        assert rig.said == ["create", "find", "remove 42"]
        assert rig.records == {}
        assert rig.registrar.taken_back("iris-uid") is True

    run(test)


def test_what_was_never_told_needs_no_taking_back() -> None:
    async def test(rig: Rig) -> None:
        rig.registrar.want(errand(takes_back=True, told_before=True))
        await pass_time(1)
        assert rig.said == ["find"]
        assert rig.registrar.taken_back("iris-uid") is True

    run(test)


def test_nobody_is_told_any_more_once_it_is_forgotten() -> None:
    async def test(rig: Rig) -> None:
        rig.failures = [AuthenticationError(401)] * 9
        rig.registrar.want(errand())
        rig.registrar.want(errand("lily"))
        await pass_time(2)
        before = len(rig.calls)
        assert rig.registrar.forget("iris-uid") is True
        assert rig.registrar.forget("iris-uid") is False
        rig.registrar.gone(errand("lily").key)
        await pass_time(500)
        assert len(rig.calls) == before
        again = replace(errand(), told_before=True)
        rig.failures = []
        rig.registrar.want(again)
        await pass_time(1)
        assert rig.said[before:] == ["find", "create"]

    run(test)


def test_what_could_not_be_noted_stands_until_it_is_wanted() -> None:
    async def test(rig: Rig) -> None:
        registrar, key, failed = rig.registrar, errand().key, Standing(error="Forbidden")
        registrar.refused(key, "iris-uid", "b", failed)
        assert registrar.standing("iris-uid", "b") == failed
        assert registrar.standing("iris-uid", "c") is None
        registrar.want(errand())
        assert registrar.standing("iris-uid", "b") is None
        registrar.forget("iris-uid")
        registrar.refused(key, "iris-uid", "b", failed)
        registrar.gone(key)
        assert registrar.standing("iris-uid", "b") is None

    run(test)
