"""An object store below one address, by path."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import unquote

import obstore
from obstore.exceptions import AlreadyExistsError

from raydock.remote.stores import PREFIXES, Opener, telling

SOON: Final = "30s"
PATIENT: Final = "3700s"
"""For a payload that the app reads as it likes (InvocationTimeoutSeconds), and for a large answer."""
MAX_RETRIES: Final = 3
RETRY_S: Final = 10.0
CALL_S: Final = 15.0
"""For one small object, with its retries."""
LIST_S: Final = 60.0
LEAST_RATE: Final = 2**20
"""Bytes per second that a store takes at least."""
JSON: Final = "application/json"
OWNER: Final = "inferenceid"
"""Metadata of an answer: whose it is. Azure takes no hyphen."""
_HTTPS: Final = re.compile(r"(?:([^./]+(?:\.[^./]+)*)\.)?s3[.-][a-z0-9-]+\.amazonaws\.com(?:\.cn)?")

R = TypeVar("R")


@dataclass(frozen=True)
class Seen:
    """An object, as a listing shows it."""

    mark: str
    """Another one once it was rewritten."""
    modified: datetime


class Objects:
    """What lies below `uri`. All calls raise StoreError."""

    def __init__(self, uri: str, variables: Mapping[str, str]) -> None:
        """`variables`: of the store's clients, such as AWS_ACCESS_KEY_ID; unknown ones are left out."""
        self.uri = uri.rstrip("/")
        opener = Opener(uri, variables)
        self._store = opener.open(SOON, max_retries=MAX_RETRIES, retry_s=RETRY_S)
        self._patient = opener.open(PATIENT, max_retries=MAX_RETRIES, retry_s=RETRY_S)

    async def create(self, path: str, content: bytes, content_type: str = JSON, owner: str = "") -> bool:
        """Make an object, whole or not at all; False, and nothing done, where it exists."""
        attributes = {"Content-Type": content_type, **({OWNER: owner} if owner else {})}
        limit_s = CALL_S + len(content) / LEAST_RATE
        with telling(), suppress(AlreadyExistsError):
            put = obstore.put_async(self._patient, path, content, mode="create", attributes=attributes)
            await _within(limit_s, put)
            return True
        return False

    def replace(self, path: str, content: bytes) -> None:
        """Make an object, or another one of what is there. Blocks: for threads."""
        with telling():
            obstore.put(self._store, path, content)

    async def read(self, path: str) -> bytes | None:
        """Content of a small object; None where there is none."""

        async def whole() -> bytes:
            found = await obstore.get_async(self._store, path)
            return bytes(await found.bytes_async())

        with telling(), suppress(FileNotFoundError):
            return await _within(CALL_S, whole())
        return None

    async def parts(self, path: str) -> AsyncGenerator[bytes, None]:
        """Its content as it comes; it is asked for with the first part."""
        with telling():
            found = await _within(CALL_S, obstore.get_async(self._patient, path))
            async for part in found.stream():
                yield bytes(part)

    async def owner(self, path: str) -> str | None:
        """Whose an object is, empty if somebody else made it; None where there is none."""
        with telling(), suppress(FileNotFoundError):
            found = await _within(CALL_S, obstore.get_async(self._store, path))
            return str(found.attributes.get(OWNER, ""))
        return None

    async def size(self, path: str) -> int | None:
        """Its bytes; None where there is no such object."""
        with telling(), suppress(FileNotFoundError):
            found = await _within(CALL_S, obstore.head_async(self._store, path))
            return int(found["size"])
        return None

    async def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        return await self.size(path) is not None

    async def list(self, folder: str) -> dict[str, Seen]:
        """What lies directly in `folder`, by name."""
        with telling():
            found = await _within(LIST_S, obstore.list_with_delimiter_async(self._store, folder))
        return {
            one["path"].rpartition("/")[2]: Seen(
                f"{one['e_tag']} {one['last_modified']}", one["last_modified"]
            )
            for one in found["objects"]
        }

    async def delete(self, *paths: str) -> None:
        """Take objects away; what is not there is no error."""
        for path in paths:
            with telling(), suppress(FileNotFoundError):
                await _within(CALL_S, obstore.delete_async(self._store, path))


def located(location: str) -> tuple[str, str] | None:
    """Store and path of an object's address; None for what is none.

    `https://` is the address of an object in S3, as its console shows it.
    """
    scheme, _, rest = location.partition("://")
    host, _, path = rest.partition("/")
    if scheme == "https" and (found := _HTTPS.fullmatch(host)):
        bucket, path = (found[1], path) if found[1] else (path.partition("/")[0], path.partition("/")[2])
        scheme, host, path = "s3", bucket, unquote(path)
    return (f"{scheme}://{host}", path) if scheme in PREFIXES and host and path else None


async def _within(seconds: float, call: Awaitable[R]) -> R:
    async with asyncio.timeout(seconds):
        return await call
