"""The pipeline of transformers as raydock makes and calls it, and what is told when that cannot be done."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raydock.models.entry import LoadFailed
from raydock.models.pipeline import Pipeline
from raydock.reasons import Reason
from raydock.wire.paths import TASK_ENV
from tests.kit.small_transformers import SmallPipeline, installed, packages


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SmallPipeline]:
    return installed(tmp_path, monkeypatch)


def told(reason: Reason) -> str:
    with pytest.raises(LoadFailed) as failed:
        Pipeline()
    assert failed.value.reason is reason
    return failed.value.message


def test_it_is_made_of_the_folder_and_of_no_code_in_it(made: list[SmallPipeline], tmp_path: Path) -> None:
    Pipeline()
    assert made[0].made_with == {"model": str(tmp_path), "device": -1, "trust_remote_code": False}


def test_a_gpu_is_used_where_there_is_one(made: list[SmallPipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", packages(made, gpus=True)["torch"])
    Pipeline()
    assert made[0].made_with["device"] == 0


@pytest.mark.parametrize("absent", ["transformers", "torch"])
def test_packages_that_the_image_lacks(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    said = told(Reason.IMPORT_FAILED)
    want = "server.huggingface needs the packages transformers and torch in the image (spec.image)"
    assert said.startswith(want)
    assert absent in said.removeprefix(want)


def test_where_no_model_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").unlink()
    assert "there is no config.json at model.uri" in told(Reason.MODEL_NOT_FOUND)


def test_a_task_that_these_transformers_do_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TASK_ENV, "zero-shot-classification")
    assert "task: the transformers of the image has no such pipeline: Unknown task" in told(
        Reason.INVALID_SPEC
    )


def test_a_model_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("no file named model.safetensors")

    monkeypatch.setattr(sys.modules["transformers"], "pipeline", broken)
    said = told(Reason.MODEL_LOAD_FAILED)
    assert "cannot load the model for text-classification" in said
    assert "no file named model.safetensors" in said


def test_params_are_arguments_of_each_call(made: list[SmallPipeline]) -> None:
    pipeline = Pipeline()
    pipeline.reconfigure({"top_k": 2})
    assert pipeline.predict(["a", "long text"], {"top_k": 3}) == [{"label": "SHORT"}, {"label": "LONG"}]
    pipeline.predict(["a"])
    assert made[0].calls == [(["a", "long text"], {"top_k": 3}), (["a"], {"top_k": 2})]


@pytest.mark.parametrize(
    ("params", "why"), [({"heat": 1}, "unexpected keyword argument 'heat'"), ({"top_k": "x"}, "a number")]
)
def test_params_that_it_refuses(params: dict[str, Any], why: str) -> None:
    pipeline = Pipeline()
    with pytest.raises(LoadFailed, match=f"pipeline text-classification refuses them: .*{why}") as failed:
        pipeline.reconfigure(params)
    assert failed.value.reason is Reason.PARAMS_INVALID
    assert pipeline.params == {}


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("text-classification", {"label": "A"}),
        ("fill-mask", [{"token_str": "a"}]),
        ("fill-mask", [{"token_str": "a"}, {"token_str": "b"}]),
        ("text-generation", [{"generated_text": "A"}]),
    ],
)
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_each_row_has_one_result(
    made: list[SmallPipeline], monkeypatch: pytest.MonkeyPatch, task: str, answer: Any, rows: int
) -> None:
    monkeypatch.setenv(TASK_ENV, task)
    pipeline = Pipeline()
    made[0].answers = lambda _: answer
    assert pipeline.predict(["x"] * rows) == [answer] * rows


def test_another_number_of_results_is_an_error(
    made: list[SmallPipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline()
    monkeypatch.setattr(SmallPipeline, "__call__", lambda *_, **__: [1])
    with pytest.raises(ValueError, match="gave 1 results for 2 rows"):
        pipeline.predict(["a", "b"])


def test_it_is_called_by_one_thread_at_a_time() -> None:
    pipeline = Pipeline()
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda _: pipeline.predict(["a"]), range(200)))) == 200
