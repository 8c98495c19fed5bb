"""A model's files, fetched and unpacked for an action (contracts/actions.md 6, "Downloads").

The same fetching, unpacking and caching as serving's and batch's (raydock.models), with the tunables of the
action SDK.
"""

import math
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raydock.models import archive, cache, fetch, uri
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.utils.redaction import redact_text
from raydock.wire import paths

MAX_BYTES_ENV: Final = "RAYDOCK_MAX_ARTIFACT_BYTES"
_PREFIX: Final = "SYNAPSE_DOWNLOAD_"


@dataclass(frozen=True)
class Tunables:
    """What the environment may change of a download. Times are seconds."""

    attempts: int = 5
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 8.0
    recovery_cap_s: float = 60.0
    range_resume: bool = True
    max_bytes: int = 100 << 30
    """Of the file, and of what it holds."""
    total_s: float = 3600
    """For the whole download, attempts and pauses: a server that drips must not hold a model for ever."""

    def bounds(self, headers: Mapping[str, str]) -> fetch.Bounds:
        """For one file."""
        patience = fetch.Patience(
            self.backoff_base_s, self.backoff_cap_s, self.attempts, self.recovery_cap_s, self.range_resume
        )
        return fetch.Bounds(time.monotonic() + self.total_s, self.max_bytes, patience, headers)


def tunables(environment: Mapping[str, str]) -> Tunables:
    """What `environment` says. Raises ValueError with the name of a variable that is no figure."""
    default = Tunables()
    resume = environment.get(f"{_PREFIX}RANGE_RESUME", "true").strip().lower()
    return Tunables(
        attempts=int(_figure(environment, f"{_PREFIX}MAX_RETRIES", default.attempts, least=1)),
        backoff_base_s=_figure(environment, f"{_PREFIX}BACKOFF_BASE", default.backoff_base_s),
        backoff_cap_s=_figure(environment, f"{_PREFIX}BACKOFF_CAP", default.backoff_cap_s),
        recovery_cap_s=_figure(environment, f"{_PREFIX}RECOVERY_CAP_SECONDS", default.recovery_cap_s),
        range_resume=resume not in ("false", "0", "no", "off"),
        max_bytes=int(_figure(environment, MAX_BYTES_ENV, default.max_bytes, least=1)),
        total_s=_figure(environment, f"{_PREFIX}TOTAL_SECONDS", default.total_s),
    )


@dataclass(frozen=True)
class Fetched:
    """A model's files in a directory of one's own."""

    path: Path
    kept: Path | None
    """The cache's entry that they share their blocks with; None for what is mounted."""

    def forget(self) -> None:
        """Take the directory away, and the cache's copy where nobody else of this pod has one."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.kept is not None:
            cache.drop_unused(self.kept)


def download(
    url: str,
    *,
    tenant: str | None,
    version: str | None,
    output_dir: Path | None,
    headers: Mapping[str, str],
    cache_dir: Path | None = None,
) -> Path:
    """The directory with what is at `url`: its archive's content, or the file itself.

    `url`: as `spec.model.uri`. `tenant` and `version` tell copies of one URL apart; without a version the
    server's validator does. `output_dir` is made if missing; None makes a new temporary one. The files there
    may share their blocks on disk with the cache: change a copy. `headers` go to the origin of `url` alone.
    Raises ModelLoadError, whose text names no address, and leaves nothing behind then.
    """
    return fetched(
        url, tenant=tenant, version=version, output_dir=output_dir, headers=headers, cache_dir=cache_dir
    ).path


def fetched(
    url: str,
    *,
    tenant: str | None,
    version: str | None,
    output_dir: Path | None,
    headers: Mapping[str, str],
    cache_dir: Path | None = None,
    sha256: str | None = None,
) -> Fetched:
    """As `download`, for one who takes the files away again. `sha256`: of the file at `url`, if known."""
    known = tunables(os.environ)  # noqa: TID251 - an action's process has no settings.py
    try:
        found = uri.parse(url)
        if isinstance(found, uri.Mounted):
            return Fetched(_copied(found.path, url, output_dir, known), None)
        asked = _Asked(found, tenant, version, headers, sha256)
        return _through_cache(asked, output_dir, cache_dir or models_dir(), known)
    except LoadFailed as error:
        failed = _told(error)
    except OSError as error:
        said = f"the files of the model cannot be written: {error.strerror or type(error).__name__}"
        failed = ModelLoadError(said, status_code=503, code="ModelStoreUnavailable")
    raise failed


@dataclass(frozen=True)
class _Asked:
    """A file behind http(s), and what tells it apart."""

    remote: uri.Remote
    tenant: str | None
    version: str | None
    headers: Mapping[str, str]
    sha256: str | None


def _through_cache(asked: _Asked, output_dir: Path | None, root: Path, known: Tunables) -> Fetched:
    bounds, url = known.bounds(asked.headers), asked.remote.url
    # A server without validators cannot tell versions apart: then a copy is good for this host alone.
    version = asked.version or fetch.validator(url, bounds) or f"host {socket.gethostname()}"
    identity = (url, asked.tenant, version)

    def hand_out(content: Path) -> Path:
        return _handed_out(content, output_dir, _link, known)

    held = cache.get_as(identity, asked.remote, root, bounds, hand_out, asked.sha256)
    return Fetched(held, cache.entry_as(identity, root))


def _copied(mounted: Path, url: str, output_dir: Path | None, known: Tunables) -> Path:
    """What is mounted is somebody's own: a change of the copy must not reach it."""
    if not mounted.exists():
        raise LoadFailed(Reason.MODEL_NOT_FOUND, f"there is nothing at {uri.told(url)}")
    return _handed_out(mounted, output_dir, _copy, known)


def _handed_out(
    content: Path, output_dir: Path | None, copy: Callable[[str, str], str], known: Tunables
) -> Path:
    """`content` in the caller's own directory."""
    made = output_dir is None or not output_dir.exists()
    target = Path(tempfile.mkdtemp(prefix="raydock-model-")) if output_dir is None else output_dir
    try:
        target.mkdir(parents=True, exist_ok=True)
        if content.is_dir():
            shutil.copytree(content, target, copy_function=copy, dirs_exist_ok=True)
        elif archive.is_archive(content.name):
            archive.unpack(content, content.name, target, max_bytes=known.max_bytes)
        else:
            copy(str(content), str(target / content.name))
    except (LoadFailed, OSError):
        if made:
            shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def _link(source: str, target: str) -> str:
    """A second name for the file where the disk allows it: a model may fill half of it."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        return _copy(source, target)
    return target


def _copy(source: str, target: str) -> str:
    Path(target).unlink(missing_ok=True)  # what lies there may share its blocks with the cache
    return shutil.copyfile(source, target)


def models_dir() -> Path:
    """Where models are kept: the pod's directory, or the user's outside of one."""
    of_pod = Path(paths.MODEL_CACHE_DIR)
    return of_pod if os.access(of_pod, os.W_OK) else Path.home() / ".cache" / "raydock" / "models"


def _told(error: LoadFailed) -> ModelLoadError:
    """As plugins and their callers know it (contracts/actions.md 9)."""
    text = redact_text(error.message)
    if isinstance(error, archive.Refused | fetch.TooLarge) or error.reason is Reason.MODEL_CHECKSUM_MISMATCH:
        return ModelLoadError(text, status_code=424, code="ModelArchiveInvalid")
    if isinstance(error, uri.NotAUri) or error.reason is Reason.MODEL_NOT_FOUND:
        return ModelLoadError(text, status_code=424, code="ModelFileMissing")
    return ModelLoadError(text, status_code=503, code="ModelStoreUnavailable")


def _figure(environment: Mapping[str, str], name: str, default: float, *, least: float = 0) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        figure = float(text)
    except ValueError:
        figure = math.nan
    if not math.isfinite(figure) or figure < least:
        raise ValueError(f"{name}: want a number of {least} or more")
    return figure
