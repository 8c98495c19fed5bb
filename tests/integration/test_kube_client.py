"""The client against the real API server: what each call does to an object, and how it fails."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.kube import errors
from raydock.kube.client import Kube
from raydock.kube.events import Event
from raydock.kube.kinds import Kind, named
from raydock.kube.login import configuration
from raydock.kube.tokens import Caller
from raydock.kube.transport import Request, Transport
from tests.kit.kuberay import KubeRay

pytestmark = pytest.mark.integration


def config_map(namespace: str, name: str = "a", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


async def test_apply_makes_it_so_and_gives_the_live_object(kube: Kube, namespace: str) -> None:
    made = await kube.apply(config_map(namespace, x="1", y="2"))
    changed = await kube.apply(config_map(namespace, x="3"))
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert changed["data"] == {"x": "3"}  # y was ours, and is no longer wanted
    assert [entry["manager"] for entry in changed["metadata"]["managedFields"]] == ["raydock"]


async def test_apply_again_changes_nothing(kube: Kube, namespace: str) -> None:
    first = await kube.apply(config_map(namespace, x="1"))
    second = await kube.apply(config_map(namespace, x="1"))
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_apply_takes_back_what_others_changed(kube: Kube, namespace: str) -> None:
    await kube.apply(config_map(namespace, x="1"))
    await kube.patch("ConfigMap", namespace, "a", {"data": {"x": "2", "z": "theirs"}})
    assert (await kube.apply(config_map(namespace, x="1")))["data"] == {"x": "1", "z": "theirs"}


async def test_an_unknown_field_is_refused_by_name(kube: Kube, namespace: str) -> None:
    manifest = config_map(namespace) | {"dota": {}}
    with pytest.raises(errors.Invalid, match="dota"):
        await kube.apply(manifest)


async def test_apply_status_touches_nothing_but_the_status(kube: Kube, namespace: str) -> None:
    spec = {"gatewayClassName": "c", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    head = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    meta = {"name": "g", "namespace": namespace}
    made = await kube.apply({**head, "metadata": meta, "spec": spec})
    status = {"addresses": [{"type": "IPAddress", "value": "10.0.0.1"}]}
    told = await kube.apply_status({**head, "metadata": meta, "status": status})
    assert told["status"]["addresses"] == status["addresses"]
    assert told["metadata"]["generation"] == made["metadata"]["generation"]


async def test_what_is_not_there_is_none_or_an_error(kube: Kube, namespace: str) -> None:
    assert await kube.find("Secret", namespace, "none") is None
    assert await kube.find_metadata("Secret", namespace, "none") is None
    with pytest.raises(errors.NotFound):
        await kube.get("Secret", namespace, "none")


async def test_a_secret_is_looked_up_without_its_content(kube: Kube, namespace: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace}}
    await kube.create(secret | {"stringData": {"key": "hidden"}})
    found = await kube.find_metadata("Secret", namespace, "s")
    assert found is not None
    assert found["metadata"]["name"] == "s"
    assert "data" not in found


async def test_create_refuses_a_second(kube: Kube, namespace: str) -> None:
    await kube.create(config_map(namespace))
    with pytest.raises(errors.AlreadyExists):
        await kube.create(config_map(namespace))


async def test_a_patch_of_an_old_version_conflicts(kube: Kube, namespace: str) -> None:
    old = await kube.apply(config_map(namespace, x="1"))
    await kube.apply(config_map(namespace, x="2"))
    version = {"resourceVersion": old["metadata"]["resourceVersion"]}
    with pytest.raises(errors.Conflict):
        await kube.patch("ConfigMap", namespace, "a", {"metadata": version, "data": {"x": "3"}})


async def test_annotations_come_and_go(kube: Kube, namespace: str) -> None:
    await kube.apply(config_map(namespace))
    await kube.annotate("ConfigMap", namespace, "a", {"raydock.io/x": "1", "raydock.io/y": "2"})
    await kube.annotate("ConfigMap", namespace, "a", {"raydock.io/x": None})
    found = await kube.get("ConfigMap", namespace, "a")
    assert found["metadata"]["annotations"] == {"raydock.io/y": "2"}


async def test_delete_never_hits_a_successor(kube: Kube, namespace: str) -> None:
    first = await kube.create(config_map(namespace))
    await kube.delete(first)
    await kube.delete(first)  # already gone
    second = await kube.create(config_map(namespace))
    await kube.delete(first)
    found = await kube.get("ConfigMap", namespace, "a")
    assert found["metadata"]["uid"] == second["metadata"]["uid"]


async def test_delete_of_what_somebody_changed_conflicts_if_asked(kube: Kube, namespace: str) -> None:
    first = await kube.apply(config_map(namespace, x="1"))
    await kube.apply(config_map(namespace, x="2"))
    with pytest.raises(errors.Conflict):
        await kube.delete(first, unchanged=True)
    await kube.delete(first)
    assert await kube.find("ConfigMap", namespace, "a") is None


async def test_a_list_comes_in_pages(kube: Kube, namespace: str) -> None:
    for number in range(7):
        labelled = config_map(namespace, f"c{number}", x="1")
        labelled["metadata"]["labels"] = {"even": str(number % 2 == 0)}
        await kube.create(labelled)
    whole = [page async for page in kube.pages("ConfigMap", namespace=namespace, limit=3)]
    assert [len(page) for page in whole] == [3, 3, 1]
    slim = [p async for p in kube.pages("ConfigMap", namespace=namespace, metadata_only=True)]
    assert [item["metadata"]["name"] for item in slim[0]] == [f"c{number}" for number in range(7)]
    assert "data" not in slim[0][0]
    even = [p async for p in kube.pages("ConfigMap", namespace=namespace, label_selector="even=True")]
    assert len(even[0]) == 4


async def test_a_kind_that_is_not_installed_is_not_found(kube: Kube, namespace: str) -> None:
    with pytest.raises(errors.NotFound):
        await kube.get(Kind("nowhere.example", "v1", "Thing", "things"), namespace, "a")


async def token(transport: Transport, namespace: str, audience: str, pod: dict[str, Any] | None) -> str:
    """A projected token of the ServiceAccount `default`, bound to `pod`, as the kubelet asks for it."""
    spec: dict[str, Any] = {"audiences": [audience], "expirationSeconds": 600}
    if pod is not None:
        meta = pod["metadata"]
        spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    request = Request(
        "create", "POST", named("ServiceAccount"), namespace, "default", subresource="token", body=body
    )
    return str((await transport.send(request))["status"]["token"])


async def test_a_token_tells_whose_it_is(
    kube: Kube, kuberay: KubeRay, namespace: str, transport: Transport
) -> None:
    pod = await kuberay.pod("driver")
    bound = await token(transport, namespace, "raydock", pod)
    want = Caller(namespace, "default", "driver", pod["metadata"]["uid"])
    assert await kube.review_token(bound, "raydock") == want
    loose = await token(transport, namespace, "raydock", None)
    assert await kube.review_token(loose, "raydock") == replace(want, pod_name="", pod_uid="")


async def test_a_token_for_somebody_else_tells_nothing(
    kube: Kube, namespace: str, transport: Transport
) -> None:
    assert await kube.review_token(await token(transport, namespace, "other", None), "raydock") is None
    assert await kube.review_token("not.a.token", "raydock") is None


async def test_what_is_told_again_is_counted(kube: Kube, namespace: str) -> None:
    about = await kube.create(config_map(namespace))
    event = Event("Warning", "Denied", "no room", ("ConfigMap", namespace, "a", about["metadata"]["uid"]))
    for _ in range(5):
        await kube.record(event)
    await kube.record(replace(event, note="other words"))
    found = [event async for page in kube.pages("Event", namespace=namespace) for event in page]
    assert sorted(entry["note"] for entry in found) == ["no room", "other words"]
    told = next(entry for entry in found if entry["note"] == "no room")
    assert told["regarding"]["uid"] == about["metadata"]["uid"]
    assert (told["reportingController"], told["reportingInstance"]) == ("raydock.io/operator", "tests")


async def test_without_a_right_it_is_forbidden(
    control_plane: str, namespace: str, transport: Transport
) -> None:
    conf = await configuration(control_plane)
    conf.cert_file = conf.key_file = None
    conf.api_key["BearerToken"] = "Bearer " + await token(
        transport, namespace, "https://kubernetes.default.svc", None
    )
    nobody = Transport(conf)
    try:
        with pytest.raises(errors.Forbidden):
            await Kube(nobody).get("Secret", namespace, "a")
    finally:
        await nobody.close()


async def test_each_call_is_told_to_listeners(kube: Kube, namespace: str) -> None:
    calls: list[Any] = []
    kube.listeners.append(calls.append)
    await kube.apply(config_map(namespace))
    await kube.find("ConfigMap", namespace, "b")
    assert [(c.verb, c.kind, c.name, c.outcome, c.writes) for c in calls] == [
        ("apply", "ConfigMap", "a", "ok", True),
        ("get", "ConfigMap", "b", "NotFound", False),
    ]
