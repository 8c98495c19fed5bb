"""What is kept of an asynchronous request, and where."""

import re
from dataclasses import dataclass
from typing import Final

REQUESTS: Final = "_requests"
DONE: Final = f"{REQUESTS}/done"
RECORD: Final = ".json"
_CLAIM: Final = re.compile(r"(.+)\.claim-([0-9]+)")


@dataclass(frozen=True)
class Asked:
    """One request, as it was accepted."""

    id: str
    """InferenceId."""
    endpoint: str
    deployment: str
    """That accepted it."""
    at: float
    """When, in seconds since 1970."""
    path: str
    """Where the host takes such a request to the app."""
    output: str
    """Path of the answer below OUTPUT."""
    ttl_s: int
    """How long it may wait for its beginning."""
    timeout_s: int
    """How long the app may take."""
    location: str | None = None
    """URI of the payload; None: it is kept beside the request."""
    body: str = ""
    """Which payload beside it is its own: one that was asked for again may have left another."""
    directed: bool = False
    """Whether the caller named the Deployment: no other one answers."""
    content_type: str | None = None
    accept: str | None = None
    attributes: str | None = None


@dataclass(frozen=True)
class Claim:
    """Who works on a request."""

    owner: str
    beat: int
    """Counts up while he is alive."""


def name(inference_id: str) -> str:
    """An id as a part of a path: each id has its own, and none leads elsewhere."""
    return re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found[0]):02x}", inference_id)


def record_path(of: str) -> str:
    """Where the request lies. `of`: its `name`, here and below."""
    return f"{REQUESTS}/{of}{RECORD}"


def done_path(of: str) -> str:
    """Where it lies once it is over."""
    return f"{DONE}/{of}{RECORD}"


def body_path(of: str, body: str) -> str:
    """Where its payload lies. `body`: Asked.body."""
    return f"{REQUESTS}/{of}.body-{body}"


def claim_path(of: str, number: int) -> str:
    """Where a claim to it lies."""
    return f"{REQUESTS}/{of}.claim-{number}"


def failure_path(of: str) -> str:
    """Where it is told why there is no answer, below FAILURE."""
    return f"{of}-error.out"


def claim_of(file: str) -> tuple[str, int] | None:
    """Name and number of a claim in REQUESTS; None for another file."""
    found = _CLAIM.fullmatch(file)
    return (found[1], int(found[2])) if found else None
