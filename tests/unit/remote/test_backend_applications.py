"""The operator's client of a backend against a real HTTP server, in each of its failures."""

import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from raydock.remote import backend as client
from raydock.remote.backend import Account, Application, Applications, BackendNotConfigured
from raydock.remote.errors import ClientError
from raydock.remote.session import outside
from tests.kit.backend import CUT_OFF, Backend, Seen, backend

TOKEN, TENANT = "tok-planted-0001", "ten-planted-0002"
IRIS = Application("job-7", "RUNNING", {"name": "iris", "status": "RUNNING"})


@pytest.fixture
def one() -> Iterator[Backend]:
    with backend() as server:
        yield server


async def calls(one: Backend, call: Callable[[Applications], Awaitable[Any]]) -> Any:
    """What comes of `call`: its value, or the name of its error."""
    async with outside() as session:
        try:
            return await call(Applications(session, Account(one.url, TOKEN, TENANT)))
        except ClientError as error:
            told = "".join(traceback.format_exception(error))
            assert not [text for text in (TOKEN, TENANT, one.url, str(one.server_port)) if text in told]
            return type(error).__name__


async def test_a_record_is_posted_as_the_contract_says(one: Backend) -> None:
    assert await calls(one, lambda records: records.create(IRIS)) == "42"
    (sent,) = one.requests
    assert (sent.method, sent.path) == ("POST", "/serve_applications/")
    assert sent.body == {
        "job": "job-7",
        "status": "RUNNING",
        "data": {"name": "iris", "status": "RUNNING"},
    }
    assert sent.headers["Synapse-Access-Token"] == f"Token {TOKEN}"
    assert sent.headers["Synapse-Tenant"] == f"Token {TENANT}"


async def test_a_record_is_found_by_its_job_on_any_page(one: Backend) -> None:
    one.page_size = 2
    one.applications = {str(number): {"id": number, "job": number} for number in range(1, 8)}
    found = await calls(one, lambda r: r.find("iris v1", Application("7", "RUNNING", {"name": "iris"})))
    assert found == "7"
    assert [seen.path for seen in one.requests] == [
        "/serve_applications/?plugin_code=iris+v1&page_size=100",
        "/serve_applications/?plugin_code=iris+v1&page_size=100&page=2",
        "/serve_applications/?plugin_code=iris+v1&page_size=100&page=3",
        "/serve_applications/?plugin_code=iris+v1&page_size=100&page=4",
    ]


async def test_a_record_of_another_plugin_s_job_is_found_by_the_job(one: Backend) -> None:
    """With `jobId` the Deployment's name says nothing of the plugin that the backend files it under."""
    one.applications = {"42": {"id": 42, "job": "job-7"}}
    listed = one.answer

    def of_no_such_plugin(seen: Seen) -> tuple[int, Any]:
        status, found = listed(seen)
        return status, {"results": []} if "plugin_code" in seen.path else found

    one.answer = of_no_such_plugin  # type: ignore[method-assign]
    assert await calls(one, lambda records: records.find("iris", IRIS)) == "42"
    assert [seen.path for seen in one.requests] == [
        "/serve_applications/?plugin_code=iris&page_size=100",
        "/serve_applications/?job=job-7&page_size=100",
    ]


async def test_a_backend_without_that_filter_may_list_more_than_is_looked_through(
    one: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGES_MAX", 3)
    one.page_size = 1
    one.applications = {str(number): {"id": number, "job": number} for number in range(9)}
    listed = one.answer

    def of_no_such_plugin(seen: Seen) -> tuple[int, Any]:
        status, found = listed(seen)
        return status, {"results": []} if "plugin_code" in seen.path else found

    one.answer = of_no_such_plugin  # type: ignore[method-assign]
    assert await calls(one, lambda records: records.find("iris", IRIS)) is None
    assert len(one.requests) == 4


@pytest.mark.parametrize(
    ("of_job", "found"),
    [
        pytest.param([{"id": 42, "job": "job-7"}], "42", id="it is there"),
        pytest.param([], None, id="there is none"),
    ],
)
async def test_behind_more_pages_than_are_looked_through_it_is_found_by_the_job(
    one: Backend, of_job: list[Any], found: str | None
) -> None:
    one.page_size = 1
    one.applications = {str(number): {"id": number, "job": number} for number in range(60)}
    listed = one.answer

    def filtered(seen: Seen) -> tuple[int, Any]:
        status, all_of_them = listed(seen)
        return status, {"results": of_job} if "?job=" in seen.path else all_of_them

    one.answer = filtered  # type: ignore[method-assign]
    assert await calls(one, lambda records: records.find("iris", IRIS)) == found
    assert len(one.requests) == 51
    assert one.requests[49].path.endswith("plugin_code=iris&page_size=100&page=50")
    assert one.requests[50].path == "/serve_applications/?job=job-7&page_size=100"


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        pytest.param({}, "42", id="without data"),
        pytest.param({"data": {"name": "iris"}}, "42", id="of the name"),
        pytest.param({"data": {"name": "lily"}}, None, id="of another Deployment of the same job"),
        pytest.param({"job": "job-8"}, None, id="of another job"),
        pytest.param({"job": None}, None, id="of no job"),
    ],
)
async def test_a_record_is_one_s_own_by_job_and_name(
    one: Backend, kept: dict[str, Any], found: str | None
) -> None:
    one.applications = {"42": {"id": 42, "job": "job-7", **kept}}
    assert await calls(one, lambda records: records.find("iris", IRIS)) == found


async def test_a_page_of_large_records_is_read(one: Backend) -> None:
    large = {"note": "x" * 2**20}
    one.applications = {str(number): {"id": number, "job": number, "data": large} for number in range(1, 4)}
    assert await calls(one, lambda r: r.find("iris", Application("3", "RUNNING", {"name": "iris"}))) == "3"


async def test_a_page_without_end_is_refused(one: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_MAX", 1000)
    one.applications = {"1": {"id": 1, "job": "job-7", "data": {"note": "x" * 1000}}}
    assert await calls(one, lambda records: records.find("iris", IRIS)) == "MalformedResponse"


@pytest.mark.parametrize("status", [200, 404, 405], ids=["taken", "gone already", "never deletes"])
async def test_a_record_that_is_gone_or_never_goes_is_done(one: Backend, status: int) -> None:
    one.applications = {"42": {"id": 42}}
    one.failing = lambda _: None if status == 200 else status
    assert await calls(one, lambda records: records.remove("42")) is None
    assert one.requests[0].path == "/serve_applications/42/"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, "HTTPError"),
        (400, "ValidationError"),
        (401, "AuthenticationError"),
        (403, "AuthorizationError"),
        (429, "RateLimitError"),
        (500, "ServerError"),
        (CUT_OFF, "ClientResponseIncompleteError"),
    ],
)
async def test_a_failure_is_told_by_its_class_after_one_try(one: Backend, status: int, error: str) -> None:
    one.failing = lambda _: status
    assert await calls(one, lambda records: records.create(IRIS)) == error
    assert len(one.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"id": None}, {"id": True}, {"id": ""}, {"id": "x" * 254}, {"id": 1.5}],
    ids=repr,
)
async def test_an_answer_without_an_id_is_malformed(one: Backend, answer: Any) -> None:
    one.answer = lambda seen: (201, answer)  # type: ignore[method-assign]
    assert await calls(one, lambda records: records.create(IRIS)) == "MalformedResponse"


@pytest.mark.parametrize("answer", [[], {}, {"results": {}}, {"results": [], "next": "http://[x"}], ids=repr)
async def test_an_answer_that_is_no_list_is_malformed(one: Backend, answer: Any) -> None:
    one.answer = lambda seen: (200, answer)  # type: ignore[method-assign]
    assert await calls(one, lambda records: records.find("iris", IRIS)) == "MalformedResponse"


async def test_a_list_without_end_ends(one: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGES_MAX", 3)

    def answer(seen: Seen) -> tuple[int, Any]:
        one.requests.append(seen)
        return 200, {"results": [], "next": "?page=2"}

    one.answer = answer  # type: ignore[method-assign]
    assert await calls(one, lambda records: records.find("iris", IRIS)) == "MalformedResponse"
    assert len(one.requests) == 6, "of the plugin's records and of the job's"


async def test_a_backend_that_is_away_is_told_apart(one: Backend) -> None:
    with backend() as former:
        pass
    assert await calls(former, lambda records: records.create(IRIS)) == "ClientConnectionError"


@pytest.mark.parametrize(
    "account",
    [
        pytest.param(Account("ftp://backend.planted", TOKEN), id="no http"),
        pytest.param(Account("https://me:pw@backend.planted", TOKEN), id="a password"),
        pytest.param(Account("https://backend.planted", ""), id="no token"),
        pytest.param(Account("https://backend.planted", f"{TOKEN}\nx: y"), id="a token of two lines"),
        pytest.param(Account("https://backend.planted", TOKEN, "a\nb"), id="a tenant of two lines"),
    ],
)
async def test_what_cannot_be_asked_is_told_without_its_values(account: Account) -> None:
    async with outside() as session:
        with pytest.raises(BackendNotConfigured) as caught:
            Applications(session, account)
    assert "planted" not in "".join(traceback.format_exception(caught.value))


def test_an_account_is_shown_without_its_values() -> None:
    assert "planted" not in repr(Account("https://backend.planted", TOKEN, TENANT))
