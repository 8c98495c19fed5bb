"""What boto3's invoke_endpoint_async asks for, and what it is told (contracts/clouds.md 2.B)."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Final

from raydock.remote.stores import PREFIXES
from raydock.serve.answer import Code, Refused
from raydock.serve.asynchronous.intake import Wish
from raydock.serve.asynchronous.objects import located
from raydock.serve.asynchronous.record import REQUESTS, Asked, failure_path, name
from raydock.serve.formats.form import TYPE, Whole
from raydock.wire.access import AsyncAccess

_PREFIX: Final = b"x-amzn-sagemaker-"
LOCATION_MAX: Final = 1024
TTL_S: Final = (60, 21_600, 21_600)
"""Least, most, default."""
TIMEOUT_S: Final = (1, 3600, 900)
OURS: Final = (REQUESTS, "failures")
"""Folders below OUTPUT that hold no answers."""
_FILE: Final = re.compile(r"(?!.*\..*\.)[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_FOLDER: Final = re.compile(r"(?!s3:|https:)[A-Za-z0-9!_.*'()/-]{1,512}")


def wish(
    headers: Mapping[bytes, bytes], inference_id: bytes, attributes: bytes, path: str, *, directed: bool
) -> Wish:
    """From the headers of a request. `path`: where the host takes it. Raises Refused."""
    location = _text(headers, b"inputlocation")
    if location is not None and (len(location) > LOCATION_MAX or located(location) is None):
        schemes = ", ".join(f"{one}://" for one in PREFIXES)
        raise _bad(
            "InputLocation", f"want the address of an object: {schemes}, at most {LOCATION_MAX} characters"
        )
    file, folder = _text(headers, b"filename"), _text(headers, b"s3outputpathextension")
    if file is not None and not _FILE.fullmatch(file):
        raise _bad("Filename", "want 1 to 32 of A-Z, a-z, 0-9, - and _, with one . at most")
    return Wish(
        id=inference_id.decode() or str(uuid.uuid4()),
        path=path,
        ttl_s=_seconds(headers, b"requestttlseconds", "RequestTTLSeconds", TTL_S),
        timeout_s=_seconds(headers, b"invocationtimeoutseconds", "InvocationTimeoutSeconds", TIMEOUT_S),
        file=file,
        folder=_folder(folder) if folder is not None else None,
        location=location,
        content_type=_text(headers, b"content-type"),
        accept=_text(headers, b"accept"),
        attributes=attributes.decode() or None,
        directed=directed,
    )


def kept(asked: Asked, rules: AsyncAccess) -> Whole:
    """The answer to a request that is kept."""
    output = f"{rules.output_uri.rstrip('/')}/{asked.output}"
    failure = f"{rules.failure_uri.rstrip('/')}/{failure_path(name(asked.id))}"
    headers = [
        (TYPE, b"application/json"),
        (_PREFIX + b"outputlocation", output.encode()),
        (_PREFIX + b"failurelocation", failure.encode()),
    ]
    return Whole(202, headers, json.dumps({"InferenceId": asked.id}).encode())


def _folder(text: str) -> str:
    parts = text.strip("/").split("/")
    if not _FOLDER.fullmatch(text) or {"", ".", ".."} & set(parts) or parts[0] in OURS:
        raise _bad("S3OutputPathExtension", "want a path of A-Z, a-z, 0-9 and !_.*'()-, without . and ..")
    return "/".join(parts)


def _seconds(headers: Mapping[bytes, bytes], key: bytes, option: str, bounds: tuple[int, int, int]) -> int:
    least, most, default = bounds
    text = _text(headers, key)
    if text is None:
        return default
    found = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if not least <= found <= most:
        raise _bad(option, f"want {least} to {most}")
    return found


def _text(headers: Mapping[bytes, bytes], key: bytes) -> str | None:
    found = headers.get(_PREFIX + key)
    return found.decode("latin-1") if found else None


def _bad(option: str, message: str) -> Refused:
    return Refused(Code.BAD_REQUEST, f"{option}: {message}")
