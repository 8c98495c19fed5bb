"""contracts/actions.md 15, check 1: plugins written for the package, run under either name of the SDK."""

import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

from raydock.sdk import alias
from raydock.sdk.plugins.entrypoint import run
from raydock.sdk.plugins.environment import PluginEnvironment
from tests.kit.backend import Backend, backend
from tests.unit.models.server import serving
from tests.unit.sdk.guide import MODULES

WEIGHTS = [1.5, 2.0]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """A backend that knows model 34, whose file another server has."""
    monkeypatch.setenv("HOME", str(tmp_path))  # downloads are kept there
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.pt", json.dumps(WEIGHTS))
    with serving(lambda request: request.reply_file(packed.getvalue())) as store, backend() as found:
        found.models["34"] = {"id": 34, "name": "weights", "version": 1, "file": store.url("/weights.zip")}
        yield found


@pytest.fixture(params=["raydock.sdk", "synapse_sdk"])
def _plugins(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The modules of the guide, written for one name of the SDK."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    if request.param == alias.ALIAS:
        monkeypatch.setenv(alias.SWITCH_ENV, "1")
        assert alias.install()
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text.replace("SDK", request.param))
    yield
    for name in [name for name in sys.modules if name in MODULES or name.split(".")[0] == alias.ALIAS]:
        del sys.modules[name]


def done(entrypoint: str, params: dict[str, Any], server: Backend) -> dict[str, Any]:
    """What the backend knows of the job once the action has run."""
    env = PluginEnvironment(
        {
            "SYNAPSE_ACTION_ENTRYPOINT": entrypoint,
            "SYNAPSE_ACTION_PARAMS": json.dumps(params),
            "SYNAPSE_JOB_ID": "7",
            "SYNAPSE_HOST": server.url,
            "SYNAPSE_ACCESS_TOKEN": "user-token",
        }
    )
    out, err = StringIO(), StringIO()
    assert run(env, out, err) == 0, err.getvalue()
    return server.jobs["7"]


@pytest.mark.usefixtures("_plugins")
def test_a_simple_inference(server: Backend) -> None:
    params = {"model_id": 34, "inputs": [{"tensor": [1, 1]}, {"tensor": [2, 0]}]}
    job = done("guide_simple.Simple", params, server)
    assert job["status"] == "SUCCEEDED"
    assert job["result"] == {
        "results": [{"prediction": [3.5], "rounded": [4]}, {"prediction": [3.0], "rounded": [3]}]
    }
    assert steps(job) == {"model_load": 33.33, "inference": 66.67, "postprocess": 100.0}
    assert overall(job) == 100
    assert len(server.of("GET", "/models/34/")) == 1
    assert server.requests[0].headers["Synapse-Access-Token"] == "Token user-token"


@pytest.mark.usefixtures("_plugins")
def test_an_inference_in_steps(server: Backend) -> None:
    params = {"model_id": 34, "inputs": [{"input": [1, 0]}, {"input": [0, 1]}, {"input": [1, 1]}]}
    job = done("guide_steps:InSteps", params, server)
    assert job["result"] == {
        "success": True,
        "steps_executed": 2,
        "steps_total": 2,
        "processed_count": 3,
        "results": [{"prediction": [1.5]}, {"prediction": [2.0]}, {"prediction": [3.5]}],
    }
    assert steps(job) == {"load_model": 100.0, "inference": 100.0}
    assert [step["proportion"] for step in job["progress_record"]["record"]["steps"].values()] == [30, 70]
    assert len(server.of("GET", "/models/34/")) == 1


@pytest.mark.usefixtures("_plugins")
def test_an_inference_in_batches(server: Backend) -> None:
    inputs = [{"data": [number, 1]} for number in range(5)]
    job = done("guide_batches.InBatches", {"model_id": 34, "inputs": inputs, "batch_size": 2}, server)
    assert job["result"] == {
        "results": [{"prediction": [1.5 * number + 2]} for number in range(5)],
        "processed_count": 5,
    }
    assert overall(job) == 100
    assert len(server.of("GET", "/models/34/")) == 1


def steps(job: dict[str, Any]) -> dict[str, float]:
    """Percent of each step."""
    return {name: step["percent"] for name, step in job["progress_record"]["record"]["steps"].items()}


def overall(job: dict[str, Any]) -> float:
    found: float = job["progress_record"]["current_progress"]["overall"]
    return found
