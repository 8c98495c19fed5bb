"""A job until its end, whatever happens to the connection meanwhile."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from raydock.client import jobs
from raydock.client.errors import Expired, JobNotFound, Unreachable, of_status_object
from raydock.client.job import Job, job
from raydock.client.session import Session
from raydock.facts import lenient

WATCH_S: Final = 60.0
"""One watch lasts this long: then the job is looked at anew, so that nothing that got lost stays lost."""
SILENCE_S: Final = 15.0
"""Beyond the watch's end: a connection that is silent for longer is dead."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 15.0


class StillRunning(Exception):
    """The time is over and the job is not."""


@dataclass(frozen=True)
class Clock:
    """Time as the loop sees it, in seconds."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep  # there is nothing to await: the API server is away


@dataclass(frozen=True)
class Lost:
    """There is no connection now; it is tried again."""

    why: str


def follow(
    session: Session,
    name: str,
    namespace: str | None = None,
    *,
    timeout_s: float | None = None,
    clock: Clock | None = None,
    until_gone: bool = False,
) -> Iterator[Job | Lost]:
    """The job now, and each time it changed, until it ended; with `until_gone`, beyond its end.

    The first look must succeed; a connection that is lost later is made anew. Raises StillRunning after
    `timeout_s`, and JobNotFound when the job is gone.
    """
    clock = clock or Clock()
    ends = None if timeout_s is None else clock.now() + timeout_s
    last = jobs.get(session, name, namespace)
    yield last
    pause_s = FIRST_PAUSE_S
    while until_gone or not last.ended:
        left_s = None if ends is None else ends - clock.now()
        if left_s is not None and left_s <= 0:
            raise StillRunning
        try:
            for seen in _changes(session, last, WATCH_S if left_s is None else min(WATCH_S, left_s)):
                pause_s = FIRST_PAUSE_S
                if seen.version != last.version:
                    last = seen
                    yield last
                if last.ended and not until_gone:
                    return
        except Expired:
            continue
        except Unreachable as error:
            yield Lost(str(error))
            clock.pause(pause_s if left_s is None else min(pause_s, left_s))
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


def _changes(session: Session, last: Job, seconds: float) -> Iterator[Job]:
    """The job as it is now, then each of its changes for some time."""
    now = jobs.get(session, last.name, last.namespace)
    if now.uid != last.uid:
        raise _gone(last)
    yield now
    query = {
        "watch": "true",
        "fieldSelector": f"metadata.name={last.name}",
        "resourceVersion": now.version,
        "timeoutSeconds": str(max(1, round(seconds))),
    }
    path = jobs.KIND.path(last.namespace)
    with session.lines(path, query, read_s=seconds + SILENCE_S) as lines:
        for line in lines:
            kind, obj = _event(line)
            if kind == "ERROR":
                raise of_status_object(lenient.number(obj.get("code")), obj)
            if kind == "DELETED":
                raise _gone(last)
            if kind in {"ADDED", "MODIFIED"}:
                yield job(obj)


def _event(line: str) -> tuple[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        raise Unreachable("the watch broke off in the middle of a line") from None
    return lenient.text(lenient.at(event, "type")), lenient.mapping(lenient.at(event, "object"))


def _gone(last: Job) -> JobNotFound:
    return JobNotFound(f"BatchJob {last.id} was deleted when it was {last.state}")
