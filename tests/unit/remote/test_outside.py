"""Files at addresses that a caller names: from the public network, and not from where only we can read."""

import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.remote.addresses import is_metadata, is_open, networks
from raydock.remote.outside import Limits, OutsideError, fetch
from tests.unit.models.server import DRIPPING, Request, Server, dripping, serving

LOOPBACK = networks("127.0.0.0/8")
PATIENT = Limits(max_bytes=1000, total_s=30, silence_s=5, allowed=LOOPBACK)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(lambda request: request.reply(200, b"content")) as found:
        yield found


@pytest.mark.parametrize(
    ("address", "want"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("168.63.129.16", False),
        ("::ffff:168.63.129.16", False),
        ("64:ff9b::a83f:8110", False),
        ("64:ff9b:1::a9fe:a9fe", False),
        ("64:ff9b::808:808", True),
    ],
)
def test_which_addresses_are_read(address: str, want: bool) -> None:
    assert is_open(address) is want


@pytest.mark.parametrize(
    ("address", "want"),
    [
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("168.63.129.16", True),
        ("100.100.100.200", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:a9fe:a9fe::", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("8.8.8.8", False),
    ],
)
def test_where_machines_are_told_their_secrets(address: str, want: bool) -> None:
    assert is_metadata(address) is want


@settings(deadline=None)
@given(st.ip_addresses())
def test_what_is_not_public_is_read_only_where_it_is_said(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_open(str(address)):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert not plain.is_private
        assert not plain.is_loopback
        assert not plain.is_link_local
    assert is_open(str(address), networks("0.0.0.0/0, ::/0"))


def test_networks_are_written_with_commas() -> None:
    assert networks("") == ()
    assert [str(one) for one in networks("10.1.0.0/16, fd00::/8,")] == ["10.1.0.0/16", "fd00::/8"]
    with pytest.raises(ValueError, match=r"10\.1"):
        networks("10.1")


def test_a_file_is_read(server: Server, tmp_path: Path) -> None:
    fetch(server.url("/a.png?signature=1"), tmp_path / "a.png", PATIENT)
    assert (tmp_path / "a.png").read_bytes() == b"content"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:{port}/a", id="this machine"),
        pytest.param("http://localhost:{port}/a", id="by name"),
        pytest.param("http://[::ffff:127.0.0.1]:{port}/a", id="written as IPv6"),
        pytest.param("http://2130706433:{port}/a", id="written as one number"),
    ],
)
def test_nobody_is_connected_to_who_must_not_be_read(server: Server, tmp_path: Path, url: str) -> None:
    with pytest.raises(OutsideError, match="are not read") as raised:
        fetch(url.format(port=server.server_port), tmp_path / "a", Limits(1000, 30))
    assert server.seen == []
    assert "127.0.0.1" not in f"{raised.value!r} {raised.value.__cause__} {raised.value.__context__}"
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_is_looked_at_too(tmp_path: Path) -> None:
    with serving(lambda request: request.reply(200, b"secret")) as inner:
        port = inner.server_port

        def redirect(request: Request) -> None:
            request.reply(302, location=f"http://127.0.0.2:{port}/secret")

        with serving(redirect) as outer:
            only_one = Limits(1000, 30, 5, networks("127.0.0.1"))
            with pytest.raises(OutsideError, match="are not read"):
                fetch(outer.url("/a"), tmp_path / "a", only_one)
        assert inner.seen == []


def test_the_body_of_a_redirect_is_not_read(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.path == "/a":
            request.redirect_without_end("/b")
        else:
            request.reply(200, b"content")

    with serving(answer) as server:
        fetch(server.url("/a"), tmp_path / "a", PATIENT)
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", DRIPPING)
def test_what_drips_on_ends_in_time(tmp_path: Path, part: str) -> None:
    with (
        dripping(DRIPPING[part]) as server,
        pytest.raises(OutsideError, match="it did not come within 0 seconds"),
    ):
        fetch(server.url("/a"), tmp_path / "a", Limits(1000, 0.2, 5, LOOPBACK))
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_what_is_no_web_is_not_followed(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.reply(302, location="file:///etc/passwd")) as server,
        pytest.raises(OutsideError, match="the server answered 302"),
    ):
        fetch(server.url("/a"), tmp_path / "a", PATIENT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "size", "cut_at", "why"),
    [
        pytest.param(404, 1, None, "the server answered 404", id="not there"),
        pytest.param(200, 1001, None, "more than 1000 bytes", id="too large"),
        pytest.param(200, 500, 100, "ended early|IncompleteRead", id="cut off"),
    ],
)
def test_a_file_that_cannot_be_had_leaves_nothing(
    tmp_path: Path, status: int, size: int, cut_at: int | None, why: str
) -> None:
    with (
        serving(lambda request: request.reply(status, b"x" * size, cut_at=cut_at)) as server,
        pytest.raises(OutsideError, match=why) as raised,
    ):
        fetch(server.url("/a?signature=1"), tmp_path / "a", PATIENT)
    assert "signature" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_no_proxy_is_asked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fetch(server.url("/a"), tmp_path / "a", PATIENT)


def test_a_name_that_leads_nowhere_is_told_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("raydock.remote.outside.socket.getaddrinfo", unknown)
    with pytest.raises(OutsideError, match=r"^gaierror$"):
        fetch("http://secret.example/a", tmp_path / "a", PATIENT)
