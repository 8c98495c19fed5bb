"""Files at addresses that a caller names: read from the public network alone, whatever a name leads to.

A server that reads what it is told can be sent to what only it can reach: its own ports, the cluster's
services, the machine's credentials. So an address is looked at before it is connected to, at each redirect
too, and no proxy is asked.
"""

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from raydock.remote.addresses import Network, is_open
from raydock.remote.deadline import addresses, left, timed_answers

CHUNK: Final = 1 << 20


class OutsideError(Exception):
    """The file cannot be had; the message names no address."""


@dataclass(frozen=True)
class Limits:
    """How far a file may go."""

    max_bytes: int
    total_s: float
    """For all of it."""
    silence_s: float = 30.0
    """Without a byte."""
    allowed: Collection[Network] = ()
    """Networks that may be read from though they are not public."""


def fetch(url: str, into: Path, limits: Limits) -> None:
    """The body of `url` in the file `into`; blocks. Raises OutsideError, and leaves nothing behind then."""
    try:
        _fetch(url, into, limits)
    except OutsideError:
        into.unlink(missing_ok=True)
        raise
    except urllib.error.HTTPError as error:
        error.close()
        why = f"the server answered {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = _words(error.reason if isinstance(error, urllib.error.URLError) else error, limits)
    else:
        return
    into.unlink(missing_ok=True)
    raise OutsideError(why)  # outside of the handlers: what failed may quote the URL


def _words(error: object, limits: Limits) -> str:
    """The kind of `error`: its text may quote the URL."""
    if isinstance(error, TimeoutError):
        return (
            f"it did not come within {limits.total_s:.0f} seconds, or nothing came for {limits.silence_s:.0f}"
        )
    return type(error).__name__ if isinstance(error, BaseException) else "it cannot be read"


def _fetch(url: str, into: Path, limits: Limits) -> None:
    end = time.monotonic() + limits.total_s
    request = urllib.request.Request(  # noqa: S310 - the opener knows http and https alone
        url, headers={"User-Agent": "raydock", "Accept-Encoding": "identity"}
    )
    size = 0
    with _opener(limits, end).open(request, timeout=limits.silence_s) as answer, into.open("xb") as out:
        while chunk := answer.read1(CHUNK):
            size += len(chunk)
            if size > limits.max_bytes:
                raise OutsideError(f"it has more than {limits.max_bytes} bytes")
            out.write(chunk)
        if answer.length:  # read1() says nothing when the connection ends early
            raise OutsideError("the connection ended early")


class Redirects(urllib.request.HTTPRedirectHandler):
    """As urllib's, which reads the body of a redirect, however long it is."""

    @override
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The next request. An answer that is closed has nothing more to be read."""
        fp.close()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(limits: Limits, end: float) -> urllib.request.OpenerDirector:
    """Without file:, ftp: and data:, which urllib's default opener reads and a redirect could name."""
    answers = timed_answers(end, limits.silence_s)

    class Plain(http.client.HTTPConnection):
        @override
        def connect(self) -> None:
            self.response_class = answers
            self.sock = _connected(self.host, self.port, limits, end)

    class Tls(http.client.HTTPSConnection):
        @override
        def connect(self) -> None:
            self.response_class = answers
            plain = _connected(self.host, self.port, limits, end)
            try:
                self.sock = _tls().wrap_socket(plain, server_hostname=self.host)
            except OSError:
                plain.close()
                raise

    class Http(urllib.request.HTTPHandler):
        @override
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Plain, req)

    class Https(urllib.request.HTTPSHandler):
        @override
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Tls, req)

    opener = urllib.request.OpenerDirector()
    for handler in (
        Http(),
        Https(),
        Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


@cache
def _tls() -> ssl.SSLContext:
    """Reading the authorities takes some ten milliseconds."""
    return ssl.create_default_context()


def _connected(host: str, port: int, limits: Limits, end: float) -> socket.socket:
    """A connection to one of the addresses of a name. Raises OutsideError when none may be read from."""
    good = [one for one in addresses(host, port, end) if is_open(str(one[4][0]), limits.allowed)]
    if not good:
        raise OutsideError("addresses inside the cluster, of this machine and link-local ones are not read")
    error: OSError = OSError("the name has no address")
    for family, kind, protocol, _, place in good:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(min(limits.silence_s, left(end)))
            connection.connect(place)
        except OSError as failed:
            connection.close()
            error = failed
        else:
            return connection
    raise error
