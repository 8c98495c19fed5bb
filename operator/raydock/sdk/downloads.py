"""A model's files, fetched and unpacked for an action (contracts/actions.md 6, "Downloads").

The same fetching, unpacking and caching as serving's and batch's (raydock.models), with the tunables of the
action SDK.
"""

import math
import os
import shutil
import socket
import tempfile
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

    def bounds(self, headers: Mapping[str, str]) -> fetch.Bounds:
        """For one file."""
        patience = fetch.Patience(
            self.backoff_base_s, self.backoff_cap_s, self.attempts, self.recovery_cap_s, self.range_resume
        )
        return fetch.Bounds(math.inf, self.max_bytes, patience, headers)


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
    )


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
    known = tunables(os.environ)  # noqa: TID251 - an action's process has no settings.py
    root = cache_dir or _cache_dir()
    try:
        content = _content(url, tenant, version, known.bounds(headers), root)
        # What is mounted is somebody's own: a change of the copy must not reach it.
        copy = _link if content.is_relative_to(root) else _copy
        return _handed_out(content, output_dir, copy, known)
    except LoadFailed as error:
        failed = _told(error)
    except OSError as error:
        said = f"the files of the model cannot be written: {error.strerror or type(error).__name__}"
        failed = ModelLoadError(said, status_code=503, code="ModelStoreUnavailable")
    raise failed


def _content(url: str, tenant: str | None, version: str | None, bounds: fetch.Bounds, root: Path) -> Path:
    """A file or directory that nobody is to change."""
    match uri.parse(url):
        case uri.Mounted(path):
            if not path.exists():
                raise LoadFailed(Reason.MODEL_NOT_FOUND, f"there is nothing at {uri.told(url)}")
            return path
        case uri.Remote() as remote:
            # A server without validators cannot tell versions apart: then a copy is good for this host alone.
            known = version or fetch.validator(url, bounds) or f"host {socket.gethostname()}"
            return cache.get_as((url, tenant, known), remote, root, bounds)


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


def _cache_dir() -> Path:
    """The pod's, or the user's outside of one."""
    of_pod = Path(paths.MODEL_CACHE_DIR)
    return of_pod if os.access(of_pod, os.W_OK) else Path.home() / ".cache" / "raydock" / "models"


def _told(error: LoadFailed) -> ModelLoadError:
    """As plugins and their callers know it (contracts/actions.md 9)."""
    text = redact_text(error.message)
    if isinstance(error, archive.Refused | fetch.TooLarge):
        return ModelLoadError(text, status_code=424, code="ModelArchiveInvalid")
    if error.reason is Reason.MODEL_NOT_FOUND:
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
