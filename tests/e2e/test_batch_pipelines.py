"""The pipelines of examples/batch in a namespace that admits restricted pods only.

The CronJob and the Airflow task run to their ends. Argo is not there: of its step the pod is held to what the
API server admits.
"""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from raydock.batch.verify import verify
from tests.e2e.cluster import ROOT, Cluster, light, until
from tests.kit import airflow

pytestmark = pytest.mark.e2e
EXAMPLES = ROOT / "examples" / "batch"
JOBS = "batchjobs.raydock.io"
TABLE = "pvc://iris/tables/part-0.parquet"
ROWS = 125_000
DAG_RUN = "20260102"
NAMED_BY_DAG = f"iris-{DAG_RUN}"
END_S = 240


def example(cluster: Cluster, name: str) -> list[dict[str, Any]]:
    """Its objects in the test's namespace, with the operator's image that was built here."""
    public = "ghcr.io/raydock/raydock:0.1.0"
    text = (EXAMPLES / name).read_text().replace(public, cluster.images["OPERATOR_IMAGE"])
    return list(yaml.safe_load_all(text.replace("namespace: demo", f"namespace: {cluster.namespace}")))


def smaller(text: str) -> str:
    """A BatchJob over one file of the table, that fits beside others."""
    job = light(yaml.safe_load(text))
    job["spec"]["input"]["tables"]["uris"] = [TABLE]
    job["spec"]["resources"] = {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    return yaml.safe_dump(job)


@pytest.fixture
def pipelines(iris: Cluster) -> Iterator[Cluster]:
    """The account with its role, and the CronJob, which nobody wakes."""
    remove(iris)
    config, cron = example(iris, "cronjob.yaml")
    config["data"] = {name: smaller(text) for name, text in config["data"].items()}
    cron["spec"]["suspend"] = True
    iris.apply(*example(iris, "rbac.yaml"), config, cron)
    yield iris
    remove(iris)


def remove(iris: Cluster) -> None:
    iris.delete("pods", "score", "score-again")
    iris.delete("cronjobs,jobs", "iris-nightly", "tonight")
    for one in iris.all(JOBS):
        if one["metadata"]["name"].startswith(("iris-nightly-", NAMED_BY_DAG)):
            iris.delete(JOBS, one["metadata"]["name"])
    shutil.rmtree(iris.volume("iris") / "nightly", ignore_errors=True)


def task(cluster: Cluster, name: str) -> dict[str, Any]:
    """The pod of the DAG's task."""
    found = airflow.pod(lambda text: text.replace("{{ ds_nodash }}", DAG_RUN))
    found["metadata"] = {"name": name, "namespace": cluster.namespace}
    found["spec"]["containers"][0]["image"] = cluster.images["OPERATOR_IMAGE"]
    return found


def ended(cluster: Cluster, name: str) -> str:
    """The pod's log, once it ended well."""

    def phase() -> str:
        return str((cluster.get("pod", name) or {}).get("status", {}).get("phase"))

    until(lambda: phase() in {"Succeeded", "Failed"}, END_S, f"end of pod {name}", phase)
    log = cluster.kubectl("logs", name)
    assert phase() == "Succeeded", log
    return log


@pytest.mark.slow  # a minute; what needs no node is in test_batch_examples.py
def test_a_cron_job_and_an_airflow_task_end_as_their_jobs_do(pipelines: Cluster) -> None:
    pipelines.kubectl("create", "job", "tonight", "--from=cronjob/iris-nightly")
    pipelines.apply(task(pipelines, "score"))
    log = ended(pipelines, "score")
    assert f"{pipelines.namespace}/{NAMED_BY_DAG} Succeeded: {ROWS} rows" in log
    pipelines.apply(task(pipelines, "score-again"))  # tried again, it finds its job
    pipelines.kubectl("wait", "--for=condition=Complete", "job/tonight", f"--timeout={END_S}s")
    log = pipelines.kubectl("logs", "job/tonight")
    (job,) = (j for j in pipelines.all(JOBS) if j["metadata"]["name"].startswith("iris-nightly-"))
    assert f"{job['metadata']['name']} Succeeded: {ROWS} rows" in log
    assert "Succeeded" in ended(pipelines, "score-again")

    outputs = list((pipelines.volume("iris") / "nightly").iterdir())
    assert len(outputs) == 2
    for folder in outputs:
        assert verify(folder) == []
        assert json.loads((folder / "_SUCCESS").read_text())["rows"] == ROWS


def test_the_step_of_an_argo_workflow_is_admitted(iris: Cluster) -> None:
    (workflow,) = example(iris, "argo-workflow.yaml")
    steps = {one["name"]: one for one in workflow["spec"]["templates"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "by-command", "namespace": iris.namespace},
        "spec": {
            "containers": [{"name": "main", **steps["by-command"]["container"]}],
            "securityContext": workflow["spec"]["securityContext"],
        },
    }
    made = yaml.safe_load(steps["by-resource"]["resource"]["manifest"])
    made["metadata"]["namespace"] = iris.namespace
    for one in (pod, made):
        iris.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(one))
