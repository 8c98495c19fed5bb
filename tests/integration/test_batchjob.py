"""From a BatchJob to its record and its RayJobs, attempt after attempt, on a real API server."""

from typing import Any

import pytest

from raydock.kube import errors
from raydock.kube.client import Kube
from raydock.reconcile.deps import Key
from raydock.wire.progress import Failure, Output, Report
from tests.kit.eventually import eventually
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import batch_job, claim, deployment, until
from tests.kit.running import Running

pytestmark = pytest.mark.integration

KIND = "BatchJob"
OUTPUT = Output("pvc://data/out", rows=10, bytes=100, files=2, failed_rows=0)


async def started(
    kube: Kube, kuberay: KubeRay, namespace: str, **spec: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The BatchJob `job` and the RayJob of its first attempt."""
    await kuberay.node("node-1")
    await kube.create(claim(namespace))
    cr = await kube.apply(batch_job(namespace, **spec))
    return cr, await eventually(lambda: kube.get("RayJob", namespace, "job-1"))


def tell(operator: Running, cr: dict[str, Any], **more: Any) -> None:
    """A driver reports; how it gets through the door is tested with the HTTP server."""
    usual: dict[str, Any] = {"attempt": 1, "category": "inference", "percent": 50}
    namespace, uid = cr["metadata"]["namespace"], cr["metadata"]["uid"]
    operator.operator.reports.put(Report(namespace, "job", uid, **(usual | more)))
    operator.operator.queue.add(Key(KIND, namespace, "job"))


async def state(kube: Kube, namespace: str, wanted: str, timeout_s: float = 20) -> dict[str, Any]:
    """The BatchJob, once its state is `wanted`."""

    async def asked() -> dict[str, Any]:
        found = await kube.get(KIND, namespace, "job")
        assert found["status"]["state"] == wanted, found["status"]
        return found

    return await eventually(asked, timeout_s)


async def gone(kube: Kube, namespace: str, name: str = "job-1") -> None:
    """Return once the RayJob isn't there."""

    async def asked() -> bool:
        return await kube.find("RayJob", namespace, name) is None

    await eventually(asked)


async def test_it_becomes_a_record_and_a_ray_job(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    cr, job = await started(kube, kuberay, namespace)
    record = await kube.get("ConfigMap", namespace, "job-job")
    assert record["immutable"] is True
    for child in (job, record):
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (cr["metadata"]["uid"], True)
        assert child["metadata"]["labels"]["raydock.io/batchjob"] == "job"
    await operator.settled()
    assert await operator.writes_in(quiet_s=5) == []


async def test_its_deployment_may_go_once_it_started(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kube.apply(deployment(namespace, image="here/mine:1"))
    _, job = await started(kube, kuberay, namespace, deployment="iris")
    (container,) = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert container["image"] == "here/mine:1"
    await kube.delete(await kube.get("Deployment", namespace, "iris"))
    await kuberay.job("job-1", "Failed", "FAILED", "lost")
    again = await eventually(lambda: kube.get("RayJob", namespace, "job-2"))
    image = again["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "here/mine:1"


async def test_a_deployment_that_is_not_there_is_waited_for(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.create(claim(namespace))
    await kube.apply(batch_job(namespace, deployment="iris"))
    await until(kube, KIND, namespace, "job", "False", "DependencyMissing")
    await kube.apply(deployment(namespace))
    await eventually(lambda: kube.get("RayJob", namespace, "job-1"), 5)


async def test_a_store_needs_its_secret_and_no_claim(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.create(claim(namespace))  # of the input
    output = {"uri": "s3://bucket/out/"}
    await kube.apply(batch_job(namespace, output=output, credentialsSecret={"name": "s3-rw"}))
    waiting = await until(kube, KIND, namespace, "job", "False", "DependencyMissing")
    assert "Secret s3-rw does not exist" in str(waiting["status"]["conditions"])
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3-rw", "namespace": namespace}}
    await kube.create(secret)
    job = await eventually(lambda: kube.get("RayJob", namespace, "job-1"), 30)
    (container,) = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "s3-rw"}}]


async def test_a_failed_attempt_is_deleted_and_the_next_one_started(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await started(kube, kuberay, namespace, backoffLimit=1)
    await kuberay.job("job-1", "Failed", "FAILED", "lost a node")
    await eventually(lambda: kube.get("RayJob", namespace, "job-2"))
    assert await kube.find("RayJob", namespace, "job-1") is None
    record = await kube.get("ConfigMap", namespace, "job-job")
    assert record["metadata"]["annotations"]["raydock.io/failures"] == "1"
    await kuberay.job("job-2", "Failed", "FAILED", "lost another")
    cr = await state(kube, namespace, "Failed")
    assert cr["status"]["attempts"] == 2
    assert "2 attempts failed (backoffLimit 1)" in cr["status"]["conditions"][0]["message"]
    await operator.settled()
    assert await kube.find("RayJob", namespace, "job-3") is None


async def test_a_final_failure_is_not_tried_again(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    cr, _ = await started(kube, kuberay, namespace)
    tell(operator, cr, failure=Failure("InputInvalid", "no column x", final=True))
    ended = await state(kube, namespace, "Failed")
    first = ended["status"]["conditions"][0]
    assert (first["reason"], first["message"]) == ("InputInvalid", "no column x")


async def test_success_is_what_the_driver_reports(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    cr, _ = await started(kube, kuberay, namespace, ttlSecondsAfterFinished=4)
    await kuberay.job("job-1", "Running", "RUNNING")
    tell(operator, cr, rows_done=5, rows_total=10)
    running = await state(kube, namespace, "Running")
    assert running["status"]["progress"]["rowsDone"] == 5
    tell(operator, cr, category="postprocess", percent=100, rows_done=10, rows_total=10, output=OUTPUT)
    done = await state(kube, namespace, "Succeeded")
    assert done["status"]["output"] == {
        "uri": "pvc://data/out",
        "rows": 10,
        "bytes": 100,
        "files": 2,
        "failedRows": 0,
        "manifest": "_SUCCESS",
    }
    assert await kube.find("RayJob", namespace, "job-1") is not None
    await gone(kube, namespace)
    await operator.settled()
    after = await kube.get(KIND, namespace, "job")
    assert (after["status"]["state"], after["status"]["attempts"]) == ("Succeeded", 1)
    assert await operator.writes_in(quiet_s=3) == []


async def test_cancel_stops_it_for_good(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await started(kube, kuberay, namespace)
    await kube.patch(KIND, namespace, "job", {"spec": {"cancel": True}})
    await state(kube, namespace, "Cancelled")
    await gone(kube, namespace)
    with pytest.raises(errors.Invalid, match="final"):
        await kube.patch(KIND, namespace, "job", {"spec": {"cancel": False}})
    await operator.settled()
    assert [c async for page in kube.pages("RayJob", namespace=namespace) for c in page] == []


async def test_suspend_stops_it_and_resume_goes_on(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    _, before = await started(kube, kuberay, namespace)
    await kube.patch(KIND, namespace, "job", {"spec": {"suspend": True}})
    await state(kube, namespace, "Suspended")
    await gone(kube, namespace)
    await kube.patch(KIND, namespace, "job", {"spec": {"suspend": False}})
    after = await eventually(lambda: kube.get("RayJob", namespace, "job-1"), unlike=before)
    assert after["spec"] == before["spec"]
    record = await kube.get("ConfigMap", namespace, "job-job")
    assert "raydock.io/failures" not in record["metadata"]["annotations"]


async def test_what_a_started_job_does_cannot_change(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await started(kube, kuberay, namespace)
    with pytest.raises(errors.Invalid, match="output cannot change after creation"):
        await kube.patch(KIND, namespace, "job", {"spec": {"output": {"uri": "pvc://data/elsewhere"}}})
    await kube.patch(KIND, namespace, "job", {"spec": {"workers": {"max": 2}}})


async def test_without_room_it_is_queued_and_starts_when_there_is(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="500m")
    await kube.create(claim(namespace))
    await kube.apply(batch_job(namespace))
    await state(kube, namespace, "Queued")
    assert await kube.find("RayJob", namespace, "job-1") is None
    await kuberay.resize("node-1", cpu="8", memory="32Gi", pods="110")
    await eventually(lambda: kube.get("RayJob", namespace, "job-1"), 5)
    await state(kube, namespace, "Starting")
