"""The plugin of examples/actions, with a model of scikit-learn that a backend knows and a store has."""

import io
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from hack.node.layout import REPOSITORY
from raydock.sdk.plugins.discovery import PluginDiscovery
from raydock.sdk.plugins.executors.local import LocalExecutor
from tests.kit.backend import Backend, backend
from tests.unit.models.server import serving
from tests.unit.sdk.recording import Recorder

EXAMPLE = REPOSITORY / "examples" / "actions"
SETOSA, VIRGINICA = (5.1, 3.5, 1.4, 0.2), (6.3, 3.3, 6.0, 2.5)
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
INPUTS = [dict(zip(NAMES, flower, strict=True)) for flower in (SETOSA, VIRGINICA, VIRGINICA)]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    monkeypatch.setenv("HOME", str(tmp_path))  # downloads are kept there
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = LogisticRegression(max_iter=1000).fit([SETOSA, VIRGINICA] * 10, ["setosa", "virginica"] * 10)
    held, packed = io.BytesIO(), io.BytesIO()
    joblib.dump(model, held)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.joblib", held.getvalue())
    with serving(lambda request: request.reply_file(packed.getvalue())) as store, backend() as found:
        found.models["34"] = {"id": 34, "name": "iris", "version": 1, "file": store.url("/iris.zip")}
        monkeypatch.setenv("SYNAPSE_HOST", found.url)
        yield found


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginDiscovery]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield PluginDiscovery.from_path(EXAMPLE)
    for path in EXAMPLE.glob("*.py"):
        sys.modules.pop(path.stem, None)


def done(example: PluginDiscovery, name: str, inputs: list[dict[str, Any]]) -> tuple[Any, Recorder]:
    logger = Recorder()
    executor = LocalExecutor(logger=logger)
    return executor.execute(example.get_action_class(name), {"model_id": 34, "inputs": inputs}), logger


@pytest.mark.parametrize("name", ["inference", "inference_in_steps"])
def test_an_inference_of_the_example(server: Backend, example: PluginDiscovery, name: str) -> None:
    result, logger = done(example, name, INPUTS)
    assert [one["species"] for one in result["results"]] == ["setosa", "virginica", "virginica"]
    assert all(0.5 < one["probability"] <= 1 for one in result["results"])
    assert result["processed_count"] == 3
    assert logger.reports[-1].overall == 100
    assert len(server.of("GET", "/models/34/")) == 1


def test_without_flowers_the_model_is_not_asked(server: Backend, example: PluginDiscovery) -> None:
    result, _ = done(example, "inference_in_steps", [])
    assert (result["steps_executed"], result["processed_count"]) == (2, 0)
