"""Where `model.uri` points: a path that is mounted already, or something to fetch."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.wire import paths

NAME_MAX: Final = 200
"""Bytes of a file's name; disks take 255, and the cache puts something behind some."""


@dataclass(frozen=True)
class Mounted:
    """A file or directory of a claim, used where it lies."""

    path: Path


@dataclass(frozen=True)
class Remote:
    """A file behind http(s)."""

    url: str
    name: str
    """Its file name, by which an archive is known; never empty."""


class NotAUri(LoadFailed):
    """Nothing can be read by it, now or later."""


def parse(uri: str) -> Mounted | Remote:
    """What `uri` names. Raises NotAUri(MODEL_LOAD_FAILED) for what raydock cannot read."""
    scheme = uri.partition("://")[0].lower()
    if scheme == "pvc":
        try:
            return Mounted(Path(paths.claim_path(uri)))
        except ValueError as exc:
            raise NotAUri(Reason.MODEL_LOAD_FAILED, f"model.uri: {exc}") from None
    if scheme in ("http", "https"):
        return _remote(uri)
    raise NotAUri(Reason.MODEL_LOAD_FAILED, f"model.uri {told(uri)}: write pvc://, http:// or https://")


def told(uri: str) -> str:
    """`uri` as a message may show it: a query may hold a signature, user information a password."""
    try:
        parts = urlsplit(uri)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(not a URI)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}" if parts.scheme else "(not a URI)"


def _remote(uri: str) -> Remote:
    shown = told(uri)
    parts = _split(uri)
    if parts is None:
        said = f"model.uri {shown} is no URL: quote what is none of its characters"
        raise NotAUri(Reason.MODEL_LOAD_FAILED, said)
    if not parts.hostname:
        raise NotAUri(Reason.MODEL_LOAD_FAILED, f"model.uri {shown} names no host")
    if parts.username is not None or parts.password is not None:
        raise NotAUri(Reason.MODEL_LOAD_FAILED, f"model.uri {shown} must not hold a user name or password")
    name = PurePosixPath(unquote(parts.path)).name
    is_name = name not in ("", ".", "..") and "\0" not in name and len(name.encode()) <= NAME_MAX
    return Remote(uri, name if is_name else "model")


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - which looks whether it is one
    except ValueError:
        return None
    return parts if uri.isascii() and uri.isprintable() and " " not in uri else None
