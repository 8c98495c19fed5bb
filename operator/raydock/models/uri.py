"""Where `model.uri` points: a path that is mounted already, or something to fetch."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.wire import paths


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


def parse(uri: str) -> Mounted | Remote:
    """What `uri` names. Raises LoadFailed(MODEL_LOAD_FAILED) for what raydock cannot read."""
    scheme = uri.partition("://")[0].lower()
    if scheme == "pvc":
        try:
            return Mounted(Path(paths.claim_path(uri)))
        except ValueError as exc:
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"model.uri: {exc}") from None
    if scheme in ("http", "https"):
        return _remote(uri)
    raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"model.uri {told(uri)}: write pvc://, http:// or https://")


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
    parts = urlsplit(uri)
    if not parts.hostname:
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"model.uri {shown} names no host")
    if parts.username is not None or parts.password is not None:
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"model.uri {shown} must not hold a user name or password")
    name = PurePosixPath(unquote(parts.path)).name
    return Remote(uri, name if name not in ("", ".", "..") else "model")
