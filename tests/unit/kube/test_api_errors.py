"""Answers of the API server as errors: the type, and how little of the text is believed."""

import json

import pytest

from raydock.kube import errors


def _status(message: str, reason: str = "", **details: object) -> bytes:
    return json.dumps({"kind": "Status", "message": message, "reason": reason, "details": details}).encode()


@pytest.mark.parametrize(
    ("status", "reason", "want"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Forbidden),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Expired),
        (418, "", errors.ApiError),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.Unavailable),
        (503, "ServiceUnavailable", errors.Unavailable),
        (504, "Timeout", errors.Timeout),
    ],
)
def test_each_status_has_its_type(status: int, reason: str, want: type[errors.ApiError]) -> None:
    error = errors.from_answer(status, _status("no", reason), None)
    assert type(error) is want
    assert error.status == status


def test_an_apply_with_an_unknown_field_is_invalid_although_it_answers_500() -> None:
    text = "failed to create typed patch object (ns/a; /v1, Kind=X): .dota: field not declared in schema"
    assert type(errors.from_answer(500, _status(text), None)) is errors.Invalid


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>Authorization: Bearer abc</html>", id="a proxy's page"),
        pytest.param(b'{"kind": "Other", "message": "secret"}', id="another kind"),
        pytest.param(b'["secret"]', id="no object"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_only_a_status_object_is_believed(body: bytes) -> None:
    assert errors.from_answer(502, body, None).message == "HTTP 502 without a reason"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        pytest.param("no", "no", id="short"),
        pytest.param("x" * 256, "x" * 256, id="just fits"),
        pytest.param("x" * 257, "x" * 255 + "…", id="cut"),
        pytest.param("see https://10.0.0.1:6443/apis?x=1 now", "see [url] now", id="address"),
        pytest.param("token Bearer abc.def bad", "token [token] bad", id="bearer token"),
        pytest.param("eyJhbGciOi.eyJzdWIi.c2ln failed", "[token] failed", id="JSON web token"),
        pytest.param("two\n  lines", "two lines", id="one line"),
    ],
)
def test_a_message_is_short_and_keeps_secrets(text: str, clean: str) -> None:
    assert errors.from_answer(400, _status(text), None).message == clean


@pytest.mark.parametrize(
    ("header", "hint", "want"),
    [
        pytest.param("3", None, 3.0, id="header"),
        pytest.param(None, 2, 2.0, id="status details"),
        pytest.param("3", 2, 3.0, id="header first"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, None, id="a date is not understood"),
        pytest.param(None, None, None, id="nothing said"),
    ],
)
def test_the_server_s_wish_to_wait_is_kept(header: str | None, hint: int | None, want: float | None) -> None:
    error = errors.from_answer(429, _status("busy", retryAfterSeconds=hint), header)
    assert error.retry_after_s == want
