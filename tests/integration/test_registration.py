"""A Deployment and its record with a backend, on a real API server and over real HTTP."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.plan.registration import FINALIZER, REGISTERED_ANNOTATION
from tests.kit.backend import CUT_OFF, Backend, backend
from tests.kit.crash import Crash
from tests.kit.eventually import eventually
from tests.kit.hosts import Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import condition, deployment, secret, until
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

KIND = "Deployment"
GUARD = "example.com/guard"
"""Somebody else's finalizer."""


@pytest.fixture
def one() -> Iterator[Backend]:
    with backend() as server:
        yield server


def told(namespace: str, one: Backend, **more: Any) -> dict[str, Any]:
    """A Deployment that `one` shall know of."""
    entry = {"name": "backend", "key": "token"}
    return deployment(
        namespace, registration={"backend": {"url": one.url, "tokenSecret": entry, "tenant": "acme", **more}}
    )


async def serves(kube: Kube, hosts: Hosts, namespace: str, one: Backend) -> dict[str, Any]:
    """The Deployment, Ready."""
    await kube.apply(secret(namespace, "backend", token="tok-planted"))
    await kube.apply(told(namespace, one))
    await hosts.serve("iris")
    return await until(kube, KIND, namespace, "iris", "True", "Ready", timeout_s=40)


async def registered(kube: Kube, namespace: str) -> dict[str, Any]:
    # After a crash in front of the POST an empty list is believed 30 s later.
    found = await until(kube, KIND, namespace, "iris", "True", "Registered", of="Registered", timeout_s=90)
    assert found["metadata"]["finalizers"] == [FINALIZER]
    return found


async def gone(kube: Kube, namespace: str) -> None:
    """The Deployment is deleted, and its backend lets it go."""
    await kube.delete(await kube.get(KIND, namespace, "iris"))

    async def away() -> bool:
        return await kube.find(KIND, namespace, "iris") is None

    await eventually(away)


async def noted(kube: Kube, namespace: str) -> bool:
    found = await kube.get(KIND, namespace, "iris")
    return REGISTERED_ANNOTATION in (found["metadata"].get("annotations") or {})


async def test_it_is_registered_once_and_kept_through_updates_and_restarts(
    kube: Kube, start: Start, kuberay: KubeRay, hosts: Hosts, namespace: str, one: Backend
) -> None:
    await kuberay.node("node-1")
    first = await start(names=hosts)
    cr = await serves(kube, hosts, namespace, one)
    found = await registered(kube, namespace)
    assert found["status"]["serveApplication"]["id"] == "42"
    (sent,) = one.requests
    assert (sent.method, sent.path) == ("POST", "/serve_applications/")
    assert sent.body["job"] == cr["metadata"]["uid"]
    assert sent.body["data"]["deployments"] == {"host": {"status": "HEALTHY", "message": ""}}
    assert "tok-planted" not in str(found)
    await eventually(lambda: noted(kube, namespace))
    await first.settled()
    assert await first.writes_in(quiet_s=3) == []
    first.stop.set()
    await first.ended
    second = await start(names=hosts)
    await kube.patch(KIND, namespace, "iris", {"spec": {"params": {"depth": 2}}})
    await until(kube, KIND, namespace, "iris", "True", "Ready", timeout_s=40)
    await second.settled()
    assert (await registered(kube, namespace))["status"]["serveApplication"]["id"] == "42"
    assert len(one.requests) == 1
    await gone(kube, namespace)
    assert [(seen.method, seen.path) for seen in one.requests[1:]] == [("DELETE", "/serve_applications/42/")]


async def test_it_serves_while_its_backend_fails_and_is_registered_afterwards(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str, one: Backend
) -> None:
    await kuberay.node("node-1")
    operator.resolve_with(hosts)
    one.failing = lambda _: 500
    await serves(kube, hosts, namespace, one)
    failed = await until(
        kube, KIND, namespace, "iris", "False", "RegistrationFailed", of="Registered", timeout_s=40
    )
    assert condition(failed) == ("True", "Ready")
    (said,) = (c["message"] for c in failed["status"]["conditions"] if c["type"] == "Registered")
    assert "(ServerError)" in said
    assert "127.0.0.1" not in said
    one.failing = lambda _: None
    await registered(kube, namespace)
    assert len(one.applications) == 1
    await gone(kube, namespace)


async def test_a_lost_answer_makes_no_second_record(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str, one: Backend
) -> None:
    await kuberay.node("node-1")
    operator.resolve_with(hosts)
    one.failing = lambda seen: CUT_OFF if seen.method == "POST" else None
    await serves(kube, hosts, namespace, one)
    await registered(kube, namespace)
    assert [seen.method for seen in one.requests] == ["POST", "GET"]
    assert len(one.applications) == 1
    await gone(kube, namespace)


async def test_pods_wait_for_the_token_s_secret(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str, one: Backend
) -> None:
    await kuberay.node("node-1")
    operator.resolve_with(hosts)
    await kube.apply(told(namespace, one))
    found = await until(kube, KIND, namespace, "iris", "False", "DependencyMissing")
    assert "Secret backend" in str(found["status"]["conditions"])
    await serves(kube, hosts, namespace, one)
    await registered(kube, namespace)
    await gone(kube, namespace)


async def test_marks_that_others_take_off_come_back_and_theirs_stay(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str, one: Backend
) -> None:
    await kuberay.node("node-1")
    operator.resolve_with(hosts)
    await serves(kube, hosts, namespace, one)
    await registered(kube, namespace)
    await eventually(lambda: noted(kube, namespace))
    # What `kubectl replace` does with a file that knows of neither finalizer nor note.
    theirs = {"finalizers": [GUARD], "annotations": {REGISTERED_ANNOTATION: None}}
    await kube.patch(KIND, namespace, "iris", {"metadata": theirs})

    async def marked() -> bool:
        found = await kube.get(KIND, namespace, "iris")
        return set(found["metadata"]["finalizers"]) == {GUARD, FINALIZER} and await noted(kube, namespace)

    await eventually(marked, 60)
    assert [record["id"] for record in one.applications.values()] == [42]
    assert [seen.method for seen in one.requests].count("POST") == 1
    await kube.delete(await kube.get(KIND, namespace, "iris"))

    async def released() -> bool:
        found = await kube.get(KIND, namespace, "iris")
        return bool(found["metadata"]["finalizers"] == [GUARD])

    await eventually(released, 40)
    assert one.applications == {}
    await kube.patch(KIND, namespace, "iris", {"metadata": {"finalizers": None}})


async def test_without_a_backend_nothing_holds_it_any_more(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str, one: Backend
) -> None:
    await kuberay.node("node-1")
    operator.resolve_with(hosts)
    await serves(kube, hosts, namespace, one)
    await registered(kube, namespace)
    await kube.patch(KIND, namespace, "iris", {"spec": {"registration": None}})

    async def released() -> bool:
        found = await kube.get(KIND, namespace, "iris")
        assert not condition(found, "Registered")[0]
        assert found["status"]["serveApplication"]["id"] == "42"
        return not found["metadata"].get("finalizers")

    await eventually(released, 40)
    await gone(kube, namespace)


@pytest.mark.parametrize("sent", [False, True], ids=["unsent", "unanswered"])
@pytest.mark.parametrize("at", range(7, 13))
async def test_a_crash_at_any_write_leaves_one_record(
    kube: Kube,
    start: Start,
    kuberay: KubeRay,
    hosts: Hosts,
    namespace: str,
    one: Backend,
    at: int,
    sent: bool,
) -> None:
    await kuberay.node("node-1")
    first = operator = await start(names=hosts, watch_namespaces=(namespace,))
    crash = Crash(at, sent)
    crash.happens_to(first)

    async def scene() -> None:
        await serves(kube, hosts, namespace, one)
        await registered(kube, namespace)
        await eventually(lambda: noted(kube, namespace), 40)

    playing = asyncio.ensure_future(scene())
    while not playing.done():
        await asyncio.wait([playing], timeout=0.05)
        if crash.happened and operator is first:
            first.stop.set()
            await first.ended
            operator = await start(names=hosts, watch_namespaces=(namespace,))
    await playing
    assert crash.happened, f"only {crash.writes} writes"
    await operator.settled()
    assert [record["id"] for record in one.applications.values()] == [42]
    assert [seen.method for seen in one.requests].count("POST") == 1
    await gone(kube, namespace)
    assert one.applications == {}
