"""Work that may take longer than its request, and polls for it that may land on any replica."""

import asyncio
import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from raydock.sdk.plugins.actions.inference.deferred import (
    TicketStore,
    not_found_envelope,
    pending_envelope,
)
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.failures import INFERENCE_BUSY
from raydock.sdk.plugins.serving.scope import Scope, entered
from raydock.sdk.plugins.serving.worker_threads import WorkerThreads
from raydock.sdk.utils.redaction import redact_excerpt

ASK_S: Final = 5.0
"""Seconds that the other replicas have to say whether a ticket is theirs."""
HANDED_ON_S: Final = 60.0
"""Seconds for which another replica gets the same answer: the one that asked may not have waited for it."""
LATE_MAX: Final = 128
"""Works of one replica that are late and go on: less than TicketStore keeps."""
TICKET_MAX: Final = 128
"""Characters; ours are shorter."""
METHOD: Final = "deferred_answer"
"""Of the class that Ray Serve runs: what the other replicas are asked by."""

Elsewhere = Callable[[str, str], Awaitable[tuple[Any, ...]]]
"""Asks the other replicas: ticket and caller; as TicketStore.poll."""

log = logging.getLogger(__name__)


class Deferring:
    """Of one replica."""

    def __init__(
        self, elsewhere: Elsewhere, tickets: TicketStore | None = None, *, late_max: int = LATE_MAX
    ) -> None:
        self._elsewhere = elsewhere
        self._tickets = tickets or TicketStore()
        self._threads = WorkerThreads()
        self._works: set[asyncio.Task[Any]] = set()
        self._late: set[asyncio.Task[Any]] = set()
        self._late_max = late_max

    async def answer(
        self,
        scope: Scope,
        body: Any,
        input_model: type[BaseModel] | None,
        runner: Callable[[Any], Any],
        deadline_s: float,
    ) -> Any:
        """What `runner` makes of `body`, if it is there within `deadline_s`; else an envelope with a ticket.

        Raises what `runner` raises until then, RequestValidationError for what `input_model` refuses, and
        ModelLoadError(InferenceBusy) where too much that is late goes on already.
        """
        if len(self._late) >= self._late_max:
            raise ModelLoadError(
                "this replica works on as many late requests as it may", status_code=503, code=INFERENCE_BUSY
            )
        work = asyncio.ensure_future(self._worked(scope, body, input_model, runner))
        self._works.add(work)
        work.add_done_callback(partial(self._end, scope))
        try:
            await asyncio.wait({work}, timeout=deadline_s)
        except asyncio.CancelledError:
            work.cancel()  # nobody has a ticket for it
            raise
        if work.done():
            return work.result()
        self._late.add(work)
        return pending_envelope(self._tickets.open(work, scope.caller, scope.secrets()))

    async def poll(self, ticket: str, caller: str) -> Any:
        """The answer to a poll, wherever the work is."""
        found = self._tickets.poll(ticket, caller)
        if not found and 0 < len(ticket) <= TICKET_MAX:
            found = await self._elsewhere(ticket, caller)
        return found[0] if found else not_found_envelope(ticket[:TICKET_MAX])

    def here(self, ticket: str, caller: str) -> tuple[Any, ...]:
        """The same for another replica that asks, if the work is of this one; else empty."""
        return self._tickets.poll(ticket, caller, keep_s=HANDED_ON_S)

    async def close(self) -> None:
        """Wait for work that is under way: it uses models."""
        if self._works:
            await asyncio.wait(self._works)

    async def _worked(
        self, scope: Scope, body: Any, input_model: type[BaseModel] | None, runner: Callable[[Any], Any]
    ) -> Any:
        with entered(scope.like()):  # begins before `scope` can end
            given = body if input_model is None else await self._threads.run(_validated, body, input_model)
            if inspect.iscoroutinefunction(runner):
                return await runner(given)
            result = await self._threads.run(runner, given)
            return await result if inspect.isawaitable(result) else result

    def _end(self, scope: Scope, work: "asyncio.Task[Any]") -> None:
        is_late = work in self._late
        self._works.discard(work)
        self._late.discard(work)
        # Seen, also where nobody comes for it; what was not late is told to its caller.
        error = None if work.cancelled() else work.exception()
        if error is not None and is_late:
            told = redact_excerpt("".join(traceback.format_exception(error)), scope.secrets())
            log.error("the deferred work of request %s failed:\n%s", scope.request_id, told)


def _validated(body: Any, input_model: type[BaseModel]) -> Any:
    """Blocks: a file in it may have to be fetched. Raises FastAPI's RequestValidationError, a 422."""
    from fastapi.exceptions import RequestValidationError  # noqa: PLC0415 - only a replica has it

    if isinstance(body, input_model):
        return body
    try:
        return input_model.model_validate(body)
    except ValidationError as error:
        found: list[Mapping[str, Any]] = [
            {**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False)
        ]
    raise RequestValidationError(found, body=body)


async def other_replicas(ticket: str, caller: str) -> tuple[Any, ...]:
    """What the replicas of this one's deployment know of a ticket; nothing outside of Ray Serve."""
    try:
        from ray import serve  # noqa: PLC0415 - a class that is only tried out needs no Ray
        from ray.serve.exceptions import RayServeException  # noqa: PLC0415 - as above
    except ImportError:
        return ()
    try:
        context = serve.get_replica_context()
    except RayServeException:
        return ()
    # Without _check_exists=False it would ask the controller, and stop the loop meanwhile.
    handle = serve.get_deployment_handle(context.deployment, context.app_name, _check_exists=False)
    try:
        # results_async() gives the answers of all replicas or, when one is silent, of none.
        asked = handle.broadcast(METHOD, ticket, caller)._fetch_replica_results_async()  # noqa: SLF001 - see above
        replicas: list[Any] = await asyncio.wait_for(asked, ASK_S)
        answers = [one.get_async() for one in replicas]
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer may be there at the next poll
        log.warning("the other replicas could not be asked for a ticket (%s)", type(error).__name__)
        return (pending_envelope(ticket),)
    return await heard(answers, ticket)


async def heard(answers: Sequence[Awaitable[Any]], ticket: str, ask_s: float = ASK_S) -> tuple[Any, ...]:
    """What the replicas say of a ticket, each as `here`; `pending` where one that is silent may have it."""
    asking = [asyncio.ensure_future(_told(one)) for one in answers]
    try:
        for one in asyncio.as_completed(asking, timeout=ask_s):
            if told := await one:
                return told
    except TimeoutError:
        return (pending_envelope(ticket),)
    finally:
        for left in asking:
            left.cancel()
    return ()


async def _told(answer: Awaitable[Any]) -> tuple[Any, ...]:
    try:
        told = await answer
    except Exception:  # noqa: BLE001 - a replica that is gone, or fails, has no ticket
        return ()
    return tuple(told) if isinstance(told, list | tuple) else ()
