"""An object store below one address, by path."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import from_url

PREFIXES: Final = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""What the variables of each scheme begin with; a Secret may have others beside them."""
CONNECT: Final = "5s"
SOON: Final = "30s"
PATIENT: Final = "3700s"
"""For a payload that the app reads as it likes (InvocationTimeoutSeconds), and for a large answer."""
RETRIES: Final = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}
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


class StoreError(Exception):
    """The store did not do what it was asked to; the message names no address and no key."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        """`final`: the same will come of another try."""
        super().__init__(message)
        self.final = final


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
        prefix = PREFIXES.get(uri.partition("://")[0])
        if prefix is None:
            raise StoreError("an address begins with s3://, gs:// or az://", final=True)
        config = {name: value for name, value in variables.items() if name.upper().startswith(prefix)}
        with _telling():
            try:
                self._store = self._opened(config, SOON)
            except UnknownConfigurationKeyError:
                config = {name: value for name, value in config.items() if self._is_known(name, value)}
                self._store = self._opened(config, SOON)
            self._patient = self._opened(config, PATIENT)

    async def create(self, path: str, content: bytes, content_type: str = JSON, owner: str = "") -> bool:
        """Make an object, whole or not at all; False, and nothing done, where it exists."""
        attributes = {"Content-Type": content_type, **({OWNER: owner} if owner else {})}
        limit_s = CALL_S + len(content) / LEAST_RATE
        with _telling(), suppress(AlreadyExistsError):
            put = obstore.put_async(self._patient, path, content, mode="create", attributes=attributes)
            await _within(limit_s, put)
            return True
        return False

    def replace(self, path: str, content: bytes) -> None:
        """Make an object, or another one of what is there. Blocks: for threads."""
        with _telling():
            obstore.put(self._store, path, content)

    async def read(self, path: str) -> bytes | None:
        """Content of a small object; None where there is none."""

        async def whole() -> bytes:
            found = await obstore.get_async(self._store, path)
            return bytes(await found.bytes_async())

        with _telling(), suppress(FileNotFoundError):
            return await _within(CALL_S, whole())
        return None

    async def parts(self, path: str) -> AsyncGenerator[bytes, None]:
        """Its content as it comes; it is asked for with the first part."""
        with _telling():
            found = await _within(CALL_S, obstore.get_async(self._patient, path))
            async for part in found.stream():
                yield bytes(part)

    async def owner(self, path: str) -> str | None:
        """Whose an object is, empty if somebody else made it; None where there is none."""
        with _telling(), suppress(FileNotFoundError):
            found = await _within(CALL_S, obstore.get_async(self._store, path))
            return str(found.attributes.get(OWNER, ""))
        return None

    async def size(self, path: str) -> int | None:
        """Its bytes; None where there is no such object."""
        with _telling(), suppress(FileNotFoundError):
            found = await _within(CALL_S, obstore.head_async(self._store, path))
            return int(found["size"])
        return None

    async def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        return await self.size(path) is not None

    async def list(self, folder: str) -> dict[str, Seen]:
        """What lies directly in `folder`, by name."""
        with _telling():
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
            with _telling(), suppress(FileNotFoundError):
                await _within(CALL_S, obstore.delete_async(self._store, path))

    def _is_known(self, name: str, value: str) -> bool:
        try:
            self._opened({name: value}, SOON)
        except UnknownConfigurationKeyError:
            return False
        except Exception:  # noqa: BLE001 - it is known, and lacks the others
            return True
        return True

    def _opened(self, config: Mapping[str, str], timeout: str) -> Any:
        opened: Any = from_url  # its overloads are by store, and which one it is says the address
        plain = any(value.startswith("http://") for value in config.values())
        client = {"connect_timeout": CONNECT, "timeout": timeout, "allow_http": plain}
        return opened(self.uri, config=dict(config), client_options=client, retry_config=RETRIES)


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


@contextmanager
def _telling() -> Iterator[None]:
    """Whatever goes wrong in the context is a StoreError."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - its clients raise anything, with addresses in it
        raise _told(error) from None


def _told(error: Exception) -> StoreError:
    """Their own words have addresses in them."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StoreError("the object store refused the credentials", final=True)
    final = isinstance(error, ValueError)
    return StoreError(f"the object store failed ({type(error).__name__})", final=final)
