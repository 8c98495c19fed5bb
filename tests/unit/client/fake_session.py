"""An API server that answers from a script: to see what the client asks, and what it does with answers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from raydock.client.session import Session

READY = {"type": "Ready", "status": "False"}


def batch_job(
    state: str = "Running",
    version: int = 1,
    *,
    name: str = "job",
    uid: str = "u",
    progress: Mapping[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """A BatchJob as the API server gives it."""
    ready = READY | {"reason": status.pop("reason", state), "message": status.pop("message", "")}
    return {
        "metadata": {"name": name, "namespace": "demo", "uid": uid, "resourceVersion": str(version)},
        "spec": {"output": {"uri": "pvc://data/out"}},
        "status": {"state": state, "conditions": [ready], "progress": dict(progress or {}), **status},
    }


class FakeSession:
    """Answers `send` and `lines` with what was put in, in turn; an exception is raised."""

    namespace = "demo"

    def __init__(self, answers: list[Any] | None = None, watches: list[Any] | None = None) -> None:
        self.answers = answers or []
        self.watches = watches or []
        self.asked: list[tuple[str, str, Mapping[str, str], Any]] = []
        """Method, path, query and body of each call."""

    def send(self, method: str, path: str, *, query: Any = None, body: Any = None, content: str = "") -> Any:
        self.asked.append((method, path, query or {}, body))
        return _given(self.answers.pop(0))

    @contextmanager
    def lines(self, path: str, query: Mapping[str, str], *, read_s: float | None) -> Iterator[Iterator[str]]:
        self.asked.append(("GET", path, query, None))
        yield _each(_given(self.watches.pop(0)))

    def as_session(self) -> Session:
        return cast(Session, self)


def _given(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _each(events: list[Any]) -> Iterator[str]:
    for event in events:
        given = _given(event)
        yield given if isinstance(given, str) else json.dumps(given)


def event(obj: Mapping[str, Any], kind: str = "MODIFIED") -> dict[str, Any]:
    """A line of a watch."""
    return {"type": kind, "object": obj}
