"""A Ray cluster that is kept: from one job to the next, and to its end, on a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from raydock.kube.client import Kube
from raydock.kube.transport import Transport
from raydock.plan.defaults import Defaults, GatewayRef, WarmClusters
from raydock.plan.warm import IDLE_ANNOTATION, LENT_ANNOTATION, NOBODY, WARM_LABEL
from raydock.reconcile.deps import Key
from raydock.wire.lent import JOB_PATH, Lent
from raydock.wire.progress import Failure, Output, Report
from raydock.wire.record import loads
from tests.integration.test_kube_client import token
from tests.kit.crash import Crash
from tests.kit.eventually import eventually
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import batch_job, claim, code, deployment, until
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

KIND = "BatchJob"
OUTPUT = Output("pvc://data/out", rows=10, bytes=100, files=2, failed_rows=0)
UNREACHABLE = 599
OF_JOB = "raydock.io/batchjob-uid"


def settings(namespace: str, idle_s: int = 600) -> dict[str, Any]:
    """Of an operator that keeps clusters."""
    defaults = Defaults(
        gateway=GatewayRef(namespace=namespace),
        report_url="http://operator.example:8080",
        warm_clusters=WarmClusters(idle_seconds=idle_s),
    )
    return {"defaults": defaults, "watch_namespaces": (namespace,)}


@dataclass
class World:
    """What stands around the operator. `operator` is the one that lives."""

    kube: Kube
    kuberay: KubeRay
    transport: Transport
    namespace: str
    operator: Running

    async def order(self, name: str, **spec: Any) -> dict[str, Any]:
        """A BatchJob."""
        output = {"uri": f"pvc://data/{name}"}
        return await self.kube.create(batch_job(self.namespace, name, output=output, **spec))

    async def one_of(self, uid: str) -> Any:
        """The RayJob whose cluster the job has."""
        return [one for one in await self.kept() if owner(one) == uid][0]  # noqa: RUF015 - none yet is an IndexError

    async def kept(self) -> list[Any]:
        """RayJobs whose clusters may be kept."""
        pages = self.kube.pages("RayJob", namespace=self.namespace, label_selector=WARM_LABEL)
        return [one async for page in pages for one in page]

    async def runs(self, job: Any) -> dict[str, Any]:
        """KubeRay made the cluster of a RayJob, and submitted its driver; its head pod."""
        name = job["metadata"]["name"]
        cluster = await self.kuberay.cluster(job, f"{name}-c")
        await self.kuberay.status("RayJob", name, {"rayClusterName": f"{name}-c"})
        await self.kuberay.job(name, "Running", "RUNNING")
        return await self.kuberay.pod(f"{name}-head", cluster=cluster, node="node-1")

    @asynccontextmanager
    async def driver(self, pod: dict[str, Any]) -> AsyncIterator["Driver"]:
        """The driver in the head `pod`."""
        bearer = await token(self.transport, self.namespace, "raydock", pod)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {bearer}"}) as session:
            yield Driver(self, session)

    async def tell(self, cr: Any, **more: Any) -> None:
        """Its driver reports until the status says so; how it gets through the door is tested elsewhere."""
        name, uid = cr["metadata"]["name"], cr["metadata"]["uid"]
        usual: dict[str, Any] = {"attempt": 1, "category": "postprocess", "percent": 100}
        ends = "Failed" if "failure" in more else "Succeeded"

        async def written() -> bool:
            self.operator.operator.reports.put(Report(self.namespace, name, uid, **(usual | more)))
            self.operator.operator.queue.add(Key(KIND, self.namespace, name))
            found = await self.kube.get(KIND, self.namespace, name)
            return bool(found["status"]["state"] == ends)

        await eventually(written, 30)


@dataclass
class Driver:
    """Asks the newest operator for jobs."""

    world: World
    session: aiohttp.ClientSession

    async def asks(self) -> Lent | int | None:
        """What it is told: a job, None, or the HTTP status of a refusal."""
        try:
            async with self.session.post(f"{self.world.operator.url}{JOB_PATH}") as answer:
                if answer.status == 200:
                    return loads(Lent, await answer.read())
                return None if answer.status == 204 else answer.status
        except aiohttp.ClientError:
            return UNREACHABLE

    async def gets(self, name: str) -> Lent:
        """The job of this name, after as many questions as it takes; also of an operator that dies."""

        async def asked() -> Lent:
            told = await self.asks()
            assert isinstance(told, Lent), told
            assert told.config.name == name
            return told

        return await eventually(asked, 40)


def owner(obj: Any) -> str:
    """Uid of its controller; empty without one."""
    return next((one["uid"] for one in obj["metadata"].get("ownerReferences", ())), "")


@pytest.fixture
async def world(
    kube: Kube,
    kuberay: KubeRay,
    transport: Transport,
    start: Start,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """A node, a claim, code, and an operator that keeps clusters, and answers soon where there is no job."""
    monkeypatch.setattr("raydock.runtime.lending.WAIT_S", 1.0)
    await kuberay.node("node-1")
    await kube.create(claim(namespace))
    await kube.create(code(namespace))
    return World(kube, kuberay, transport, namespace, await start(**settings(namespace)))


async def first_job(world: World, **spec: Any) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """The job `one`, which succeeded; its RayJob and the head pod."""
    cr = await world.order("one", **spec)
    job = await eventually(lambda: world.one_of(cr["metadata"]["uid"]))
    head = await world.runs(job)
    async with world.driver(head) as driver:
        assert (await driver.gets("one")).attempt == 1
    await world.tell(cr, output=OUTPUT)
    return cr, job, head


async def freed(world: World, head: dict[str, Any]) -> Any:
    """The one RayJob, once its driver asked and it is lent to nobody."""

    async def free() -> Any:
        async with world.driver(head) as driver:
            assert await driver.asks() is None
        kept = await world.kept()
        assert [owner(one) for one in kept] == [""]
        return kept[0]

    return await eventually(free, 40)


async def test_the_next_job_of_its_kind_gets_the_cluster(world: World) -> None:
    kube, namespace = world.kube, world.namespace
    first, job, head = await first_job(world, code={"configMap": {"name": "code"}})
    name = job["metadata"]["name"]
    copies = [one async for page in kube.pages("ConfigMap", namespace=namespace) for one in page]
    assert [owner(one) for one in copies if one["metadata"]["name"].startswith(f"{name}-jobcode-")] == [
        job["metadata"]["uid"]
    ]
    async with world.driver(head) as driver:
        await freed(world, head)
        asking = asyncio.ensure_future(driver.gets("two"))
        await eventually(lambda: world.operator.operator.idle.asks(job["metadata"]["uid"]))
        second = await world.order("two", code={"configMap": {"name": "code"}})
        told = await asking
    assert (told.config.name, told.config.uid) == ("two", second["metadata"]["uid"])
    lent = await world.one_of(second["metadata"]["uid"])
    assert lent["metadata"]["uid"] == job["metadata"]["uid"]
    assert LENT_ANNOTATION in lent["metadata"]["annotations"]
    pod = await kube.get("Pod", namespace, f"{name}-head")
    assert pod["metadata"]["labels"][OF_JOB] == second["metadata"]["uid"]
    await kube.delete(await kube.get(KIND, namespace, "one"))
    await world.operator.settled()
    assert (await world.one_of(second["metadata"]["uid"]))["metadata"]["uid"] == job["metadata"]["uid"]
    await world.tell(second, output=OUTPUT)
    again = await freed(world, head)
    assert again["metadata"]["uid"] == job["metadata"]["uid"]
    assert IDLE_ANNOTATION in again["metadata"]["annotations"]
    pod = await kube.get("Pod", namespace, f"{name}-head")
    assert (pod["metadata"]["labels"][OF_JOB], pod["metadata"]["labels"].get("raydock.io/batchjob")) == (
        NOBODY,
        None,
    )
    await world.operator.settled()
    assert await world.operator.writes_in(quiet_s=5) == []
    assert first["metadata"]["uid"] != second["metadata"]["uid"]


async def test_a_job_of_another_kind_gets_its_own(world: World) -> None:
    _, job, head = await first_job(world)
    await freed(world, head)
    async with world.driver(head) as driver:
        asked = asyncio.ensure_future(driver.asks())
        other = await world.order("two", image="here/other:1")
        mine = await eventually(lambda: world.one_of(other["metadata"]["uid"]))
        assert await asked is None
    assert mine["metadata"]["uid"] != job["metadata"]["uid"]


async def test_a_cluster_on_which_a_job_failed_is_not_kept(world: World) -> None:
    cr = await world.order("one", ttlSecondsAfterFinished=1)
    job = await eventually(lambda: world.one_of(cr["metadata"]["uid"]))
    await world.runs(job)
    await world.tell(cr, failure=Failure("InputInvalid", "no rows", final=True))

    async def gone() -> bool:
        return await world.kept() == []

    await eventually(gone)


async def test_a_job_whose_lent_cluster_dies_is_tried_again(world: World) -> None:
    _, job, head = await first_job(world)
    await freed(world, head)
    async with world.driver(head) as driver:
        asking = asyncio.ensure_future(driver.gets("two"))
        await eventually(lambda: world.operator.operator.idle.asks(job["metadata"]["uid"]))
        second = await world.order("two")
        assert (await asking).attempt == 1
    await world.kuberay.job(job["metadata"]["name"], "Failed", "FAILED", "lost a node")
    uid = second["metadata"]["uid"]

    async def another() -> Any:
        found = await world.one_of(uid)
        assert found["metadata"]["uid"] != job["metadata"]["uid"]
        return found

    again = await eventually(another, 30)
    assert again["metadata"]["annotations"]["raydock.io/attempt"] == "2"


async def test_who_lacks_room_has_it_go_at_once(world: World) -> None:
    _, _, head = await first_job(world)
    await freed(world, head)
    await world.kube.create(
        deployment(world.namespace, resources={"requests": {"cpu": "7500m", "memory": "1Gi"}})
    )
    await until(world.kube, "Deployment", world.namespace, "iris", "False", "Insufficient")

    async def gone() -> bool:
        return await world.kept() == []

    await eventually(gone)


async def test_without_the_setting_what_was_kept_goes(world: World, start: Start) -> None:
    _, _, head = await first_job(world)
    await freed(world, head)
    world.operator.stop.set()
    await world.operator.ended
    await start(**settings(world.namespace, idle_s=0))

    async def gone() -> bool:
        return await world.kept() == []

    await eventually(gone)


async def test_what_waited_too_long_goes(world: World, start: Start) -> None:
    world.operator.stop.set()
    await world.operator.ended
    world.operator = await start(**settings(world.namespace, idle_s=2))
    _, _, head = await first_job(world)
    async with world.driver(head) as driver:

        async def gone() -> bool:
            return await driver.asks() == 403 and await world.kept() == []

        await eventually(gone, 40)


async def test_other_pods_are_told_nothing(world: World) -> None:
    stranger = await world.kuberay.pod("stranger")
    await eventually(lambda: world.operator.operator.store.get("Pod", world.namespace, "stranger"))
    async with world.driver(stranger) as driver:
        assert await driver.asks() == 403
    async with aiohttp.ClientSession() as session:
        assert await Driver(world, session).asks() == 401


@pytest.mark.parametrize("at", range(1, 17))
async def test_a_crash_at_any_write_changes_nothing_in_the_end(world: World, start: Start, at: int) -> None:
    """Two jobs, one after the other, on one cluster; the operator dies at a write that took effect."""
    crash = Crash(at, sent=True)
    crash.happens_to(world.operator)

    dies, once = world.operator, asyncio.Lock()

    async def revive() -> None:
        async with once:
            if crash.happened and world.operator is dies:
                dies.stop.set()
                await dies.ended
                world.operator = await start(**settings(world.namespace))

    async def lives(ask: Any) -> Any:
        async def asked() -> Any:
            await revive()
            return await ask()

        return await eventually(asked, 60)

    cr = await world.order("one")
    job = await lives(lambda: world.one_of(cr["metadata"]["uid"]))
    head = await world.runs(job)
    uid = job["metadata"]["uid"]
    async with world.driver(head) as driver:

        async def told(name: str) -> Lent:
            found = await driver.asks()
            assert isinstance(found, Lent)
            assert found.config.name == name
            return found

        async def succeeded(of: Any) -> bool:
            name = of["metadata"]["name"]
            report = Report(
                world.namespace, name, of["metadata"]["uid"], 1, "postprocess", 100, output=OUTPUT
            )
            world.operator.operator.reports.put(report)
            world.operator.operator.queue.add(Key(KIND, world.namespace, name))
            found = await world.kube.get(KIND, world.namespace, name)
            return bool(found["status"]["state"] == "Succeeded")

        async def true(said: bool) -> bool:
            return said

        async def waits() -> bool:
            assert await driver.asks() is None
            return "" in [owner(one) for one in await world.kept()]

        await lives(lambda: told("one"))
        await lives(lambda: succeeded(cr))
        await lives(waits)
        asking = asyncio.ensure_future(lives(lambda: told("two")))
        await lives(lambda: true(world.operator.operator.idle.asks(uid)))
        second = await world.order("two")
        theirs = await lives(lambda: world.one_of(second["metadata"]["uid"]))
        if theirs["metadata"]["uid"] != uid:
            # Right after a crash its driver had not asked again yet: the job was made a cluster of its own.
            assert crash.happened
            asking.cancel()
        else:
            await asking
            await lives(lambda: succeeded(second))
            await lives(waits)
    assert crash.happened, f"only {crash.writes} writes"
    for found in await world.kept():
        assert owner(found) in ("", second["metadata"]["uid"])
    await world.operator.settled()
