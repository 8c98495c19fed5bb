"""One HTTP exchange for a caller without a loop, bounded in seconds and bytes.

urllib3 and http.client bound each read; here the whole answer is bounded: one that drips ends in time.
No redirect is followed, no proxy asked, no cookie kept, nothing unpacked, and a connection is used once.
"""

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from typing_extensions import Buffer, override

from raydock.remote.terms import BODY_MAX, failure


@dataclass(frozen=True)
class Times:
    """How long one try may take."""

    connect_s: float
    """For a connection: name, TCP and TLS."""
    answer_s: float
    """For the whole answer, from when the request went out."""


@dataclass(frozen=True)
class Call:
    """What is asked."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    retry_after: str | None
    body: bytes | None
    """None when there is no whole one."""
    cut_off: bool = False
    """The connection ended in the middle of the body; else a missing one has more than BODY_MAX bytes."""


def exchange(call: Call, times: Times, left_s: float) -> Reply:
    """One try, `left_s` seconds at most. Raises a ClientError, made outside of `except`: it names no host."""
    end = time.monotonic() + left_s
    sent = False
    try:
        url = urlsplit(call.url)
        with closing(_connected(url, min(end, time.monotonic() + times.connect_s))) as connection:
            sent = True
            return _answered(call, url, connection, min(end, time.monotonic() + times.answer_s))
    except (OSError, ValueError, http.client.HTTPException) as error:
        # ValueError: a name that is none; a header that cannot be sent, which its text would quote.
        # RemoteDisconnected is a BadStatusLine and a ConnectionResetError: nothing was answered.
        no_http = isinstance(error, http.client.HTTPException) and not isinstance(error, OSError)
        failed = failure(sent=sent, timed_out=isinstance(error, TimeoutError), no_http=no_http)
    raise failed


def _answered(call: Call, url: SplitResult, connection: socket.socket, end: float) -> Reply:
    asked = http.client.HTTPConnection("", 0)
    asked.sock = connection
    connection.settimeout(_left(end))
    path = url.path + (f"?{url.query}" if url.query else "")
    own = {"Host": url.netloc, "User-Agent": "raydock", "Connection": "close"}
    asked.request(call.method, path or "/", call.body, {**own, **call.headers})
    # It wants a socket for its makefile() alone.
    reply = http.client.HTTPResponse(cast("socket.socket", _Bounded(connection, end)), method=call.method)
    with closing(reply):
        reply.begin()
        return _read(reply)


def _read(reply: http.client.HTTPResponse) -> Reply:
    """Errors of the body are no errors of the exchange, but for the end of the time."""
    status, retry_after = reply.status, reply.headers.get("Retry-After")
    body = bytearray()
    try:
        while len(body) <= BODY_MAX and (chunk := reply.read(BODY_MAX + 1 - len(body))):
            body += chunk
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return Reply(status, retry_after, None, cut_off=True)
    if len(body) > BODY_MAX:
        return Reply(status, retry_after, None)
    if reply.length:  # read() of http.client says nothing when the connection ends early
        return Reply(status, retry_after, None, cut_off=True)
    return Reply(status, retry_after, bytes(body))


class _Bounded:
    """A socket that is read until `end`, a time.monotonic()."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._raw = _Reading(connection, end)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self._raw)


class _Reading(io.RawIOBase):
    def __init__(self, connection: socket.socket, end: float) -> None:
        super().__init__()
        self._connection = connection
        self._end = end

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        self._connection.settimeout(_left(self._end))
        return self._connection.recv_into(cast("bytearray", buffer))


def _connected(url: SplitResult, end: float) -> socket.socket:
    """A connection to the host of `url`. Raises OSError; TimeoutError at `end`."""
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    found = _addresses(host, port, end)
    for after, (family, kind, protocol, _, address) in enumerate(found, start=1):
        last = after == len(found)
        connection = socket.socket(family, kind, protocol)
        try:
            # A dead address must leave time for the next one.
            connection.settimeout(_left(end) / (len(found) - after + 1))
            connection.connect(address)
            connection.settimeout(_left(end))
            if url.scheme == "https":
                return _tls().wrap_socket(connection, server_hostname=host)
        except OSError:
            connection.close()
            if last:
                raise
        else:
            return connection
    raise OSError("the name has no address")


def _addresses(host: str, port: int, end: float) -> list[Any]:
    """As getaddrinfo, which knows no time-out: it may go on in a thread that nobody waits for."""
    told: SimpleQueue[list[Any] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            told.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            told.put(error)
        except UnicodeError:
            told.put(OSError("no name of a host"))

    try:
        threading.Thread(target=look_up, daemon=True).start()
    except RuntimeError:  # the interpreter ends: a last report is still sent
        look_up()
    try:
        found = told.get(timeout=_left(end))
    except Empty:
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    return found


def _left(end: float) -> float:
    """Seconds until `end`; raises TimeoutError when it has passed: a time-out of 0 means something else."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@cache
def _tls() -> ssl.SSLContext:
    """Reading the authorities takes some ten milliseconds."""
    return ssl.create_default_context()
