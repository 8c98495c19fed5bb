"""Opens a URL for `fetch`: http and https alone, not at a machine's own secrets, credentials kept at home."""

import http.client
import math
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from typing_extensions import override

from raydock.models.entry import LoadFailed
from raydock.models.uri import told
from raydock.reasons import Reason
from raydock.remote.addresses import is_metadata
from raydock.remote.deadline import left, timed_answers
from raydock.remote.outside import Redirects

Answer = http.client.HTTPResponse


def open_url(
    url: str,
    method: str,
    headers: Mapping[str, str],
    *,
    private: Mapping[str, str],
    silence_s: float,
    end: float,
) -> Answer:
    """The answer, after redirects; it is read until `end`, a time.monotonic().

    `private`: headers for the origin of `url` alone. `silence_s`: seconds without a byte. Raises urllib's
    errors, and LoadFailed(MODEL_LOAD_FAILED) for an address that must not be read, or is none.
    """
    own = {"Accept-Encoding": "identity", "User-Agent": "raydock", **headers}
    try:
        request = _Request(url, own, private, method, end)
        answer: Answer = _OPENER.open(request, timeout=min(silence_s, left(end)))
    except ValueError:
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"{told(url)}, or what it leads to, is no URL") from None
    return answer


class _Request(urllib.request.Request):
    """`private`: headers for the origin of `url` alone. `end`: of everything that is read for it."""

    def __init__(
        self, url: str, headers: Mapping[str, str], private: Mapping[str, str], method: str, end: float
    ) -> None:
        super().__init__(url, method=method, headers=dict(headers))
        self.private = private
        self.end = end
        for name, value in private.items():
            self.add_unredirected_header(name, value)


class _Redirects(Redirects):
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
        there = super().redirect_request(req, fp, code, msg, headers, newurl)
        if there is None or not isinstance(req, _Request):
            return there
        same = urlsplit(there.full_url)[:2] == urlsplit(req.full_url)[:2]
        return _Request(
            there.full_url, there.headers, req.private if same else {}, there.get_method(), req.end
        )


def _refuse_metadata(connection: http.client.HTTPConnection) -> None:
    """What is fetched may be named by data: it must not be the machine's own credentials."""
    if is_metadata(connection.sock.getpeername()[0]):
        connection.close()
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, "link-local and metadata addresses are not read")


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, end: float = math.inf, **more: Any) -> None:
        super().__init__(*args, **more)
        self.response_class = timed_answers(end, self.timeout or math.inf)

    @override
    def connect(self) -> None:
        super().connect()
        _refuse_metadata(self)


class _TlsConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, end: float = math.inf, **more: Any) -> None:
        super().__init__(*args, **more)
        self.response_class = timed_answers(end, self.timeout or math.inf)

    @override
    def connect(self) -> None:
        super().connect()
        _refuse_metadata(self)


class _Http(urllib.request.HTTPHandler):
    @override
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Connection, req, end=_end(req))


class _Https(urllib.request.HTTPSHandler):
    @override
    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_TlsConnection, req, context=ssl.create_default_context(), end=_end(req))


def _end(request: urllib.request.Request) -> float:
    return request.end if isinstance(request, _Request) else math.inf


def _only_http() -> urllib.request.OpenerDirector:
    """Without file:, ftp: and data:, which urllib's default opener reads and a redirect could name."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(),
        _Https(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


_OPENER: Final = _only_http()
