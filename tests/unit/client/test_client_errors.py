"""What the API server's answers become."""

import json

import pytest

from raydock.client import errors
from raydock.client.errors import of_answer


@pytest.mark.parametrize(
    ("status", "reason", "want"),
    [
        pytest.param(400, "BadRequest", errors.Refused, id="an unknown field"),
        pytest.param(401, "Unauthorized", errors.NotAllowed, id="not logged in"),
        pytest.param(403, "Forbidden", errors.NotAllowed, id="not allowed"),
        pytest.param(404, "NotFound", errors.NotFound, id="not there"),
        pytest.param(409, "AlreadyExists", errors.Exists, id="there already"),
        pytest.param(409, "Conflict", errors.Refused, id="another object"),
        pytest.param(410, "Expired", errors.Expired, id="too old"),
        pytest.param(422, "Invalid", errors.Refused, id="a rule is broken"),
        pytest.param(429, "TooManyRequests", errors.Unreachable, id="too busy"),
        pytest.param(500, "InternalError", errors.Unreachable, id="broken"),
        pytest.param(503, "", errors.Unreachable, id="away"),
    ],
)
def test_a_status_becomes_a_type(status: int, reason: str, want: type[errors.ClientError]) -> None:
    body = json.dumps({"kind": "Status", "message": "it says so", "reason": reason})
    error = of_answer(status, body)
    assert type(error) is want
    assert str(error).startswith("it says so")


def test_only_a_status_object_is_believed() -> None:
    for body in (b"<html>proxy</html>", b'{"message": "Authorization: Bearer abc"}', b"", None):
        assert str(of_answer(502, body)) == "HTTP 502 without a reason"
