"""From a Deployment to its RayService, and what happens to both afterwards, on a real API server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from raydock.kube.client import Kube
from tests.kit.eventually import eventually, pause
from tests.kit.hosts import Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import claim, code, config_map, deployment, secret, until
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

KIND = "Deployment"
ROOM_FOR_ONE = {"cpu": "1", "memory": "4Gi"}


async def served(kube: Kube, hosts: Hosts, operator: Running, namespace: str, **spec: Any) -> dict[str, Any]:
    """The Deployment `iris`, Ready."""
    operator.resolve_with(hosts)
    await kube.apply(deployment(namespace, **spec))
    await hosts.serve("iris")
    return await until(kube, KIND, namespace, "iris", "True", "Ready")


async def edit(kube: Kube, namespace: str, **spec: Any) -> dict[str, Any]:
    return await kube.patch(KIND, namespace, "iris", {"spec": spec})


async def find(kube: Kube, namespace: str, kind: str = "RayService", name: str = "iris") -> Any:
    return await kube.get(kind, namespace, name)


async def test_its_children_are_owned_and_labelled(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.apply(code(namespace))
    cr = await kube.apply(deployment(namespace, code={"configMap": {"name": "code"}}))
    service = await eventually(lambda: find(kube, namespace))
    access = await find(kube, namespace, "Secret", "iris-access")
    maps = [m async for page in kube.pages("ConfigMap", namespace=namespace) for m in page]
    (copy,) = (m for m in maps if m["metadata"]["name"].startswith("iris-code-"))
    assert copy["data"] == code(namespace)["data"]
    assert copy["immutable"] is True
    for child in (service, access, copy):
        metadata = child["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (cr["metadata"]["uid"], True)
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "raydock"
        assert metadata["labels"]["raydock.io/deployment"] == "iris"


async def test_converged_means_silent_also_after_a_restart(
    kube: Kube, start: Start, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.apply(code(namespace))
    first = await start()
    await served(kube, hosts, first, namespace, code={"configMap": {"name": "code"}})
    await first.settled()
    made = [(call.verb, call.kind) for call in first.writes() if call.kind != "Event"]
    assert sorted(entry for entry in made if entry[1] != KIND) == [
        ("apply", "ConfigMap"),
        ("apply", "ControllerRevision"),  # it works: from now on there is a way back
        ("apply", "PodDisruptionBudget"),
        ("apply", "RayService"),
        ("apply", "Secret"),
        ("apply", "Service"),
        ("patch", "Pod"),  # its kubelet shall bring the access file
        ("patch", "RayService"),  # who holds which keys
    ]
    # At most one for each step that a pass saw by itself: made, pod there, pod up, application up, answers.
    assert 2 <= len([entry for entry in made if entry == ("apply/status", KIND)]) <= 5
    assert await first.writes_in(quiet_s=5) == []
    first.stop.set()
    await first.ended
    second = await start(names=hosts)
    await eventually(second.operator.queue.scheduled)
    assert await second.writes_in(quiet_s=3) == []
    assert second.writes() == []


async def test_a_deleted_ray_service_comes_back(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace))
    first = await eventually(lambda: find(kube, namespace))
    await operator.settled()
    await kube.delete(first)
    again = await eventually(lambda: find(kube, namespace), unlike=first)
    assert again["spec"] == first["spec"]
    await operator.settled()
    assert await operator.writes_in(quiet_s=5) == []


async def test_an_edited_ray_service_is_put_back(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace))
    first = await eventually(lambda: find(kube, namespace))
    await kube.patch("RayService", namespace, "iris", {"spec": {"serveConfigV2": "applications: []"}})

    async def put_back() -> bool:
        return bool((await find(kube, namespace))["spec"] == first["spec"])

    await eventually(put_back)


async def test_params_change_the_serve_config_alone(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1", **ROOM_FOR_ONE)
    cr = await served(kube, hosts, operator, namespace, params={"depth": 1})
    before = await find(kube, namespace)
    await edit(kube, namespace, params={"depth": 2})
    told = await until(kube, KIND, namespace, "iris", "True", "Ready")
    after = await find(kube, namespace)
    assert after["spec"]["rayClusterConfig"] == before["spec"]["rayClusterConfig"]
    assert after["spec"]["serveConfigV2"] != before["spec"]["serveConfigV2"]
    assert told["status"]["revision"]["serving"] == told["status"]["revision"]["wanted"]
    assert told["status"]["revision"]["wanted"] != cr["status"]["revision"]["wanted"]


async def test_a_version_that_comes_back_with_other_numbers_is_recorded_anew(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    """A ControllerRevision's data can never be changed."""
    await kuberay.node("node-1")
    await served(kube, hosts, operator, namespace, replicas=2, params={"depth": 1})
    for change in ({"replicas": 1}, {"params": {"depth": 2}}, {"params": {"depth": 1}}):
        await edit(kube, namespace, **change)
        told = await until(kube, KIND, namespace, "iris", "True", "Ready")
        await operator.settled()
        assert told["status"]["revision"]["serving"] == told["status"]["revision"]["wanted"]
    pages = kube.pages("ControllerRevision", namespace=namespace)
    records = [record async for page in pages for record in page]
    assert len(records) == 2
    newest = max(records, key=lambda record: record["revision"])
    assert newest["data"]["spec"]["serveConfigV2"] == (await find(kube, namespace))["spec"]["serveConfigV2"]


async def test_a_second_cluster_waits_for_its_room(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1", **ROOM_FOR_ONE)
    await served(kube, hosts, operator, namespace)
    before = await find(kube, namespace)
    await edit(kube, namespace, env=[{"name": "LEVEL", "value": "2"}])
    await until(kube, KIND, namespace, "iris", "False", "Insufficient")
    assert (await find(kube, namespace))["spec"] == before["spec"]
    await kuberay.node("node-2", **ROOM_FOR_ONE)

    async def goes_on() -> Any:
        found = await find(kube, namespace)
        return found if found["spec"] != before["spec"] else None

    after = await eventually(goes_on, 5)
    mark = "raydock.io/cluster-revision"
    assert after["metadata"]["annotations"][mark] != before["metadata"]["annotations"][mark]
    assert after["spec"]["rayClusterConfig"] != before["spec"]["rayClusterConfig"]


async def test_without_room_nothing_is_made_until_a_node_comes(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="500m")
    await kube.apply(deployment(namespace))
    await until(kube, KIND, namespace, "iris", "False", "Insufficient", of="CapacityAvailable")
    assert await kube.find("RayService", namespace, "iris") is None
    await operator.settled()
    assert await operator.writes_in(quiet_s=2) == []
    await kuberay.node("node-2")
    await eventually(lambda: find(kube, namespace), 5)
    await until(kube, KIND, namespace, "iris", "True", "Fits", of="CapacityAvailable")


@pytest.mark.parametrize(
    ("spec", "missing"),
    [
        pytest.param({"envFrom": [{"secretRef": {"name": "x"}}]}, "Secret", id="Secret"),
        pytest.param({"envFrom": [{"configMapRef": {"name": "x"}}]}, "ConfigMap", id="ConfigMap"),
        pytest.param({"code": {"configMap": {"name": "x"}}}, "ConfigMap", id="code"),
        pytest.param({"model": {"uri": "pvc://x/model"}}, "PersistentVolumeClaim", id="PVC"),
    ],
)
async def test_what_the_spec_names_must_be_there(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str, spec: dict[str, Any], missing: str
) -> None:
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace, **spec))
    cr = await until(kube, KIND, namespace, "iris", "False", "DependencyMissing")
    assert f"{missing} x does not exist" in cr["status"]["conditions"][0]["message"]
    assert await kube.find("RayService", namespace, "iris") is None
    make: dict[str, Callable[..., dict[str, Any]]]
    make = {"Secret": secret, "ConfigMap": config_map, "PersistentVolumeClaim": claim}
    await kube.create(make[missing](namespace, "x"))
    await eventually(lambda: find(kube, namespace), 15)


@pytest.mark.parametrize("kind", ["RayService", "Secret"])
async def test_what_is_not_ours_is_not_touched(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str, kind: str
) -> None:
    await kuberay.node("node-1")
    theirs = secret(namespace, "iris-access", a="1")
    if kind == "RayService":
        containers = [{"name": "ray-head", "image": "x"}]
        config = {"headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": containers}}}}
        metadata = {"name": "iris", "namespace": namespace}
        theirs = {
            "apiVersion": "ray.io/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": {"rayClusterConfig": config},
        }
    made = await kube.create(theirs)
    await kube.apply(deployment(namespace))
    await until(kube, KIND, namespace, "iris", "False", "NameConflict")
    await operator.settled()
    assert await find(kube, namespace, kind, made["metadata"]["name"]) == made


async def test_suspend_stops_it_and_resume_starts_it_again(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace))
    before = await eventually(lambda: find(kube, namespace))
    await edit(kube, namespace, suspend=True)
    await until(kube, KIND, namespace, "iris", "False", "Suspended")
    assert await kube.find("RayService", namespace, "iris") is None
    await edit(kube, namespace, suspend=False)
    after = await eventually(lambda: find(kube, namespace), unlike=before)
    assert after["spec"] == before["spec"]


async def test_while_it_is_paused_nothing_is_touched(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace))
    service = await eventually(lambda: find(kube, namespace))
    await operator.settled()
    await kube.annotate(KIND, namespace, "iris", {"raydock.io/paused": "true"})
    await until(kube, KIND, namespace, "iris", "True", "Paused", of="Paused")
    await kube.delete(service)
    await kube.patch(KIND, namespace, "iris", {"metadata": {"labels": {"touched": "1"}}})
    assert await operator.writes_in(quiet_s=3) == []
    await kube.annotate(KIND, namespace, "iris", {"raydock.io/paused": None})
    await eventually(lambda: find(kube, namespace), unlike=service)


async def test_an_emptied_status_comes_back_without_a_write_to_children(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1")
    before = await served(kube, hosts, operator, namespace)
    await operator.settled()
    count = len(operator.writes())
    await kuberay.status(KIND, "iris", dict.fromkeys(before["status"]))
    after = await until(kube, KIND, namespace, "iris", "True", "Ready")
    await operator.settled()
    assert {call.verb for call in operator.writes()[count:]} == {"apply/status"}
    assert after["status"]["revision"] == before["status"]["revision"]


@pytest.mark.parametrize("attempt", range(3))
async def test_of_two_that_race_for_the_last_room_one_is_admitted(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str, attempt: int
) -> None:
    await kuberay.node("node-1", **ROOM_FOR_ONE)
    await asyncio.gather(*(kube.apply(deployment(namespace, name)) for name in ("a", "b")))
    await eventually(lambda: _services(kube, namespace))
    await pause(2)
    assert len(await _services(kube, namespace)) == 1


async def _services(kube: Kube, namespace: str) -> list[Any]:
    return [s async for page in kube.pages("RayService", namespace=namespace) for s in page]
