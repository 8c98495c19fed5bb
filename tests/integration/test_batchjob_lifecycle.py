"""What happens to a BatchJob late: edits after its start, and a record that somebody deleted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from raydock.kube.client import Kube
from tests.integration.test_batchjob import KIND, OUTPUT, gone, started, state, tell
from tests.kit.eventually import eventually
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import batch_job, claim, condition, deployment, endpoint, until
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration


async def edit(kube: Kube, namespace: str, **spec: Any) -> None:
    await kube.patch(KIND, namespace, "job", {"spec": spec})


async def ttl_of(kube: Kube, namespace: str, wanted: int) -> None:
    async def asked() -> bool:
        job = await kube.get("RayJob", namespace, "job-1")
        return bool(job["spec"]["ttlSecondsAfterFinished"] == wanted)

    await eventually(asked, 5)


async def delete_record(kube: Kube, namespace: str) -> dict[str, Any]:
    record = await kube.get("ConfigMap", namespace, "job-job")
    await kube.delete(record)
    return record


async def test_another_ttl_reaches_kuberay_before_and_after_the_end(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    cr, _ = await started(kube, kuberay, namespace, ttlSecondsAfterFinished=5)
    await edit(kube, namespace, ttlSecondsAfterFinished=600)
    await ttl_of(kube, namespace, 600)
    tell(operator, cr, category="postprocess", percent=100, output=OUTPUT)
    await state(kube, namespace, "Succeeded")
    await edit(kube, namespace, ttlSecondsAfterFinished=900)
    await ttl_of(kube, namespace, 900)
    await operator.settled()
    assert await operator.writes_in(quiet_s=5) == []
    await edit(kube, namespace, ttlSecondsAfterFinished=1)
    await gone(kube, namespace)


async def test_an_ended_job_whose_record_is_deleted_stays_ended(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    cr, _ = await started(kube, kuberay, namespace, ttlSecondsAfterFinished=600)
    tell(operator, cr, category="postprocess", percent=100, output=OUTPUT)
    before = await state(kube, namespace, "Succeeded")
    # It goes after the status is written.
    await eventually(lambda: operator.operator.reports.get(cr["metadata"]["uid"]) is None)
    await delete_record(kube, namespace)
    await edit(kube, namespace, ttlSecondsAfterFinished=1)
    await gone(kube, namespace)
    await operator.settled()
    after = await kube.get(KIND, namespace, "job")
    same = ("state", "attempts", "completionTime", "output", "startTime")
    assert {k: after["status"][k] for k in same} == {k: before["status"][k] for k in same}
    assert await kube.find("ConfigMap", namespace, "job-job") is None
    assert [job async for page in kube.pages("RayJob", namespace=namespace) for job in page] == []


async def test_a_running_job_goes_on_when_its_record_is_deleted(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await started(kube, kuberay, namespace)
    await kuberay.job("job-1", "Failed", "FAILED", "lost a node")
    job = await eventually(lambda: kube.get("RayJob", namespace, "job-2"))
    await kuberay.job("job-2", "Running", "RUNNING")
    before = await state(kube, namespace, "Running")
    record = await delete_record(kube, namespace)
    again = await eventually(lambda: kube.get("ConfigMap", namespace, "job-job"), unlike=record)
    assert again["data"] == record["data"]
    notes = again["metadata"]["annotations"]
    assert (notes["raydock.io/attempt"], notes["raydock.io/failures"]) == ("2", "1")
    await operator.settled()
    after = await kube.get(KIND, namespace, "job")
    assert (after["status"]["attempts"], after["status"]["startTime"]) == (2, before["status"]["startTime"])
    found = [
        one["metadata"]["uid"] async for page in kube.pages("RayJob", namespace=namespace) for one in page
    ]
    assert found == [job["metadata"]["uid"]]


async def test_a_running_job_ends_when_nobody_knows_any_more_what_it_runs(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kube.apply(deployment(namespace, image="here/mine:1"))
    await started(kube, kuberay, namespace, deployment="iris")
    await state(kube, namespace, "Starting")
    await kube.apply(deployment(namespace, image="here/mine:2"))
    await delete_record(kube, namespace)
    ended = await state(kube, namespace, "Failed")
    ready = ended["status"]["conditions"][0]
    assert (ready["reason"], ended["status"]["attempts"]) == ("RecordLost", 1)
    await gone(kube, namespace)
    await operator.settled()
    after = (await kube.get(KIND, namespace, "job"))["status"]
    # What it had is given back, and what ran it is gone.
    given_back = {"rayJob": None, "capacity": None}
    assert {**ended["status"], **given_back} == {**after, **given_back}


async def test_what_a_deleted_job_reported_is_forgotten(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    cr, _ = await started(kube, kuberay, namespace)
    tell(operator, cr, rows_done=5, rows_total=10)
    reports, uid = operator.operator.reports, cr["metadata"]["uid"]
    assert reports.get(uid) is not None
    await kube.delete(await kube.get(KIND, namespace, "job"))
    await eventually(lambda: reports.get(uid) is None)


async def test_what_its_pods_used_is_summed_up_and_outlives_them_and_the_operator(
    kube: Kube, start: Start, kuberay: KubeRay, namespace: str
) -> None:
    first = await start()
    _, job = await started(kube, kuberay, namespace)
    cluster = await kuberay.cluster(job, "job-1-c")
    pod = await kuberay.pod(
        "job-1-head", cluster=cluster, node="node-1", requests={"cpu": "2", "memory": "1Gi"}
    )
    hour_ago = datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251 - the operator's clock is the real one
    await kuberay.status("Pod", "job-1-head", {"startTime": hour_ago.strftime("%Y-%m-%dT%H:%M:%SZ")})

    async def told() -> dict[str, int] | None:
        found: dict[str, int] | None = (await kube.get(KIND, namespace, "job"))["status"].get("usage")
        return found

    before = await eventually(told)
    assert 7200 <= before["cpuSeconds"] <= 7400
    assert before["gpuSeconds"] == 0
    assert 3600 <= before["memoryGiBSeconds"] <= 3700
    first.stop.set()
    await first.ended
    await kube.delete(pod)
    second = await start()

    async def banked() -> bool:
        record = await kube.get("ConfigMap", namespace, "job-job")
        return "raydock.io/usage" in record["metadata"]["annotations"]

    await eventually(banked)
    await second.settled()
    after = await told()
    assert after is not None
    assert before["cpuSeconds"] <= after["cpuSeconds"] <= 7400
    assert await second.writes_in(quiet_s=6) == []


def image(job: dict[str, Any]) -> str:
    found: str = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    return found


async def test_an_endpoint_names_the_deployment_once(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.create(claim(namespace))
    await kube.apply(batch_job(namespace, endpoint="flower"))
    told = await until(kube, KIND, namespace, "job", "False", "DependencyMissing")
    assert "InferenceEndpoint flower does not exist" in said(told)
    await kube.apply(endpoint(namespace, {"other": 0}, "flower"))

    async def says(words: str) -> None:
        async def asked() -> bool:
            return words in said(await kube.get(KIND, namespace, "job"))

        await eventually(asked, 5)

    await says("write its spec.batchDeployment")
    await kube.patch("InferenceEndpoint", namespace, "flower", {"spec": {"batchDeployment": "iris"}})
    await says("Deployment iris, the batchDeployment of InferenceEndpoint flower, does not exist")
    await kube.apply(deployment(namespace, image="here/mine:1"))
    first = await eventually(lambda: kube.get("RayJob", namespace, "job-1"), 5)
    await kube.apply(deployment(namespace, "rose", image="here/rose:1"))
    await kube.patch("InferenceEndpoint", namespace, "flower", {"spec": {"batchDeployment": "rose"}})
    await kuberay.job("job-1", "Failed", "FAILED", "lost")
    second = await eventually(lambda: kube.get("RayJob", namespace, "job-2"))
    assert (image(first), image(second)) == ("here/mine:1", "here/mine:1")
    cr = await kube.get(KIND, namespace, "job")
    assert cr["status"]["deployment"] == "iris"


def said(cr: dict[str, Any]) -> str:
    """What Ready says."""
    assert condition(cr)[0] == "False"
    message: str = next(c["message"] for c in cr["status"]["conditions"] if c["type"] == "Ready")
    return message
