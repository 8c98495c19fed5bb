"""What a server of raydock's own needs of the image and of model.uri, and what is told without that."""

import os
import sys
from pathlib import Path

import pytest

from raydock.models.entry import LoadFailed
from raydock.models.needs import folder, package
from raydock.models.prepare import provide
from raydock.models.pyfunc import Pyfunc
from raydock.reasons import Reason
from raydock.wire.paths import MODEL_PATH_ENV, TASK_ENV
from tests.kit import mlflow_models as models


@pytest.fixture(autouse=True)
def model_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    where = tmp_path / "model"
    where.mkdir()
    monkeypatch.setenv(MODEL_PATH_ENV, str(where))
    return where


def told(reason: Reason) -> str:
    """Why the model cannot be loaded, which must be for `reason`."""
    with pytest.raises(LoadFailed) as failed:
        Pyfunc()
    assert failed.value.reason is reason
    return failed.value.message


def test_the_folder_itself_or_the_only_one_in_it(model_path: Path) -> None:
    inner = model_path / "artifacts"
    inner.mkdir()
    (inner / "MLmodel").touch()
    assert folder("MLmodel", "server.mlflow") == inner
    (model_path / "MLmodel").touch()
    assert folder("MLmodel", "server.mlflow") == model_path


@pytest.mark.parametrize("found", ["nothing", "a file", "two folders"])
def test_where_no_model_is_the_file_that_is_wanted_is_named(
    model_path: Path, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    if found == "a file":
        (model_path / "model.pkl").touch()
        monkeypatch.setenv(MODEL_PATH_ENV, str(model_path / "model.pkl"))
    if found == "two folders":
        for name in ("a", "b"):
            (model_path / name).mkdir()
            (model_path / name / "MLmodel").touch()
    assert "there is no MLmodel at model.uri" in told(Reason.MODEL_NOT_FOUND)


def test_a_package_that_the_image_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    said = told(Reason.IMPORT_FAILED)
    assert "server.mlflow needs the package mlflow-skinny or mlflow in the image (spec.image)" in said


def test_a_package_that_is_broken_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_there.py").write_text("from json import nothing_of_it\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LoadFailed, match=r"needs it in the image .*cannot import name 'nothing_of_it'"):
        package("half_there", "server.x", "it")


def test_a_package_that_the_model_lacks(model_path: Path) -> None:
    models.classifier(model_path / "m")
    told_by_mlflow = model_path / "m" / "MLmodel"
    text = told_by_mlflow.read_text()
    assert "mlflow.sklearn" in text
    told_by_mlflow.write_text(
        text.replace("loader_module: mlflow.sklearn", "loader_module: not_in_the_image")
    )
    assert "the model needs the package not_in_the_image" in told(Reason.IMPORT_FAILED)


def test_a_model_that_cannot_be_read(model_path: Path) -> None:
    models.classifier(model_path / "m")
    for file in (model_path / "m").glob("model.*"):
        file.write_bytes(b"no pickle")
    assert "MLflow cannot load the model:" in told(Reason.MODEL_LOAD_FAILED)


def test_mlflow_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    told(Reason.MODEL_NOT_FOUND)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"  # noqa: TID251 - what MLflow reads


def test_what_the_code_is_told_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_PATH_ENV)
    monkeypatch.delenv(TASK_ENV, raising=False)
    provide(None, None, None)
    assert not {MODEL_PATH_ENV, TASK_ENV} & os.environ.keys()  # noqa: TID251 - this process's own
    monkeypatch.setenv(TASK_ENV, "an older one")
    provide(None, None, "fill-mask")
    assert os.environ[TASK_ENV] == "fill-mask"  # noqa: TID251 - this process's own
