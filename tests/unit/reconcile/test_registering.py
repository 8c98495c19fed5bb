"""A deleted Deployment waits for its backend, and not for ever."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from raydock.api import Deployment
from raydock.kube.client import Kube
from raydock.plan.registration import FINALIZER, hold
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps, Outcome
from raydock.reconcile.registering import LOOK_AGAIN_S, let_go
from raydock.reconcile.registrar import Registrar
from raydock.remote.backend import Account
from tests.unit.plan.given import NOW, dep

BACKEND = {"url": "https://b.example", "tokenSecret": {"name": "backend", "key": "token"}}


class Records:
    """A backend that takes everything back."""

    async def find(self, *_: Any) -> str | None:
        return "42"

    async def create(self, *_: Any) -> str:
        raise AssertionError("nothing is posted for what goes")

    async def remove(self, record_id: str) -> None:
        assert record_id == "42"


class World:
    """What let_go speaks to, `waited_s` seconds after the Deployment was deleted."""

    def __init__(self, waited_s: float, *, held: bool = True, **spec: Any) -> None:
        self.patched: list[Mapping[str, Any]] = []
        self.woken = asyncio.Event()
        self.registrar = Registrar(cast("Kube", self), self.records, lambda _: self.woken.set())
        cr = dep(**({"registration": {"backend": BACKEND}} | spec))
        marks = {"deletion_timestamp": NOW, "finalizers": (FINALIZER, "other") if held else ("other",)}
        self.cr: Deployment = cr.model_copy(update={"metadata": cr.metadata.model_copy(update=marks)})
        self.do = cast(
            "Deps",
            SimpleNamespace(
                kube=self, registrar=self.registrar, clock=lambda: NOW + timedelta(seconds=waited_s)
            ),
        )

    def records(self, account: Account) -> Records:
        return Records()

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return {"data": {"token": "dG9r"}}

    async def patch(
        self, kind: str, namespace: str, name: str, merge_patch: Mapping[str, Any]
    ) -> dict[str, Any]:
        assert (kind, namespace, name) == ("Deployment", "demo", "iris")
        self.patched.append(merge_patch["metadata"])
        return dict(merge_patch)

    def let_go(self) -> Outcome:
        return asyncio.run(let_go(self.cr, self.do))

    @property
    def released(self) -> bool:
        return [one["finalizers"] for one in self.patched] == [["other"]]


@pytest.mark.parametrize("waited_s", [0, 59])
def test_it_is_held_while_its_backend_is_told(waited_s: float) -> None:
    world = World(waited_s)
    assert world.let_go() == Outcome(look_again_s=LOOK_AGAIN_S)
    assert world.patched == []


def test_after_a_minute_it_goes_and_says_that_the_record_stays() -> None:
    world = World(60)
    outcome = world.let_go()
    assert world.released
    (event,) = outcome.events
    assert (event.type, event.reason) == ("Warning", Reason.REGISTRATION_FAILED)


def test_it_goes_once_the_record_is_gone() -> None:
    world = World(1)

    async def whole() -> Outcome:
        await let_go(world.cr, world.do)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(world.registrar.run())
            await world.woken.wait()
            running.cancel()
        return await let_go(world.cr, world.do)

    assert asyncio.run(whole()) == Outcome()
    assert world.released


def test_nobody_holds_what_names_no_backend() -> None:
    world = World(0, registration=None)
    assert world.let_go() == Outcome()
    assert world.released


def test_what_raydock_does_not_hold_is_left_alone() -> None:
    world = World(0, held=False)
    assert world.let_go() == Outcome()
    assert world.patched == []


def test_a_copy_that_told_nobody_takes_back_no_record() -> None:
    world = World(0)
    notes = hold(world.cr, "42")["metadata"]["annotations"]
    copied = {"uid": "another", "annotations": notes}
    world.cr = world.cr.model_copy(update={"metadata": world.cr.metadata.model_copy(update=copied)})
    assert world.let_go() == Outcome()
    assert world.released
    assert not world.registrar.taken_back("another")
