"""What is noted on a Deployment about its record with a backend, and what its pods are told."""

from datetime import timedelta
from typing import Any

import pytest

from raydock.api import Deployment, DeploymentStatus
from raydock.api.deployment_status import ServeApplication
from raydock.facts.rayservice import Application, ServeStatus
from raydock.plan import registration as plan
from raydock.plan.ray_service import pod_parts
from tests.unit.plan.given import DEFAULTS, NOW, dep

BACKEND = {"url": "https://b.example/api", "tokenSecret": {"name": "backend", "key": "token"}}


def registered(*, annotations: dict[str, str] | None = None, **backend: Any) -> Deployment:
    cr = dep(registration={"backend": {**BACKEND, **backend}})
    metadata = cr.metadata.model_copy(update={"annotations": annotations or {}, "resource_version": "12"})
    return cr.model_copy(update={"metadata": metadata})


def noted(cr: Deployment, record_id: str) -> dict[str, str]:
    annotations: dict[str, str] = plan.hold(cr, record_id)["metadata"]["annotations"]
    return annotations


def test_an_id_that_was_noted_is_known_again() -> None:
    note = noted(registered(), "42")
    assert plan.noted_id(registered(annotations=note)) == "42"
    assert plan.noted_id(registered(annotations=note, tokenSecret={"name": "other", "key": "k"})) == "42"
    assert plan.noted_id(registered(annotations=note, url="https://b.example/api/")) == "42"


@pytest.mark.parametrize(
    "backend",
    [{"url": "https://c.example"}, {"jobId": "7"}],
    ids=["another backend", "another job"],
)
def test_an_id_is_none_of_another_place(backend: dict[str, Any]) -> None:
    assert plan.noted_id(registered(annotations=noted(registered(), "42"), **backend)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": ""}', '"x"'])
def test_an_unreadable_note_is_none(text: str) -> None:
    assert plan.noted_id(registered(annotations={plan.REGISTERED_ANNOTATION: text})) is None


@pytest.mark.parametrize("record_id", [None, "42"])
def test_a_hold_is_refused_if_the_deployment_was_changed(record_id: str | None) -> None:
    """Else who found no finalizer could not know that nobody was told; and somebody else's could be lost."""
    cr = registered()
    other = cr.model_copy(update={"metadata": cr.metadata.model_copy(update={"finalizers": ("other/one",)})})
    manifest = plan.hold(other, record_id)
    metadata = manifest["metadata"]
    assert metadata["resourceVersion"] == "12"
    assert metadata["finalizers"] == ["other/one", "raydock.io/registration"]
    noted_then = registered(annotations=metadata["annotations"])
    assert plan.is_noted(noted_then)
    assert plan.noted_id(noted_then) == record_id
    assert "b.example" not in str(manifest)


def test_a_release_takes_off_the_finalizer_alone_of_what_was_read() -> None:
    """By a merge patch: of an object made from an export, another manager owns the finalizer, too."""
    cr = registered()
    held = {"finalizers": ("other/one", plan.FINALIZER)}
    released = plan.release(cr.model_copy(update={"metadata": cr.metadata.model_copy(update=held)}))
    assert released == {"metadata": {"resourceVersion": "12", "finalizers": ["other/one"]}}


def test_a_note_is_of_one_object() -> None:
    """Copies and restored backups bring it along, and have another uid."""
    cr = registered(annotations=noted(registered(jobId="7"), "42"), jobId="7")
    assert (plan.noted_id(cr), plan.is_copied(cr)) == ("42", False)
    copy = cr.model_copy(update={"metadata": cr.metadata.model_copy(update={"uid": "another"})})
    assert (plan.noted_id(copy), plan.is_noted(copy), plan.is_copied(copy)) == (None, False, True)
    assert plan.was_told(copy), "its record may be the one that was restored, too"


@pytest.mark.parametrize(
    ("finalizers", "annotations", "record_id", "told"),
    [
        pytest.param((), {}, None, False, id="nothing is there"),
        pytest.param((), {}, "demo/iris", False, id="it ran without a backend"),
        pytest.param((plan.FINALIZER,), {}, None, True, id="held"),
        pytest.param((), noted(registered(), "42"), None, True, id="released, and the note stayed"),
        pytest.param((), plan.hold(registered(), None)["metadata"]["annotations"], None, True, id="asked"),
        pytest.param((), {}, "42", True, id="a PUT left the status alone"),
    ],
)
def test_who_may_have_been_told_is_known_by_any_trace(
    finalizers: tuple[str, ...], annotations: dict[str, str], record_id: str | None, told: bool
) -> None:
    status = DeploymentStatus(serve_application=ServeApplication(name="iris", id=record_id))
    cr = registered(annotations=annotations)
    marks = {"metadata": cr.metadata.model_copy(update={"finalizers": finalizers}), "status": status}
    assert plan.was_told(cr.model_copy(update=marks)) is told


def test_a_deletion_waits_a_minute() -> None:
    cr = registered()
    assert not plan.held_up_too_long(cr, NOW)
    gone = cr.model_copy(update={"metadata": cr.metadata.model_copy(update={"deletion_timestamp": NOW})})
    assert not plan.held_up_too_long(gone, NOW + timedelta(seconds=59))
    assert plan.held_up_too_long(gone, NOW + timedelta(seconds=60))


def test_a_record_tells_what_ray_serve_says() -> None:
    seen = Application("RUNNING", "fine", {"host": ServeStatus("HEALTHY", "ok")})
    assert plan.record_data(registered(), seen) == {
        "name": "iris",
        "status": "RUNNING",
        "message": "fine",
        "route_prefix": "/",
        "deployments": {"host": {"status": "HEALTHY", "message": "ok"}},
    }


def test_pods_find_the_backend_unless_the_user_says_otherwise() -> None:
    said = registered(tenant="acme")
    parts = pod_parts(said, None, DEFAULTS)
    assert [(var.name, var.value) for var in parts.env] == [
        ("SYNAPSE_HOST", "https://b.example/api"),
        ("SYNAPSE_ACCESS_TOKEN", None),
        ("SYNAPSE_PLUGIN_RUN_TENANT", "acme"),
    ]
    assert pod_parts(dep(), None, DEFAULTS).env == ()
    own = dep(registration={"backend": BACKEND}, env=[{"name": "SYNAPSE_HOST", "value": "http://mine"}])
    assert pod_parts(own, None, DEFAULTS).env[-1].value == "http://mine"
