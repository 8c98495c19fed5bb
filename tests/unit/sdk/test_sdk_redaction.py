"""What the SDK takes out of texts and exceptions."""

import re
from collections import namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from raydock.sdk.exceptions import ClientError, ServerError
from raydock.sdk.utils.redaction import (
    is_clean,
    redact_auth_header,
    redact_excerpt,
    redact_text,
    redact_url,
    sanitize_exception,
)
from tests.kit.authorization import SECRET, VALUES, forms
from tests.kit.planted import TOKEN, assert_clean, chain

HOST = "agent.planted.example"
OPAQUE = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
JWT = "eyJhbGciOi.eyJtb2RlbCI.c2ln"
EVERY = (TOKEN, HOST, OPAQUE, JWT, "planted")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("nothing", "nothing"),
        ("see https://x.example/a?b=c now", "see <redacted-url> now"),
        ("s3://bucket/key and http://u:p@h/x", "<redacted-url> and <redacted-url>"),
        ("Authorization: Bearer abc", "Authorization: Bearer abc"),
    ],
)
def test_urls(text: str, want: str) -> None:
    assert redact_url(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("nothing", "nothing"),
        ("Authorization: Bearer abc", "<redacted-auth>"),
        ("authorization: Token abc; x", "<redacted-auth>; x"),
        ("Authorization: abc", "<redacted-auth>"),
        ("Authorization=Digest abc, x", "<redacted-auth>, x"),
        ("{'Authorization': 'Digest a=\"b\", c=d', 'x': 1}", "{'<redacted-auth>', 'x': 1}"),
        ("Authorization: Odd <redacted-url> abc", "<redacted-auth>"),
        ("Authorization: <redacted-auth>", "Authorization: <redacted-auth>"),
        ("https://x.example", "https://x.example"),
    ],
)
def test_authorization(text: str, want: str) -> None:
    assert redact_auth_header(text) == want


@pytest.mark.parametrize("value", VALUES)
def test_an_authorization_of_any_scheme_goes_as_a_whole(value: str) -> None:
    told = {text: (redact_auth_header(text), redact_text(text)) for text in forms(value)}
    assert {text: both for text, both in told.items() if any(SECRET in one for one in both)} == {}
    for text in forms(value):
        once = redact_text(text)
        assert redact_text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Digest {TOKEN}",
        f"{{'Authorization': 'Negotiate {TOKEN}', 'x': 1}}",
        f'{{"authorization":"{TOKEN}"}}',
        f'{{\\"Authorization\\": \\"Bearer {TOKEN}\\"}}',
        f"[(b'Authorization', b'Token {TOKEN}')]",
        f"SYNAPSE-User: Token {TOKEN}",
        f"{{'SYNAPSE-Tenant': 'Token {TOKEN}'}}",
        f"('Synapse-Access-Token', 'Token {TOKEN}')",
        f"SYNAPSE-Agent={TOKEN}",
        f"serve_multiplexed_model_id: {TOKEN}",
        f"raydock-model-token: {TOKEN}",
        f"sent Bearer {TOKEN}",
        f"HTTPConnectionPool(host='{HOST}', port=80): Max retries exceeded with url: /x?t={TOKEN}",
        f"Cannot connect to host {HOST}:8000 ssl:default",
        f"--host={HOST}:8000",
        f"...{HOST}:8000",
        f"at x_y.{HOST}:8000",
        f"at 2-{HOST.replace('.', '_')}:8000",
        f'host="{HOST}" port=8000',
        f"wss://{HOST}/x",
        f"the token {OPAQUE} is old",
        f"the token {JWT} is old",
    ],
)
def test_no_form_of_a_secret_stays(text: str) -> None:
    told = redact_text(text)
    assert not [word for word in EVERY if word in told], told


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit", ["a.", "a-", "a-_", "-", "1-", "Authorization ", "Authorization:a='", "url: ", "[a"]
)
def test_a_long_text_is_read_a_bounded_number_of_times(unit: str) -> None:
    redact_text(unit * (400_000 // len(unit)))


@pytest.mark.parametrize(
    "between",
    [pytest.param(" ", id="one line"), pytest.param("\n", id="lines"), pytest.param("", id="one word")],
)
def test_of_a_long_text_its_ends_are_told_without_half_a_secret(between: str) -> None:
    text = f"first {between.join([JWT] * 100_000)}\nlast"
    told = redact_excerpt(text)
    assert told.startswith("first")
    assert told.endswith("\nlast")
    assert len(told) < 40_000
    assert not re.search("eyJ|c2ln", told)


def test_a_short_text_is_told_as_a_whole() -> None:
    assert redact_excerpt("a b\nc") == "a b\nc"


@pytest.mark.parametrize("text", [TOKEN, TOKEN.upper(), f"x{TOKEN}y", f"Token {TOKEN}", f"/{HOST}/"])
def test_a_known_secret_is_found_in_any_case(text: str) -> None:
    assert "planted" not in redact_text(text, (TOKEN, HOST)).lower()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("SYNAPSE_ACCESS_TOKEN", TOKEN, f"who is {TOKEN}?"),
        ("SYNAPSE_PLUGIN_RUN_USER_TOKEN", TOKEN, f"who is {TOKEN.upper()}?"),
        ("SYNAPSE_PLUGIN_RUN_TENANT", "planted-tenant", "of planted-tenant"),
        ("SYNAPSE_AGENT_URL", f"https://{HOST}:80/x", f"no route to {HOST}"),
        ("SYNAPSE_HOST", HOST, f"no route to {HOST}"),
        ("RAYDOCK_MODEL_TOKEN_KEY", "planted key of words", "with planted key of words"),
    ],
)
def test_what_the_environment_holds_is_known(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    assert "planted" in redact_text(text).lower()
    monkeypatch.setenv(name, value)
    assert "planted" not in redact_text(text).lower()


def test_other_variables_shred_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "no")
    assert redact_text("no, that is false") == "no, that is false"


@pytest.mark.parametrize(
    "text",
    [
        "1 GPU short",
        "('gpu_insufficient', 3)",
        "[Errno 111] Connection refused",
        "cut at 12:30",
        "2026-01-02T12:30:10 _x:80",
        "a.py, line 7",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


WORDS = st.sampled_from(
    ["Authorization", ":", " ", "=", "'", '"', "Bearer", "Token", "abc", "http://h/p", "host", "url:", ",",
     "\\", "b", "SYNAPSE-User", "x.y:80", OPAQUE, "[", "]", "{", "}", "<redacted-url>", "<redacted-auth>"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=12).map("".join))
@settings(max_examples=300, deadline=None)
def test_a_redacted_text_has_no_host_in_it_and_no_opaque_token(text: str) -> None:
    told = redact_text(text)
    assert "http://h" not in told
    assert not re.search(rf"\b{OPAQUE}\b", told)


class OfALibrary(Exception):
    """Keeps more than its arguments."""

    def __init__(self, text: str, **more: Any) -> None:
        super().__init__(text)
        self.__dict__.update(more)


class Stubborn(Exception):
    """Makes its text by itself."""

    @override
    def __str__(self) -> str:
        return f"cannot reach http://{HOST}"


Key = namedtuple("Key", ["host", "port", "is_ssl"])  # noqa: PYI024 - as aiohttp's


def with_note() -> Exception:
    error = ValueError("x")
    error.add_note(f"Authorization: {TOKEN}")
    return error


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ClientError(400, f"Token {TOKEN}"), id="detail"),
        pytest.param(ServerError(500, {"a": [{"Authorization": f"Bearer {TOKEN}"}]}), id="a nested detail"),
        pytest.param(ServerError(500, {"Authorization": f"Negotiate {TOKEN}"}), id="a header in a detail"),
        pytest.param(ServerError(500, [(b"Authorization", [TOKEN])]), id="a pair in a detail"),
        pytest.param(ServerError(500, {f"http://{HOST}": 1}), id="a key of a detail"),
        pytest.param(ValueError(f"http://{HOST}", {"host": HOST, "port": 80}), id="arguments"),
        pytest.param(ValueError([(f"Bearer {TOKEN}",)]), id="an argument in an argument"),
        pytest.param(ValueError(f"http://{HOST}".encode()), id="bytes"),
        pytest.param(OSError(2, f"at http://{HOST}", f"/x/{OPAQUE}"), id="OSError"),
        pytest.param(OfALibrary("x", message=f"http://{HOST}"), id="message"),
        pytest.param(OfALibrary("x", request=object(), url=HOST, _conn_key=Key(HOST, 80, False)), id="peers"),
        pytest.param(OfALibrary("x", reason=ConnectionError(f"to http://{HOST}")), id="an inner reason"),
        pytest.param(OfALibrary("x", headers={"X-Key": OPAQUE}), id="headers"),
        pytest.param(with_note(), id="a note"),
        pytest.param(
            ExceptionGroup("two", [ValueError(f"http://{HOST}"), OSError(1, f"Bearer {TOKEN}")]), id="a group"
        ),
    ],
)
def test_an_exception_is_cleaned_in_place(error: Exception) -> None:
    assert sanitize_exception(error) is error
    told = "".join(
        f"{one!r} {one} {one.args} {vars(one)} {getattr(one, 'filename', '')}"
        for whole in (error, *getattr(error, "exceptions", ()), getattr(error, "reason", None))
        for one in chain(whole)
    )
    assert not [word for word in EVERY if word in told], told
    assert is_clean(error)


@pytest.mark.parametrize("where", ["sig", "path"])
def test_a_url_with_a_known_host_goes_as_a_whole(where: str) -> None:
    assert "sig" not in redact_text(f"at http://{HOST}:80/{where}?sig=1", (HOST,))


def test_an_inner_error_does_not_empty_the_one_that_shows_it() -> None:
    outer = ServerError(503, ConnectionError(f"to http://{HOST}"))
    sanitize_exception(outer)
    assert outer.status_code == 503
    assert str(outer.detail) == "to <redacted-url>"


def test_what_makes_its_text_by_itself_is_told_apart() -> None:
    assert not is_clean(sanitize_exception(Stubborn()))


def test_causes_and_contexts_are_cleaned() -> None:
    first, second, third = (ValueError(f"http://{HOST}/{n}") for n in range(3))
    first.__cause__, second.__context__, third.__cause__ = second, third, first  # a ring
    sanitize_exception(first)
    assert {str(one) for one in (first, second, third)} == {"<redacted-url>"}


def test_status_and_type_stay() -> None:
    error = ServerError(503, {"error": "busy", "retry": 4, "url": f"http://{HOST}"}, retry_after_s=4)
    sanitize_exception(error)
    assert (type(error), error.status_code, error.retry_after_s) == (ServerError, 503, 4)
    assert error.detail == {"error": "busy", "retry": 4, "url": "<redacted-url>"}
    assert error.args == (503, error.detail)
    assert_clean(error)


def test_a_given_secret_is_found_in_everything() -> None:
    error = ClientError(400, {"note": "my s3cret word"})
    sanitize_exception(error, ("s3cret",))
    assert "s3cret" not in repr(error)
