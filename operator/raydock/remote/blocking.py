"""One HTTP exchange for a caller without a loop, bounded in seconds and bytes.

urllib3 and http.client bound each read; here the whole answer is bounded: one that drips ends in time.
No redirect is followed, no proxy asked, no cookie kept, nothing unpacked, and a connection is used once.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from typing import cast
from urllib.parse import SplitResult, urlsplit

from raydock.remote.deadline import TimedSocket, addresses, left
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
    answer_max: int = BODY_MAX
    """Bytes of an answer's body; of an error's never more than BODY_MAX."""
    is_read: bool = True
    """Whether somebody reads the body; else one that does not come in time is none."""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    retry_after: str | None
    body: bytes | None
    """None when there is no whole one."""
    cut_off: bool = False
    """The connection ended in the middle of the body; else a missing one has more than `answer_max` bytes."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By names in small letters."""


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
    connection.settimeout(left(end))
    path = url.path + (f"?{url.query}" if url.query else "")
    own = {"Host": url.netloc, "User-Agent": "raydock", "Connection": "close"}
    asked.request(call.method, path or "/", call.body, {**own, **call.headers})
    # It wants a socket for its makefile() alone.
    reply = http.client.HTTPResponse(cast("socket.socket", TimedSocket(connection, end)), method=call.method)
    with closing(reply):
        reply.begin()
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return replace(_read(reply, call), headers=headers)


def _read(reply: http.client.HTTPResponse, call: Call) -> Reply:
    """Errors of the body are no errors of the exchange, but for the end of the time where it is read."""
    status, retry_after = reply.status, reply.headers.get("Retry-After")
    good = status // 100 == 2
    most = call.answer_max if good else min(call.answer_max, BODY_MAX)
    body = bytearray()
    try:
        while len(body) <= most and (chunk := reply.read(most + 1 - len(body))):
            body += chunk
    except TimeoutError:
        if call.is_read or not good:
            raise
        return Reply(status, retry_after, None, cut_off=True)
    except (OSError, http.client.HTTPException):
        return Reply(status, retry_after, None, cut_off=True)
    if len(body) > most:
        return Reply(status, retry_after, None)
    if reply.length:  # read() of http.client says nothing when the connection ends early
        return Reply(status, retry_after, None, cut_off=True)
    return Reply(status, retry_after, bytes(body))


def _connected(url: SplitResult, end: float) -> socket.socket:
    """A connection to the host of `url`. Raises OSError; TimeoutError at `end`."""
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    found = addresses(host, port, end)
    for after, (family, kind, protocol, _, address) in enumerate(found, start=1):
        last = after == len(found)
        connection = socket.socket(family, kind, protocol)
        try:
            # A dead address must leave time for the next one.
            connection.settimeout(left(end) / (len(found) - after + 1))
            connection.connect(address)
            connection.settimeout(left(end))
            if url.scheme == "https":
                return _tls().wrap_socket(connection, server_hostname=host)
        except OSError:
            connection.close()
            if last:
                raise
        else:
            return connection
    raise OSError("the name has no address")


@cache
def _tls() -> ssl.SSLContext:
    """Reading the authorities takes some ten milliseconds."""
    return ssl.create_default_context()
