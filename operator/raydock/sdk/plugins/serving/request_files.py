"""Files that come with a request: a field's URL becomes the path of a file while it is validated.

contracts/actions.md 9, "Files in requests"
"""

import base64
import binascii
import mimetypes
import os
import re
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from raydock.remote.addresses import networks
from raydock.remote.outside import Limits, OutsideError, fetch
from raydock.sdk.plugins.serving.scope import Files, current

ALLOWED_ENV: Final = "RAYDOCK_FILE_FIELD_NETWORKS"
"""Networks, with commas between them, that files may be read from though they are not public: 10.1.0.0/16."""
MAX_BYTES: Final = 1 << 30
"""Behind the URLs of a request. What is in it itself is no larger than `limits.bodyBytes` lets it be."""
TOTAL_S: Final = 300.0
"""Seconds for all files behind the URLs of a request."""
URLS_MAX: Final = 64
"""Of a request: a small one must not make a replica ask half of the world."""
_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,16}")


class FileField(str):
    """The type of a field that is sent as `http(s)://…` or `data:…;base64,…`, and read as a path.

    The file is there until the request has been answered; deferred work has its own.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Pydantic's hook."""
        return core_schema.no_info_plain_validator_function(
            _path, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Pydantic's hook."""
        return {"type": "string", "format": "uri"}


def _path(value: Any) -> str:
    """The path of what `value` names; blocks. Raises pydantic's errors, which hold nothing of the URL."""
    if not isinstance(value, str):
        kind = type(value).__name__
        raise PydanticCustomError("file_field", "FileField expects a URL string, got {kind}", {"kind": kind})
    if not value.strip():
        raise PydanticCustomError("file_field", "FileField URL cannot be empty")
    scope = current()
    if scope is not None and value in scope.files.by_url:
        return scope.files.by_url[value]
    directory = _of_process() if scope is None else scope.files.directory()
    if value[:5].lower() == "data:":
        found = _inline(value, directory)
    elif (suffix := _suffix(value)) is not None:
        file = directory / f"{uuid.uuid4().hex}{suffix}"
        found = _fetched(value, file, Files() if scope is None else scope.files)
    else:
        raise _refused("want an http:// or https:// URL, or data:…;base64,…")
    if scope is not None:
        scope.files.by_url[value] = found
    return found


def _inline(value: str, directory: Path) -> str:
    head, comma, body = value[5:].partition(",")
    kind, *parameters = head.split(";")
    if not comma or "base64" not in (one.strip().lower() for one in parameters):
        raise _refused("want data:TYPE;base64,CONTENT")
    try:
        content = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _refused("its Base64 cannot be read") from None
    file = directory / f"{uuid.uuid4().hex}{mimetypes.guess_extension(kind.strip().lower()) or ''}"
    file.write_bytes(content)
    return str(file)


def _suffix(url: str) -> str | None:
    """Of the file that `url` names; empty without a plain one. None: this is no http(s) URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    name = PurePosixPath(unquote(parts.path)).suffix
    plain = name if _SUFFIX.fullmatch(name) else ""
    return plain if parts.scheme.lower() in ("http", "https") else None


def _fetched(url: str, file: Path, before: Files) -> str:
    """`before`: the files of the same request, which share its bounds."""
    if before.urls >= URLS_MAX:
        raise _refused(f"a request may hold {URLS_MAX} URLs of files")
    before.urls += 1
    left_s = max(TOTAL_S - before.fetched_s, 0)
    left = Limits(MAX_BYTES - before.fetched_bytes, left_s, allowed=_allowed())
    begun = time.monotonic()
    try:
        fetch(url, file, left)
    except OutsideError as error:
        why = str(error)
    else:
        before.fetched_bytes += file.stat().st_size
        return str(file)
    finally:
        before.fetched_s += time.monotonic() - begun
    raise _refused(f"the file cannot be fetched: {why}")


def _allowed() -> Any:
    text = os.environ.get(ALLOWED_ENV, "")  # noqa: TID251 - a replica has no settings.py
    try:
        return networks(text)
    except ValueError:
        return ()  # a typo must not open anything


def _refused(why: str) -> PydanticCustomError:
    return PydanticCustomError("file_field", "FileField: {why}", {"why": why})


@cache
def _of_process() -> Path:
    """For fields that are validated outside of a request: their files go when the process does."""
    kept = tempfile.TemporaryDirectory(prefix="raydock-files-")
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: Final[list["tempfile.TemporaryDirectory[str]"]] = []
