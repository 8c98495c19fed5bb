"""Who leads, decided from what was seen and when; several candidates play against one Lease."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.kube.lease import TERMS, Move, Seen, decide, look


@pytest.mark.parametrize(
    ("seen", "now", "move"),
    [
        pytest.param(Seen("", "", 0.0), 0.0, Move.CREATE, id="no lease"),
        pytest.param(Seen("me", "7", 0.0), 100.0, Move.RENEW, id="ours, even old"),
        pytest.param(Seen("", "7", 0.0), 0.0, Move.TAKE, id="released"),
        pytest.param(Seen("you", "7", 0.0), 14.9, Move.WAIT, id="held and fresh enough"),
        pytest.param(Seen("you", "7", 0.0), 15.0, Move.TAKE, id="unchanged for the whole term"),
    ],
)
def test_the_next_move(seen: Seen, now: float, move: Move) -> None:
    assert decide(seen, "me", now) is move


def _lease(holder: str, version: str) -> dict[str, Any]:
    return {
        "metadata": {"resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseTransitions": 3},
    }


def test_a_version_seen_before_keeps_its_age() -> None:
    first = look(None, _lease("you", "7"), 10.0)
    again = look(first, _lease("you", "7"), 20.0)
    renewed = look(again, _lease("you", "8"), 21.0)
    assert [first.since, again.since, renewed.since] == [10.0, 10.0, 21.0]
    assert renewed.transitions == 3


@given(
    gaps=st.lists(st.floats(0.1, 9.0), min_size=1, max_size=60),
    actors=st.lists(st.integers(0, 2), min_size=60, max_size=60),
    skews=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
)
def test_no_two_lead_at_once_whatever_their_clocks_say(
    gaps: list[float], actors: list[int], skews: tuple[float, float, float]
) -> None:
    """A candidate believes it leads for `renew_s` after a write; writes are atomic, as the API server's."""
    lease: dict[str, Any] | None = None
    seen: list[Seen | None] = [None, None, None]
    until = [-1.0, -1.0, -1.0]
    time, version = 0.0, 0
    for gap, actor in zip(gaps, actors, strict=False):
        time += gap
        clock = time + skews[actor]
        seen[actor] = now_seen = look(seen[actor], lease, clock)
        if decide(now_seen, str(actor), clock) is not Move.WAIT:
            version += 1
            lease = _lease(str(actor), str(version))
            seen[actor] = look(None, lease, clock)
            until[actor] = time + TERMS.renew_s
        assert sum(limit > time for limit in until) <= 1
