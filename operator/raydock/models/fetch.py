"""One file over http(s): streamed to disk and resumed after a break, or read into memory, whole or in part.

All of it is bounded in bytes and time. What is there already of a broken download is kept in the file itself;
what it was a part of, in a file `<file>.of` beside it. Without a validator (ETag or Last-Modified) a break
means to start over.
"""

import http.client
import math
import time
import urllib.error
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from raydock.models import disk, opening
from raydock.models.entry import LoadFailed
from raydock.models.uri import told
from raydock.reasons import Reason

T = TypeVar("T")
Answer = opening.Answer

CHUNK: Final = 1 << 20
SILENCE_S: Final = 30
"""Seconds without a byte after which a connection counts as broken."""
PAUSE_S: Final = 1.0
"""Seconds before the second attempt; doubled each time without progress, at most PAUSE_MAX_S."""
PAUSE_MAX_S: Final = 15.0

_GONE = (404, 410)
_WORTH_A_RETRY = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How a download that breaks is gone on with."""

    pause_s: float
    """Before the second attempt; doubled for each one after it."""
    pause_max_s: float
    attempts: int | None = None
    """In all; None: as many as fit before the deadline, and progress makes the pause short again."""
    recovery_s: float = math.inf
    """Seconds that all pauses together may take."""
    resume: bool = True
    """Whether to ask for the rest alone."""


@dataclass(frozen=True)
class Bounds:
    """How far a download may go."""

    deadline: float
    """time.monotonic() at which it is given up."""
    max_bytes: int
    patience: Patience | None = None
    """None: PAUSE_S, PAUSE_MAX_S, and as often as the deadline allows."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent along, to the origin of the URL alone: a redirect to another one must not learn them."""


@dataclass(frozen=True)
class Head:
    """What a server says about a file before it sends it."""

    size: int | None
    """None when it does not say."""
    validator: str
    """ETag or Last-Modified: tells this version from another; empty when the server says none."""


class OutOfTime(LoadFailed):
    """The deadline, or the last attempt, came first: a later try may do better."""


class TooLarge(LoadFailed):
    """There is more of it than `max_bytes`."""


class _Broken(Exception):
    """This attempt ended early; the next one may go on where it stopped."""


def validator(url: str, bounds: Bounds) -> str:
    """What tells this version of `url` from another (ETag or Last-Modified); empty when the server says none.

    Raises LoadFailed as `fetch` does.
    """
    return head(url, bounds).validator


def head(url: str, bounds: Bounds) -> Head:
    """Size and validator of `url`. Raises LoadFailed as `fetch` does."""
    return _insist(url, bounds, lambda: _head(url, bounds))


def body(url: str, bounds: Bounds) -> bytes:
    """The body of `url`, in memory. Raises LoadFailed as `fetch` does."""
    return _insist(url, bounds, lambda: _body(url, bounds))


def part(url: str, start: int, length: int, of: str, bounds: Bounds) -> bytes:
    """`length` bytes of `url` from `start` on, while its validator is `of`.

    Raises LoadFailed as `fetch` does, and where the server sends no parts of files.
    """
    return _insist(url, bounds, lambda: _part(url, start, length, of, bounds))


def fetch(url: str, into: Path, bounds: Bounds) -> None:
    """The body of `url` in the file `into`, whole.

    Raises LoadFailed: MODEL_NOT_FOUND for 404 and 410, MODEL_LOAD_FAILED for another refusal, for more than
    `max_bytes`, and when `deadline` comes first.
    """
    _insist(url, bounds, lambda: _go_on(url, into, bounds))
    _mark(into).unlink(missing_ok=True)


def forget(into: Path) -> None:
    """Take away what is there of a download that nobody goes on with."""
    into.unlink(missing_ok=True)
    _mark(into).unlink(missing_ok=True)


def _insist(url: str, bounds: Bounds, attempt: Callable[[], T]) -> T:
    """`attempt` until it succeeds, is refused for good, or nobody wants to wait any longer."""
    patience = bounds.patience or Patience(PAUSE_S, PAUSE_MAX_S)
    pause_s, waited_s, attempts = min(patience.pause_s, patience.pause_max_s), 0.0, 1
    why = ""
    while True:
        try:
            return attempt()
        except urllib.error.HTTPError as exc:
            exc.close()
            _raise_if_final(url, exc.code)
            why = f"the server answered {exc.code}"
        except _Broken as exc:
            why = str(exc)
            if patience.attempts is None:
                pause_s = patience.pause_s  # something came: no reason to wait longer than before
        except (OSError, http.client.HTTPException) as exc:
            # What the deadline itself cut short says less than what the attempt before met.
            why = why if why and time.monotonic() >= bounds.deadline else _network_words(exc)
        if time.monotonic() + pause_s > bounds.deadline:
            raise OutOfTime(Reason.MODEL_LOAD_FAILED, f"{told(url)} could not be fetched in time: {why}")
        if attempts == patience.attempts or waited_s + pause_s > patience.recovery_s:
            said = f"{told(url)} could not be fetched, attempts: {attempts}: {why}"
            raise OutOfTime(Reason.MODEL_LOAD_FAILED, said)
        time.sleep(pause_s)
        waited_s, attempts = waited_s + pause_s, attempts + 1
        pause_s = min(2 * pause_s, patience.pause_max_s)


def _raise_if_final(url: str, code: int) -> None:
    if code in _GONE:
        raise LoadFailed(
            Reason.MODEL_NOT_FOUND, f"there is nothing at {told(url)}: the server answered {code}"
        )
    if code not in _WORTH_A_RETRY:
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"{told(url)} cannot be read: the server answered {code}")


def _network_words(exc: Exception) -> str:
    """The kind of a network error: its text may quote a URL with its query."""
    inner = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    return inner.strerror or type(inner).__name__ if isinstance(inner, OSError) else type(exc).__name__


def _head(url: str, bounds: Bounds) -> Head:
    try:
        with _open(url, "HEAD", {}, bounds) as answer:
            return _of_headers(answer.headers)
    except urllib.error.HTTPError as exc:
        if exc.code in (403, 405, 501):  # signed URLs and small servers often allow GET alone
            exc.close()
            with _open(url, "GET", {}, bounds) as answer:
                return _of_headers(answer.headers)
        raise


def _of_headers(headers: http.client.HTTPMessage) -> Head:
    length = headers.get("Content-Length", "")
    return Head(int(length) if length.isdigit() else None, _validator(headers))


def _body(url: str, bounds: Bounds) -> bytes:
    with _open(url, "GET", {}, bounds) as answer:
        total = _of_headers(answer.headers).size
        _check_size(url, total or 0, bounds)
        content = bytearray()
        while chunk := answer.read(CHUNK):
            content += chunk
            _check_size(url, len(content), bounds)
            if time.monotonic() > bounds.deadline:
                raise OutOfTime(Reason.MODEL_LOAD_FAILED, f"{told(url)} could not be fetched in time")
    if total is not None and len(content) != total:
        raise _Broken(f"the connection ended after {len(content)} of {total} bytes")
    return bytes(content)


def _part(url: str, start: int, length: int, of: str, bounds: Bounds) -> bytes:
    with _open(url, "GET", {"Range": f"bytes={start}-{start + length - 1}"}, bounds) as answer:
        if _validator(answer.headers) != of:
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"{told(url)} changed while it was read")
        if answer.status != 206 or _starts_at(answer.headers) != start:
            raise LoadFailed(
                Reason.MODEL_LOAD_FAILED,
                f"the server of {told(url)} sends no parts of a file: put it on a volume and write pvc://",
            )
        content = answer.read(length)
    if len(content) != length:
        raise _Broken(f"the connection ended after {len(content)} of {length} bytes")
    return content


def _go_on(url: str, into: Path, bounds: Bounds) -> None:
    """One attempt: the rest of what is missing, or all of it."""
    have, of = _kept(into) if bounds.patience is None or bounds.patience.resume else (0, "")
    headers = {"Range": f"bytes={have}-", "If-Range": of} if have else {}
    try:
        answer = _open(url, "GET", headers, bounds)
    except urllib.error.HTTPError as exc:
        if exc.code != 416:
            raise
        exc.close()
        if exc.headers.get("Content-Range", "") == f"bytes */{have}":
            return  # nothing is missing
        into.unlink()  # longer than what is there now: another version
        raise _Broken("the file changed") from None
    with answer:
        start = have if answer.status == 206 and _starts_at(answer.headers) == have else 0
        if answer.status == 206 and start != have:
            raise LoadFailed(
                Reason.MODEL_LOAD_FAILED, f"{told(url)}: the server sent another range than asked"
            )
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        _check_size(url, total or 0, bounds)
        disk.check_room(told(url), (total or 0) - start, into.parent)
        _mark(into).write_text(_validator(answer.headers))
        got = _stream(url, answer, into, start, bounds)
    if total is not None and got != total:
        raise _Broken(f"the connection ended after {got} of {total} bytes")


def _stream(url: str, answer: Answer, into: Path, start: int, bounds: Bounds) -> int:
    """Append `answer` to the first `start` bytes of `into`; returns the file's size."""
    size = start
    with into.open("r+b" if start else "wb") as out:
        out.seek(start)
        out.truncate()
        try:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                size += len(chunk)
                _check_size(url, size, bounds)
                if time.monotonic() > bounds.deadline:
                    raise OutOfTime(Reason.MODEL_LOAD_FAILED, f"{told(url)} could not be fetched in time")
        except (OSError, http.client.HTTPException) as exc:
            if isinstance(exc, OSError) and exc.errno in disk.FULL:
                raise disk.no_room(told(url)) from None
            if size == start:
                raise
            raise _Broken(_network_words(exc)) from None
    return size


def _check_size(url: str, size: int, bounds: Bounds) -> None:
    if size > bounds.max_bytes:
        limit = f"{told(url)} has more than {bounds.max_bytes} bytes: put it on a volume and write pvc://"
        raise TooLarge(Reason.MODEL_LOAD_FAILED, limit)


def _kept(into: Path) -> tuple[int, str]:
    """Bytes of an earlier attempt and the validator of what they are a part of; (0, "") when of no use."""
    try:
        of = _mark(into).read_text()
        size = into.stat().st_size
    except OSError:
        return 0, ""
    return (size, of) if of and not of.startswith("W/") else (0, "")  # If-Range needs a strong validator


def _mark(into: Path) -> Path:
    return into.with_name(into.name + ".of")


def _validator(headers: http.client.HTTPMessage) -> str:
    return headers.get("ETag") or headers.get("Last-Modified") or ""


def _starts_at(headers: http.client.HTTPMessage) -> int:
    """First byte of `Content-Range: bytes 100-199/200`; -1 when it says none."""
    first = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else -1


def _open(url: str, method: str, headers: Mapping[str, str], bounds: Bounds) -> Answer:
    return opening.open_url(
        url, method, headers, private=bounds.headers, silence_s=SILENCE_S, end=bounds.deadline
    )
