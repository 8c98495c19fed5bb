"""A Hugging Face model behind a URL, with a stand-in for transformers: bodies, answers, refusals."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from raydock.models.entry import LoadFailed, load_attribute
from raydock.plan.server import HUGGINGFACE_APP
from raydock.reasons import Reason
from raydock.serve.answer import Code, Refused
from raydock.serve.load import Loaded, load
from raydock.wire.access import Format
from tests.kit.small_transformers import SmallPipeline, installed
from tests.unit.serve.asgi import call
from tests.unit.serve.formats.gateway import routed
from tests.unit.serve.test_front import front

TEXTS = ["a", "long text"]
LABELS = [{"label": "SHORT"}, {"label": "LONG"}]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SmallPipeline]:
    return installed(tmp_path, monkeypatch)


async def loaded() -> Loaded:
    return await load(load_attribute(HUGGINGFACE_APP), HUGGINGFACE_APP, {}, (), {})


async def asked(of: Loaded, body: Any) -> Any:
    return (await call(of.app, body=json.dumps(body).encode())).json()


async def refused(of: Loaded, body: bytes) -> str:
    with pytest.raises(Refused) as told:
        await call(of.app, body=body)
    assert told.value.code is Code.BAD_REQUEST
    return told.value.message


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param({"inputs": TEXTS}, LABELS, id="inputs"),
        pytest.param({"inputs": "a"}, LABELS[:1], id="one text"),
        pytest.param({"inputs": {"text": "a", "text_pair": "b"}}, LABELS[:1], id="one record"),
        pytest.param({"input_data": TEXTS, "parameters": None}, LABELS, id="Azure ML's word"),
        pytest.param({"instances": TEXTS}, {"predictions": LABELS}, id="Vertex AI's word"),
        pytest.param({"inputs": []}, [], id="no row"),
    ],
)
async def test_the_forms_of_a_body(made: list[SmallPipeline], body: Any, answer: Any) -> None:
    assert await asked(await loaded(), body) == answer


async def test_callers_set_what_the_spec_sets(made: list[SmallPipeline]) -> None:
    of = await loaded()
    of.owner.reconfigure({"top_k": 2})
    await asked(of, {"inputs": "a", "parameters": {"top_k": 5}})
    await asked(of, {"inputs": "a", "params": {"top_k": 6}})
    assert [params for _, params in made[0].calls] == [{"top_k": 5}, {"top_k": 6}]
    said = await refused(of, b'{"inputs": "a", "parameters": {"custom_generate": "somebody/code"}}')
    assert said == "parameters: 'custom_generate' cannot be set here; those that can: top_k"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(b"text", "not JSON: send a JSON object with exactly one of inputs", id="no JSON"),
        pytest.param(b'["text"]', "exactly one of inputs, instances, input_data", id="a bare list"),
        pytest.param(b'{"inputs": "a", "instances": ["a"]}', "exactly one of", id="two"),
        pytest.param(b'{"inputs": "a", "options": {}}', "exactly one of", id="something else beside it"),
        pytest.param(b'{"inputs": [1]}', "inputs: each row is a text", id="a number"),
        pytest.param(b'{"inputs": null}', "inputs: each row is a text", id="null"),
        pytest.param(b'{"inputs": "a", "parameters": [1]}', "is one JSON object", id="a list of parameters"),
        pytest.param(
            b'{"inputs": "a", "params": {}, "parameters": {}}', "is one JSON object", id="both words"
        ),
        pytest.param(b'{"inputs": "a", "params": {"x": 1}}', "those that can: none", id="nothing can be set"),
    ],
)
async def test_another_body_is_told_what_to_send(made: list[SmallPipeline], body: bytes, told: str) -> None:
    assert told in await refused(await loaded(), body)


async def test_only_post_predicts(made: list[SmallPipeline]) -> None:
    with pytest.raises(Refused, match="by POST"):
        await call((await loaded()).app, method="GET")


async def test_what_the_image_lacks_is_the_reason(
    made: list[SmallPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LoadFailed, match="packages transformers and torch in the image") as failed:
        await loaded()
    assert failed.value.reason is Reason.IMPORT_FAILED


async def test_behind_the_front_in_the_words_of_each_cloud(made: list[SmallPipeline], tmp_path: Path) -> None:
    app = front(tmp_path, (await loaded()).app)
    key = {"authorization": "Bearer key"}
    vertex = "/v1/projects/demo/locations/us-central1/endpoints/iris:predict"

    async def sent(form: Format, path: str, body: Any) -> Any:
        return (await call(routed(app, form), path, headers=key, body=json.dumps(body).encode())).json()

    assert await sent(Format.SAGEMAKER, "/demo/endpoints/iris/invocations", {"inputs": TEXTS}) == LABELS
    assert (await sent(Format.VERTEX, vertex, {"instances": TEXTS}))["predictions"] == LABELS
    assert await sent(Format.AZUREML, "/demo/iris/score", {"input_data": TEXTS}) == LABELS
