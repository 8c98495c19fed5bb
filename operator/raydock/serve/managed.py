"""A deployment action in managed mode: run for a version, in the task of Serve that builds it.

What it hands over is a Serve class and options. The class comes behind raydock's host, as every other form
does; of the options those count that the custom resource does not decide.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final, cast

from ray import cloudpickle, serve
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.models import console
from raydock.models.entry import LoadFailed, cut_traceback
from raydock.reasons import Reason
from raydock.sdk.loggers.local import ConsoleLogger
from raydock.sdk.plugins.actions.inference import BaseDeploymentAction
from raydock.sdk.plugins.actions.inference.managed import HandedOver, ManagedContext
from raydock.sdk.plugins.actions.inference.serve_class import bound
from raydock.sdk.plugins.connections import PREFIXES, agent_client, backend_client
from raydock.sdk.plugins.context import LANGUAGE_ENV
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.running import action_of, dispatched
from raydock.serve.building import Teller, telling
from raydock.wire.host import REPORT_PORT, Action, HostArgs

RELEASE_CODE_ENV: Final = "SYNAPSE_PLUGIN_RELEASE_CODE"
DECIDED: Final[Mapping[str, str]] = {
    "num_cpus": "spec.resources",
    "num_gpus": "spec.resources",
    "memory": "spec.resources",
    "num_replicas": "spec.replicas",
    "autoscaling_config": "spec.autoscaling",
    "max_ongoing_requests": "spec.limits.ongoingRequestsPerReplica",
    "max_queued_requests": "spec.limits.queuedRequests",
    "graceful_shutdown_timeout_s": "spec.limits",
    "max_replicas_per_node": "spec.topology",
    "user_config": "spec.params",
    "name": "metadata.name",
    "version": "raydock",
}
"""Options that the Deployment decides, as the capacity gate counted them, and by which field."""

PAUSES_S: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Between two tries of an action, the last one from then on."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deployed:
    """What an action made."""

    handed_over: bytes
    """HandedOver, pickled: by reference what a module holds, by value what was made on the way."""
    backend_url: str
    options: Mapping[str, Any]
    """Of Serve's deployment, `ray_actor_options` among them."""


def deploy(
    host: HostArgs,
    asked: Action,
    port: int = REPORT_PORT,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Deployed:
    """Run the action of `host`, again for as long as a start may take where it fails. Raises LoadFailed.

    At once: IMPORT_FAILED for what is no deployment action, PARAMS_INVALID, and NOTHING_DEPLOYED. At the end
    of the time ACTION_FAILED: it may be a backend that is away, and Serve would never run it again.
    """
    console.install(host.deployment, "action")
    action = action_of(host.import_path)
    if not issubclass(action, BaseDeploymentAction):
        told = f"{host.import_path} is no subclass of BaseDeploymentAction, which server.action wants"
        raise LoadFailed(Reason.IMPORT_FAILED, told)
    os.environ.setdefault(RELEASE_CODE_ENV, host.deployment)  # noqa: TID251 - of this process, for the user's code
    made, end = None, clock() + host.startup_timeout_s
    with telling(host.deployment, port) as tell:
        for pause_s in chain(PAUSES_S, repeat(PAUSES_S[-1])):
            try:
                made = _run(action, asked, tell)
                break
            except LoadFailed as failed:
                if failed.reason is not Reason.ACTION_FAILED or clock() + pause_s >= end:
                    raise
                log.warning("%s\nIt is tried again in %d s", failed.message, pause_s)
                tell.failed(failed.message)
            sleep(pause_s)
    if made is None:
        told = f"{host.import_path} ended without a call of deploy(): call it in execute() or in a step"
        raise LoadFailed(Reason.NOTHING_DEPLOYED, told)
    for warning in ignored(made, asked, host.deployment):
        log.warning(warning)
    packed: bytes = cloudpickle.dumps(made)  # type: ignore[no-untyped-call]  # Ray's copy has no types
    return Deployed(packed, made.backend_url, kept_options(made, asked))


def _run(action: type[BaseDeploymentAction[Any]], asked: Action, tell: Teller) -> HandedOver | None:
    """What one try of `action` handed over. Raises LoadFailed."""
    env = PluginEnvironment.from_environ(prefixes=PREFIXES)
    with ConsoleLogger(progress_sink=tell) as logger:
        context = ManagedContext(
            logger=logger,
            env=env,
            client=backend_client(env),
            agent_client=agent_client(env),
            language=env.get_str(LANGUAGE_ENV),
        )
        dispatched(action, asked.params, context)
    return context.handed_over


def ignored(made: HandedOver, asked: Action, deployment: str) -> list[str]:
    """What of the action's options is not used, and what is instead."""
    actor = {
        name: value
        for name, value in made.ray_actor_options.items()
        if name in DECIDED and value != asked.actor_options.get(name)
    }
    names = [*actor, *(name for name in made.serve_options if name in DECIDED)]
    told = [f"{name} of the action is not used: {DECIDED[name]} decides" for name in names]
    if made.name != deployment:
        told.append(f"the application is named {deployment}, as the Deployment is, and not {made.name}")
    return told


def kept_options(made: HandedOver, asked: Action) -> dict[str, Any]:
    """Options of Serve's deployment: the action's, but for those that the Deployment decides."""
    own = {name: value for name, value in made.serve_options.items() if name not in DECIDED}
    actor = {name: value for name, value in made.ray_actor_options.items() if name not in DECIDED}
    return {**own, "ray_actor_options": {**actor, **asked.actor_options}}


def unpacked(handed_over: bytes) -> HandedOver:
    """What the action handed over, in a replica. Raises LoadFailed(IMPORT_FAILED)."""
    try:
        return cast("HandedOver", cloudpickle.loads(handed_over))
    except (Exception, SystemExit) as error:
        told = f"importing the action's entrypoint failed:\n{cut_traceback(error)}"
        raise LoadFailed(Reason.IMPORT_FAILED, told) from error


def application(made: HandedOver) -> serve.Application:
    """The bound application, as `deploy()` makes it outside of managed mode. Raises LoadFailed."""
    try:
        found = bound(
            made.entrypoint,
            made.backend_url,
            serve=serve,
            ray_actor_options={},
            serve_options={},
            batch=made.batch,
        )
    except Exception as error:
        told = f"{made.entrypoint.__name__} cannot be served:\n{cut_traceback(error)}"
        raise LoadFailed(Reason.IMPORT_FAILED, told) from error
    return cast("serve.Application", found)


def prefixed(app: ASGIApp, prefix: str) -> ASGIApp:
    """`app`, whose paths may also be asked for below the route prefix that the action gave it."""
    prefix = f"/{prefix.strip('/')}"
    if prefix == "/":
        return app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == prefix or path.startswith(f"{prefix}/"):
            scope = {**scope, "path": path[len(prefix) :] or "/", "raw_path": None}
        await app(scope, receive, send)

    return answer
