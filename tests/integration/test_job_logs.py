"""The end of a driver's log outlives its pod, and `raydock batch logs` finds both."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.reconcile import job_logs
from raydock.wire.logs import LIMIT_BYTES
from tests.kit.eventually import eventually
from tests.kit.kubelet import Kubelet
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import batch_job, claim, config_map, secret
from tests.kit.running import Running

pytestmark = pytest.mark.integration

Shown = Callable[..., Awaitable[str]]


@pytest.fixture
def shown(control_plane: str, namespace: str) -> Shown:
    """What `raydock batch logs job …` prints, with errors; by a process: the operator logs to our output."""
    env = {**os.environ, "KUBECONFIG": control_plane, "PYTHONPATH": "operator"}  # noqa: TID251 - its environment

    async def run(*args: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "raydock", "batch", "logs", "job", *args, "-n", namespace],
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return (await process.communicate())[0].decode()

    return run


async def attempt(
    kube: Kube, kuberay: KubeRay, kubelet: Kubelet, namespace: str, *lines: str, number: int = 1
) -> dict[str, Any]:
    """A running attempt of `job` whose driver has said `lines`; its RayCluster."""
    job = await eventually(lambda: kube.get("RayJob", namespace, f"job-{number}"))
    kubelet.logs[f"head-{number}"] = list(lines)
    cluster = await kuberay.cluster(job, f"job-{number}-c")
    await kuberay.pod(f"head-{number}", cluster=cluster, node="node-1")
    await kuberay.status("RayJob", f"job-{number}", {"rayClusterName": f"job-{number}-c"})
    await kuberay.job(f"job-{number}", "Running", "RUNNING")
    return cluster


async def begun(kube: Kube, kuberay: KubeRay, kubelet: Kubelet, namespace: str, **spec: Any) -> None:
    """A job on a node whose kubelet answers."""
    await kuberay.node("node-1")
    await kubelet.runs_on("node-1", kuberay)
    await kube.create(claim(namespace))
    await kube.create(batch_job(namespace, **spec))


async def kept(kube: Kube, namespace: str) -> dict[str, str]:
    found = await eventually(lambda: kube.get("ConfigMap", namespace, "job-logs"))
    data: dict[str, str] = found["data"]
    return data


async def test_the_end_of_each_attempts_log_is_kept(
    kube: Kube, operator: Running, kuberay: KubeRay, kubelet: Kubelet, namespace: str, shown: Shown
) -> None:
    await begun(kube, kuberay, kubelet, namespace, backoffLimit=1)
    await attempt(kube, kuberay, kubelet, namespace, *[f"line {n} of the first" for n in range(9000)])
    await kuberay.job("job-1", "Failed", "FAILED", "lost a node")
    await attempt(kube, kuberay, kubelet, namespace, "the second", number=2)
    (first,) = (await kept(kube, namespace)).values()
    assert len(first) > 30_000
    assert first.endswith("line 8999 of the first\n")
    assert "the second" in await shown()  # its pod is there
    assert "line 8999 of the first" in await shown("--previous", "--tail", "5")
    await kuberay.job("job-2", "Failed", "FAILED", "lost another")
    await eventually(lambda: _state(kube, namespace, "Failed"))
    both = await kept(kube, namespace)
    assert both["attempt-2.log"] == "the second\n"
    assert sum(map(len, both.values())) <= LIMIT_BYTES
    (owner,) = (await kube.get("ConfigMap", namespace, "job-logs"))["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("BatchJob", "job")
    for number in (1, 2):
        await kuberay.pod_is_gone(f"head-{number}")
    text = await shown()
    assert (
        text.index("--- attempt 1 ---")
        < text.index("line 8999 of the first")
        < text.index("--- attempt 2 ---")
    )
    assert text.endswith("the second\n")


async def _state(kube: Kube, namespace: str, wanted: str) -> bool:
    return bool((await kube.get("BatchJob", namespace, "job"))["status"]["state"] == wanted)


async def test_cancel_keeps_the_log(
    kube: Kube, operator: Running, kuberay: KubeRay, kubelet: Kubelet, namespace: str
) -> None:
    await begun(kube, kuberay, kubelet, namespace)
    await attempt(kube, kuberay, kubelet, namespace, "as far as this")
    await kube.patch("BatchJob", namespace, "job", {"spec": {"cancel": True}})
    assert await kept(kube, namespace) == {"attempt-1.log": "as far as this\n"}


async def test_secrets_are_cut_out(
    kube: Kube, operator: Running, kuberay: KubeRay, kubelet: Kubelet, namespace: str
) -> None:
    await kube.create(secret(namespace, "s3", AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI", note="no"))
    env = [
        {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "note"}}},
        {"name": "MY_TOKEN", "value": "tok-4711"},
    ]
    await begun(kube, kuberay, kubelet, namespace, env=env, backoffLimit=0)
    await attempt(kube, kuberay, kubelet, namespace, "key wJalrXUtnFEMI, tok-4711", "no s3://u:p@b/x.parquet")
    await kuberay.job("job-1", "Failed", "FAILED", "lost")
    cut = "<redacted-auth>"
    assert await kept(kube, namespace) == {"attempt-1.log": f"key {cut}, {cut}\nno s3://{cut}@b/x.parquet\n"}


@pytest.mark.parametrize("why", ["a kubelet that hangs", "no such log", "another's ConfigMap"])
async def test_a_log_that_cannot_be_kept_holds_nothing_up(
    kube: Kube,
    operator: Running,
    kuberay: KubeRay,
    kubelet: Kubelet,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    monkeypatch.setattr(job_logs, "LIMIT_S", 1.0)
    await begun(kube, kuberay, kubelet, namespace)
    await attempt(kube, kuberay, kubelet, namespace, "said")
    match why:
        case "a kubelet that hangs":
            kubelet.hangs = True
        case "no such log":
            kubelet.logs.clear()
        case _:
            await kube.create(config_map(namespace, "job-logs", mine="yes"))
    await kuberay.job("job-1", "Failed", "FAILED", "lost")
    await eventually(lambda: kube.get("RayJob", namespace, "job-2"))
    found = await kube.find("ConfigMap", namespace, "job-logs")
    assert (found or {}).get("data") == ({"mine": "yes"} if why == "another's ConfigMap" else None)


async def test_the_logs_of_running_pods_are_shown_and_followed(
    kube: Kube, operator: Running, kuberay: KubeRay, kubelet: Kubelet, namespace: str, shown: Shown
) -> None:
    await begun(kube, kuberay, kubelet, namespace)
    assert "no log of" in await shown()
    cluster = await attempt(kube, kuberay, kubelet, namespace, "one", "two")
    await kuberay.pod("job-1-c-workers-worker-abcde", cluster=cluster, node="node-1", group="workers")
    kubelet.logs["job-1-c-workers-worker-abcde"] = ["three"]
    assert await shown() == "one\ntwo\n"
    assert await shown("--tail", "1") == "two\n"
    assert await shown("--worker", "all") == "[driver] one\n[driver] two\n[worker-abcde] three\n"
    following = asyncio.ensure_future(shown("--follow", "--worker", "all"))
    await eventually(lambda: kubelet.following == 2)
    kubelet.logs["head-1"].append("four")
    await kube.patch("BatchJob", namespace, "job", {"spec": {"cancel": True}})
    assert sorted((await following).splitlines()) == [
        "[driver] four",
        "[driver] one",
        "[driver] two",
        "[worker-abcde] three",
    ]
