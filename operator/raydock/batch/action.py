"""An action in place of a model over rows: run once by the driver, its result published or told.

Retries start the action from the beginning, unless an earlier attempt got as far as its result.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from raydock.batch.action_output import ActionOutput
from raydock.batch.driver import Beating
from raydock.errors import Retry, Terminal, Unfinished
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.remote.terms import NotConfigured
from raydock.sdk.clients.local import LocalModels
from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.entry import ProgressData
from raydock.sdk.loggers.job import JobLogger
from raydock.sdk.loggers.local import ConsoleLogger
from raydock.sdk.plugins.actions.inference import BaseDeploymentAction
from raydock.sdk.plugins.connections import PREFIXES, agent_client, backend_client
from raydock.sdk.plugins.context import LANGUAGE_ENV, RuntimeContext
from raydock.sdk.plugins.entrypoint import RESULT_END, RESULT_START
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.results import result_record
from raydock.sdk.running import Action, action_of, dispatched
from raydock.wire.job import JobConfig
from raydock.wire.progress import Output

JOB_ENV: Final = "SYNAPSE_JOB_ID"
"""The backend's job that is told of this run; unset: none is."""
NOWHERE: Final = Output("", rows=0, bytes=0, files=0, failed_rows=0)
"""What a job without an output published."""

log = logging.getLogger("raydock.batch")


def run(config: JobConfig, attempt: int, claims_dir: str, tell: Callable[[ProgressData], None]) -> Output:
    """What the job published, now or in an earlier attempt. Raises Unfinished.

    `tell` takes the action's progress.
    """
    env = PluginEnvironment.from_environ(prefixes=PREFIXES)
    client, job = _connected(backend_client, env), env.get_str(JOB_ENV) or None
    logger = _logger(client, job, tell)
    try:
        if isinstance(logger, JobLogger):
            logger.tell({"status": "RUNNING"})
        context = RuntimeContext(
            logger=logger,
            env=env,
            job_id=job,
            client=client or _local(config),
            agent_client=_connected(agent_client, env),
            language=env.get_str(LANGUAGE_ENV),
        )
        if config.output_uri:
            result, output = _published(config, attempt, claims_dir, context)
        else:
            result, output = _acted(config, context), NOWHERE
            sys.stdout.write(f"{RESULT_START}\n{json.dumps(result)}\n{RESULT_END}\n")
    except Unfinished as error:
        logger.finish(also=_failed(error.message))
        raise
    except BaseException as error:
        logger.finish(also=_failed(f"interrupted ({type(error).__name__})"))
        raise
    logger.finish(success=True, also={"status": "SUCCEEDED", "result": result})
    return output


def _connected(connect: Callable[[PluginEnvironment], Any], env: PluginEnvironment) -> Any:
    """The client that `connect` makes. Raises Terminal where the environment names it wrongly."""
    try:
        return connect(env)
    except NotConfigured as error:
        raise Terminal(Reason.INVALID_SPEC, str(error)) from None


def _published(
    config: JobConfig, attempt: int, claims_dir: str, context: RuntimeContext
) -> tuple[dict[str, Any], Output]:
    """The result, and where it is. Raises Unfinished."""
    place = ActionOutput(config, claims_dir, time.sleep)
    try:
        output = place.finished() or _made(config, attempt, place, context)
    except (Terminal, SystemExit):
        place.owner.release()
        raise
    except Exception:
        # Another driver of this job may have come to the end meanwhile, and taken the staging folder away.
        finished = place.finished()
        if finished is None:
            raise
        output = finished
    result = place.result()
    place.clean()
    return result, output


def _made(config: JobConfig, attempt: int, place: ActionOutput, context: RuntimeContext) -> Output:
    place.begin()
    finished = place.finished()
    if finished is not None:
        return finished
    with Beating(place.owner) as beating:
        record = place.known()
        if record is None:
            record = place.commit(_acted(config, context), attempt)
        else:
            log.info("an earlier attempt came as far as the result: the action is not run again")
        beating.refuse_lost_output()
        return place.publish(record, _now())


def _acted(config: JobConfig, context: RuntimeContext) -> dict[str, Any]:
    """What the action returns, as JSON has it.

    Raises Terminal, for what would fail the same way again, and Retry for an error of the action.
    """
    try:
        action = _action(config.import_path)
        returned = dispatched(action, config.action.params if config.action else {}, context)
    except LoadFailed as failed:
        outcome = Retry if failed.reason is Reason.ACTION_FAILED else Terminal
        raise outcome(failed.reason, failed.message) from None
    try:
        return result_record(returned)
    except (TypeError, ValueError, RecursionError) as error:
        raise Terminal(Reason.ACTION_FAILED, str(error)) from None


def _action(entrypoint: str) -> Action:
    """Raises LoadFailed(IMPORT_FAILED) for what is no action of a job."""
    action = action_of(entrypoint)
    if issubclass(action, BaseDeploymentAction):
        told = f"{entrypoint} deploys: name it in the server.action of a Deployment"
        raise LoadFailed(Reason.IMPORT_FAILED, told)
    return action


def _local(config: JobConfig) -> LocalModels | None:
    if not config.model_uri:
        return None
    return LocalModels(config.model_uri, config.model_id, config.model_version)


def _logger(client: Any, job: str | None, tell: Callable[[ProgressData], None]) -> BaseLogger:
    if client is None or job is None:
        return ConsoleLogger(progress_sink=tell)
    return JobLogger(client, job, progress_sink=tell)


def _failed(text: str) -> dict[str, Any]:
    return {"status": "FAILED", "result": {"error": text}}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")  # noqa: TID251 - as driver.py's
