"""What the plan makes of each case, read by people in want.yaml and by the programs that will get it."""

import json
from operator import attrgetter
from typing import Any

import pytest

from raydock.api import BatchJob, Deployment, InferenceEndpoint
from raydock.capacity.verdict import Verdict
from raydock.facts.rayservice import ray_service
from raydock.plan import batchjob, code, deployment, progression, resolved, traffic, warm
from raydock.plan.defaults import Defaults
from raydock.plan.meta import holds
from raydock.plan.observed import Observed
from raydock.plan.ray_job import ray_job
from raydock.plan.rollout import Choice
from raydock.plan.routes import routes
from raydock.plan.seen import Seen
from tests.golden import readers
from tests.golden.cases import NOW, Case, cases, dump

YES = Verdict(True, "cluster")


def live(case: Case) -> dict[str, Any]:
    """The RayService of the case that `live` names, as an API server and KubeRay leave it."""
    former = Case(case.folder.parent / case.seen["live"])
    made = next(m for m in deployment_manifests(former) if m["kind"] == "RayService")
    back: dict[str, Any] = readers.defaulted(made, readers.schema("RayService"))
    back["metadata"] = {
        **made["metadata"],
        "uid": "rs-1",
        "generation": 1,
        "finalizers": ["ray.io/rayservice-finalizer"],
    }
    return {
        **back,
        "status": {"activeServiceStatus": {"rayClusterName": "iris-abcde"}, "observedGeneration": 1},
    }


def deployment_seen(case: Case) -> Seen:
    child = live(case) if "live" in case.seen else None
    return Seen(child=ray_service(child) if child else None, child_object=child, code=case.seen.get("code"))


def deployment_manifests(case: Case) -> list[dict[str, Any]]:
    o = Observed(Deployment.parse(case.cr), deployment_seen(case), NOW)
    # The heaviest way is open: what each lighter one writes is seen where it is the only one.
    choice = next((Choice(way, YES) for way in reversed(deployment.ways(o, case.defaults))), Choice())
    return list(deployment.next_step(o, choice, case.defaults).manifests)


def endpoint_manifests(case: Case) -> list[dict[str, Any]]:
    cr, seen = InferenceEndpoint.parse(case.cr), case.seen
    backends = {name: traffic.Backend(**b) for name, b in seen.get("backends", {}).items()}
    before = seen.get("before", {})
    held = progression.remembered(json.dumps(seen["move"])) if "move" in seen else None
    move = progression.course(cr, held, before, backends, None, NOW)
    split = progression.in_force(cr, move, before, backends)
    return list(routes(cr, split, backends, tuple(seen.get("hashes", ())), case.defaults, move=move))


def batchjob_manifests(case: Case) -> list[dict[str, Any]]:
    cr, seen, defaults = BatchJob.parse(case.cr), case.seen, case.defaults
    source = Deployment.parse(seen["deployment"]) if "deployment" in seen else None
    content = code.code_hash(seen["code"]) if "code" in seen else None
    settled = resolved.resolve(cr, source, content, defaults)
    assert settled is not None
    record = resolved.record_manifest(cr, settled, defaults)
    stored = {**record, "metadata": {**record["metadata"], "creationTimestamp": "2026-05-04T09:59:00Z"}}
    stored["metadata"]["annotations"] = {**record["metadata"]["annotations"], **seen.get("record", {})}
    kept = resolved.record(stored)
    kind = warm.kind_of(cr, kept, {}, defaults) if warm.may_be_kept(cr, defaults) else None
    step = batchjob.next_step(cr, batchjob.Seen(kept, warm=kind), YES, NOW, defaults)
    assert step.start is not None
    assert kind or step.start == ray_job(cr, kept, defaults)
    return [record, step.start]


PLANS = {"deployment": deployment_manifests, "endpoint": endpoint_manifests, "batchjob": batchjob_manifests}
ALL = [pytest.param(kind, case, id=f"{kind}/{case.name}") for kind in PLANS for case in cases(kind)]


@pytest.mark.parametrize(("kind", "case"), ALL)
def test_the_plan_is_the_golden_manifest_and_its_reader_takes_it(kind: str, case: Case, golden: str) -> None:
    got = PLANS[kind](case)
    if golden == "write":
        case.want.write_text(dump(got))
    assert dump(got) == case.want.read_text()
    assert [said for manifest in got for said in readers.complaints(manifest)] == []


@pytest.mark.parametrize("case", cases("deployment"), ids=attrgetter("name"))
def test_what_was_written_is_not_written_again(case: Case) -> None:
    """The API server fills in defaults: they must not look like somebody else's edit."""
    cr, seen, first = Deployment.parse(case.cr), deployment_seen(case), deployment_manifests(case)
    back = {m["kind"]: m for m in first}
    service = live(case) if "live" in case.seen else {}
    if "RayService" in back:
        service = readers.defaulted(back["RayService"], readers.schema("RayService"))
    again = Seen(
        child=ray_service(service),
        child_object=service,
        code=seen.code,
        code_copied=True,
        access_mark=back["Secret"]["metadata"]["annotations"]["raydock.io/manifest"],
        budget_object=back["PodDisruptionBudget"],
    )
    o = Observed(cr, again, NOW.replace(hour=12))
    assert deployment.ways(o, case.defaults) == ()
    assert deployment.next_step(o, Choice(), case.defaults).manifests == ()


@pytest.mark.parametrize("case", cases("deployment"), ids=attrgetter("name"))
def test_a_new_default_image_never_replaces_pods(case: Case) -> None:
    cr, seen = Deployment.parse(case.cr), deployment_seen(case)
    service = next(m for m in deployment_manifests(case) if m["kind"] == "RayService")
    back = readers.defaulted(service, readers.schema("RayService"))
    later = case.defaults.model_copy(
        update={"runtime_image": "ghcr.io/raydock/raydock-runtime:9.9.9", "termination_grace_seconds": 300}
    )
    o = Observed(cr, Seen(ray_service(back), back, code=seen.code, code_copied=True), NOW)
    assert deployment.ways(o, later) == ()
    after = deployment.next_step(o, Choice(), later).manifests
    clusters = [m["spec"]["rayClusterConfig"] for m in after if m["kind"] == "RayService"]
    assert all(cluster == back["spec"]["rayClusterConfig"] for cluster in clusters)


@pytest.mark.parametrize("case", cases("endpoint"), ids=attrgetter("name"))
def test_a_route_that_stands_is_not_written_again(case: Case) -> None:
    for wanted in endpoint_manifests(case):
        back = readers.defaulted(wanted, readers.schema("HTTPRoute"))
        assert holds(back, wanted)


def test_a_key_that_serve_would_drop_is_found() -> None:
    config = {
        "applications": [
            {"name": "a", "import_path": "a:a", "deployments": [{"name": "d", "num_replcas": 2}]}
        ]
    }
    assert readers.dropped_by_serve(config) == [
        "serveConfigV2.applications[0].deployments[0].num_replcas: not in DeploymentSchema"
    ]


def test_an_unknown_field_and_a_wrong_type_are_found() -> None:
    (case,) = [c for c in cases("endpoint") if c.name == "minimal"]
    route, *_ = endpoint_manifests(case)
    rule = {**route["spec"]["rules"][0], "mirors": [], "timeouts": {"request": 5}}
    found = readers.complaints({**route, "spec": {**route["spec"], "rules": [rule]}})
    assert len(found) == 2
    assert Defaults() == case.defaults
