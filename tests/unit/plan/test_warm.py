"""Ray clusters that are kept: which jobs are alike, who gets one, how long it waits, and its job's steps."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from raydock.api import BatchJob
from raydock.facts.pod import BATCH_JOB_LABEL, Pod
from raydock.facts.rayjob import RayJob, ray_job
from raydock.plan import resolved, warm
from raydock.plan.batchjob import ASKS_S, Seen, Step, next_step, wanted_workers
from raydock.plan.job_logs import ending
from raydock.plan.usage import NOTHING, tally
from raydock.wire.progress import Failure, Output
from tests.unit.plan.given import DEFAULTS, NO, YES, after, head, job, meta, record, report

ON = DEFAULTS.model_copy(
    update={"warm_clusters": DEFAULTS.warm_clusters.model_copy(update={"idle_seconds": 120})}
    | {"report_url": "http://operator:8080"}
)
ONE = job()
KEPT = record(ONE)
KIND = warm.kind_of(ONE, KEPT, {}, ON)
DONE = Output("pvc://out/iris/", 10, 100, 1, 0)
RESULT = resolved.Result("Succeeded", "Succeeded", "done", "2026-05-04T10:00:00Z")
LOST = Failure("PredictFailed", "lost")


def free(name: str = "warm-a", *, idle: float = 0, made: float = 0, kind: str = KIND, **status: Any) -> Any:
    """A RayJob that nobody has since `idle`, as JSON."""
    made_obj = warm.ray_job(ONE, KEPT, kind, ON)
    metadata = {
        **meta(name, resourceVersion="7"),
        "labels": {warm.WARM_LABEL: kind},
        "annotations": {warm.IDLE_ANNOTATION: text(idle)},
        "creationTimestamp": text(made),
    }
    said = {"rayClusterName": f"{name}-c", "jobStatus": "RUNNING", "jobDeploymentStatus": "Running"}
    return {**made_obj, "metadata": metadata, "status": said | status}


def text(seconds: float) -> str:
    return after(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def patched(obj: Any, patch: Mapping[str, Any]) -> Any:
    """`obj` after a merge patch."""
    if not isinstance(patch, Mapping):
        return patch
    merged = {**obj, **{k: patched(obj.get(k) or {}, v) for k, v in patch.items()}}
    return {k: v for k, v in merged.items() if v is not None}


def lent(cr: BatchJob = ONE, kept: resolved.Record = KEPT, at: float = 60, **status: Any) -> Any:
    return patched(free(**status), warm.lend(free(), cr, kept, after(at)))


def seen(obj: Any, kept: resolved.Record = KEPT, **more: Any) -> Seen:
    """As a pass of the job that has the cluster sees it."""
    return Seen(kept, ((warm.since_lent(ray_job(obj)), obj),), **more)


def step(cr: BatchJob, found: Seen, seconds: float = 60, verdict: Any = None) -> Step:
    return next_step(cr, found, verdict, after(seconds), ON)


def kind(**spec: Any) -> str:
    cr = job(**spec)
    return warm.kind_of(cr, record(cr), {}, ON)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"params": {"depth": 2}}, id="params"),
        pytest.param({"input": {"tables": {"uris": ["pvc://data/other/"]}}}, id="another input of the claim"),
        pytest.param({"output": {"uri": "pvc://out/other/", "saveMode": "Overwrite"}}, id="another output"),
        pytest.param({"server": {"importPath": "rose:predict"}}, id="another import path"),
        pytest.param({"backoffLimit": 0, "ttlSecondsAfterFinished": 0, "maxBatchRows": 7}, id="how it runs"),
    ],
)
def test_jobs_that_differ_in_what_they_are_told_share_a_kind(spec: dict[str, Any]) -> None:
    assert kind(**spec) == KIND


def test_another_job_and_attempt_are_the_same_kind() -> None:
    other = ONE.model_copy(
        update={"metadata": ONE.metadata.model_copy(update={"name": "rose", "uid": "rose-uid"})}
    )
    assert warm.kind_of(other, record(other, attempt=3), {}, ON) == KIND


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"image": "here/mine:1"}, id="image"),
        pytest.param({"imagePullSecrets": [{"name": "regcred"}]}, id="pull secrets"),
        pytest.param({"serviceAccountName": "reader"}, id="service account"),
        pytest.param({"env": [{"name": "A", "value": "b"}]}, id="env"),
        pytest.param({"envFrom": [{"secretRef": {"name": "s"}}]}, id="secret"),
        pytest.param({"credentialsSecret": {"name": "s3-rw"}}, id="credentials"),
        pytest.param({"input": {"tables": {"uris": ["pvc://more/"]}}}, id="claim"),
        pytest.param({"resources": {"requests": {"cpu": "2"}}}, id="resources"),
        pytest.param({"nodeSelector": {"zone": "a"}}, id="nodes"),
        pytest.param({"priorityClassName": "low"}, id="priority"),
        pytest.param({"model": {"uri": "https://models.example/a"}}, id="model cache"),
    ],
)
def test_what_pods_are_made_of_tells_kinds_apart(spec: dict[str, Any]) -> None:
    assert kind(**spec) != KIND


def test_namespace_code_versions_of_secrets_and_settings_tell_kinds_apart() -> None:
    elsewhere = ONE.model_copy(update={"metadata": ONE.metadata.model_copy(update={"namespace": "other"})})
    coded = replace(KEPT, resolved=KEPT.resolved.model_copy(update={"code_hash": "abc"}))
    others = {
        warm.kind_of(elsewhere, KEPT, {}, ON),
        warm.kind_of(ONE, coded, {}, ON),
        warm.kind_of(ONE, KEPT, {"Secret/s": "1"}, ON),
        warm.kind_of(ONE, KEPT, {"Secret/s": "2"}, ON),
        warm.kind_of(ONE, KEPT, {}, ON.model_copy(update={"ray_version": "2.61.0"})),
    }
    assert len({*others, KIND}) == 6


def test_every_source_of_the_environment_counts() -> None:
    value_from = [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "k", "optional": True}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "k"}}},
    ]
    cr = job(
        env=value_from,
        envFrom=[{"secretRef": {"name": "c"}}, {"configMapRef": {"name": "d"}}],
        credentialsSecret={"name": "e"},
    )
    wanted = (("ConfigMap", "b"), ("ConfigMap", "d"), ("Secret", "a"), ("Secret", "c"), ("Secret", "e"))
    assert warm.sources(cr, record(cr)) == wanted


def test_the_template_says_nothing_of_one_job() -> None:
    cr = job(params={"depth": "marked"})
    cr = cr.model_copy(
        update={"metadata": cr.metadata.model_copy(update={"name": "marked", "uid": "marked"})}
    )
    made = warm.ray_job(cr, record(cr), KIND, ON)
    assert "marked" not in json.dumps(made["spec"])
    assert made["spec"]["entrypoint"] == "python -m raydock.batch.resident"


@pytest.mark.parametrize(
    ("spec", "defaults", "may"),
    [
        pytest.param({}, ON, True, id="on"),
        pytest.param({}, DEFAULTS, False, id="off"),
        pytest.param({}, ON.model_copy(update={"report_url": None}), False, id="nobody to ask"),
        pytest.param({"workers": {"max": 2}}, ON, False, id="two workers"),
    ],
)
def test_small_jobs_where_the_setting_is_on(spec: dict[str, Any], defaults: Any, may: bool) -> None:
    assert warm.may_be_kept(job(**spec), defaults) is may


def found(*objects: Any) -> list[tuple[RayJob, Any]]:
    return [(ray_job(obj), obj) for obj in objects]


def deleting(obj: Any) -> Any:
    return patched(obj, {"metadata": {"deletionTimestamp": text(1)}})


@pytest.mark.parametrize(
    ("objects", "got"),
    [
        pytest.param([free()], "warm-a", id="one"),
        pytest.param([free(idle=1), free("warm-b", idle=9), free("warm-c")], "warm-b", id="last used"),
        pytest.param([free(kind="other")], None, id="another kind"),
        pytest.param([lent()], None, id="lent"),
        pytest.param([free(idle=-111)], None, id="waited too long"),
        pytest.param([free(made=-warm.LIVES_S)], None, id="too old"),
        pytest.param([deleting(free())], None, id="on its way out"),
        pytest.param([free("deaf")], None, id="its driver does not ask"),
        pytest.param([free(jobDeploymentStatus="Failed")], None, id="its driver failed"),
        pytest.param([free(jobDeploymentStatus="Complete")], None, id="its driver left"),
        pytest.param([], None, id="none"),
    ],
)
def test_who_is_lent(objects: list[Any], got: str | None) -> None:
    one = warm.to_lend(found(*objects), KIND, lambda uid: uid != "deaf-uid", after(10), ON)
    assert (one["metadata"]["name"] if one else None) == got


@pytest.mark.parametrize(
    ("obj", "wanted", "left"),
    [
        pytest.param(free(), False, 110, id="waits"),
        pytest.param(free(made=-3500), False, 90, id="gets old"),
        pytest.param(free(), True, 0, id="somebody lacks room"),
        pytest.param(free(idle=-200), False, 0, id="waited too long"),
        pytest.param(free(jobDeploymentStatus="Failed"), False, 0, id="its driver failed"),
        pytest.param(lent(), True, 0, id="is none of those"),
    ],
)
def test_how_long_it_still_waits(obj: Any, wanted: bool, left: float) -> None:
    assert warm.left_s(ray_job(obj), after(10), ON, wanted=wanted) == left


def test_without_the_setting_none_waits() -> None:
    assert warm.left_s(ray_job(free()), after(0), DEFAULTS, wanted=False) == 0


def test_an_attempt_starts_in_a_cluster_that_may_be_kept_or_in_one_that_is() -> None:
    start = step(ONE, Seen(KEPT, warm=KIND), verdict=YES).start
    assert start is not None
    assert start["metadata"]["labels"][warm.WARM_LABEL] == KIND
    assert step(ONE, Seen(KEPT, warm=KIND), verdict=NO) == Step()
    name, patch = step(ONE, Seen(KEPT, warm=KIND, lendable=free())).lend or ("", {})
    assert name == "warm-a"
    assert patch["metadata"]["resourceVersion"] == "7"
    now = ray_job(patched(free(), patch))
    assert (now.meta.owner_uid, now.ttl_s) == ("iris-uid", 600)
    assert seen(lent()).current(ONE) is not None
    assert seen(lent(kept=record(ONE, attempt=2))).current(ONE) is None


def test_it_is_given_back_only_after_success_and_when_its_driver_asks() -> None:
    running = seen(lent())
    assert step(ONE, running) == Step(look_again_s=86401)
    assert step(ONE, replace(running, asks=True)).release is None
    told = step(ONE, replace(running, report=report(output=DONE), asks=True))
    assert (told.result and told.result.state, told.release) == ("Succeeded", None)
    ended = seen(lent(), record(ONE, result=RESULT))
    assert step(ONE, ended).release is None
    released = step(ONE, replace(ended, asks=True)).release
    assert released is not None
    back = ray_job(patched(released, warm.release(released, after(70))))
    assert warm.is_free(back)
    assert warm.left_s(back, after(70), ON, wanted=False) == 120
    assert back.meta.annotations == {warm.IDLE_ANNOTATION: text(70)}


@pytest.mark.parametrize(
    ("obj", "result", "defaults"),
    [
        pytest.param(lent(), replace(RESULT, state="Failed"), ON, id="failed"),
        pytest.param(lent(), replace(RESULT, state="Cancelled"), ON, id="cancelled"),
        pytest.param(lent(jobStatus="FAILED"), RESULT, ON, id="its driver failed afterwards"),
        pytest.param(lent(jobStatus="STOPPED"), RESULT, ON, id="stopped by hand"),
        pytest.param(deleting(lent()), RESULT, ON, id="on its way out"),
        pytest.param(lent(), RESULT, DEFAULTS, id="the setting is off by now"),
    ],
)
def test_it_is_kept_after_nothing_else(obj: Any, result: resolved.Result, defaults: Any) -> None:
    ended = seen(obj, record(ONE, result=result), asks=True)
    assert next_step(ONE, ended, None, after(60), defaults).release is None


def test_a_ttl_of_nothing_leaves_the_driver_time_to_ask() -> None:
    cr = job(ttlSecondsAfterFinished=0)
    ended = seen(lent(cr), record(cr, result=RESULT))
    assert step(cr, ended, 1).delete == ()
    assert len(step(cr, ended, ASKS_S).delete) == 1


def test_a_lent_attempt_fails_and_ends_like_any_other() -> None:
    failed = step(ONE, seen(lent(jobStatus="FAILED", jobDeploymentStatus="Failed", message="lost")))
    assert failed.record_patch is not None
    assert len(failed.delete) == 1
    assert len(step(job(cancel=True), seen(lent())).delete) == 1
    assert len(step(job(suspend=True), seen(lent())).delete) == 1


def test_a_driver_that_left_before_it_was_lent_is_no_attempt() -> None:
    left = step(ONE, seen(lent(jobStatus="SUCCEEDED", jobDeploymentStatus="Complete")))
    assert (left.result, left.record_patch, len(left.delete)) == (None, None, 1)
    told = seen(lent(jobStatus="SUCCEEDED"), report=report(failure=LOST))
    assert step(ONE, told).record_patch is not None


def test_the_deadline_counts_from_when_it_was_lent() -> None:
    cr = job(activeDeadlineSeconds=100)
    running = seen(lent(cr, at=500))
    assert running.started == after(500)
    assert step(cr, running, 590).result is None
    assert step(cr, running, 601).result is not None


def test_more_workers_than_one_come_with_the_next_attempt() -> None:
    cr = job(workers={"max": 3})
    assert wanted_workers(cr, seen(lent(cr))) == 0


def pod(**more: Any) -> Pod:
    labels = {"ray.io/cluster": "warm-a-c", "ray.io/node-type": "head", BATCH_JOB_LABEL: warm.NOBODY}
    return replace(head("warm-a-c"), labels=labels, started=after(0), **more)


def test_its_pods_are_counted_from_when_it_was_lent_until_the_job_succeeded() -> None:
    one, pods = ray_job(lent(at=60)), [replace(pod(), requests=replace(pod().requests, cpu_m=1000))]
    now = tally(NOTHING, None, warm.worked(pods, one, over=False), after(90))
    assert now.used is not None
    assert (now.bank, now.used.cpu_seconds) == (NOTHING, 30)
    ended = tally(NOTHING, now.used, warm.worked(pods, one, over=True), after(100))
    later = tally(ended.bank, ended.used, warm.worked(pods, one, over=True), after(500))
    assert ended.used is not None
    assert later.used is not None
    assert (ended.used.cpu_seconds, later.used.cpu_seconds) == (40, 40)


def test_pods_of_other_ray_jobs_are_counted_as_before() -> None:
    assert warm.worked([pod()], None, over=True) == (pod(),)
    of_another = replace(pod(), labels={**pod().labels, "ray.io/cluster": "iris-c"})
    assert warm.worked([of_another], ray_job(lent()), over=True) == (of_another,)


def test_pods_are_told_whose_they_are_once() -> None:
    one = ray_job(lent())
    ((name, patch),) = warm.pods_now(one, [pod()], ONE)
    assert name == pod().name
    assert patch["metadata"]["labels"] == {"raydock.io/batchjob": "iris", BATCH_JOB_LABEL: "iris-uid"}
    assert patch["metadata"]["annotations"] == {warm.LENT_ANNOTATION: text(60)}
    mine = replace(pod(), labels={**pod().labels, BATCH_JOB_LABEL: "iris-uid"})
    assert warm.pods_now(one, [mine], ONE) == []
    assert warm.pods_now(one, [pod()], None) == []
    assert warm.pods_now(one, [replace(pod(), deleting=True)], ONE) == []
    ((_, back),) = warm.pods_now(one, [mine], None)
    assert back["metadata"]["labels"] == {"raydock.io/batchjob": None, BATCH_JOB_LABEL: warm.NOBODY}
    assert back["metadata"]["annotations"] == {warm.LENT_ANNOTATION: None}


def test_only_what_was_logged_since_is_kept() -> None:
    ended = seen(lent(), pods=(pod(),))
    (one,) = ending(ONE, ended, Step(result=RESULT))
    assert (one.attempt, one.pod, one.since) == (1, pod().name, after(60))


def test_the_copy_of_the_code_is_the_clusters() -> None:
    copy = warm.code_copy(ray_job(lent()), {"data": {"iris.py": "predict = 1"}})
    (owner,) = copy["metadata"]["ownerReferences"]
    assert (owner["apiVersion"], owner["kind"], owner["uid"]) == ("ray.io/v1", "RayJob", "warm-a-uid")
    assert copy["metadata"]["name"].startswith("warm-a-jobcode-")
    coded = replace(KEPT, resolved=KEPT.resolved.model_copy(update={"code_hash": "abc"}))
    made = warm.ray_job(ONE, coded, KIND, ON)
    assert f'"{made["metadata"]["name"]}-jobcode-abc"' in json.dumps(made["spec"])
