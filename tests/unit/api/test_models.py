"""The models: what is read from Kubernetes, what is written back, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from raydock.api import (
    KINDS,
    AuthMode,
    BatchJob,
    Condition,
    ConditionType,
    Deployment,
    DeploymentStatus,
    InferenceEndpoint,
    Resource,
)
from raydock.api.base import MESSAGE_MAX
from raydock.api.batchjob import MUTABLE, BatchJobSpec
from raydock.api.conditions import find, is_true
from raydock.api.rule import Rule

FULL = Path(__file__).parent / "full"
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)


def full(kind: type[Resource]) -> dict[str, Any]:
    obj: dict[str, Any] = yaml.safe_load((FULL / f"{kind.names.kind.lower()}.yaml").read_text())
    return obj


def deployment(**spec: Any) -> Deployment:
    return Deployment.parse(
        {
            "apiVersion": "raydock.io/v1alpha1",
            "kind": "Deployment",
            "metadata": {"name": "iris-v1"},
            "spec": {"server": {"importPath": "iris:app"}} | spec,
        }
    )


def condition(**fields: Any) -> Condition:
    return Condition.model_validate(
        {
            "type": "Ready",
            "status": "True",
            "reason": "Ready",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }
        | fields
    )


@each_kind
def test_what_is_read_and_written_is_the_same_object(kind: type[Resource]) -> None:
    parsed = kind.parse(full(kind))
    assert kind.parse(parsed.as_json()) == parsed


@each_kind
def test_a_status_is_written_as_it_was_read(kind: type[Resource]) -> None:
    written = full(kind)["status"]
    assert kind.parse(full(kind)).as_json()["status"] == written


@each_kind
def test_the_full_manifest_names_every_field(kind: type[Resource]) -> None:
    written = full(kind)
    for part in ("spec", "status"):
        shape = kind.model_fields[part].annotation
        assert shape is not None
        declared = {field.alias for field in shape.model_fields.values()}
        assert declared - written[part].keys() <= {"deployment", "endpoint"}


def test_what_is_absent_or_default_is_not_written() -> None:
    assert deployment(replicas=1, topology="Compact", suspend=False).as_json() == {
        "apiVersion": "raydock.io/v1alpha1",
        "kind": "Deployment",
        "metadata": {"name": "iris-v1"},
        "spec": {"server": {"importPath": "iris:app"}},
    }


def test_a_zero_in_status_is_written() -> None:
    assert DeploymentStatus(replicas=0, ready_replicas=0).as_json() == {"replicas": 0, "readyReplicas": 0}


def test_an_object_without_status_was_not_looked_at() -> None:
    assert deployment().status == DeploymentStatus(observed_generation=-1)


def test_defaults_are_applied_when_an_object_is_read() -> None:
    spec = deployment(limits={"queuedRequests": 8}).spec
    assert spec.limits.queued_requests == 8
    assert spec.limits.ongoing_requests_per_replica == 16
    assert spec.health.path == "/-/ready"
    endpoint = InferenceEndpoint.parse(
        {"metadata": {"name": "iris"}, "spec": {"traffic": [{"deployment": "iris-v1", "percent": 100}]}}
    )
    assert endpoint.spec.auth.mode is AuthMode.KEY


def test_a_whole_number_is_a_quantity() -> None:
    assert deployment(resources={"requests": {"cpu": 2}}).spec.resources.requests == {"cpu": "2"}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        pytest.param({"replica": 2}, "Extra inputs are not permitted", id="unknown field"),
        pytest.param({"server": {"huggingface": {}}}, "Field required", id="Hugging Face without a task"),
        pytest.param(
            {"server": {"huggingface": {"task": "object-detection"}}}, "write a task over texts", id="task"
        ),
        pytest.param({"server": {"mlflow": {"x": 1}}}, "Extra inputs are not permitted", id="field of none"),
        pytest.param({"server": {"importPath": "iris"}}, "write MODULE:ATTRIBUTE", id="import path"),
        pytest.param({"model": {"uri": "s3://b/k"}}, "write pvc://CLAIM/PATH", id="scheme"),
        pytest.param({"model": {"uri": "https://me:pw@h/k"}}, "without user and password", id="password"),
        pytest.param({"model": {"uri": "pvc://m", "sha256": "AB"}}, "write the SHA-256", id="checksum"),
        pytest.param(
            {"resources": {"requests": {"cpu": "1 core"}}}, "not a Kubernetes quantity", id="quantity"
        ),
        pytest.param({"replicas": 1001}, "less than or equal to 1000", id="bound"),
        pytest.param({"topology": "Wide"}, "Input should be 'Compact' or 'Spread'", id="enum"),
    ],
)
def test_a_bad_spec_is_refused_with_what_to_write(spec: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        deployment(**spec)


def test_a_later_raydocks_status_and_metadata_can_be_read() -> None:
    obj = full(Deployment)
    obj["status"]["selector"] = "ray.io/cluster=x"
    obj["metadata"]["managedFields"] = [{}]
    assert Deployment.parse(obj).status.replicas == 1


def test_an_object_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        deployment().spec.replicas = 2  # type: ignore[misc]  # this is the test


def test_a_long_message_is_cut_instead_of_refused() -> None:
    assert len(condition(message="x" * 10_000).message) == MESSAGE_MAX


@pytest.mark.parametrize(
    "text",
    ["2026-01-02T03:04:05.678901Z", "2026-01-02T04:04:05+01:00"],
    ids=["fractions are dropped", "UTC is written"],
)
def test_a_time_is_written_as_kubernetes_keeps_it(text: str) -> None:
    told = condition(lastTransitionTime=text)
    assert told.as_json()["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert told == condition()


def test_a_condition_is_found_by_its_type() -> None:
    conditions = (condition(type="Stalled", status="False"), condition())
    assert find(conditions, ConditionType.READY) == conditions[1]
    assert find(conditions, ConditionType.PAUSED) is None
    assert is_true(conditions, ConditionType.READY)
    assert not is_true(conditions, ConditionType.STALLED)
    assert not is_true(conditions, ConditionType.PAUSED)


def test_a_job_keeps_every_field_but_those_that_may_change() -> None:
    fields = {field.alias for field in BatchJobSpec.model_fields.values()}
    kept = {rule.field_path[1:] for rule in BatchJobSpec.cel_rules() if "oldSelf" in rule.cel}
    assert fields - kept == MUTABLE - {"workers", "cancel"}


def test_the_end_of_a_job_is_known() -> None:
    ended = {"Succeeded", "Failed", "Cancelled"}
    states = full(BatchJob)
    for state in ("Pending", "Queued", "Starting", "Running", "Finalizing", "Suspended", *ended):
        states["status"]["state"] = state
        found = BatchJob.parse(states).status.state
        assert found is not None
        assert found.ended == (state in ended)


@each_kind
def test_every_rule_says_what_to_write(kind: type[Resource]) -> None:
    rules: list[Rule] = [*kind.cel_rules()]
    assert rules
    assert all(len(rule.message) > 20 for rule in rules)
