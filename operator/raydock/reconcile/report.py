"""A pass that ended early, or must do nothing, as status."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from raydock.api.base import Resource
from raydock.errors import Retry, Terminal, Unfinished, Waiting
from raydock.reconcile.deps import Deps, Event, Key, Outcome
from raydock.reconcile.write_status import write_status


async def told_unfinished(cr: Resource, stop: Unfinished, status_of: Callable[..., Any], do: Deps) -> Outcome:
    """Write what stopped the pass; then Waiting looks again, Terminal rests, Retry goes on to the queue."""
    told = status_of(cr, stop.reason, stop.message, do.clock(), final=isinstance(stop, Terminal))
    changed = await write_status(cr, told, do)
    if isinstance(stop, Retry):
        raise stop
    key = Key(cr.names.kind, cr.metadata.namespace, cr.metadata.name)
    events = (Event("Warning", stop.reason, stop.message, key),) if changed else ()
    return Outcome(look_again_s=stop.look_again_s if isinstance(stop, Waiting) else None, events=events)


async def paused(cr: Resource, status_of: Callable[[Any, datetime], Any], do: Deps) -> Outcome:
    """Nothing is touched but the condition that says so."""
    await write_status(cr, status_of(cr, do.clock()), do)
    return Outcome()
