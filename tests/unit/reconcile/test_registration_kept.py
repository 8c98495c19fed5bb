"""Passes over a Deployment with a backend: what is noted on it, and whether a record is looked for first."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from raydock.api import Deployment
from raydock.kube.errors import Conflict, Forbidden, Invalid
from raydock.plan.observed import Observed
from raydock.plan.registration import FINALIZER, REGISTERED_ANNOTATION, Standing, noted_id, place
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps, Event, Key
from raydock.reconcile.registering import keep
from raydock.reconcile.registrar import Errand
from tests.unit.plan.given import NOW, dep, serving

BACKEND = {"url": "https://b.example", "tokenSecret": {"name": "backend", "key": "token"}}


class World:
    """The API server, the store and a registrar for one Deployment that serves."""

    def __init__(self, *, status_id: str | None = None, **spec: Any) -> None:
        self.obj: dict[str, Any] = dep(**({"registration": {"backend": BACKEND}} | spec)).as_json()
        self.obj["metadata"] |= {"resourceVersion": "1", "finalizers": []}
        self.obj["status"] = {"serveApplication": {"name": "iris", "id": status_id}} if status_id else {}
        self.errands: list[Errand] = []
        self.standing: Standing | None = None
        self.refusal: Exception | None = None
        self.refused: list[tuple[Any, ...]] = []
        registrar = SimpleNamespace(
            want=self.errands.append,
            standing=lambda *_: self.standing,
            forget=lambda _: False,
            refused=lambda *said: self.refused.append(said),
        )
        store = SimpleNamespace(get=lambda *_: self.obj, put=lambda _, obj: self.__setattr__("obj", obj))
        self.do = cast("Deps", SimpleNamespace(kube=self, registrar=registrar, store=store))

    @property
    def cr(self) -> Deployment:
        return Deployment.parse(self.obj)

    @property
    def meta(self) -> dict[str, Any]:
        found: dict[str, Any] = self.obj["metadata"]
        return found

    async def patch(self, *_: str | Mapping[str, Any]) -> dict[str, Any]:
        metadata: Any = cast("Mapping[str, Any]", _[-1])["metadata"]
        annotations = {**self.meta.get("annotations", {}), **metadata.get("annotations", {})}
        assert metadata["resourceVersion"] == self.meta["resourceVersion"]
        return self._written(finalizers=metadata["finalizers"], annotations=annotations)

    def _written(self, **metadata: Any) -> dict[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        version = str(int(self.meta["resourceVersion"]) + 1)
        return {**self.obj, "metadata": {**self.meta, **metadata, "resourceVersion": version}}

    def without_backend(self) -> None:
        self.obj = {**self.obj, "spec": {**self.obj["spec"], "registration": None}}

    def with_backend(self, **more: Any) -> None:
        self.obj = {**self.obj, "spec": {**self.obj["spec"], "registration": {"backend": BACKEND | more}}}

    def keep(self) -> tuple[Event, ...]:
        return asyncio.run(keep(Observed(self.cr, serving(self.cr), NOW), self.do))

    def registered(self, record_id: str = "42") -> None:
        """Two passes: it is asked, and answered."""
        self.keep()
        self.standing = Standing(id=record_id)
        self.keep()
        self.standing = None
        self.errands.clear()


def test_it_is_held_and_noted_before_a_new_application_is_posted_at_once() -> None:
    world = World()
    world.keep()
    assert world.meta["finalizers"] == [FINALIZER]
    assert REGISTERED_ANNOTATION in world.meta["annotations"]
    (errand,) = world.errands
    assert (errand.told_before, errand.on_its_way) == (False, False)
    world.keep()
    assert world.errands[-1].on_its_way, "as another operator would have it, which knows of no answer"


def test_the_answer_s_id_is_noted() -> None:
    world = World()
    world.registered()
    assert noted_id(world.cr) == "42"
    assert world.keep() == ()
    assert world.errands == []


def test_a_backend_taken_out_and_put_back_has_its_record_still() -> None:
    world = World()
    world.registered()
    world.without_backend()
    world.keep()
    assert world.meta["finalizers"] == []
    world.with_backend()
    world.keep()
    assert world.meta["finalizers"] == [FINALIZER]
    assert (noted_id(world.cr), world.errands) == ("42", [])


def test_a_post_that_was_on_its_way_is_looked_for_when_the_backend_is_put_back() -> None:
    world = World()
    world.keep()
    world.without_backend()
    world.keep()
    world.errands.clear()
    world.with_backend()
    world.keep()
    (errand,) = world.errands
    assert (errand.told_before, errand.on_its_way) == (True, True)


@pytest.mark.parametrize("status_id", ["42", "demo/iris"])
def test_after_a_put_of_the_whole_object_the_status_tells(status_id: str) -> None:
    """As `kubectl replace` writes: finalizers and annotations are gone."""
    world = World(status_id=status_id)
    world.keep()
    (errand,) = world.errands
    assert errand.told_before is (status_id == "42")


def test_another_backend_is_noted_before_it_is_told() -> None:
    world = World()
    world.registered()
    world.with_backend(url="https://c.example")
    world.keep()
    (errand,) = world.errands
    assert (errand.told_before, errand.on_its_way) == (True, False)
    assert noted_id(world.cr) is None, "who comes next must not take it for told long ago"


def test_a_copy_looks_for_a_record_and_notes_itself() -> None:
    world = World(registration={"backend": BACKEND | {"jobId": "7"}})
    world.registered()
    world.meta["uid"] = "another"
    world.keep()
    (errand,) = world.errands
    assert (errand.uid, errand.told_before, errand.record_id) == ("another", True, None)
    assert "another" in world.meta["annotations"][REGISTERED_ANNOTATION]


@pytest.mark.parametrize("refusal", [Forbidden("no patch of deployments"), Invalid("a policy says no")])
def test_what_cannot_be_noted_is_told_and_ends_no_pass(refusal: Any) -> None:
    world = World()
    world.refusal = refusal
    (event,) = world.keep()
    assert (event.type, event.reason) == ("Warning", Reason.REGISTRATION_FAILED)
    assert refusal.message in event.message
    assert world.errands == [], "nobody is told of what would be forgotten"
    backend = world.cr.spec.registration
    assert backend is not None
    (said,) = world.refused
    assert said == (
        Key("Deployment", "demo", "iris"),
        "iris-uid",
        place(world.cr, backend.backend),
        Standing(error=type(refusal).__name__),
    )


def test_a_deployment_that_was_changed_meanwhile_is_looked_at_again() -> None:
    world = World()
    world.refusal = Conflict("the object has been modified")
    with pytest.raises(Conflict):
        world.keep()
