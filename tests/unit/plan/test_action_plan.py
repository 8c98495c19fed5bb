"""What a job with an action becomes: no input, one driver, and pods that mount what its parameters name."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from raydock.api import BatchJob, Deployment
from raydock.errors import Terminal
from raydock.plan import resolved, results, serve_config, warm
from raydock.plan.batchjob import Seen, next_step
from raydock.plan.ray_job import claims
from raydock.plan.scale import Bounds
from raydock.reasons import Reason
from raydock.wire.job import ActionCall, TablesInput
from raydock.wire.progress import Output
from tests.unit.plan.given import DEFAULTS, NOW, dep, job, record, report, run

ACTION = {
    "action": {"entrypoint": "plugin.score:Score", "params": {"images": ["pvc://images/a.png"], "n": None}}
}
WITHOUT_ROWS: dict[str, Any] = {"server": ACTION, "input": None}
ACTS = job(**WITHOUT_ROWS)
SILENT = job(**WITHOUT_ROWS, output=None)
DEPLOYS = dep(server={"action": {"entrypoint": "plugin.deploy:Deploy", "params": {"model": 34}}})


def test_the_driver_is_told_the_action_and_no_rows() -> None:
    config = resolved.job_config(ACTS, record(ACTS).resolved, DEFAULTS)
    assert config.import_path == "plugin.score:Score"
    assert config.action == ActionCall({"images": ["pvc://images/a.png"], "n": None})
    assert (config.tables, config.output_uri) == (TablesInput(()), "pvc://out/iris/")


def test_without_an_output_nothing_is_written() -> None:
    config = resolved.job_config(SILENT, record(SILENT).resolved, DEFAULTS)
    assert (config.output_uri, config.save_mode) == ("", "Error")
    assert claims(SILENT, record(SILENT)) == (("images", True),)


def test_what_predicts_rows_is_no_action() -> None:
    assert resolved.job_config(job(), record(job()).resolved, DEFAULTS).action is None


def test_claims_that_its_parameters_name_are_mounted_for_reading() -> None:
    assert claims(ACTS, record(ACTS)) == (("images", True), ("out", False))


def test_a_record_is_read_as_it_was_written() -> None:
    kept = record(ACTS)
    assert ACTS.spec.server is not None
    assert kept.resolved.server.action == ACTS.spec.server.action


def test_a_deployment_that_deploys_by_an_action_predicts_nothing() -> None:
    of_deployment = BatchJob.parse(
        {**job().as_json(), "spec": {**job().as_json()["spec"], "server": None, "deployment": "iris"}}
    )
    with pytest.raises(Terminal, match=r"Deployment iris has server\.action") as stopped:
        resolved.resolve(of_deployment, DEPLOYS, None, DEFAULTS)
    assert stopped.value.reason is Reason.INVALID_SPEC


def test_its_cluster_is_kept_for_nobody() -> None:
    warm_clusters = DEFAULTS.warm_clusters.model_copy(update={"idle_seconds": 120})
    on = DEFAULTS.model_copy(update={"warm_clusters": warm_clusters, "report_url": "http://operator:8080"})
    assert warm.may_be_kept(job(), on)
    assert not warm.may_be_kept(ACTS, on)


@pytest.mark.parametrize(
    ("cr", "text"), [(ACTS, "is in result.json; _SUCCESS is written"), (SILENT, "is in the log")]
)
def test_its_end_says_where_the_result_is(cr: BatchJob, text: str) -> None:
    ended = results.succeeded(cr, Output("", 0, 0, 0, 0), NOW)
    assert ended.message == f"the action's result {text}"


def application(cr: Deployment, live: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        serve_config.serve_config_v2(cr, "r1", Bounds(1, 1), DEFAULTS, live)
    )["applications"][0]
    return found


def test_a_deployment_s_action_brings_its_own_runtime_env() -> None:
    """Options in serveConfigV2 would take the place of all that the action has."""
    told = application(DEPLOYS)
    assert "ray_actor_options" not in told["deployments"][0]
    assert told["args"]["importPath"] == "plugin.deploy:Deploy"
    assert told["args"]["action"] == {"params": {"model": 34}, "actorOptions": {"num_cpus": 0.5}}
    assert "action" not in application(dep())["args"]


def test_a_changed_setting_does_not_run_the_action_again() -> None:
    live = serve_config.serve_config_v2(DEPLOYS, "r1", Bounds(1, 1), DEFAULTS)
    shape = DEFAULTS.replica_resources.model_copy(update={"requests": {"cpu": "2"}})
    later = DEFAULTS.model_copy(update={"replica_resources": shape})
    assert serve_config.serve_config_v2(DEPLOYS, "r1", Bounds(1, 1), later, live) == live
    head = {"headGroupSpec": {"rayStartParams": {"num-cpus": "2"}}}
    assert serve_config.surge_fits(live, head)


def ended_by_exit(cr: BatchJob) -> Seen:
    """Ray says that the driver ended well, and nobody was told."""
    return run(cr, record(cr), jobStatus="SUCCEEDED", jobDeploymentStatus="Complete")


def test_an_action_that_ended_its_process_did_not_succeed() -> None:
    """Whatever it calls may end the process with exit code 0."""
    told = DEFAULTS.model_copy(update={"report_url": "http://operator:8080"})
    step = next_step(ACTS, ended_by_exit(ACTS), None, NOW, told)
    assert step.result is None
    assert step.record_patch is not None, "another attempt"
    once = job(**WITHOUT_ROWS, backoffLimit=0)
    failed = next_step(once, ended_by_exit(once), None, NOW, told).result
    assert failed is not None
    assert (failed.state, failed.reason) == ("Failed", Reason.ACTION_FAILED)


def test_a_success_that_the_driver_told_counts() -> None:
    told = DEFAULTS.model_copy(update={"report_url": "http://operator:8080"})
    published = replace(ended_by_exit(ACTS), report=report(output=Output("pvc://out/iris/", 1, 1, 2, 0)))
    for seen, defaults in ((published, told), (ended_by_exit(ACTS), DEFAULTS)):
        ended = next_step(ACTS, seen, None, NOW, defaults).result
        assert ended is not None
        assert ended.state == "Succeeded"
    rows = next_step(job(), ended_by_exit(job()), None, NOW, told).result
    assert rows is not None
    assert rows.state == "Succeeded", "a driver over rows runs no code of the user's"
