"""How often and how long a capacity agent is asked, in virtual time."""

from collections.abc import Callable

import pytest

from raydock.remote.errors import (
    AuthenticationError,
    ClientConnectionError,
    ClientError,
    ClientResponseIncompleteError,
    ClientTimeoutError,
    GpuUnavailableError,
    HTTPError,
    MalformedResponse,
    RateLimitError,
    ServerError,
    of_status,
)
from raydock.remote.persistence import Clock, Twice, persist, persist_blocking
from tests.kit.virtual_time import now, pass_time, run


def told(make: Callable[[], ClientError], each_s: float = 0.0) -> tuple[str, int, float]:
    """The error that comes in the end, the number of tries, and the seconds it took."""
    lefts: list[float] = []

    async def attempt(left_s: float) -> str:
        lefts.append(left_s)
        await pass_time(min(each_s, left_s))
        raise make()

    async def asked() -> tuple[str, int, float]:
        with pytest.raises(ClientError) as caught:
            await persist(attempt)
        return type(caught.value).__name__, len(lefts), now()

    return run(asked)


TRIES = [
    pytest.param(lambda: ClientConnectionError(0), 0, 4, 12, id="refused"),
    pytest.param(lambda: ClientTimeoutError(0), 3, 4, 24, id="no connection in 3 s"),
    pytest.param(lambda: ServerError(502), 0, 4, 12, id="502"),
    pytest.param(lambda: ServerError(503), 0, 4, 12, id="503"),
    pytest.param(lambda: ServerError(504), 0, 4, 12, id="504"),
    pytest.param(lambda: ServerError(504), 9.9, 3, 30, id="the deadline is for all tries"),
    pytest.param(lambda: ServerError(500), 0, 1, 0, id="500"),
    pytest.param(lambda: ServerError(507), 0, 1, 0, id="another 5xx"),
    pytest.param(lambda: GpuUnavailableError(503), 0, 1, 0, id="no GPU"),
    pytest.param(lambda: ClientResponseIncompleteError(0), 10, 1, 10, id="no answer"),
    pytest.param(lambda: MalformedResponse(200), 0, 1, 0, id="no clear answer"),
    pytest.param(lambda: AuthenticationError(401), 0, 1, 0, id="401"),
    pytest.param(lambda: RateLimitError(429, retry_after_s=1), 0, 1, 0, id="429"),
    pytest.param(lambda: HTTPError(302), 0, 1, 0, id="a redirect"),
    pytest.param(lambda: ServerError(503, retry_after_s=5), 0, 4, 15, id="Retry-After"),
    pytest.param(lambda: ServerError(503, retry_after_s=0), 0, 4, 0, id="Retry-After at once"),
    pytest.param(lambda: ServerError(503, retry_after_s=20), 0, 2, 20, id="Retry-After past the deadline"),
    pytest.param(lambda: ServerError(503, retry_after_s=30), 0, 1, 0, id="Retry-After as long as it"),
    pytest.param(lambda: ServerError(500, retry_after_s=1), 0, 1, 0, id="500 with Retry-After"),
]


@pytest.mark.parametrize(("make", "each_s", "tries", "seconds"), TRIES)
def test_tries_and_time(make: Callable[[], ClientError], each_s: float, tries: int, seconds: float) -> None:
    _, tried, took = told(make, each_s)
    assert (tried, round(took, 3)) == (tries, seconds)


def told_blocking(
    make: Callable[[], ClientError], each_s: float = 0.0, twice: Twice = "harmless"
) -> tuple[int, float]:
    """The number of tries, and the seconds they took, of a caller without a loop."""
    lefts: list[float] = []
    passed = [0.0]

    def wait(seconds: float) -> None:
        passed[0] += seconds

    def attempt(left_s: float) -> str:
        lefts.append(left_s)
        wait(min(each_s, left_s))
        raise make()

    with pytest.raises(ClientError):
        persist_blocking(attempt, twice, clock=Clock(lambda: passed[0], wait))
    return len(lefts), round(passed[0], 3)


@pytest.mark.parametrize(("make", "each_s", "tries", "seconds"), TRIES)
def test_tries_and_time_without_a_loop(
    make: Callable[[], ClientError], each_s: float, tries: int, seconds: float
) -> None:
    assert told_blocking(make, each_s) == (tries, seconds)


@pytest.mark.parametrize(
    ("make", "each_s", "tries", "seconds"),
    [
        pytest.param(lambda: ClientResponseIncompleteError(0), 1, 4, 16, id="an answer lost after 1 s"),
        pytest.param(lambda: ClientResponseIncompleteError(0), 15, 2, 30, id="no answer in 15 s"),
        pytest.param(lambda: MalformedResponse(200), 0, 1, 0, id="no clear answer"),
        pytest.param(lambda: ServerError(500), 0, 1, 0, id="500"),
        pytest.param(lambda: ServerError(503), 0, 4, 12, id="503"),
    ],
)
def test_what_has_its_effect_once_is_asked_again_after_a_lost_answer(
    make: Callable[[], ClientError], each_s: float, tries: int, seconds: float
) -> None:
    assert told_blocking(make, each_s, "same") == (tries, seconds)


@pytest.mark.parametrize(
    ("make", "tries"),
    [
        pytest.param(lambda: ClientConnectionError(0), 4, id="refused"),
        pytest.param(lambda: ClientTimeoutError(0), 4, id="no connection"),
        pytest.param(lambda: ServerError(503), 4, id="nobody took it"),
        pytest.param(lambda: ServerError(502), 1, id="somebody may have, 502"),
        pytest.param(lambda: ServerError(504), 1, id="somebody may have, 504"),
        pytest.param(lambda: ClientResponseIncompleteError(0), 1, id="a lost answer"),
    ],
)
def test_what_would_be_made_twice_is_asked_again_only_where_nobody_took_it(
    make: Callable[[], ClientError], tries: int
) -> None:
    assert told_blocking(make, twice="more")[0] == tries


def test_the_first_answer_counts() -> None:
    left = [ClientConnectionError(0), ServerError(503)]

    async def attempt(_: float) -> str:
        if left:
            raise left.pop(0)
        return "yes"

    async def asked() -> tuple[str, float]:
        return await persist(attempt), now()

    assert run(asked) == ("yes", 4)


@pytest.mark.parametrize(
    ("status", "detail", "name"),
    [
        (400, None, "ValidationError"),
        (401, None, "AuthenticationError"),
        (403, None, "AuthorizationError"),
        (404, None, "NotFoundError"),
        (405, None, "HTTPError"),
        (422, None, "ValidationError"),
        (429, None, "RateLimitError"),
        (500, None, "ServerError"),
        (503, None, "ServerError"),
        (503, {"error_type": "gpu_unavailable"}, "GpuUnavailableError"),
        (500, {"error_type": "gpu_unavailable"}, "ServerError"),
        (304, None, "HTTPError"),
    ],
)
def test_a_status_has_one_name(status: int, detail: object, name: str) -> None:
    assert type(of_status(status, detail)).__name__ == name
