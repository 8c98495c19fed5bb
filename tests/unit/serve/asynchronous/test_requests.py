"""Asynchronous requests from the 202 to the answer, whoever dies on the way."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from raydock.serve.asynchronous import work
from raydock.wire.host import Limits
from tests.kit.eventually import eventually
from tests.unit.serve.asynchronous.replicas import FAILURES, OUTPUT, Stores, replicas


class Model:
    """An app that answers when it is let go."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.go = asyncio.Event()
        self.at_once = self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.asked.append(body)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.go.wait()
        finally:
            self.at_once -= 1
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"answer to " + body})

    async def until_asked(self, times: int) -> None:
        """So often."""
        await eventually(lambda: len(self.asked) == times)


async def until_over(stores: Stores, *ids: str) -> None:
    """Each one has left nothing to do."""

    def over() -> bool:
        names = stores.names()
        left = [name for name in names if name.startswith("_requests/") and "/done/" not in name]
        return not left and all(f"_requests/done/{one}.json" in names for one in ids)

    await eventually(over)


async def test_a_request_is_kept_then_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        replica = all_.start(app=model)
        reply = await replica.ask(b"inline", inference_id="a-1", content_type="text/csv")
        assert (reply.status, reply.json()) == (202, {"InferenceId": "a-1"})
        assert reply.headers["x-amzn-sagemaker-outputlocation"] == f"{OUTPUT}/a-1.out"
        assert reply.headers["x-amzn-sagemaker-failurelocation"] == f"{FAILURES}/a-1-error.out"
        (body,) = (name for name in stores.names() if ".body-" in name)
        assert stores.content(OUTPUT, body) == b"inline"
        assert stores.content(OUTPUT, "a-1.out") is None
        model.go.set()
        await until_over(stores, "a-1")
        assert stores.content(OUTPUT, "a-1.out") == b"answer to inline"
        assert stores.names() == ["_requests/done/a-1.json", "a-1.out"]
        assert stores.names(FAILURES) == []


async def test_what_the_app_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        stores.put("s3://inputs", "deep/x.json", b'{"x": 1}')
        replica = all_.start()
        reply = await replica.ask(
            b"",
            inputlocation="s3://inputs/deep/x.json",
            inference_id="it",
            content_type="application/json",
            accept="text/csv",
            custom_attributes="trace=1",
            filename="mine.json",
            s3outputpathextension="/a/b/",
        )
        assert reply.headers["x-amzn-sagemaker-outputlocation"] == f"{OUTPUT}/a/b/mine.json"
        await until_over(stores, "it")
        (seen,) = json.loads(stores.content(OUTPUT, "a/b/mine.json") or b"")["predictions"]
        assert (seen["path"], seen["asked"]) == ("/predict", {"x": 1})
        wanted = {
            "content-type": "application/json",
            "accept": "text/csv",
            "x-amzn-sagemaker-custom-attributes": "trace=1",
            "x-request-id": "it",
            "raydock-timeout-seconds": "900.000",
        }
        assert wanted.items() <= seen["headers"].items()
        assert "key" not in str(seen["headers"].values())


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        pytest.param(
            {"body": b'{"do": "fail"}'},
            {
                "ErrorCode": "ModelError",
                "OriginalStatusCode": 422,
                "Message": '{"detail":"that is no flower"}',
            },
            id="the app refuses",
        ),
        pytest.param(
            {"body": b'{"do": "crash"}'}, {"ErrorCode": "ModelError", "OriginalStatusCode": 500}, id="raises"
        ),
        pytest.param(
            {"body": b'{"do": "wait"}', "invocationtimeoutseconds": 1},
            {"ErrorCode": "InvocationTimeout"},
            id="too slow",
        ),
        pytest.param(
            {"body": b"", "inputlocation": "s3://inputs/none"}, {"ErrorCode": "InputNotFound"}, id="no input"
        ),
    ],
)
async def test_why_there_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], want: dict[str, Any]
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        reply = await all_.start().ask(**{"inference_id": "f", **asked})
        assert reply.status == 202
        await until_over(stores, "f")
        found = stores.failure("f")
        assert found is not None
        assert want.items() <= found.items()
        assert found["InferenceId"] == "f"
        assert "never told" not in str(found)
        assert stores.content(OUTPUT, "f.out") is None


async def test_one_that_waited_too_long_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        replica = all_.start(app=model)
        await all_.kill(replica)
        replica.front.asynchronous = replica.asynchronous
        assert (await replica.ask(inference_id="old", requestttlseconds=60)).status == 202
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 61)
        all_.start("r2", app=model)
        await until_over(stores, "old")
        assert (stores.failure("old") or {})["ErrorCode"] == "Expired"
        assert model.asked == []


async def test_the_same_id_is_the_same_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        replica, other = all_.start(app=model), all_.start("r2", app=model)
        first = await replica.ask(b"one", inference_id="same")
        again = await other.ask(b"two", inference_id="same", filename="else.out")
        assert again.headers == first.headers
        await eventually(lambda: model.asked)
        model.go.set()
        await until_over(stores, "same")
        later = await replica.ask(b"three", inference_id="same")
        assert (later.status, later.headers) == (202, first.headers)
        assert (model.asked, stores.content(OUTPUT, "same.out")) == ([b"one"], b"answer to one")


async def test_a_lost_replicas_request_is_taken_up_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        slow, good = Model(), Model()
        good.go.set()
        lost = all_.start(app=slow)
        await lost.ask(b"x", inference_id="x")
        await eventually(lambda: slow.asked)
        all_.start("r2", app=good)
        await all_.kill(lost)
        await until_over(stores, "x")
        assert (good.asked, stores.content(OUTPUT, "x.out")) == ([b"x"], b"answer to x")


async def test_whoever_works_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For many times as long as a claim may stay as it is."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        all_.start(app=model)
        all_.start("r2", app=model)
        await all_.alive[0].ask(b"x", inference_id="x")

        def beats() -> bool:
            claim = stores.content(OUTPUT, "_requests/x.claim-1")
            return claim is not None and json.loads(claim)["beat"] >= 12

        await eventually(beats)
        assert model.asked == [b"x"]
        model.go.set()
        await until_over(stores, "x")


async def test_the_first_answer_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was thought lost comes back, after another one has answered."""
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        late, good = Model(), Model()
        good.go.set()
        monkeypatch.setattr(work, "BEAT_S", 3600.0)
        lost = all_.start(app=late)
        await lost.ask(b"x", inference_id="x")
        await eventually(lambda: late.asked)
        all_.alive.remove(lost)
        all_.start("r2", app=good)
        await until_over(stores, "x")
        obstore_answer = stores.content(OUTPUT, "x.out")
        stores.put(OUTPUT, "x.out", b"the first")
        late.go.set()
        await eventually(lambda: not lost.working)
        assert (obstore_answer, stores.content(OUTPUT, "x.out")) == (b"answer to x", b"the first")
        await lost.die()


async def test_one_that_kills_every_replica_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        deadly = Model()
        await all_.start("r0", app=deadly).ask(b"x", inference_id="x")
        for number in range(1, work.TRIES + 1):
            await deadly.until_asked(number)
            await all_.kill(all_.alive[0])
            all_.start(f"r{number}", app=deadly)
        await until_over(stores, "x")
        assert len(deadly.asked) == work.TRIES
        assert (stores.failure("x") or {})["ErrorCode"] == "ModelError"


async def test_no_replica_works_on_more_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        models = [Model(), Model()]
        for number, model in enumerate(models):
            all_.start(f"r{number}", app=model)
        ids = [f"n{number}" for number in range(12)]
        for one in ids:
            await all_.alive[0].ask(one.encode(), inference_id=one)
        await eventually(lambda: sum(m.at_once for m in models) >= 3)
        for model in models:
            model.go.set()
        await until_over(stores, *ids)
        assert sorted(b for m in models for b in m.asked) == sorted(one.encode() for one in ids)
        assert max(m.most for m in models) <= 2


async def test_it_waits_for_a_slot_and_takes_nobodys_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        model = Model()
        replica = all_.start(app=model, limits=Limits(ongoing_requests=1, queued_requests=1))
        await replica.front.gate.enter("iris")  # a caller who waits for his answer
        for one in ("a", "b"):
            await replica.ask(one.encode(), inference_id=one)
        await eventually(lambda: any(".claim-" in name for name in stores.names()))
        assert (replica.front.gate.waiting, model.asked) == (0, []), "nobody waits who would be told 429"
        replica.front.gate.leave(0.01)
        await model.until_asked(1)
        model.go.set()
        await until_over(stores, "a", "b")
        assert model.most == 1


async def test_a_deployment_that_is_no_longer_named_leaves_its_requests_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        old, new = Model(), Model()
        new.go.set()
        all_.deployments = ("iris-v1", "iris-v2")
        all_.publish()
        first = all_.start(app=old)
        await first.ask(b"x", inference_id="x")
        await eventually(lambda: old.asked)
        await all_.kill(first)
        second = all_.start("r2", "iris-v2", app=new)
        await second.ask(b"y", inference_id="y")
        await eventually(lambda: stores.content(OUTPUT, "y.out"))
        assert new.asked == [b"y"], "the other one's is the other one's"
        all_.deployments = ("iris-v2",)
        all_.publish()
        await until_over(stores, "x", "y")
        assert new.asked == [b"y", b"x"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"body": b""}, "either a body or InputLocation"),
        ({"inputlocation": "s3://b/x"}, "either a body or InputLocation"),
        ({"inputlocation": "ftp://b/x", "body": b""}, "InputLocation"),
        ({"inputlocation": "s3://b", "body": b""}, "InputLocation"),
        ({"requestttlseconds": 59}, "RequestTTLSeconds: want 60 to 21600"),
        ({"invocationtimeoutseconds": 3601}, "InvocationTimeoutSeconds: want 1 to 3600"),
        ({"filename": "../x"}, "Filename"),
        ({"s3outputpathextension": "a/../../b"}, "S3OutputPathExtension"),
        ({"s3outputpathextension": "_requests/done"}, "S3OutputPathExtension"),
        ({"inference_id": "x" * 65}, "InferenceId"),
    ],
)
async def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], said: str
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        reply = await all_.start().ask(**asked)
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (400, "ValidationError")
        assert said in reply.json()["Message"]
        assert stores.names() == []


async def test_a_long_payload_has_to_be_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, _):
        reply = await all_.start().ask(b"x" * 128_001)
        assert (reply.status, "InputLocation" in reply.json()["Message"]) == (413, True)


async def test_nothing_is_promised_while_the_store_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        stores.failing = True
        replica = all_.start()
        reply = await replica.ask(inference_id="x")
        assert (reply.status, reply.headers["x-amzn-errortype"]) == (503, "ServiceUnavailable")
        assert "region" not in reply.json()["Message"], "the client's own words may have addresses in them"
        stores.failing = False
        assert (await replica.ask(inference_id="x")).status == 202
        await until_over(stores, "x")


async def test_ids_of_two_endpoints_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        replica = all_.start()
        await replica.ask(inference_id="x")
        await until_over(stores, "x")
        kept = json.loads(stores.content(OUTPUT, "_requests/done/x.json") or b"")
        stores.put(OUTPUT, "_requests/done/x.json", json.dumps({**kept, "endpoint": "rose"}).encode())
        reply = await replica.ask(inference_id="x")
        assert (reply.status, "outputUri of its own" in reply.json()["Message"]) == (400, True)


async def test_an_id_is_a_name_and_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(tmp_path, monkeypatch) as (all_, stores):
        replica = all_.start()
        for one in ("../up", "a b", "a_b", "a/b", "."):
            assert (await replica.ask(inference_id=one)).json() == {"InferenceId": one}
        await eventually(lambda: sum("/done/" in name for name in stores.names()) == 5)
        outputs = [name for name in stores.names() if name.endswith(".out")]
        assert len(outputs) == 5
        assert not any("/" in name for name in outputs)
