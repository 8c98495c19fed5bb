"""contracts/actions.md 6: BaseInferenceAction."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import override

from raydock.remote.errors import NotFoundError
from raydock.sdk.plugins.actions.inference import (
    BaseInferenceAction,
    InferenceContext,
    InferenceProgressCategories,
)
from raydock.sdk.plugins.context import PluginEnvironment, RuntimeContext
from raydock.sdk.plugins.enums import PluginCategory
from raydock.sdk.plugins.steps import BaseStep, StepRegistry, StepResult
from tests.kit.backend import Backend, PlainClient, backend
from tests.unit.sdk.recording import a_context, recorded


class Params(BaseModel):
    model_id: int = 34


class Score(BaseInferenceAction[Params]):
    """The contract's example, with a model that is a file with a number in it."""

    @override
    def execute(self) -> dict[str, Any]:
        info = self.load_model(self.params.model_id)
        self.set_progress(1, 1, self.progress.MODEL_LOAD)
        rows = self.infer(float((info["path"] / "model.txt").read_text()), [{"x": 1}, {"x": 2}])
        self.set_progress(1, 1, self.progress.INFERENCE)
        return {"results": rows}

    @override
    def infer(self, model: Any, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"y": model * row["x"]} for row in inputs]


@pytest.fixture
def server() -> Iterator[Backend]:
    with backend() as found:
        found.models["34"] = {"id": 34, "name": "m", "version": 2, "file": "https://store.example/m.zip"}
        found.models["35"] = {"id": 35, "name": "bare"}
        yield found


@pytest.fixture
def ctx(server: Backend) -> RuntimeContext:
    env = PluginEnvironment({"SYNAPSE_PLUGIN_RUN_TENANT": "acme"})
    return a_context(client=PlainClient(server.server_port), env=env)


class Downloads(ModuleType):
    """Stands where the SDK's downloads are looked for; keeps what was asked."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__("raydock.sdk.downloads")
        self.asked: list[Any] = []
        self._tmp_path = tmp_path

    def download(
        self,
        url: str,
        *,
        tenant: str | None,
        version: str | None,
        output_dir: Path | None,
        headers: Mapping[str, str],
    ) -> Path:
        self.asked.append((url, tenant, version, output_dir, dict(headers)))
        found = output_dir or self._tmp_path
        (found / "model.txt").write_text("0.5")
        return found


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Downloads:
    module = Downloads(tmp_path)
    monkeypatch.setitem(sys.modules, "raydock.sdk.downloads", module)
    return module


def test_names_of_the_progress() -> None:
    progress = BaseInferenceAction.progress
    assert isinstance(progress, InferenceProgressCategories)
    assert (progress.MODEL_LOAD, progress.INFERENCE, progress.POSTPROCESS) == (
        "model_load",
        "inference",
        "postprocess",
    )
    assert BaseInferenceAction.category is PluginCategory.NEURAL_NET


def test_an_inference_from_model_to_rows(server: Backend, ctx: RuntimeContext, downloads: Downloads) -> None:
    assert Score.dispatch({"model_id": 34}, ctx) == {"results": [{"y": 0.5}, {"y": 1.0}]}
    assert recorded(ctx).overall == [10, 90]
    assert [one.path for one in server.requests] == ["/models/34/"]  # metadata are read once


def test_a_subclass_may_weigh_its_categories() -> None:
    class Weighed(BaseInferenceAction[Any]):
        progress_plan = {"load": 1, "run": 3}  # noqa: RUF012 - as authors of plugins write it

        @override
        def execute(self) -> None:
            self.set_progress(1, 1, "load")
            self.set_progress(1, 1, "run")

    ctx = a_context()
    Weighed.dispatch({}, ctx)
    assert recorded(ctx).overall == [25, 100]


def test_the_path_of_a_model_is_text_that_takes_a_slash(
    ctx: RuntimeContext, downloads: Downloads, tmp_path: Path
) -> None:
    info = Score(Params(), ctx).load_model(34)
    assert (info["id"], info["name"]) == (34, "m")
    assert info["path"] + "/model.txt" == str(tmp_path / "model.txt")
    assert info["path"] / "model.txt" == tmp_path / "model.txt"
    assert isinstance(info["path"], str)


@pytest.mark.parametrize("into", [None, "there"])
def test_a_download_names_tenant_and_version_and_sends_no_token(
    ctx: RuntimeContext, downloads: Downloads, tmp_path: Path, into: str | None
) -> None:
    output_dir = None if into is None else tmp_path
    assert Score(Params(), ctx).download_model(34, output_dir) == tmp_path
    assert downloads.asked == [("https://store.example/m.zip", "acme", "2", output_dir, {})]


def test_no_file(ctx: RuntimeContext, downloads: Downloads) -> None:
    with pytest.raises(ValueError, match=r"^Model 35 has no file URL$"):
        Score(Params(), ctx).load_model(35)


def test_a_model_that_the_backend_does_not_know(ctx: RuntimeContext) -> None:
    with pytest.raises(NotFoundError):
        Score(Params(), ctx).get_model(36)


def test_no_client() -> None:
    with pytest.raises(RuntimeError) as caught:
        Score(Params(), a_context()).load_model(34)
    assert str(caught.value) == (
        "No client in context. Either provide a client via RuntimeContext or override the helper methods "
        "(load_model, get_model)."
    )


def test_no_infer() -> None:
    with pytest.raises(NotImplementedError) as caught:
        BaseInferenceAction(Params(), a_context()).infer(None, [])
    assert str(caught.value) == (
        "Override infer() to implement inference logic. Example: return model.predict(inputs)"
    )


class Overrides(Score):
    @override
    def get_model(self, model_id: int) -> dict[str, Any]:
        return {"id": model_id, "mine": True}

    @override
    def download_model(self, model_id: int, output_dir: str | Path | None = None) -> Path:
        return Path("/mine")


def test_hooks_that_are_overridden_are_used() -> None:
    assert Overrides(Params(), a_context()).load_model(7) == {"id": 7, "mine": True, "path": "/mine"}


@pytest.mark.parametrize(
    ("params", "model_id"),
    [
        pytest.param({"model_id": 3, "model": 4}, 3, id="model_id"),
        pytest.param({"model": 4}, 4, id="else model"),
        pytest.param({}, None, id="none"),
        pytest.param(Params(model_id=5), 5, id="of a model, dumped"),
    ],
)
def test_the_context_of_steps(params: Any, model_id: int | None) -> None:
    context = BaseInferenceAction[Any](params, a_context()).create_context()
    assert context.model_id == model_id
    assert context.params == (params if isinstance(params, dict) else params.model_dump())
    assert (context.model, context.model_path, context.requests, context.results) == (None, None, [], [])
    assert (context.batch_size, context.processed_count) == (1, 0)


class Infers(BaseStep[InferenceContext]):
    name = "infer"
    progress_weight = 1.0

    @override
    def execute(self, context: InferenceContext) -> StepResult:
        context.results = [{"y": 1}] * context.params["rows"]
        context.processed_count = len(context.results)
        return StepResult()


class InSteps(BaseInferenceAction[dict[str, Any]]):
    @override
    def setup_steps(self, registry: StepRegistry[InferenceContext]) -> None:
        registry.register(Infers())


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        pytest.param(2, {"processed_count": 2, "results": [{"y": 1}, {"y": 1}]}, id="results"),
        pytest.param(0, {"processed_count": 0}, id="no results"),
    ],
)
def test_steps_without_execute(rows: int, more: dict[str, Any]) -> None:
    result = InSteps.dispatch({"rows": rows}, a_context())
    assert result == {"success": True, "steps_executed": 1, "steps_total": 1, **more}
