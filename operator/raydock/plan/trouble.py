"""What is wrong with pods and Serve applications, in one reason and one sentence that says what to do."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from raydock.facts.pod import ContainerTrouble, Pod
from raydock.facts.rayservice import Application
from raydock.reasons import Reason
from raydock.wire import failure

PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
CONFIG = {"CreateContainerConfigError", "CreateContainerError"}
PROCESS_ENDED = re.compile(r"\bActor(?:Died|Unavailable)Error\b")
"""Ray's words for a replica that ended without an exception of its own."""
SERVE_MAX = 1024
"""Characters of Ray Serve's words that are kept behind our own."""


@dataclass(frozen=True)
class Trouble:
    """`final`: only a changed spec can help."""

    reason: Reason
    message: str
    final: bool = False


def of_pods(pods: Iterable[Pod]) -> Trouble | None:
    """The worst trouble of `pods`, or None."""
    found = [trouble for pod in pods if (trouble := _of_pod(pod))]
    return found[0] if found else None


def of_application(application: Application | None) -> Trouble | None:
    """Why Serve could not start the application: the failure that the host marked, else Serve's own words."""
    if application is None or application.status not in {"DEPLOY_FAILED", "UNHEALTHY"}:
        return None
    said = "\n".join([application.message, *(d.message for d in application.deployments.values())])
    marked = failure.find(said)
    if marked:
        return Trouble(_reason(marked.reason), marked.message, final=_failed(application))
    if PROCESS_ENDED.search(said):
        told = (
            "the process of a replica ended while it started: see its pod's log; if it ran out of memory, "
            "raise resources.limits.memory. Ray Serve says:\n"
        )
        return Trouble(Reason.CRASH_LOOP, told + said.strip()[-SERVE_MAX:], final=_failed(application))
    if application.status == "UNHEALTHY":
        return Trouble(Reason.UNHEALTHY, said.strip()[-failure.MESSAGE_MAX :])
    return Trouble(Reason.IMPORT_FAILED, said.strip()[-failure.MESSAGE_MAX :], final=True)


def _failed(application: Application) -> bool:
    return application.status == "DEPLOY_FAILED"


def _reason(word: str) -> Reason:
    try:
        return Reason(word)
    except ValueError:
        return Reason.MODEL_LOAD_FAILED


def _of_pod(pod: Pod) -> Trouble | None:
    if pod.unschedulable_message:
        return Trouble(Reason.UNSCHEDULABLE, f"pod {pod.name} waits for a node: {pod.unschedulable_message}")
    if pod.ready:  # what an earlier run died of is over
        return None
    return next((t for c in pod.trouble if (t := _of_container(pod, c))), None)


def _of_container(pod: Pod, container: ContainerTrouble) -> Trouble | None:
    if container.reason in PULL:
        return Trouble(
            Reason.IMAGE_PULL_FAILED,
            f"pod {pod.name}: {container.message or container.reason}: check image and imagePullSecrets",
        )
    if container.reason in CONFIG:
        return Trouble(
            Reason.CONTAINER_CONFIG_ERROR, f"pod {pod.name}: {container.message or container.reason}"
        )
    if container.reason == "OOMKilled":
        return Trouble(
            Reason.OUT_OF_MEMORY,
            f"pod {pod.name} was killed for memory: raise resources.limits.memory",
        )
    if container.reason == "CrashLoopBackOff" or (container.past and container.restarts > 2):
        return Trouble(
            Reason.CRASH_LOOP,
            f"container {container.container} of pod {pod.name} ended {container.restarts} times, "
            f"last exit code {container.exit_code}: see kubectl logs --previous",
        )
    return None
