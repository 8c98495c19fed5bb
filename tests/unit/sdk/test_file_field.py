"""Files that come with a request: a URL is sent, a path is read."""

import base64
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from raydock.sdk.enums import FileField
from raydock.sdk.plugins.serving import request_files
from raydock.sdk.plugins.serving.request_files import ALLOWED_ENV
from raydock.sdk.plugins.serving.scope import Scope, entered
from tests.unit.models.server import Server, serving
from tests.unit.sdk.waiting import gone

PNG = "data:image/png;base64," + base64.b64encode(b"pixels").decode()
SIGNED = "/cat.png?signature=sig-planted-0004"


class Question(BaseModel):
    image: FileField
    more: list[FileField] = []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(ALLOWED_ENV, "127.0.0.0/8")
    with serving(lambda request: request.reply(200, request.path.encode())) as found:
        yield found


def asked(image: Any, *more: Any) -> Question:
    return Question.model_validate({"image": image, "more": list(more)})


def refusal(value: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        asked(value)
    (error,) = raised.value.errors()
    return str(error["msg"])


def test_a_field_becomes_a_file_that_goes_with_the_request(server: Server) -> None:
    with entered(Scope()):
        found = asked(server.url(SIGNED), PNG)
        image, more = Path(found.image), Path(found.more[0])
        assert (image.read_bytes(), image.suffix) == (SIGNED.encode(), ".png")
        assert (more.read_bytes(), more.suffix) == (b"pixels", ".png")
        assert "sig-planted" not in str(image)
    assert not image.exists()
    assert not more.exists()


def test_a_url_is_fetched_once_for_a_request_and_by_its_query_too(server: Server) -> None:
    other = server.url("/cat.png?signature=another")
    with entered(Scope()):
        found = asked(server.url(SIGNED), server.url(SIGNED), other)
        assert found.image == found.more[0] != found.more[1]
    assert len(server.gets()) == 2
    with entered(Scope()):
        asked(other)
    assert len(server.gets()) == 3, "of another request"


def test_outside_of_a_request_the_file_stays(server: Server) -> None:
    assert Path(asked(PNG).image).read_bytes() == b"pixels"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "FileField URL cannot be empty"),
        ("  ", "FileField URL cannot be empty"),
        (7, "FileField expects a URL string, got int"),
        (None, "FileField expects a URL string, got NoneType"),
        ("cat.png", "FileField: want an http:// or https:// URL, or data:…;base64,…"),
        ("http://[", "FileField: want an http:// or https:// URL, or data:…;base64,…"),
        ("file:///etc/passwd", "FileField: want an http:// or https:// URL, or data:…;base64,…"),
        ("data:image/png,pixels", "FileField: want data:TYPE;base64,CONTENT"),
        ("data:image/png;base64", "FileField: want data:TYPE;base64,CONTENT"),
        ("data:image/png;base64,****", "FileField: its Base64 cannot be read"),
        ("data:;base64,abc", "FileField: its Base64 cannot be read"),
    ],
)
def test_what_names_no_file_is_refused(value: Any, why: str) -> None:
    assert refusal(value) == why


def test_addresses_of_the_cluster_are_refused_unless_they_are_allowed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ALLOWED_ENV)
    assert "are not read" in refusal(server.url())
    monkeypatch.setenv(ALLOWED_ENV, "127.0.0.0/8,nonsense")
    assert "are not read" in refusal(server.url()), "a typo opens nothing"
    assert server.seen == []


def test_a_file_that_is_too_large_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_files, "MAX_BYTES", 3)
    assert "more than 3 bytes" in refusal(server.url(SIGNED))


def refusals(*values: str) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        asked(PNG, *values)
    return [str(error["msg"]) for error in raised.value.errors()]


def test_the_files_of_a_request_share_its_bytes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_files, "MAX_BYTES", 10)  # each has 6
    urls = [server.url(f"/{number}.png") for number in range(2)]
    with entered(Scope()):
        (why,) = refusals(*urls)
    assert "more than 4 bytes" in why
    for url in urls:
        with entered(Scope()):
            asked(url)


def test_the_files_of_a_request_share_its_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    times = itertools.count(0, 200)
    monkeypatch.setattr(
        "raydock.sdk.plugins.serving.request_files.time", SimpleNamespace(monotonic=lambda: next(times))
    )
    with entered(Scope()):
        (why,) = refusals(*(server.url(f"/{number}.png") for number in range(3)))
    assert "did not come" in why
    assert len(server.gets()) == 2


def test_the_urls_of_a_request_are_counted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_files, "URLS_MAX", 2)
    with entered(Scope()):
        (why,) = refusals(*(server.url(f"/{number}.png") for number in range(3)), PNG)
    assert "2 URLs" in why
    assert len(server.gets()) == 2


def test_its_schema_says_that_a_url_is_wanted() -> None:
    schema = Question.model_json_schema()
    assert schema["properties"]["image"].items() >= {"format": "uri", "type": "string"}.items()
    assert asked(PNG).model_dump_json().startswith('{"image":"/')


async def test_the_event_loop_does_not_wait_for_files_to_be_taken_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []

    def rmtree(path: Path, **_: bool) -> None:
        threads.append(threading.get_ident())
        path.rmdir()

    monkeypatch.setattr("raydock.sdk.plugins.serving.scope.shutil.rmtree", rmtree)
    with entered(Scope()) as scope:
        directory = scope.files.directory()
    await gone(directory)
    assert threads
    assert threading.get_ident() not in threads
