"""examples/actions, the same plugin at four places: on this machine, as a Ray job on the cluster of its
Deployment, as that Deployment, as a BatchJob. Same results, progress at each, no credential anywhere, and
nothing that is said tells where the backend is.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.backend_site import NAME as BACKEND
from tests.e2e.backend_site import SECRET, TOKEN, BackendSite, backend_site
from tests.e2e.calls import Client
from tests.e2e.cluster import EXAMPLES, ROOT, Cluster, examples, until
from tests.e2e.conftest import SYSTEM
from tests.e2e.test_quickstart import FEATURES, direct, flowers

pytestmark = pytest.mark.e2e
NAME = "iris-plugin"
SCORE = "iris-score"
JOB = "score-7"
"""What the backend calls the BatchJob's run."""
INPUTS = flowers()[::10].to_dict("records")
PARAMS = {"model_id": 1, "inputs": INPUTS}
OBJECTS = "rdep,iep,batchjob,rayservice,raycluster,rayjob"
STEPS = ("model_load", "inference", "postprocess")


@dataclass(frozen=True)
class Plugin:
    """The plugin beside what it is run on."""

    cluster: Cluster
    site: BackendSite
    home: Path

    def run(self, action: str, *options: str, params: object = None, **env: str) -> tuple[str, Any]:
        """`raydock plugin run`: what it wrote before the result, and the result."""
        command = [
            *(sys.executable, "-m", "raydock", "plugin", "run", action),
            *("--path", str(EXAMPLES / "actions"), *options),
            *(() if params is None else ("--params", json.dumps(params))),
        ]
        known = {
            **os.environ,  # noqa: TID251 - a child's environment
            **self.cluster.env,
            "PYTHONPATH": str(ROOT / "operator"),
            "HOME": str(self.home),
            "SYNAPSE_HOST": self.site.url,
            "SYNAPSE_ACCESS_TOKEN": TOKEN,
            **env,
        }
        done = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for planted in (TOKEN, self.site.place):
            assert planted not in done.stdout + done.stderr
        said = f"\n{done.stdout}"
        begin = said.rindex("\n{")
        return said[:begin] + done.stderr, json.loads(said[begin:])


@pytest.fixture(scope="module")
def plugin(iris: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    sources = [f"--from-file={path}" for path in sorted((EXAMPLES / "actions").glob("*.py"))]
    iris.delete("configmap", NAME)
    iris.kubectl("create", "configmap", NAME, *sources)
    with backend_site(iris) as site:
        model = iris.volume("iris") / "models" / "v1" / "model.joblib"
        site.add("1", {"model.joblib": model.read_bytes()})
        yield Plugin(iris, site, tmp_path_factory.mktemp("home"))
        iris.delete("batchjobs.raydock.io", SCORE)
        iris.delete("inferenceendpoints.raydock.io", NAME)
        iris.delete("deployments.raydock.io", NAME)
    iris.delete("configmap", NAME)


@pytest.fixture(scope="module")
def want(iris: Cluster) -> list[dict[str, Any]]:
    """What the model itself says."""
    rows = flowers()[::10].reset_index(drop=True)
    assert list(rows.columns) == FEATURES
    found = direct(iris.volume("iris"), "v1", rows)
    found["probability"] = found["probability"].round(4)
    return list(found.to_dict("records"))


@pytest.fixture(scope="module")
def deployed(plugin: Plugin) -> list[tuple[str, int]]:
    """The Deployment and its endpoint, Ready: the progress that was seen on the way."""
    site, cluster = plugin.site, plugin.cluster
    backend = {"url": site.url, "tokenSecret": {"name": SECRET, "key": "token"}, "jobId": "deploy-7"}
    for obj in examples(cluster.namespace, cluster.images, "actions/deployment.yaml"):
        if obj["kind"] == "Deployment":
            obj["spec"]["registration"] = {"backend": backend}
        cluster.apply(obj)
    seen: list[tuple[str, int]] = []

    def ready() -> bool:
        status = (cluster.get("deployments.raydock.io", NAME) or {}).get("status", {})
        progress = status.get("progress")
        if progress and (progress["category"], progress["percent"]) not in seen:
            seen.append((progress["category"], progress["percent"]))
        return cluster.condition("deployments", NAME, "Ready").get("status") == "True"

    until(ready, 240, "Ready", lambda: cluster.get("deployments.raydock.io", NAME))
    cluster.wait("inferenceendpoints", NAME, timeout_s=120)
    ready()
    return seen


def ended(said: str) -> list[str]:
    """The categories or steps that the log says are done, in their order."""
    return re.findall(r"^\[STEP: (\w+)\] \[LEVEL: INFO\] Progress: 100(?:\.0)?%", said, re.MULTILINE)


def test_on_this_machine(plugin: Plugin, want: list[dict[str, Any]]) -> None:
    for action in ("inference", "inference_in_steps"):
        said, result = plugin.run(action, "--mode", "local", params=PARAMS)
        assert (result["results"], result["processed_count"]) == (want, len(want))
        assert ended(said)[-1:] == ["postprocess"], said


def test_as_a_deployment(plugin: Plugin, deployed: list[tuple[str, int]], want: list[dict[str, Any]]) -> None:
    percents = [percent for _, percent in deployed]
    assert percents == sorted(percents)
    assert deployed[-1] == ("register", 100)
    assert {"initialize"} <= {category for category, _ in deployed}
    with Client(plugin.cluster.url(NAME), plugin.cluster.key(NAME)) as client:
        answer = client.post(INPUTS)
    assert (answer.status, answer.json()) == (200, want)


def test_it_is_registered(plugin: Plugin, deployed: object) -> None:
    assert deployed
    records = plugin.site.state()["records"]
    (record,) = records
    assert records[record]["job"] == "deploy-7"
    assert records[record]["data"]["name"] == NAME
    status = (plugin.cluster.get("deployments.raydock.io", NAME) or {})["status"]
    assert status["serveApplication"]["id"] == record


def test_as_a_job_on_the_deployments_cluster(
    plugin: Plugin, deployed: object, want: list[dict[str, Any]]
) -> None:
    assert deployed
    there = ("--mode", "job", "--deployment", NAME, "--namespace", plugin.cluster.namespace)
    said, result = plugin.run("inference", *there, params=PARAMS)
    assert result == {"results": want, "processed_count": len(want)}
    assert ended(said) == list(STEPS), said

    key = plugin.cluster.key(NAME)
    _, asked = plugin.run("ask", *there, "--input", json.dumps(INPUTS), RAYDOCK_ENDPOINT_KEY=key)
    assert asked == {"result": want}
    secret = plugin.cluster.get("secret", f"{NAME}-access")
    assert secret
    assert secret["data"].keys() == {"access.json"}, "what was lent was taken away"


@pytest.fixture(scope="module")
def scored(plugin: Plugin) -> Mapping[str, Any]:
    """Status of the BatchJob, ended."""
    cluster = plugin.cluster
    (job,) = examples(cluster.namespace, cluster.images, "actions/batchjob.yaml")
    job["spec"]["server"]["action"]["params"] = PARAMS
    job["spec"]["output"] = {"uri": f"pvc://iris/{SCORE}/", "saveMode": "Error"}
    job["spec"]["env"] = [
        {"name": "SYNAPSE_HOST", "value": plugin.site.url},
        {"name": "SYNAPSE_ACCESS_TOKEN", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": "token"}}},
        {"name": "SYNAPSE_JOB_ID", "value": JOB},
    ]
    cluster.apply(job)

    def over() -> Mapping[str, Any] | None:
        status = (cluster.get("batchjobs.raydock.io", SCORE) or {}).get("status", {})
        return status if status.get("state") in {"Succeeded", "Failed"} else None

    return until(over, 240, "end of the job", lambda: cluster.get("batchjobs.raydock.io", SCORE))


def test_as_a_batch_job(plugin: Plugin, scored: Mapping[str, Any], want: list[dict[str, Any]]) -> None:
    assert scored["state"] == "Succeeded", scored
    assert scored["progress"]["percent"] == 100
    assert scored["progress"]["category"] in STEPS
    result = {"results": want, "processed_count": len(want)}
    output = plugin.cluster.volume("iris") / SCORE
    assert json.loads((output / "result.json").read_text()) == result
    assert (output / "_SUCCESS").exists()
    known = plugin.site.state()["jobs"][JOB]
    assert (known["status"], known["result"]) == ("SUCCEEDED", result)
    record = known["progress_record"]
    assert record["current_progress"]["overall"] == 100
    assert list(record["record"]["steps"]) == list(STEPS)


def said(plugin: Plugin) -> dict[str, str]:
    """What is told of both: statuses, events and logs."""
    cluster = plugin.cluster
    system = Cluster(cluster.env, SYSTEM, cluster.images)
    (head,) = cluster.heads("deployment", NAME)
    (kept,) = [one for one in cluster.all("configmap") if one["metadata"]["name"] == f"{SCORE}-logs"]
    # Of the backend's own pod the kubelet tells where it is, while it starts.
    events = [one for one in cluster.all("events") if one["involvedObject"]["name"] != BACKEND]
    return {
        "statuses": json.dumps([one.get("status") for one in cluster.all(OBJECTS)]),
        "events": json.dumps(events),
        "operator": system.kubectl("logs", "deploy/raydock-operator", "--tail=-1"),
        "pod": cluster.kubectl("logs", head["metadata"]["name"], "--all-containers", "--tail=-1"),
        "log of the BatchJob": json.dumps(kept["data"], ensure_ascii=False),
    }


def held(plugin: Plugin) -> dict[str, str]:
    """What repeats specs and variables, in which the backend's address may stand."""
    cluster = plugin.cluster
    (head,) = cluster.heads("deployment", NAME)
    own = [one for one in cluster.all("configmap") if one["metadata"]["name"].startswith((NAME, SCORE))]
    return {
        "objects": json.dumps(cluster.all(OBJECTS)),
        "ConfigMaps": json.dumps(own),
        "events": json.dumps(cluster.all("events")),
        "jobs": cluster.kubectl(
            *("exec", head["metadata"]["name"], "-c", "ray", "--", "python", "-c"),
            "from ray.job_submission import JobSubmissionClient as C; print(C().list_jobs())",
        ),
    }


def test_no_credential_and_no_address_is_told(
    plugin: Plugin, deployed: object, scored: Mapping[str, Any]
) -> None:
    assert deployed
    assert scored
    texts, credentials = said(plugin), (TOKEN, plugin.cluster.key(NAME))
    assert all(texts.values()), "something was looked through"
    found = [
        (place, word)
        for place, text in texts.items()
        for word in (*credentials, plugin.site.place)
        if word in text
    ]
    found += [(place, word) for place, text in held(plugin).items() for word in credentials if word in text]
    assert found == []


def test_its_record_goes_with_it(plugin: Plugin, deployed: object) -> None:
    assert deployed
    plugin.cluster.delete("deployments.raydock.io", NAME)
    assert plugin.site.state()["records"] == {}
