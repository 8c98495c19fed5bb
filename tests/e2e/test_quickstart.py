"""What the demo does, compared with the same model called directly in Python."""

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path

import joblib
import numpy
import pandas
import pyarrow.parquet
import pytest
from sklearn.datasets import load_iris

from tests.e2e.calls import FLOWER, Client, ask
from tests.e2e.cluster import Cluster, examples

pytestmark = pytest.mark.e2e
FEATURES = list(FLOWER)
ROWS = 1_000_000


def flowers() -> pandas.DataFrame:
    """Every row of the data set that scikit-learn ships."""
    return load_iris(as_frame=True).data.set_axis(FEATURES, axis=1)


def direct(volume: Path, version: str, rows: pandas.DataFrame) -> pandas.DataFrame:
    """What the model itself says."""
    model = joblib.load(volume / "models" / version / "model.joblib")
    sure = model.predict_proba(rows[FEATURES])
    return pandas.DataFrame({"species": model.classes_[sure.argmax(axis=1)], "probability": sure.max(axis=1)})


def test_each_row_is_answered_as_the_model_itself_answers(iris: Cluster) -> None:
    rows = flowers()
    expected = {f"iris-{v}": direct(iris.volume("iris"), v, rows) for v in ("v1", "v2")}
    seen: Counter[str] = Counter()
    with Client(iris.url("iris"), iris.key("iris")) as client:
        for number, row in enumerate(rows.to_dict("records")):
            answer = client.post([row])
            assert answer.status == 200, answer.body
            name = answer.headers["raydock-deployment"]
            seen[name] += 1
            want = expected[name].iloc[number]
            got = answer.json()[0]
            assert got["species"] == want["species"]
            assert numpy.isclose(got["probability"], want["probability"], rtol=0, atol=1e-12)
    assert sum(seen.values()) == len(rows) == 150


def test_a_thousand_requests_are_split_as_the_spec_says(iris: Cluster) -> None:
    with Client(iris.url("iris"), iris.key("iris")) as client:
        seen = Counter(client.post([FLOWER]).headers["raydock-deployment"] for _ in range(1000))
    assert sum(seen.values()) == 1000
    assert abs(seen["iris-v2"] - 100) <= 30, seen


def test_keys_are_checked(iris: Cluster) -> None:
    other = {
        "apiVersion": "raydock.io/v1alpha1",
        "kind": "InferenceEndpoint",
        "metadata": {"name": "other", "namespace": iris.namespace},
        "spec": {"traffic": [{"deployment": "iris-v1", "percent": 100}]},
    }
    iris.apply(other)
    iris.wait("inferenceendpoints", "other", timeout_s=60)
    url = iris.url("iris")
    assert ask(url).status == 401
    assert ask(url, "not-a-key").status == 401
    assert ask(url, iris.key("other")).status == 403
    assert ask(url, iris.key("iris", "secondary")).status == 200
    assert ask(iris.url("other"), iris.key("other")).status == 200
    iris.delete("inferenceendpoints.raydock.io", "other")


def test_a_batch_job_writes_what_the_model_itself_predicts(iris: Cluster) -> None:
    iris.apply(*examples(iris.namespace, iris.images, "quickstart/batchjob.yaml"))
    iris.wait("batchjobs", "iris")
    check_output(iris.volume("iris"), "predictions")
    job = iris.get("batchjobs.raydock.io", "iris")
    assert job
    assert job["status"]["state"] == "Succeeded"
    assert job["status"]["output"]["rows"] == ROWS
    assert job["status"]["progress"]["percent"] == 100
    iris.delete("batchjobs.raydock.io", "iris")


def check_output(volume: Path, output: str) -> dict[str, object]:
    """Every row once and right, files and checksums as `_SUCCESS` says; returns `_SUCCESS`."""
    success: dict[str, object] = json.loads((volume / output / "_SUCCESS").read_text())
    files = success["files"]
    assert isinstance(files, list)
    for entry in files:
        path = volume / output / entry["path"]
        assert sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        assert pyarrow.parquet.read_metadata(path).num_rows == entry["rows"]
    assert {p.name for p in (volume / output).glob("*.parquet")} == {entry["path"] for entry in files}
    assert not (volume / output / "_staging").exists()
    got = pandas.concat([pandas.read_parquet(volume / output / entry["path"]) for entry in files])
    rows = pandas.concat([pandas.read_parquet(p) for p in sorted((volume / "tables").glob("*.parquet"))])
    assert len(got) == len(rows) == success["rows"] == ROWS
    rows, got = rows.sort_values("id", ignore_index=True), got.sort_values("id", ignore_index=True)
    assert (got["id"] == rows["id"]).all()
    expected = direct(volume, "v1", rows)
    assert (got["species"] == expected["species"]).all()
    assert numpy.allclose(got["probability"], expected["probability"], rtol=0, atol=1e-12)
    return success
