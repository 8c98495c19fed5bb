"""A class of the action SDK behind the host: models by token, and what callers are answered without one."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytest_asyncio
from fastapi import Body, FastAPI, HTTPException, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse
from starlette.types import ASGIApp
from typing_extensions import override

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.remote.persistence import Clock
from raydock.sdk.plugins.actions.inference import BaseServeDeployment, create_serve_multiplexed_model_id
from raydock.sdk.plugins.actions.inference.deferred import is_pending
from raydock.sdk.plugins.serving.models import Models
from raydock.serve.load import Loaded, load
from raydock.wire.access import CALLER_KEY
from tests.kit.model_backend import KEY, SIGNATURE, TOKEN, model_backend, token, zipped
from tests.kit.model_backend import Models as Known
from tests.unit.serve.asgi import Reply, call

pytestmark = pytest.mark.filterwarnings("ignore:coroutine '.*__del__' was never awaited")
PLANTED = (TOKEN, SIGNATURE, KEY, "127.0.0.1")


class Question(BaseModel):
    text: str = "none"


def serving() -> type[BaseServeDeployment]:  # noqa: C901 - one class, a route for each behaviour
    """A class as plugins write them; what it does is told by the request's body."""
    api = FastAPI()

    class Echo(BaseServeDeployment):
        app: ClassVar[Any] = api

        def __init__(self, backend_url: str) -> None:
            super().__init__(backend_url)
            self.built: list[dict[str, Any]] = []
            self.unloaded: list[str] = []
            self.begun, self.go_on, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
            self.going_on: asyncio.Future[None]

        @override
        async def _get_model(self, model_info: dict[str, Any]) -> str:
            self.built.append(model_info)
            self.begun.set()
            if model_info.get("fails"):
                raise ValueError(f"cannot read {model_info['file']} of {TOKEN}")
            return read(model_info["path"])

        @override
        async def _unload_model(self, model: str) -> None:
            assert read(self.built[-1]["path"]), "the directory is there until the end"
            self.unloaded.append(model)

        @api.post("/")
        @override
        async def infer(self, body: Any = Body(None)) -> Any:  # noqa: B008 - as FastAPI has it
            model = await self.get_model()
            assert await self.get_model() is model
            if body == "raise":
                raise ValueError(f"the model's own {TOKEN} at http://10.0.0.1:80/x")
            if body == "teapot":
                raise HTTPException(418, "a teapot")
            if body == "wait":
                await self.go_on.wait()
            return {"model": model, "body": body}

        @api.post("/go-on")
        async def go_on_later(self) -> str:
            async def going_on() -> None:
                await self.ended.wait()
                await self.get_model()
                self.begun.set()
                await self.go_on.wait()

            self.going_on = asyncio.ensure_future(going_on())
            asyncio.get_running_loop().call_later(0.01, self.ended.set)
            return "going on"

        @api.post("/headers")
        async def headers(self, request: Request) -> Any:
            return dict(request.headers)

        @api.post("/ask")
        async def ask(self, body: Question) -> Any:
            return body

        @api.post("/later")
        async def later(self, body: Any = Body(None)) -> Any:  # noqa: B008 - as FastAPI has it
            async def run(question: Question) -> Any:
                if question.text == "slow":
                    await self.go_on.wait()
                if question.text == "raise":
                    raise HTTPException(409, "not now")
                return {"asked": question.text, "model": await self.get_model()}

            is_slow = isinstance(body, dict) and body.get("text") == "slow"
            return await self.handle_inference(body, Question, run, deadline_s=0.05 if is_slow else 30)

    return Echo


def read(directory: Path) -> str:
    return (directory / "weights.txt").read_text()


class Place:
    """One replica, and what is around it."""

    def __init__(self, known: Known, root: Path) -> None:
        self.known = known
        self.root = root
        self.loaded: Loaded | None = None
        self.environment = {"RAYDOCK_MODEL_TOKEN_KEY": KEY}
        self.now = 0.0

    @property
    def app(self) -> ASGIApp:
        assert self.loaded
        return self.loaded.app

    @property
    def owner(self) -> Any:
        assert self.loaded
        return self.loaded.owner

    async def start(self, cls: type[BaseServeDeployment] | None = None, **environment: str) -> None:
        if self.loaded is not None:
            await BaseServeDeployment.end_replica(self.owner)
        self.loaded = await load(cls or serving(), "plugin:Echo", {}, (), {})
        self.environment |= environment
        vars(self.owner)["_raydock_models"] = Models(
            self.owner.backend_url,
            self.owner._get_model,
            self.owner._unload_model,
            environment=self.environment,
            root=self.root,
            clock=lambda: self.now,
        )

    async def ask(self, body: Any = None, path: str = "/", text: str | None = None, **headers: str) -> Reply:
        sent = {"serve_multiplexed_model_id": text} if text is not None else {}
        return await call(self.app, path, body=json.dumps(body).encode(), headers={**sent, **headers})


@pytest_asyncio.fixture(loop_scope="session")
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr("raydock.models.fetch.time.sleep", lambda _: None)
    monkeypatch.setattr("raydock.remote.persistence.CLOCK", Clock(time.monotonic, lambda _: None))
    with model_backend() as known:
        monkeypatch.setenv("SYNAPSE_HOST", known.backend.url)
        monkeypatch.delenv("SYNAPSE_PLUGIN_RUN_HOST", raising=False)
        found = Place(known, tmp_path / "models")
        await found.start()
        yield found
        await BaseServeDeployment.end_replica(found.owner)


async def test_a_model_is_loaded_with_the_token_s_own_credentials(place: Place) -> None:
    place.known.add("1", extra="told")
    reply = await place.ask("hello", text=token(1, tenant="acme"))
    assert (reply.status, reply.json()) == (200, {"model": "weights of 1", "body": "hello"})
    (asked,) = place.known.asked()
    assert asked.headers["Synapse-Access-Token"] == f"Token {TOKEN}"
    assert asked.headers["Synapse-Tenant"] == "Token acme"
    (info,) = place.owner.built
    assert (info["id"], info["name"], info["extra"]) == ("1", "model 1", "told")
    assert (info["path"] / "config.json").is_file()


async def test_fifty_requests_for_a_cold_model_are_one_load(place: Place) -> None:
    place.known.add("1")
    text = token()
    replies = await asyncio.gather(*(place.ask(number, text=text) for number in range(50)))
    assert [reply.json()["body"] for reply in replies] == list(range(50))
    assert (len(place.owner.built), place.known.downloads(), len(place.known.asked())) == (1, 1, 1)


async def test_users_share_a_model_and_tenants_do_not(place: Place) -> None:
    place.known.add("1")
    for text in (token(1, "a", "x"), token(1, "b", "x"), token(1, "c", "y")):
        assert (await place.ask(text=text)).status == 200
    assert len(place.owner.built) == 2
    assert [one.headers["Synapse-Access-Token"] for one in place.known.asked()] == [
        f"Token {user}" for user in "abc"
    ]
    place.known.refused["d"] = 403
    assert (await place.ask(text=token(1, "d", "x"))).code == "ModelForbidden", "though it is cached"


async def test_a_user_whose_right_was_withdrawn_is_refused_within_a_minute(place: Place) -> None:
    place.known.add("1")
    assert (await place.ask(text=token())).status == 200
    place.known.refused[TOKEN] = 403
    place.now = 59
    assert (await place.ask(text=token())).status == 200
    place.now = 60
    reply = await place.ask(text=token())
    assert (reply.status, reply.code) == (403, "ModelForbidden")
    assert (await place.ask(text=token(1, "another"))).status == 200


async def test_another_version_of_a_model_is_another_model(place: Place) -> None:
    place.known.add("1")
    await place.ask(text=token())
    place.known.add("1", zipped("better weights"), version=2)
    place.now = 60
    assert (await place.ask(text=token())).json()["model"] == "better weights"


async def test_the_header_that_gateways_let_through_will_do(place: Place) -> None:
    place.known.add("1")
    reply = await place.ask(**{"raydock-model-token": token()})
    assert reply.status == 200
    told = await place.ask(path="/headers", text=token(), **{"raydock-model-token": "x", "other": "y"})
    assert "y" in told.json().values()
    assert not {"serve_multiplexed_model_id", "raydock-model-token"} & told.json().keys(), "a credential"


async def test_work_that_outlives_its_request_holds_the_model_as_long_as_it_lasts(place: Place) -> None:
    await place.start(RAYDOCK_MODELS_PER_REPLICA="1")
    place.known.add("1")
    place.known.add("2")
    assert (await place.ask(path="/go-on", text=token(1))).json() == "going on"
    await place.owner.begun.wait()
    assert (await place.ask(text=token(2))).code == "ModelCacheBusy"
    place.owner.go_on.set()
    await place.owner.going_on
    assert (await place.ask(text=token(2))).status == 200


async def test_without_a_token_the_deployment_s_own_model_answers(place: Place, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "weights.txt").write_text("weights of its own")
    await place.start(RAYDOCK_MODEL_PATH=str(own), RAYDOCK_MODEL_ID="34", RAYDOCK_MODEL_VERSION="7")
    assert (await place.ask("x")).json() == {"model": "weights of its own", "body": "x"}
    info = {"id": "34", "name": "own", "version": "7", "file": str(own), "path": own}
    assert place.owner.built == [info]
    place.known.add("1")
    assert (await place.ask("x", text=token())).json()["model"] == "weights of 1"


async def test_a_model_in_use_stays_and_the_end_takes_all_away(place: Place) -> None:
    await place.start(RAYDOCK_MODELS_PER_REPLICA="1")
    place.known.add("1")
    place.known.add("2")
    waiting = asyncio.ensure_future(place.ask("wait", text=token(1)))
    await place.owner.begun.wait()
    reply = await place.ask(text=token(2))
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "ModelCacheBusy", "1")
    place.owner.go_on.set()
    assert (await waiting).status == 200
    assert (await place.ask(text=token(2))).json()["model"] == "weights of 2"
    assert place.owner.unloaded == ["weights of 1"]
    await type(place.owner).__del__(place.owner)
    assert place.owner.unloaded == ["weights of 1", "weights of 2"]
    assert not list(place.root.glob("*/content/**/weights.txt")), "nor do files stay"
    assert not list(place.root.glob("held-*"))


Arrange = Callable[[Place], None]


def refused(status: int) -> Arrange:
    return lambda place: place.known.refused.update({TOKEN: status})


def without(name: str) -> Arrange:
    return lambda place: place.known.backend.models["1"].pop(name) and None


def known(content: bytes | None = None, **metadata: Any) -> Arrange:
    return lambda place: place.known.add("1", content, **metadata)


def gone(place: Place) -> None:
    place.known.files.clear()


def nowhere(place: Place) -> None:
    place.known.backend.models["1"]["file"] = "http://127.0.0.1:9/models/1.zip"


def nothing(_: Place) -> None:
    """It is as it should be."""


@pytest.mark.parametrize(
    ("arrange", "text", "status", "code"),
    [
        pytest.param(nothing, None, 400, "ModelTokenMissing", id="no token and no own model"),
        pytest.param(nothing, "no-token", 401, "ModelTokenInvalid", id="no JWT"),
        pytest.param(nothing, token(signing_key="o" * 32), 401, "ModelTokenInvalid", id="another key"),
        pytest.param(nothing, token(audience="other"), 401, "ModelTokenInvalid", id="another audience"),
        pytest.param(nothing, token(".."), 400, "ModelTokenMalformed", id="an id that is none"),
        pytest.param(nothing, token(1, "tok\nen"), 400, "ModelTokenMalformed", id="no header's value"),
        pytest.param(refused(401), token(), 403, "ModelForbidden", id="the backend says 401"),
        pytest.param(refused(403), token(), 403, "ModelForbidden", id="the backend says 403"),
        pytest.param(nothing, token(7), 404, "ModelNotFound", id="the backend says 404"),
        pytest.param(refused(422), token("x/y"), 404, "ModelNotFound", id="an id of another form"),
        pytest.param(without("file"), token(), 424, "ModelFileMissing", id="no file"),
        pytest.param(known(file=""), token(), 424, "ModelFileMissing", id="an empty file"),
        pytest.param(gone, token(), 424, "ModelFileMissing", id="a file that is not there"),
        pytest.param(known(b"no zip"), token(), 424, "ModelArchiveInvalid", id="unreadable"),
        pytest.param(known(zipped("x", "../x")), token(), 424, "ModelArchiveInvalid", id="unsafe"),
        pytest.param(known(sha256="0" * 64), token(), 424, "ModelArchiveInvalid", id="wrong checksum"),
        pytest.param(refused(503), token(), 503, "ModelStoreUnavailable", id="the backend is down"),
        pytest.param(refused(429), token(), 503, "ModelStoreUnavailable", id="the backend is busy"),
        pytest.param(nowhere, token(), 503, "ModelStoreUnavailable", id="the store is down"),
        pytest.param(known(fails=True), token(), 500, "ModelLoadFailed", id="_get_model raises"),
    ],
)
async def test_what_a_caller_is_answered_without_a_model(
    place: Place,
    caplog: pytest.LogCaptureFixture,
    arrange: Arrange,
    text: str | None,
    status: int,
    code: str,
) -> None:
    place.known.add("1")
    arrange(place)
    with caplog.at_level(logging.DEBUG):
        reply = await place.ask(text=text, **{"x-request-id": "find-me"})
    error = reply.json()["error"]
    assert (reply.status, error["code"], error["requestId"]) == (status, code, "find-me")
    assert reply.headers.get("retry-after") == ("5" if status == 503 else None)
    assert error["message"].startswith("Failed to load model")
    told = reply.body.decode() + caplog.text
    assert not [word for word in (*PLANTED, text or "") if word and word in told]
    assert not list(place.root.glob("held-*/*")), "nothing is left behind"


async def test_an_ended_token_is_told_apart(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    text = token()
    later = time.time() + 4000
    monkeypatch.setattr("raydock.sdk.plugins.serving.models.time.time", lambda: later)
    reply = await place.ask(text=text)
    assert (reply.status, reply.code) == (401, "ModelTokenExpired")


async def test_tokens_of_the_package_s_form_are_taken_where_it_is_said(place: Place) -> None:
    place.known.add("1")
    with pytest.warns(UserWarning, match="no secret"):
        legacy = token(signing_key=None)
    with pytest.warns(UserWarning, match="no secret"):
        here = create_serve_multiplexed_model_id("1", TOKEN, place.owner.backend_url)
    assert (await place.ask(text=here)).code == "ModelTokenInvalid"
    await place.start(RAYDOCK_LEGACY_MODEL_TOKENS="Accept")
    assert (await place.ask(text=here)).status == 200
    assert (await place.ask(text=legacy)).code == "ModelTokenInvalid", "another backend's URL"


async def test_what_infer_raises(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.known.add("1")
    reply = await place.ask("raise", text=token(), **{"x-request-id": "find-me"})
    assert (reply.status, reply.code) == (500, "InferenceFailed")
    assert "find-me" in caplog.text
    assert "ValueError: the model's own" in caplog.text
    assert not [word for word in (TOKEN, "10.0.0.1", token()) if word in reply.body.decode() + caplog.text]
    reply = await place.ask("teapot", text=token())
    assert (reply.status, reply.json()) == (418, {"detail": "a teapot"})
    reply = await place.ask({"text": 7}, path="/ask")
    assert (reply.status, reply.json()["detail"][0]["loc"]) == (422, ["body", "text"])
    assert (await place.ask(path="/nowhere")).status == 404


async def test_an_app_with_handlers_of_its_own_keeps_them(place: Place) -> None:
    cls = serving()

    async def any_error(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"own": type(error).__name__}, 500)

    cls.app.add_exception_handler(Exception, any_error)
    await place.start(cls)
    place.known.add("1")
    with pytest.raises(ValueError, match="the model's own"):  # Starlette answers, then raises for the server
        await place.ask("raise", text=token())
    assert (await place.ask(text="x")).code == "ModelTokenInvalid"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"app": None}, "has no app", id="no app"),
        pytest.param({"_get_model": BaseServeDeployment._get_model}, "abstract", id="an abstract method"),
        pytest.param({"__init__": lambda _, __: 1 / 0}, "ZeroDivisionError", id="a constructor that raises"),
    ],
)
async def test_a_class_that_cannot_be_made_does_not_start(change: dict[str, Any], why: str) -> None:
    made: Any = type(serving())
    cls = made("Broken", (serving(),), change)
    with pytest.raises(LoadFailed, match=why) as raised:
        await load(cls, "plugin:Broken", {}, (), {})
    assert raised.value.reason is Reason.IMPORT_FAILED


async def finished(ask: Callable[[], Awaitable[Reply]]) -> Any:
    """The answer that is not `pending` any more."""
    while is_pending(found := (await ask()).json()):  # noqa: ASYNC110 - a caller has no event
        await asyncio.sleep(0.01)  # noqa: TID251 - a caller learns of it by asking
    return found


async def test_a_late_answer_is_fetched_with_a_ticket_once(place: Place) -> None:
    place.known.add("1")
    assert (await place.ask({"text": "quick"}, "/later", token())).json() == {
        "asked": "quick",
        "model": "weights of 1",
    }
    pending = (await place.ask({"text": "slow"}, "/later", token())).json()
    ticket = pending["ticket"]
    assert pending == {"__synapse_deferred__": True, "status": "pending", "ticket": ticket}
    poll = {"__synapse_poll__": ticket}
    assert (await place.ask(poll, "/later", token())).json() == pending
    place.owner.go_on.set()
    not_found = {"__synapse_deferred__": True, "status": "not_found", "ticket": ticket}
    assert (await place.ask(poll, "/later", token(1, "another"))).json() == not_found
    found = await finished(lambda: place.ask(poll, "/later", token()))
    assert found == {"asked": "slow", "model": "weights of 1"}
    assert (await place.ask(poll, "/later", token())).json() == not_found
    assert (await place.ask({"__synapse_poll__": None}, "/later", token())).json()["ticket"] == ""
    assert (await place.ask(poll, "/later", "no-token")).code == "ModelTokenInvalid"


async def test_who_lost_the_right_gets_no_late_answer(place: Place) -> None:
    place.known.add("1")
    ticket = (await place.ask({"text": "slow"}, "/later", token())).json()["ticket"]
    place.known.refused[TOKEN] = 403
    place.now = 60
    reply = await place.ask({"__synapse_poll__": ticket}, "/later", token())
    place.owner.go_on.set()
    assert (reply.status, reply.code) == (403, "ModelForbidden")


async def test_errors_within_the_deadline_are_those_of_the_route(place: Place) -> None:
    assert (await place.ask({"text": "raise"}, "/later")).status == 409
    reply = await place.ask({"text": 7}, "/later")
    assert (reply.status, reply.json()["detail"][0]["loc"]) == (422, ["body", "text"])
    assert (await place.ask({"text": "x"}, "/later")).code == "ModelTokenMissing"


async def test_a_caller_without_a_token_is_known_by_his_key(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_text("own")
    await place.start(RAYDOCK_MODEL_PATH=str(tmp_path))

    async def later(body: Any, caller: str) -> Reply:
        content = json.dumps(body).encode()
        return await call(place.app, "/later", body=content, scope_out={CALLER_KEY: caller})

    ticket = (await later({"text": "slow"}, "me")).json()["ticket"]
    poll = {"__synapse_poll__": ticket}
    assert (await later(poll, "you")).json()["status"] == "not_found"
    place.owner.go_on.set()
    assert (await finished(lambda: later(poll, "me")))["asked"] == "slow"
