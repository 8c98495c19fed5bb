"""Plain HTTP to the scoring URI, as any client of Azure Machine Learning sends it."""

from pathlib import Path

import pytest

from raydock.wire.access import REFUSE_HEADER, Format
from tests.unit.serve.asgi import Reply, call
from tests.unit.serve.formats.gateway import routed, served

KEY = {"authorization": "Bearer key"}
SCORE = "/demo/iris/score"


async def score(where: Path, body: bytes = b'{"x": 1}', path: str = SCORE, **headers: str) -> Reply:
    sent = KEY | {name.replace("_", "-"): value for name, value in headers.items()}
    return await call(routed(served(where), Format.AZUREML), path, headers=sent, body=body)


async def test_an_answer_names_its_deployment_and_the_callers_request(tmp_path: Path) -> None:
    got = await score(tmp_path, x_ms_client_request_id="mine")
    assert (got.status, got.json()["predictions"][0]["path"]) == (200, "/predict")
    assert got.headers["azureml-model-deployment"] == got.headers["raydock-deployment"] == "iris-v1"
    assert got.headers["x-ms-client-request-id"] == "mine"


async def test_a_name_of_a_request_that_is_too_long(tmp_path: Path) -> None:
    got = await score(tmp_path, x_ms_client_request_id="x" * 101)
    assert (got.status, got.code) == (431, "HeaderTooLarge")


async def test_a_deployment_is_asked_by_its_header(tmp_path: Path) -> None:
    assert (await score(tmp_path, azureml_model_deployment="iris-v1")).status == 200
    assert (await score(tmp_path, azureml_model_deployment="iris-v9")).status == 404
    both = await score(tmp_path, azureml_model_deployment="iris-v1", raydock_deployment="iris-v9")
    assert (both.status, both.code) == (400, "BadRequest")


@pytest.mark.parametrize(("body", "status"), [(b'{"do": "fail"}', "422"), (b'{"do": "crash"}', "500")])
async def test_an_error_of_the_model(tmp_path: Path, body: bytes, status: str) -> None:
    got = await score(tmp_path, body)
    assert got.status == 424
    assert got.headers["ms-azureml-model-error-statuscode"] == status
    assert got.headers["ms-azureml-model-error-reason"] == "model_error"
    assert b"never told" not in got.body


async def test_an_error_keeps_the_apps_own_body(tmp_path: Path) -> None:
    assert (await score(tmp_path, b'{"do": "fail"}')).json() == {"detail": "that is no flower"}


async def test_refusals_have_azures_codes(tmp_path: Path) -> None:
    none = routed(served(tmp_path), Format.AZUREML, {REFUSE_HEADER: "NoTraffic"})
    assert (await call(none, SCORE, headers=KEY)).status == 404
    assert (await score(tmp_path, authorization="Bearer wrong")).status == 401
    assert (await score(tmp_path, authorization="Bearer other")).status == 403
    assert (await score(tmp_path, path="/demo/iris/score/deeper")).status == 404


async def test_where_paths_are_lent_out_it_is_the_apps_own(tmp_path: Path) -> None:
    got = await call(routed(served(tmp_path, invoke=True), Format.AZUREML), SCORE, headers=KEY, body=b"{}")
    assert got.json()["predictions"][0]["path"] == "/score"


@pytest.mark.parametrize(
    ("body", "counted"), [(b'{"x": 1}', 200), (b'{"do": "fail"}', 422), (b'{"do": "crash"}', 500)]
)
async def test_what_is_counted_is_what_the_app_did(tmp_path: Path, body: bytes, counted: int) -> None:
    seen: list[int] = []
    made = served(tmp_path, count=lambda _endpoint, status, _seconds: seen.append(status))
    await call(routed(made, Format.AZUREML), SCORE, headers=KEY, body=body)
    assert seen == [counted]
