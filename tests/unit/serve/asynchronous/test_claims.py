"""Whose request is free, as one observer sees it."""

from datetime import UTC, datetime, timedelta

from raydock.serve.asynchronous.claims import LEASE_S, Claims, Free
from raydock.serve.asynchronous.objects import Seen

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def seen(**marks: str) -> dict[str, Seen]:
    """Objects by name, the first one written first."""
    return {
        name.replace("__", ".").replace("_", "-"): Seen(mark, BEGAN + timedelta(seconds=number))
        for number, (name, mark) in enumerate(marks.items())
    }


def free(claims: Claims, **marks: str) -> dict[str, int]:
    return {one.of: one.number for one in claims.free(seen(**marks))}


def test_what_nobody_claimed_is_free_at_once_and_the_oldest_first() -> None:
    found = Claims(lambda: 0).free(seen(b__json="1", a__body="1", a__json="1"))
    assert found == [Free("b", 1, 0), Free("a", 1, 0)]


def test_how_long_it_waited_is_told() -> None:
    now = 0.0
    claims = Claims(lambda: now)
    claims.free(seen(a__json="1"))
    now = 7.0
    assert claims.free(seen(a__json="1")) == [Free("a", 1, 7.0)]


def test_a_claim_holds_as_long_as_it_is_rewritten() -> None:
    now = 0.0
    claims = Claims(lambda: now)
    for beat in range(10):
        assert free(claims, a__json="1", a__claim_1=str(beat)) == {}
        now += LEASE_S * 0.9
    for wait, want in ((0.0, {}), (LEASE_S * 0.99, {}), (LEASE_S * 0.02, {"a": 2})):
        now += wait
        assert free(claims, a__json="1", a__claim_1="last") == want


def test_the_newest_claim_counts_whatever_is_rewritten_of_older_ones() -> None:
    now = 0.0
    claims = Claims(lambda: now)
    free(claims, a__json="1", a__claim_9="x", a__claim_10="x")
    now = LEASE_S
    assert free(claims, a__json="1", a__claim_9="y", a__claim_10="x") == {"a": 11}


def test_what_was_not_seen_for_a_while_is_not_remembered() -> None:
    now = 0.0
    claims = Claims(lambda: now)
    free(claims, a__json="1", a__claim_1="x")
    free(claims)
    now = LEASE_S
    assert free(claims, a__json="1", a__claim_1="x") == {}
