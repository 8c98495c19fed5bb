"""Keeping the end of a driver's log when its attempt ends. A log that cannot be read holds nothing up."""

import asyncio
import re
from base64 import b64decode
from typing import Final

import structlog

from raydock.api.batchjob import BatchJob
from raydock.facts import lenient
from raydock.facts.meta import meta
from raydock.kube.errors import ApiError
from raydock.plan import job_logs as plan
from raydock.plan.batchjob import Seen, Step
from raydock.plan.meta import holds
from raydock.plan.pods import CONTAINER
from raydock.reconcile.deps import Deps
from raydock.remote.redaction import without_credentials
from raydock.wire import logs

LIMIT_S: Final = 5.0
"""For all of it: a kubelet that hangs with its node must not hold up the next attempt."""
LINES: Final = 2000
"""More than 64 KiB of any ordinary log, so that the kubelet need not send a day of it."""
READ_BYTES: Final = logs.LIMIT_BYTES + 1
"""One more than is kept: tells that the first line may be half a one."""
SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
SECRET_MIN: Final = 4
"""Characters: a shorter text stands for itself in every other line."""

_log = structlog.get_logger(__name__)


async def keep(cr: BatchJob, seen: Seen, step: Step, do: Deps) -> None:
    """Keep the logs of the attempts that `step` ends. Safe to repeat, and to be cut off anywhere."""
    ending = plan.ending(cr, seen, step)
    if not ending:
        return
    try:
        async with asyncio.timeout(LIMIT_S):
            await _keep(cr, seen, ending, do)
    except (ApiError, TimeoutError) as error:
        _log.warning("log not kept", why=getattr(error, "message", "") or f"not read within {LIMIT_S:.0f} s")


async def _keep(cr: BatchJob, seen: Seen, ending: tuple[plan.Ending, ...], do: Deps) -> None:
    namespace, name = cr.metadata.namespace, logs.config_map_name(cr.metadata.name)
    live = await do.kube.find("ConfigMap", namespace, name)
    if live is not None and meta(live).owner_uid != cr.metadata.uid:
        _log.warning("log not kept", why=f"ConfigMap {name} exists and belongs to somebody else")
        return
    data = lenient.texts((live or {}).get("data"))
    secrets = await _secrets(cr, seen, do)
    for attempt, pod, since in ending:
        text = await do.kube.log_end(
            namespace, pod, CONTAINER, lines=LINES, limit_bytes=READ_BYTES, since=since
        )
        if text:  # cut to whole lines first: half a secret would not be found
            whole = logs.end_of(text, logs.LIMIT_BYTES)
            data = logs.kept(data, attempt, without_credentials(whole, secrets))
    manifest = plan.manifest(cr, data)
    if data and not holds(live, manifest):
        await do.kube.apply(manifest)


async def _secrets(cr: BatchJob, seen: Seen, do: Deps) -> set[str]:
    """Values that the program was given as secrets; each line of one, as a log may show it by lines."""
    program = seen.kept.resolved if seen.kept else cr.spec
    values = [var.value for var in program.env if var.value and SECRET_NAME.search(var.name)]
    named = {
        var.value_from.secret_key_ref.name
        for var in program.env
        if var.value_from and var.value_from.secret_key_ref
    }
    named |= {source.secret_ref.name for source in program.env_from if source.secret_ref}
    named |= {cr.spec.credentials_secret.name} if cr.spec.credentials_secret else set()
    for name in sorted(named):
        found = await do.kube.find("Secret", cr.metadata.namespace, name)
        data = lenient.texts((found or {}).get("data"))
        values += [b64decode(value).decode(errors="replace") for value in data.values()]
    return {
        line.strip() for value in values for line in value.splitlines() if len(line.strip()) >= SECRET_MIN
    }
