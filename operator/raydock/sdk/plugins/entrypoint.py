"""The process that runs one action: `python -m raydock.sdk.plugins.entrypoint` (contracts/actions.md 12)."""

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from raydock.sdk import alias
from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.job import JobLogger
from raydock.sdk.loggers.local import ConsoleLogger
from raydock.sdk.plugins.connections import PREFIXES, agent_client, backend_client
from raydock.sdk.plugins.context import LANGUAGE_ENV, RuntimeContext
from raydock.sdk.plugins.discovery import load_action
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.results import result_record
from raydock.sdk.plugins.steps.termination import terminated_as_exit
from raydock.sdk.utils.redaction import redact_text, secret_values

ENTRYPOINT_ENV: Final = "SYNAPSE_ACTION_ENTRYPOINT"
PARAMS_ENV: Final = "SYNAPSE_ACTION_PARAMS"
PARAMS_FILE_ENV: Final = "SYNAPSE_ACTION_PARAMS_FILE"
RESULT_START: Final = "__SYNAPSE_RESULT_START__"
RESULT_END: Final = "__SYNAPSE_RESULT_END__"
CREDENTIALS_FILE_ENV: Final = "RAYDOCK_CREDENTIALS_FILE"
"""Names a JSON object of variables that came by another way than the environment, which others may read."""
CREDENTIALS_READ: Final = "__RAYDOCK_CREDENTIALS_READ__"
"""Written to standard output once they are known: whoever lent them can take them away."""
CREDENTIALS_WAIT_S: Final = 180.0
"""A kubelet brings a changed Secret within 90 s."""
LOOK_AGAIN_S: Final = 0.2


def main() -> int:
    """Run the action that the environment names; the exit code."""
    here = str(Path.cwd())
    if here not in sys.path[:1]:
        sys.path.insert(0, here)
    alias.install()
    env = PluginEnvironment.from_environ(prefixes=PREFIXES)
    try:
        lent = credentials(env, sys.stdout)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{redact_text(str(error), _secrets(env))}\n")
        return 1
    os.environ.update(lent)  # noqa: TID251 - as if the process had been started with them
    return run(PluginEnvironment.merge(env, lent), sys.stdout, sys.stderr)


def credentials(env: PluginEnvironment, out: TextIO, *, wait_s: float = CREDENTIALS_WAIT_S) -> dict[str, str]:
    """The variables of the file that `env` names, which is waited for; empty where it names none.

    Raises TimeoutError when the file does not come, ValueError for what is no JSON object.
    """
    named = env.get_str(CREDENTIALS_FILE_ENV)
    if not named:
        return {}
    file, end = Path(named), time.monotonic() + wait_s
    while not file.is_file():
        if time.monotonic() >= end:
            raise TimeoutError(f"the credentials of this job did not come within {wait_s:g} s")
        threading.Event().wait(LOOK_AGAIN_S)  # a mount brings no event
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError:  # its text would quote the file
        found = None
    if not isinstance(found, dict):
        message = f"{CREDENTIALS_FILE_ENV}: want a JSON object in the file"
        raise ValueError(message)  # noqa: TRY004 - the file is of another form
    out.write(f"{CREDENTIALS_READ}\n")
    out.flush()
    return {str(name): str(value) for name, value in found.items()}


def run(
    env: PluginEnvironment,
    out: TextIO,
    err: TextIO,
    *,
    connect: Callable[[PluginEnvironment], Any] = backend_client,
    connect_agent: Callable[[PluginEnvironment], Any] = agent_client,
) -> int:
    """Run the action, tell the backend, and write the result to `out`: 0, or 1 with a traceback on `err`."""
    job_id = env.get_str("SYNAPSE_JOB_ID") or env.get_str("RAY_JOB_ID") or None
    logger: BaseLogger = ConsoleLogger()
    clients: list[Any] = []
    try:
        with terminated_as_exit():
            clients.append(client := connect(env))
            logger = _logger(client, job_id)
            if isinstance(logger, JobLogger):
                logger.tell({"status": "RUNNING"})
            clients.append(agent := connect_agent(env))
            context = RuntimeContext(
                logger=logger,
                env=env,
                job_id=job_id,
                client=client,
                agent_client=agent,
                language=env.get_str(LANGUAGE_ENV),
            )
            record = result_record(load_action(_entrypoint(env)).dispatch(_params(env), context))
    except Exception as error:  # noqa: BLE001 - whatever it is, the job has failed
        secrets = _secrets(env, clients)
        logger.finish(also=_failed(redact_text(str(error) or type(error).__name__, secrets)))
        err.write(redact_text(traceback.format_exc(), secrets))
        return 1
    except BaseException as error:
        logger.finish(also=_failed(f"interrupted ({type(error).__name__})"))
        raise
    logger.finish(success=True, also={"status": "SUCCEEDED", "result": record})
    out.write(f"{RESULT_START}\n{json.dumps(record)}\n{RESULT_END}\n")
    out.flush()
    return 0


def _logger(client: Any, job_id: str | None) -> BaseLogger:
    return ConsoleLogger() if client is None or job_id is None else JobLogger(client, job_id)


def _entrypoint(env: PluginEnvironment) -> str:
    entrypoint = env.get_str(ENTRYPOINT_ENV)
    if not entrypoint:
        raise ValueError(f"{ENTRYPOINT_ENV} not set")
    return entrypoint


def _params(env: PluginEnvironment) -> Mapping[str, Any]:
    """The parameters. Raises ValueError where there are none, or no JSON object."""
    source, text = PARAMS_ENV, env.get_str(PARAMS_ENV)
    if not text:
        source, file = PARAMS_FILE_ENV, env.get_str(PARAMS_FILE_ENV)
        if not file:
            raise ValueError(f"No params provided via {PARAMS_ENV} or {PARAMS_FILE_ENV}")
        text = Path(file).read_text(encoding="utf-8")
    try:
        params = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{source} is not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(params, dict):
        message = f"{source}: want a JSON object, got {type(params).__name__}"
        raise ValueError(message)  # noqa: TRY004 - the text is of another form, it has no other type
    return params


def _failed(text: str) -> dict[str, Any]:
    return {"status": "FAILED", "result": {"error": text}}


def _secrets(env: PluginEnvironment, clients: Collection[Any] = ()) -> tuple[str, ...]:
    """Texts that no error may hold: credentials, and addresses, of services without a client too."""
    own = [env.get_str(name) for name in env if name.endswith(("_TOKEN", "_KEY"))]
    known = (text for client in clients for text in getattr(client, "hidden", ()))
    return (*secret_values(env.to_dict()), *(value for value in own if value), *known)


if __name__ == "__main__":
    sys.exit(main())
