"""Answers that come later: what is sent instead, and where they wait (contracts/actions.md 9).

A request that takes too long is answered with a ticket; the same route is then asked with it.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from raydock.sdk.utils.redaction import redact_excerpt

DEFERRED_ENVELOPE_KEY: Final = "__synapse_deferred__"
POLL_REQUEST_KEY: Final = "__synapse_poll__"
STATUS_PENDING: Final = "pending"
STATUS_FAILED: Final = "failed"
STATUS_NOT_FOUND: Final = "not_found"
TTL_S: Final = 3600.0
"""Seconds from when a ticket is given out."""
TICKETS_MAX: Final = 256
"""Of one replica; the oldest of those whose work has ended goes first, without any the oldest."""


def is_poll_request(body: Any) -> bool:
    """Whether a request's body asks for the answer to a former one."""
    return isinstance(body, Mapping) and POLL_REQUEST_KEY in body


def extract_ticket(body: Mapping[str, Any]) -> str:
    """The ticket in such a body; empty for null."""
    ticket = body.get(POLL_REQUEST_KEY)
    return "" if ticket is None else str(ticket)


def pending_envelope(ticket: str) -> dict[str, Any]:
    """The answer is not there yet."""
    return {DEFERRED_ENVELOPE_KEY: True, "status": STATUS_PENDING, "ticket": ticket}


def failed_envelope(error: str) -> dict[str, Any]:
    """There will be none."""
    return {DEFERRED_ENVELOPE_KEY: True, "status": STATUS_FAILED, "error": error}


def not_found_envelope(ticket: str | None) -> dict[str, Any]:
    """There is no such ticket, not any more, or not for this caller."""
    return {DEFERRED_ENVELOPE_KEY: True, "status": STATUS_NOT_FOUND, "ticket": ticket or ""}


def is_deferred_envelope(answer: Any) -> bool:
    """Whether an answer is one of these three, instead of a result."""
    return isinstance(answer, Mapping) and answer.get(DEFERRED_ENVELOPE_KEY) is True


def is_pending(answer: Any) -> bool:
    """Whether it is worth asking again."""
    return is_deferred_envelope(answer) and answer.get("status") == STATUS_PENDING


@dataclass(frozen=True)
class _Kept:
    work: "asyncio.Future[Any]"
    caller: str
    secrets: tuple[str, ...] = field(repr=False)
    until: float
    """Of the clock."""


class TicketStore:
    """Work of one replica whose callers come back. All calls come from its event loop."""

    def __init__(
        self,
        *,
        ttl_s: float = TTL_S,
        most: int = TICKETS_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: monotonic seconds."""
        self._ttl_s = ttl_s
        self._most = most
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def open(self, work: "asyncio.Future[Any]", caller: str, secrets_of_call: Collection[str] = ()) -> str:
        """A ticket for `work`, good for `caller` alone: a text that tells nothing and cannot be guessed.

        `secrets_of_call`: texts that the caller is not told when the work fails.
        """
        self._drop_old()
        if len(self._kept) >= self._most:
            ended = (one for one, kept in self._kept.items() if kept.work.done())
            self._drop(next(ended, next(iter(self._kept))))
        ticket = secrets.token_urlsafe(24)
        self._kept[ticket] = _Kept(work, caller, tuple(secrets_of_call), self._clock() + self._ttl_s)
        return ticket

    def poll(self, ticket: str, caller: str, *, keep_s: float = 0) -> tuple[Any, ...]:
        """The one answer to a poll: the result, once, or an envelope; empty when the ticket is not here.

        `keep_s`: seconds for which the same is answered again, where the answer may get lost on its way.
        """
        self._drop_old()
        kept = self._kept.get(ticket)
        if kept is None or not hmac.compare_digest(kept.caller.encode(), caller.encode()):
            return ()
        if not kept.work.done():
            return (pending_envelope(ticket),)
        until = min(kept.until, self._clock() + keep_s)
        self._kept[ticket] = replace(kept, until=until)
        self._drop_old()
        if kept.work.cancelled():
            return (failed_envelope("the work was given up"),)
        error = kept.work.exception()
        if error is not None:
            return (failed_envelope(redact_excerpt(str(error), kept.secrets) or type(error).__name__),)
        return (kept.work.result(),)

    def __len__(self) -> int:
        return len(self._kept)

    def _drop_old(self) -> None:
        now = self._clock()
        for ticket in [one for one, kept in self._kept.items() if kept.until <= now]:
            self._drop(ticket)

    def _drop(self, ticket: str) -> None:
        """Nobody can ask for it any more: work that still goes on is given up."""
        self._kept.pop(ticket).work.cancel()
