"""Agents that give no clear answer, for each transport that asks one.

Apart from `agent`: that module also runs in a pod, where there is no pytest.
"""

import pytest

from tests.kit.agent import YES, answers, cut_off, dies, drips, hangs

BIG = b'{"allowed": true, "x": "' + b"y" * (2 * 1024 * 1024) + b'"}'
AWAY = answers({"detail": "http://agent.planted.example/x"}, status=503)
UNCLEAR = [
    pytest.param(answers({"allowed": "true"}), "MalformedResponse", 1, id="text instead of true"),
    pytest.param(answers({"allowed": 1}), "MalformedResponse", 1, id="1 instead of true"),
    pytest.param(answers({"allowed": None}), "MalformedResponse", 1, id="null"),
    pytest.param(answers({}), "MalformedResponse", 1, id="no allowed"),
    pytest.param(answers([True]), "MalformedResponse", 1, id="no object"),
    pytest.param(answers("true"), "MalformedResponse", 1, id="a bare true"),
    pytest.param(answers("{"), "MalformedResponse", 1, id="no JSON"),
    pytest.param(answers("[" * 200_000), "MalformedResponse", 1, id="JSON without a bottom"),
    pytest.param(answers(""), "MalformedResponse", 1, id="empty"),
    pytest.param(
        answers('{"allowed": false, "allowed": true}'), "MalformedResponse", 1, id="both yes and no"
    ),
    pytest.param(answers(b"", status=204), "MalformedResponse", 1, id="204"),
    pytest.param(answers(YES, status=202), "MalformedResponse", 1, id="202"),
    pytest.param(answers(BIG), "MalformedResponse", 1, id="2 MiB"),
    pytest.param(cut_off(), "MalformedResponse", 1, id="cut off"),
    pytest.param(answers(YES, status=302, Location="/base/x"), "HTTPError", 1, id="302"),
    pytest.param(answers(YES, status=307, Location="/base/x"), "HTTPError", 1, id="307"),
    pytest.param(answers(YES, status=400), "ValidationError", 1, id="400"),
    pytest.param(answers(YES, status=401), "AuthenticationError", 1, id="401"),
    pytest.param(answers(YES, status=403), "AuthorizationError", 1, id="403"),
    pytest.param(answers(YES, status=404), "NotFoundError", 1, id="404"),
    pytest.param(answers(YES, status=409), "HTTPError", 1, id="409"),
    pytest.param(answers(YES, status=422), "ValidationError", 1, id="422"),
    pytest.param(answers(YES, status=429, Retry_After="1"), "RateLimitError", 1, id="429"),
    pytest.param(answers(YES, status=500), "ServerError", 1, id="500"),
    pytest.param(answers(YES, status=501), "ServerError", 1, id="501"),
    pytest.param(answers(YES, status=502), "ServerError", 4, id="502"),
    pytest.param(AWAY, "ServerError", 4, id="503"),
    pytest.param(answers("<html>", status=504), "ServerError", 4, id="504"),
    pytest.param(answers(YES, status=503, Retry_After="40"), "ServerError", 1, id="503, come back later"),
    pytest.param(
        answers({"error_type": "gpu_unavailable"}, status=503), "GpuUnavailableError", 1, id="no GPU"
    ),
    pytest.param(hangs(), "ClientResponseIncompleteError", 1, id="no answer"),
    pytest.param(drips(), "ClientResponseIncompleteError", 1, id="an answer without an end"),
    pytest.param(dies(), "ClientResponseIncompleteError", 1, id="dies after the question"),
]
"""An agent that gives no clear answer, the class name of the error, and how often it is asked."""
