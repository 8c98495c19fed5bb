"""Credentials that are lent to a job: taken away again, and what is left is told or swept up."""

import json
import re
from base64 import b64decode
from types import SimpleNamespace
from typing import Any

import pytest

from raydock.client.cluster import ENTRY, LOAN_MAX_S, Head, StillLent, lent
from raydock.client.errors import NotAllowed, NotFound, Unreachable
from tests.unit.client.fake_session import FakeSession

HEAD = Head("iris", "demo", "iris-head", "ray-token")
VALUES = {"SYNAPSE_ACCESS_TOKEN": "tok-planted"}
NOW = 1_800_000_000
OLD = f"job-{'0' * 16}-{NOW - 1}.json"
YOUNG = f"job-{'1' * 16}-{NOW + 1}.json"


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.client.cluster.time", SimpleNamespace(time=lambda: float(NOW)))


def written(session: FakeSession) -> list[dict[str, Any]]:
    """What was written into the Secret."""
    path = "/api/v1/namespaces/demo/secrets/iris-access"
    return [body["data"] for method, to, _, body in session.asked if (method, to) == ("PATCH", path)]


def test_they_are_there_while_the_context_is_open() -> None:
    session = FakeSession([{}, {}, {}, {}])
    with lent(session.as_session(), HEAD, VALUES) as loan:
        (given,) = written(session)
        assert json.loads(b64decode(given[loan.entry])) == VALUES
        match = ENTRY.fullmatch(loan.entry)
        assert match is not None
        assert int(match[1]) == NOW + LOAN_MAX_S
    assert written(session)[1:] == [{loan.entry: None}]


def test_what_a_killed_command_left_is_taken_away_by_the_next_one() -> None:
    session = FakeSession([{"data": {OLD: "eA==", YOUNG: "eA==", "access.json": "eA=="}}, {}, {}, {}])
    with lent(session.as_session(), HEAD, VALUES) as loan:
        assert written(session)[0].keys() == {OLD, loan.entry}
        assert written(session)[0][OLD] is None


def test_who_may_not_read_the_secret_may_lend() -> None:
    session = FakeSession([NotAllowed("no get of secrets"), {}, {}, {}])
    with lent(session.as_session(), HEAD, VALUES) as loan:
        assert written(session)[0].keys() == {loan.entry}


def test_what_cannot_be_taken_away_is_told_with_the_command_that_does() -> None:
    session = FakeSession([{}, {}, {}, Unreachable("the API server did not answer")])
    with pytest.raises(StillLent) as caught, lent(session.as_session(), HEAD, VALUES) as loan:
        pass
    command = re.search(
        r"kubectl -n demo patch secret iris-access --type=merge -p '(.*)'$", str(caught.value)
    )
    assert command is not None
    assert json.loads(command[1]) == {"data": {loan.entry: None}}
    assert "planted" not in str(caught.value)


def test_a_secret_that_is_gone_holds_nothing() -> None:
    session = FakeSession([{}, {}, {}, NotFound("no Secret")])
    with lent(session.as_session(), HEAD, VALUES):
        pass
