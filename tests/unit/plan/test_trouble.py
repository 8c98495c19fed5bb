"""What is wrong with pods and applications, in one reason and one sentence."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.facts.pod import Pod
from raydock.facts.rayservice import Application, ServeStatus
from raydock.plan.trouble import Trouble, of_application, of_pods
from raydock.reasons import Reason
from raydock.wire.failure import MESSAGE_MAX, line
from raydock.wire.progress import Failure
from tests.unit.plan.given import head


def pod_with(**state: Any) -> Pod:
    return head(ready=False, containerStatuses=[{"name": "ray", "restartCount": 4, **state}])


def waiting(reason: str, message: str = "") -> Pod:
    return pod_with(state={"waiting": {"reason": reason, "message": message}})


@pytest.mark.parametrize(
    ("pod", "reason", "part"),
    [
        pytest.param(waiting("ImagePullBackOff"), Reason.IMAGE_PULL_FAILED, "check image", id="pull"),
        pytest.param(
            waiting("ErrImagePull", "not found"), Reason.IMAGE_PULL_FAILED, "not found", id="pull, told"
        ),
        pytest.param(
            waiting("InvalidImageName"), Reason.IMAGE_PULL_FAILED, "InvalidImageName", id="image name"
        ),
        pytest.param(
            waiting("CreateContainerConfigError", 'couldn\'t find key "k"'),
            Reason.CONTAINER_CONFIG_ERROR,
            'key "k"',
            id="missing key",
        ),
        pytest.param(
            pod_with(state={"terminated": {"reason": "OOMKilled", "exitCode": 137}}),
            Reason.OUT_OF_MEMORY,
            "raise resources.limits.memory",
            id="memory",
        ),
        pytest.param(
            pod_with(
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"reason": "Error", "exitCode": 3}},
            ),
            Reason.CRASH_LOOP,
            "4 times",
            id="crash loop",
        ),
        pytest.param(
            replace(head(ready=False), unschedulable_message="0/1 nodes are available"),
            Reason.UNSCHEDULABLE,
            "0/1 nodes",
            id="no node",
        ),
    ],
)
def test_trouble_of_a_pod(pod: Pod, reason: Reason, part: str) -> None:
    found = of_pods([head("iris-b", ready=False), pod])
    assert found is not None
    assert found.reason is reason
    assert pod.name in found.message
    assert part in found.message
    assert not found.final


@pytest.mark.parametrize(
    "pod", [head(), head(ready=False), waiting("ContainerCreating")], ids=["ready", "not", "new"]
)
def test_a_pod_that_only_starts_has_none(pod: Pod) -> None:
    assert of_pods([pod]) is None


def app(status: str, message: str = "", **deployments: str) -> Application:
    return Application(status, message, {k: ServeStatus("UNHEALTHY", v) for k, v in deployments.items()})


LOAD = Failure("ModelChecksumMismatch", "sha256 differs", final=True)


@pytest.mark.parametrize(
    ("application", "wanted"),
    [
        pytest.param(None, None, id="none"),
        pytest.param(app("RUNNING", "old words"), None, id="running"),
        pytest.param(app("DEPLOYING", "2 replicas"), None, id="deploying"),
        pytest.param(
            app("DEPLOY_FAILED", f"RuntimeError: {line(LOAD)}\n  trace"),
            Trouble(Reason.MODEL_CHECKSUM_MISMATCH, "sha256 differs", final=True),
            id="marked",
        ),
        pytest.param(
            app("DEPLOY_FAILED", "", host=line(LOAD)),
            Trouble(Reason.MODEL_CHECKSUM_MISMATCH, "sha256 differs", final=True),
            id="marked, in the deployment's message",
        ),
        pytest.param(
            app("DEPLOY_FAILED", line(Failure("Newer", "x"))),
            Trouble(Reason.MODEL_LOAD_FAILED, "x", final=True),
            id="a reason of a newer runtime",
        ),
        pytest.param(
            app("DEPLOY_FAILED", "No module named iris"),
            Trouble(Reason.IMPORT_FAILED, "No module named iris", final=True),
            id="Serve's own words",
        ),
        pytest.param(
            app("UNHEALTHY", "died"),
            Trouble(Reason.UNHEALTHY, "died", final=False),
            id="unhealthy can recover",
        ),
    ],
)
def test_trouble_of_an_application(application: Application | None, wanted: Trouble | None) -> None:
    assert of_application(application) == wanted


@pytest.mark.parametrize("word", ["ActorDiedError", "ActorUnavailableError"])
def test_a_process_that_ended_is_no_import_error(word: str) -> None:
    found = of_application(app("DEPLOY_FAILED", f"failed to start 3 times in a row. Error:\n{word}: x"))
    assert found is not None
    assert (found.reason, found.final) == (Reason.CRASH_LOOP, True)
    assert found.message.endswith(f"{word}: x")


def test_a_long_traceback_keeps_its_end() -> None:
    found = of_application(app("DEPLOY_FAILED", "x" * 9000 + "ValueError: y"))
    assert found is not None
    assert len(found.message) == MESSAGE_MAX
    assert found.message.endswith("ValueError: y")
