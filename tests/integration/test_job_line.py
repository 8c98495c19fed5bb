"""Jobs that wait for room, on a real API server: a node for one of them, and KubeRay's word on who ended."""

from typing import Any

import pytest

from raydock.kube.client import Kube
from tests.kit.eventually import eventually, pause
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import batch_job, claim, until
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

KIND = "BatchJob"
A_SECOND_S = 1.1
"""Objects tell their age in whole seconds."""
CPU = {"requests": {"cpu": "500m"}}
"""With Ray's share a job takes 800m CPU."""


async def came(kube: Kube, namespace: str, *names: str, **spec: Any) -> None:
    """Jobs, one after the other."""
    for name in names:
        await kube.apply(batch_job(namespace, name, **spec))
        await pause(A_SECOND_S)


async def line(kube: Kube, namespace: str) -> dict[str, int]:
    """The jobs that stand in line, by their place."""
    found = [job async for page in kube.pages(KIND, namespace=namespace) for job in page]
    places = {j["metadata"]["name"]: j.get("status", {}).get("queuePosition") for j in found}
    return {name: place for name, place in places.items() if place is not None}


async def stands(kube: Kube, namespace: str, *names: str) -> None:
    """Return once just these stand in line, in this order."""

    async def asked() -> bool:
        return await line(kube, namespace) == {name: place for place, name in enumerate(names, start=1)}

    await eventually(asked)


async def starts(kube: Kube, namespace: str, name: str) -> None:
    await eventually(lambda: kube.get("RayJob", namespace, f"{name}-1"))


async def ray_jobs(kube: Kube, namespace: str) -> set[str]:
    return {
        job["metadata"]["name"] async for page in kube.pages("RayJob", namespace=namespace) for job in page
    }


async def test_jobs_start_in_order_and_priority_goes_first(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}}
    await kube.apply({**urgent, "value": 1000})
    await kuberay.node("node-1", cpu="1")
    await kube.create(claim(namespace))
    await came(kube, namespace, "a", "b", "c")
    await starts(kube, namespace, "a")
    await stands(kube, namespace, "b", "c")
    waiting = await until(kube, KIND, namespace, "c", "False", ("Insufficient", "Queued"))
    assert waiting["status"]["state"] == "Queued"
    await came(kube, namespace, "u", priorityClassName="urgent")
    await stands(kube, namespace, "u", "b", "c")
    for number, name in enumerate(("u", "b", "c")):
        former = ("a", "u", "b")[number]
        await kuberay.job(f"{former}-1", "Complete", "SUCCEEDED")
        await starts(kube, namespace, name)
        await stands(kube, namespace, *("u", "b", "c")[number + 1 :])
    await operator.settled()
    assert await operator.writes_in(quiet_s=5) == []


async def test_a_small_job_goes_first_only_where_it_delays_nobody(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="4")
    await kube.create(claim(namespace))
    await came(kube, namespace, "running", resources={"requests": {"cpu": "2500m"}})
    await came(kube, namespace, "big", resources={"requests": {"cpu": "2700m"}})  # 3 CPUs with Ray's share
    await starts(kube, namespace, "running")
    cluster = await kuberay.cluster(await kube.get("RayJob", namespace, "running-1"), "running-1-c")
    await kuberay.status("RayJob", "running-1", {"rayClusterName": "running-1-c"})
    await kuberay.pod(
        "running-head", cluster=cluster, node="node-1", requests={"cpu": "2800m", "memory": "1Gi"}
    )
    await stands(kube, namespace, "big")
    await came(kube, namespace, "small", resources=CPU)  # 0.8 of the 1.2 that are left
    await starts(kube, namespace, "small")
    cluster = await kuberay.cluster(await kube.get("RayJob", namespace, "small-1"), "small-1-c")
    await kuberay.pod("small-head", cluster=cluster, node="node-1", requests={"cpu": "800m", "memory": "1Gi"})
    # Now 1.2 are left again, and 4 once the running one ends: less 1.2, that is too little for `big`.
    await kuberay.resize("node-1", cpu="4800m", memory="32Gi", pods="110")
    await came(kube, namespace, "late", resources={"requests": {"cpu": "900m"}})
    told = await until(kube, KIND, namespace, "late", "False", "Queued")
    assert told["status"]["queuePosition"] == 2
    (ready,) = [c for c in told["status"]["conditions"] if c["type"] == "Ready"]
    assert (
        ready["message"]
        == "1 job waits in line before this one, first big; it starts when that delays none of them"
    )
    assert await ray_jobs(kube, namespace) == {"running-1", "small-1"}


async def test_a_restart_keeps_the_order_and_writes_nothing(
    kube: Kube, start: Start, kuberay: KubeRay, namespace: str
) -> None:
    first = await start()
    await kuberay.node("node-1", cpu="1")
    await kube.create(claim(namespace))
    await came(kube, namespace, "c", "b", "a")
    await starts(kube, namespace, "c")
    await stands(kube, namespace, "b", "a")
    await first.settled()
    first.stop.set()
    await first.ended
    second = await start()
    assert await second.writes_in(quiet_s=6) == []
    await kuberay.job("c-1", "Complete", "SUCCEEDED")
    await starts(kube, namespace, "b")
    await stands(kube, namespace, "a")
    assert "a-1" not in await ray_jobs(kube, namespace)


async def test_who_waits_for_a_secret_or_is_suspended_holds_up_nobody(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="1")
    await kube.create(claim(namespace))
    await came(kube, namespace, "runs")
    await starts(kube, namespace, "runs")
    await came(kube, namespace, "lacks", envFrom=[{"secretRef": {"name": "absent"}}])
    await until(kube, KIND, namespace, "lacks", "False", "DependencyMissing")
    await came(kube, namespace, "sleeps", "goes")
    await stands(kube, namespace, "sleeps", "goes")
    await kube.patch(KIND, namespace, "sleeps", {"spec": {"suspend": True}})
    await stands(kube, namespace, "goes")
    await kuberay.job("runs-1", "Complete", "SUCCEEDED")
    await starts(kube, namespace, "goes")
    assert await ray_jobs(kube, namespace) == {"runs-1", "goes-1"}
