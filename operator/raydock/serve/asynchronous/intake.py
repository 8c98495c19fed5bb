"""Accepting an asynchronous request: the caller is told so once it is kept."""

import time
import uuid
from dataclasses import dataclass
from typing import Final

from raydock.remote.stores import StoreError
from raydock.serve.answer import Code, Refused
from raydock.serve.asynchronous import record
from raydock.serve.asynchronous.objects import Objects
from raydock.serve.asynchronous.record import Asked
from raydock.wire.record import WireError, dumps, loads

INLINE_MAX: Final = 128_000
"""Bytes of a payload that comes with the request."""


@dataclass(frozen=True)
class Wish:
    """What a caller asks for, beside the payload."""

    id: str
    path: str
    ttl_s: int
    timeout_s: int
    file: str | None = None
    """Name of the answer; None: made of the id."""
    folder: str | None = None
    """Where it shall lie below OUTPUT."""
    location: str | None = None
    content_type: str | None = None
    accept: str | None = None
    attributes: str | None = None
    directed: bool = False
    """Whether the caller named the Deployment."""


async def accept(output: Objects, endpoint: str, deployment: str, wish: Wish, body: bytes) -> Asked:
    """Keep a request, and give what is kept: of an id that is known already, what was asked first.

    Raises StoreError, and then nothing was promised; and Refused for an id that another endpoint keeps there.
    """
    of = record.name(wish.id)
    if (done := await output.read(record.done_path(of))) is not None:
        return _own(done, endpoint)
    asked = _asked(endpoint, deployment, wish, of)
    own_body = record.body_path(of, asked.body)
    if asked.location is None:
        await output.create(own_body, body, wish.content_type or "application/octet-stream")
    content = dumps(asked).encode()
    if not await output.create(record.record_path(of), content):
        kept = await output.read(record.record_path(of)) or await output.read(record.done_path(of))
        if kept == content:  # ours after all: its store took it, and could not say so
            return asked
        await output.delete(own_body)
        return _own(kept or content, endpoint)
    if (done := await output.read(record.done_path(of))) is not None:  # it was finished in this moment
        await output.delete(record.record_path(of), own_body)
        return _own(done, endpoint)
    return asked


def _asked(endpoint: str, deployment: str, wish: Wish, of: str) -> Asked:
    file = wish.file or f"{of}.out"
    return Asked(
        id=wish.id,
        endpoint=endpoint,
        deployment=deployment,
        at=time.time(),
        path=wish.path,
        output=f"{wish.folder}/{file}" if wish.folder else file,
        ttl_s=wish.ttl_s,
        timeout_s=wish.timeout_s,
        location=wish.location,
        body=uuid.uuid4().hex,
        directed=wish.directed,
        content_type=wish.content_type,
        accept=wish.accept,
        attributes=wish.attributes,
    )


def _own(content: bytes, endpoint: str) -> Asked:
    try:
        found = loads(Asked, content)
    except WireError:
        raise StoreError(
            "what is kept of this InferenceId is no request: use another one", final=True
        ) from None
    if found.endpoint != endpoint:
        told = "another endpoint has a request of this InferenceId: give each one an outputUri of its own"
        raise Refused(Code.BAD_REQUEST, told)
    return found
