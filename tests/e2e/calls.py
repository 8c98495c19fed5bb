"""Requests through the gateway, with a plain HTTP client."""

import http.client
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any, Self
from urllib.parse import urlsplit

FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SAMPLES = 20
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Client:
    """One keep-alive connection to an endpoint."""

    def __init__(self, url: str, key: str | None = None, patience_s: float = PATIENCE_S) -> None:
        parts = urlsplit(url)
        self.path = parts.path
        self.key = key
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=patience_s
        )

    def post(self, body: Any, **headers: str) -> Answer:
        """POST `body` as JSON. A broken connection is an error: POST is not repeated."""
        auth = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        self._connection.request(
            "POST",
            self.path,
            json.dumps(body),
            {
                "Content-Type": "application/json",
                **auth,
                **{k.replace("_", "-"): v for k, v in headers.items()},
            },
        )
        got = self._connection.getresponse()
        return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(url: str, key: str | None = None, patience_s: float = PATIENCE_S) -> Answer:
    """One request on a connection of its own."""
    with Client(url, key, patience_s) as client:
        return client.post([FLOWER])


@dataclass
class Load:
    """Callers in the background, each on one keep-alive connection; POST, so no retry hides a failure."""

    url: str
    key: str
    callers: int = 4
    patience_s: float = PATIENCE_S
    statuses: Counter[str] = field(default_factory=Counter)
    """Number of answers by status code, or of errors by class."""
    deployments: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)
    """The first failures: when, and what was said."""
    _stop: Event = field(default_factory=Event)
    _threads: list[Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [Thread(target=self._call, daemon=True) for _ in range(self.callers)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=self.patience_s + PATIENCE_S)

    @property
    def failed(self) -> dict[str, int]:
        """What was not a 200."""
        return {status: n for status, n in self.statuses.items() if status != "200"}

    def told(self) -> str:
        """For the message of an assertion."""
        return f"{dict(self.statuses)}\n" + "\n".join(self.samples)

    def _sample(self, said: str) -> None:
        if len(self.samples) < SAMPLES:
            self.samples.append(f"{datetime.now(UTC):%H:%M:%S.%f} {said}")  # noqa: TID251 - to find it in the logs

    def _call(self) -> None:
        client = Client(self.url, self.key, self.patience_s)
        while not self._stop.is_set():
            client.key = self.key
            try:
                answer = client.post([FLOWER])
                self.statuses[str(answer.status)] += 1
                self.deployments[answer.headers.get("raydock-deployment", "")] += 1
                if answer.status != 200:
                    self._sample(f"{answer.status} {answer.body[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                self.statuses[type(error).__name__] += 1
                self._sample(repr(error))
                client.close()
            self._stop.wait(0.01)
        client.close()
