"""Credentials that a command lent are taken back however it is ended."""

import os
import signal
from collections.abc import Iterator
from typing import Any, cast

import pytest

from raydock.cli.ended import SIGNALS, ended_by_signals
from raydock.cli.plugin_place import Reached
from raydock.cli.plugin_remote import _credentials
from raydock.client.cluster import Head, StillLent
from raydock.client.errors import Unreachable
from raydock.sdk.plugins.executors.ray_job import Dashboard
from tests.unit.client.fake_session import FakeSession

TOKEN = {"SYNAPSE_ACCESS_TOKEN": "tok-planted"}


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those around a test, so that a signal that is not taken ends the test alone."""

    def nothing(*_: object) -> None:
        pass

    before = {number: signal.signal(number, nothing) for number in SIGNALS}
    yield
    after = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert after == dict.fromkeys(SIGNALS, nothing), "they were put back"


def place(*answers: Any) -> tuple[FakeSession, Reached]:
    session = FakeSession(list(answers))
    head = Head("iris", "demo", "iris-head", "ray-token")
    return session, Reached(cast("Dashboard", None), session.as_session(), head)


def ends(session: FakeSession) -> list[Any]:
    """Each time that something was taken out of the Secret."""
    bodies = [body for method, _, _, body in session.asked if method == "PATCH" and "data" in body]
    return [body for body in bodies if None in body["data"].values()]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_takes_the_credentials_back(number: signal.Signals) -> None:
    session, cluster = place({}, {}, {}, {})
    with pytest.raises(SystemExit) as ended, _credentials(cluster, TOKEN):
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert len(ends(session)) == 1


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_job_goes_on_whose_credentials_cannot_be_taken_away_yet(capsys: pytest.CaptureFixture[str]) -> None:
    session, cluster = place({}, {}, {}, Unreachable("not now"), {})
    with _credentials(cluster, TOKEN) as (_, given):
        given()
        assert "take them out with kubectl" in capsys.readouterr().err
    assert len(ends(session)) == 2, "at the end it is tried again"


def test_at_the_end_it_is_an_error() -> None:
    _, cluster = place({}, {}, {}, Unreachable("not now"))
    with pytest.raises(StillLent), _credentials(cluster, TOKEN):
        pass
