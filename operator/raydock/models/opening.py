"""Opens a URL for `fetch`: http and https alone, not at a machine's own secrets, credentials kept at home."""

import http.client
import ipaddress
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from typing_extensions import override

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason

Answer = http.client.HTTPResponse


def open_url(
    url: str, method: str, headers: Mapping[str, str], *, private: Mapping[str, str], timeout_s: float
) -> Answer:
    """The answer, after redirects. `private`: headers for the origin of `url` alone.

    Raises urllib's errors, and LoadFailed(MODEL_LOAD_FAILED) for an address that must not be read.
    """
    own = {"Accept-Encoding": "identity", "User-Agent": "raydock", **headers}
    answer: Answer = _OPENER.open(_Request(url, own, private, method), timeout=timeout_s)
    return answer


class _Request(urllib.request.Request):
    """`private`: headers for the origin of `url` alone."""

    def __init__(self, url: str, headers: Mapping[str, str], private: Mapping[str, str], method: str) -> None:
        super().__init__(url, method=method, headers=dict(headers))
        self.private = private
        for name, value in private.items():
            self.add_unredirected_header(name, value)


class _Redirects(urllib.request.HTTPRedirectHandler):
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
        return _Request(there.full_url, there.headers, req.private if same else {}, there.get_method())


METADATA: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "168.63.129.16", "100.100.100.200")))
"""Addresses beside link-local ones at which clouds tell a machine its secrets (AWS, Azure, Alibaba)."""


def _refuse_metadata(connection: http.client.HTTPConnection) -> None:
    """What is fetched may be named by data: it must not be the machine's own credentials."""
    address = ipaddress.ip_address(connection.sock.getpeername()[0])
    if address.is_link_local or address in METADATA:
        connection.close()
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, "link-local and metadata addresses are not read")


class _Connection(http.client.HTTPConnection):
    @override
    def connect(self) -> None:
        super().connect()
        _refuse_metadata(self)


class _TlsConnection(http.client.HTTPSConnection):
    @override
    def connect(self) -> None:
        super().connect()
        _refuse_metadata(self)


class _Http(urllib.request.HTTPHandler):
    @override
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Connection, req)


class _Https(urllib.request.HTTPSHandler):
    @override
    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_TlsConnection, req, context=ssl.create_default_context())


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
