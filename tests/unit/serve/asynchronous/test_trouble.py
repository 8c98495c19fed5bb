"""Asynchronous requests where something is wrong: the store, a record, the app, the time."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from raydock.remote.stores import StoreError
from raydock.serve.asynchronous import dispatch, record, work
from raydock.serve.asynchronous.objects import Objects, located
from raydock.serve.asynchronous.service import NotHere
from raydock.wire.host import Limits
from tests.kit.eventually import eventually
from tests.unit.serve.asynchronous.replicas import FAILURES, OUTPUT, replicas
from tests.unit.serve.asynchronous.test_requests import Model, until_over


async def breaks_off(_: Scope, __: Receive, send: Send) -> None:
    """An app that raises when its answer has begun."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("never told")


async def test_an_answer_that_breaks_off_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        await all_.start(app=breaks_off).ask(inference_id="x")
        await until_over(stores, "x")
        found = stores.failure("x") or {}
        assert (found["ErrorCode"], "never told" in str(found)) == ("ModelError", False)
        assert stores.content(OUTPUT, "x.out") is None


async def test_a_path_that_is_lent_no_more_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        replica = all_.start(app=model)
        await all_.kill(replica)
        await replica.ask(inference_id="x")
        kept = json.loads(stores.content(OUTPUT, "_requests/x.json") or b"")
        stores.put(OUTPUT, "_requests/x.json", json.dumps({**kept, "path": "/invoke/invocations"}).encode())
        all_.start("r2", app=model)
        await until_over(stores, "x")
        assert ((stores.failure("x") or {})["OriginalStatusCode"], model.asked) == (404, [])


async def test_two_that_want_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer stays, whoever asked first."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        model.go.set()
        replica = all_.start(app=model)
        for one in ("a", "b"):
            await replica.ask(one.encode(), inference_id=one, filename="mine.out")
            await until_over(stores, one)
        assert stores.content(OUTPUT, "mine.out") == b"answer to a"
        assert stores.failure("a") is None
        assert "another request" in (stores.failure("b") or {})["Message"]


async def test_a_failure_is_told_once_its_store_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        failed: list[str] = []
        create = Objects.create

        async def fails(self: Objects, path: str, *args: Any, **more: Any) -> bool:
            if self.uri == FAILURES and len(failed) < work.TRIES + 2:
                failed.append(path)
                raise StoreError("the object store failed")
            return await create(self, path, *args, **more)

        monkeypatch.setattr(Objects, "create", fails)
        await all_.start().ask(b'{"do": "fail"}', inference_id="x")
        await until_over(stores, "x")
        assert (stores.failure("x") or {})["ErrorCode"] == "ModelError"
        assert len(failed) == work.TRIES + 2, "it was not forgotten after the tries for the app"
        assert stores.names() == ["_requests/done/x.json"], "no claim is left"


async def test_an_answer_is_left_once_its_store_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app is not asked again for it."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        model.go.set()
        failed: list[str] = []
        create = Objects.create

        async def fails(self: Objects, path: str, *args: Any, **more: Any) -> bool:
            if path == "x.out" and len(failed) < 3:
                failed.append(path)
                raise StoreError("the object store failed")
            return await create(self, path, *args, **more)

        monkeypatch.setattr(Objects, "create", fails)
        await all_.start(app=model).ask(b"x", inference_id="x")
        await until_over(stores, "x")
        assert (stores.content(OUTPUT, "x.out"), model.asked, len(failed)) == (b"answer to x", [b"x"], 3)


async def test_what_was_never_promised_is_not_answered_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The payload got there, the request did not; then the same id comes with another payload."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        create = Objects.create
        failed: list[str] = []

        async def fails(self: Objects, path: str, *args: Any, **more: Any) -> bool:
            if path == record.record_path("x") and not failed:
                failed.append(path)
                raise StoreError("the object store failed")
            return await create(self, path, *args, **more)

        monkeypatch.setattr(Objects, "create", fails)
        model = Model()
        model.go.set()
        replica = all_.start(app=model)
        assert (await replica.ask(b"wrong", inference_id="x")).status == 503
        assert (await replica.ask(b"right", inference_id="x")).status == 202
        await eventually(lambda: stores.content(OUTPUT, "x.out"))
        assert model.asked == [b"right"]


async def test_only_the_deployment_that_was_named_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        monkeypatch.setattr(dispatch, "OVERDUE_S", 0.0)
        model = Model()
        model.go.set()
        all_.deployments = ("iris-v1", "iris-v2")
        all_.publish()
        first = all_.start()
        await all_.kill(first)
        all_.start("r2", "iris-v2", app=model)
        await first.ask(b"directed", through={"raydock-deployment": "iris-v1"}, inference_id="directed")
        await first.ask(b"anybody", inference_id="anybody")
        await eventually(lambda: stores.content(OUTPUT, "anybody.out"))
        assert model.asked == [b"anybody"]
        all_.deployments = ("iris-v2",)
        all_.publish()
        await until_over(stores, "directed")
        found = stores.failure("directed") or {}
        assert (found["OriginalStatusCode"], "iris-v1" in found["Message"]) == (404, True)
        assert model.asked == [b"anybody"]


async def test_who_began_in_time_is_not_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        lost = all_.start(app=model)
        await lost.ask(b"x", inference_id="x", requestttlseconds=60)
        await model.until_asked(1)
        await all_.kill(lost)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 61)
        model.go.set()
        all_.start("r2", app=model)
        await until_over(stores, "x")
        assert stores.content(OUTPUT, "x.out") == b"answer to x"


async def test_an_app_that_ends_leaves_its_work_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        ending = all_.start(app=model)
        await ending.ask(b"x", inference_id="x")
        await model.until_asked(1)
        await ending.asynchronous.stop()
        assert (ending.asynchronous.taken, model.at_once) == (set(), 0)
        await all_.kill(ending)
        model.go.set()
        all_.start("r2", app=model)
        await until_over(stores, "x")
        assert (stores.content(OUTPUT, "x.out"), stores.failure("x")) == (b"answer to x", None)


async def test_what_was_settled_by_who_was_lost_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica was lost between the failure that it left and the end of the request."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        lost = all_.start(app=model)
        await lost.ask(b"x", inference_id="x")
        await model.until_asked(1)
        await all_.kill(lost)
        stores.put(FAILURES, record.failure_path("x"), b'{"ErrorCode": "ModelError"}')
        model.go.set()
        all_.start("r2", app=model)
        await until_over(stores, "x")
        assert (model.asked, stores.failure("x")) == ([b"x"], {"ErrorCode": "ModelError"})


async def test_a_record_that_nobody_can_read_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        stores.put(OUTPUT, "_requests/broken.json", b"{")
        stores.put(OUTPUT, "_requests/done/known.json", b"{")
        replica = all_.start()
        await replica.ask(inference_id="x")
        await eventually(lambda: stores.content(OUTPUT, "x.out"))
        reply = await replica.ask(inference_id="known")
        assert (reply.status, "use another one" in reply.json()["Message"]) == (503, True)


async def test_who_finds_it_put_away_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica lists it, another one finishes it, and then the first one claims it."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        replica = all_.start()
        await replica.ask(inference_id="x")
        await until_over(stores, "x")
        before = stores.names()
        await replica.asynchronous.take("iris", "x", 2)
        assert (stores.names(), stores.failure("x")) == (before, None)


@pytest.mark.parametrize("when", ["before its record", "after its record"])
async def test_the_same_id_as_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It is put away between two steps of keeping it again: it is not worked on twice."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        replica = all_.start(app=model)
        await replica.ask(b"x", inference_id="x")
        await model.until_asked(1)
        create = Objects.create

        def finished() -> bool:
            names = stores.names()
            return "_requests/done/x.json" in names and not any(".claim-" in name for name in names)

        async def finished_meanwhile(self: Objects, path: str, *args: Any, **more: Any) -> bool:
            asks_again = path == record.record_path("x")
            if asks_again and when == "before its record":
                model.go.set()
                await eventually(finished)
            made = await create(self, path, *args, **more)
            if asks_again and when == "after its record":
                model.go.set()
                await eventually(finished)
            return made

        monkeypatch.setattr(Objects, "create", finished_meanwhile)
        assert (await replica.ask(b"x", inference_id="x")).status == 202
        await eventually(lambda: not replica.working)
        assert (model.asked, stores.names()) == ([b"x"], ["_requests/done/x.json", "x.out"])


async def test_what_was_given_away_goes_on_without_the_giver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        replica = all_.start(app=model)
        await replica.ask(b"x", inference_id="x")
        await model.until_asked(1)
        for call in tuple(replica.working):
            call.cancel()  # as Ray cancels calls of a replica that ended
        await eventually(lambda: not replica.working)
        model.go.set()
        await until_over(stores, "x")
        assert (stores.content(OUTPUT, "x.out"), model.asked) == (b"answer to x", [b"x"])


async def test_somebody_stays_while_a_lost_ones_claim_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the autoscaler would see nothing to do, and take the last replica away."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        lost = all_.start(app=model)
        await lost.ask(b"x", inference_id="x")
        await model.until_asked(1)
        await all_.kill(lost)
        before = all_.stays
        model.go.set()
        all_.start("r2", app=model)
        await eventually(lambda: all_.stays > before)
        await until_over(stores, "x")


async def test_a_version_to_come_or_to_go_works_on_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch, cluster="another") as (all_, stores):
        model = Model()
        model.go.set()
        replica = all_.start(app=model)
        assert (await replica.ask(b"x", inference_id="x")).status == 202
        with pytest.raises(NotHere):
            await replica.asynchronous.take("iris", "x", 1)
        assert model.asked == []
        del all_.rules["cluster"]
        all_.publish()
        await until_over(stores, "x")
        assert model.asked == [b"x"]


@pytest.mark.parametrize(("told", "status"), [("accepted", 503), (None, 400)])
async def test_an_endpoint_that_the_pods_do_not_know_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, status: int
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, _):
        more = {"raydock-async": told} if told else {}
        reply = await all_.start().ask(through={"raydock-endpoint": "silent", **more})
        assert reply.status == status


async def test_how_it_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the model answered, and without a time: nobody waited."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        replica = all_.start()
        asked: dict[str, Callable[[], Any]] = {
            "good": lambda: replica.ask(inference_id="good"),
            "bad": lambda: replica.ask(b'{"do": "crash"}', inference_id="bad"),
            "slow": lambda: replica.ask(b'{"do": "wait"}', inference_id="slow", invocationtimeoutseconds=1),
        }
        for ask in asked.values():
            await ask()
        await replica.ask(filename="../x")
        await until_over(stores, *asked)
        assert sorted((s, took is None) for _, s, took in replica.counted) == [
            (200, True),
            (400, False),
            (500, True),
            (504, True),
        ]


async def test_no_more_at_once_than_the_replica_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch, max_concurrent=64) as (all_, stores):
        model = Model()
        replica = all_.start(app=model, limits=replace(Limits(), ongoing_requests=3))
        ids = [f"n{number}" for number in range(6)]
        for one in ids:
            await replica.ask(one.encode(), inference_id=one)
        await model.until_asked(3)
        assert len(replica.working) == 3, "the others wait in the store, not in Ray Serve's places"
        model.go.set()
        await until_over(stores, *ids)


async def test_an_app_that_only_looks_whether_the_caller_is_there_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = bytearray()

    async def impatient(_: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            try:
                async with asyncio.timeout(0):
                    message = await receive()
            except TimeoutError:
                message = await receive()
            body.extend(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        await all_.start(app=impatient).ask(b"all of it", inference_id="x")
        await until_over(stores, "x")
        assert (bytes(body), stores.content(OUTPUT, "x.out")) == (b"all of it", b"ok")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("s3://bucket/a/b.json", ("s3://bucket", "a/b.json")),
        ("s3://bucket/a#b?c//d%20e", ("s3://bucket", "a#b?c//d%20e")),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a%20b", ("s3://bucket", "a b")),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a", ("s3://bucket", "a")),
        ("https://dotted.name.s3.us-east-1.amazonaws.com/a", ("s3://dotted.name", "a")),
        ("https://elsewhere.example/a", None),
        ("http://169.254.169.254/latest", None),
        ("file:///etc/passwd", None),
        ("s3://bucket", None),
        ("s3://bucket/", None),
    ],
)
def test_where_a_payload_may_lie(address: str, found: tuple[str, str] | None) -> None:
    assert located(address) == found
