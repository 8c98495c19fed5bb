"""The pipelines of examples/batch: their commands are the command line's, their names each other's.

That their BatchJobs are accepted is a test of tests/house; that they run, one of tests/e2e.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hack.node.layout import REPOSITORY
from raydock.api.batch_status import JobState
from raydock.cli.app import app
from tests.kit import airflow

EXAMPLES = REPOSITORY / "examples" / "batch"
COMMAND = re.compile(r"(?:python -m raydock|\$?raydock) (batch [a-z]+ [^|>`\n]*)")


def objects(name: str) -> list[dict[str, Any]]:
    return [obj for obj in yaml.safe_load_all((EXAMPLES / name).read_text()) if obj]


def templates() -> dict[str, dict[str, Any]]:
    """Those of the Argo Workflow, by name."""
    (workflow,) = objects("argo-workflow.yaml")
    return {one["name"]: one for one in workflow["spec"]["templates"]}


def commands() -> Iterator[Any]:
    """Every `raydock batch …` of the examples."""
    for path in sorted(EXAMPLES.iterdir()):
        for number, found in enumerate(COMMAND.findall(path.read_text())):
            yield pytest.param(shlex.split(found), id=f"{path.name} {number}")
    (_, *argv) = templates()["by-command"]["container"]["command"][2:]
    yield pytest.param(argv, id="argo-workflow.yaml container")


@pytest.mark.parametrize("argv", list(commands()))
def test_commands_are_those_of_the_command_line(argv: list[str]) -> None:
    group, name, *args = argv
    batch = typer.main.get_command(app).commands[group]  # type: ignore[attr-defined]  # a group
    batch.commands[name].make_context(name, args)  # raises what click says of a wrong one


def test_the_workflow_goes_by_states_that_there_are() -> None:
    resource = templates()["by-resource"]["resource"]
    named = f"{resource['successCondition']} {resource['failureCondition']}"
    assert set(re.findall(r"\b[A-Z]\w+", named)) == {state for state in JobState if state.ended}


def test_the_workflow_has_the_templates_that_it_names() -> None:
    (workflow,) = objects("argo-workflow.yaml")
    steps = templates()[workflow["spec"]["entrypoint"]]["steps"]
    assert {step["template"] for group in steps for step in group} <= set(templates())


def test_all_pipelines_run_as_the_account_with_the_role() -> None:
    account, role, binding = objects("rbac.yaml")
    (workflow,) = objects("argo-workflow.yaml")
    _, cron = objects("cronjob.yaml")
    named = {
        airflow.pod(str)["spec"]["serviceAccountName"],
        workflow["spec"]["serviceAccountName"],
        cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"],
        binding["subjects"][0]["name"],
    }
    assert named == {account["metadata"]["name"]}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]


def test_the_dag_mounts_the_job_of_the_cron_job() -> None:
    (volume,) = airflow.pod(str)["spec"]["volumes"]
    config, _ = objects("cronjob.yaml")
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    assert "job.yaml" in config["data"]


def test_the_readme_lists_what_there_is() -> None:
    named = set(re.findall(r"\]\(([\w.-]+)\)", (EXAMPLES / "README.md").read_text()))
    assert named == {path.name for path in Path(EXAMPLES).iterdir()} - {"README.md"}
