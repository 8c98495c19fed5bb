"""examples/mlflow: a model that MLflow saved, behind a URL and over a table, compared with MLflow itself."""

from collections.abc import Iterator

import mlflow.pyfunc
import pandas
import pytest

from tests.e2e.calls import Client
from tests.e2e.cluster import Cluster, examples, until

pytestmark = pytest.mark.e2e
FEATURES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


@pytest.fixture(scope="module")
def flowers(iris: Cluster) -> Iterator[Cluster]:
    """The example, its model trained."""
    iris.apply(*examples(iris.namespace, iris.images, "mlflow/model.yaml"))
    iris.kubectl("wait", "--for=condition=Complete", "job/flowers-train", "--timeout=300s")
    iris.apply(*examples(iris.namespace, iris.images, "mlflow/serve.yaml"))
    iris.wait("deployments", "flowers-v1")
    iris.wait("inferenceendpoints", "flowers", timeout_s=120)
    yield iris
    iris.delete("batchjobs.raydock.io", "flowers")
    iris.delete("inferenceendpoints.raydock.io", "flowers")
    iris.delete("deployments.raydock.io", "flowers-v1")
    iris.delete("job", "flowers-train")


def direct(cluster: Cluster, rows: pandas.DataFrame) -> list[str]:
    """What MLflow's own loader says."""
    model = mlflow.pyfunc.load_model(str(cluster.volume("iris") / "models" / "flowers"))
    return list(model.predict(rows[FEATURES]))


def test_requests_are_answered_as_mlflow_itself_answers(flowers: Cluster) -> None:
    rows = pandas.read_parquet(flowers.volume("iris") / "tables")[:50]
    want = direct(flowers, rows)
    bare = rows[FEATURES].to_numpy().tolist()
    forms = {
        "inputs": bare,
        "instances": rows[FEATURES].to_dict("records"),
        "dataframe_split": {"columns": FEATURES, "data": bare},
        "dataframe_records": rows.to_dict("records"),  # with the column id, which the signature has not
    }
    with Client(flowers.url("flowers"), flowers.key("flowers")) as client:
        for name, form in forms.items():
            answer = client.post({name: form})
            assert answer.status == 200, (name, answer.body)
            assert answer.json() == {"predictions": want}, name
        refused = client.post({"inputs": [{"sepal_length": 1.0}]})
        assert refused.status == 400
        assert "sepal_width" in refused.body.decode()


@pytest.mark.slow  # a batch job; test_mlflow_batch predicts tables with the same code
def test_a_table_gets_what_mlflow_itself_predicts(flowers: Cluster) -> None:
    flowers.apply(*examples(flowers.namespace, flowers.images, "mlflow/batchjob.yaml"))

    def ended() -> dict[str, object] | None:
        status = (flowers.get("batchjobs.raydock.io", "flowers") or {}).get("status", {})
        return status if status.get("state") in ("Succeeded", "Failed") else None

    status = until(ended, 300, "end of the job")
    assert status["state"] == "Succeeded", status
    volume = flowers.volume("iris")
    got = pandas.read_parquet(sorted((volume / "flowers").glob("*.parquet"))).sort_values("id")
    rows = pandas.read_parquet(volume / "tables").sort_values("id")
    assert got["id"].tolist() == rows["id"].tolist()
    assert got["prediction"].tolist() == direct(flowers, rows)
