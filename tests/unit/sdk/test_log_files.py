"""contracts/actions.md 4: a file of a log entry travels as a data URI, however the action names it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raydock.sdk.clients.backend import BackendClient
from raydock.sdk.loggers import JobLogger, NoOpLogger
from raydock.sdk.loggers.entry import LogLevel
from tests.kit.backend import Backend, backend
from tests.unit.sdk.recording import a_context

PIXEL = b"\x89PNG\r\n\x1a\n\x00"
URI = "data:image/png;base64,iVBORw0KGgoA"
OF_SOME_KIND = "data:application/octet-stream;base64,iVBORw0KGgoA"


@pytest.fixture
def server() -> Iterator[Backend]:
    with backend() as found:
        yield found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "seen.png"
    path.write_bytes(PIXEL)
    return path


def job_logger(server: Backend) -> JobLogger:
    return JobLogger(BackendClient(server.url, "tok"), 5, background_flush=False)


def renamed(suffix: str) -> Callable[[Path], Path]:
    return lambda path: path.rename(path.with_suffix(suffix))


FILES = [
    pytest.param(str, URI, id="a path as text"),
    pytest.param(Path, URI, id="a path"),
    pytest.param(renamed(".unknown-kind"), OF_SOME_KIND, id="a path of an unknown kind"),
    pytest.param(renamed(".csv.gz"), OF_SOME_KIND, id="a packed file"),
    pytest.param(Path.read_bytes, OF_SOME_KIND, id="bytes"),
    pytest.param(lambda _: URI, URI, id="a data URI"),
    pytest.param(lambda _: "", None, id="none"),
]


@pytest.mark.parametrize(("given", "want"), FILES)
def test_a_file_travels_as_a_data_uri(server: Backend, image: Path, given: Any, want: str | None) -> None:
    with job_logger(server) as logger:
        a_context(logger).log("e", {}, file=given(image))
    (entry,) = server.logs
    assert entry.get("file") == want


def test_a_picture_may_be_a_path(server: Backend, image: Path) -> None:
    with job_logger(server) as logger:
        logger.log_visualization("c", "g", 0, str(image))
    assert server.logs[0]["file"] == URI


def test_a_file_is_read_when_it_is_logged(server: Backend, image: Path) -> None:
    with job_logger(server) as logger:
        logger.log(LogLevel.INFO, "e", {}, image)
        image.unlink()
    assert server.logs[0]["file"] == URI


@pytest.mark.parametrize("name", ["gone.png", "a\0b", "x" * 5000])
def test_a_file_that_cannot_be_read_fails_no_action(
    server: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with caplog.at_level(logging.WARNING), job_logger(server) as logger:
        logger.log(LogLevel.INFO, "e", {"a": 1}, str(tmp_path / name))
    assert server.logs[0]["data"] == {"a": 1}
    assert "file" not in server.logs[0]
    assert "goes without its file" in caplog.text


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(TypeError, match="file must be a path, bytes or a data URI, got int"):
        NoOpLogger().log(LogLevel.INFO, "e", {}, 7)  # type: ignore[arg-type]  # what a plugin without types does


def test_the_client_itself_takes_a_path_too(server: Backend, image: Path) -> None:
    client = BackendClient(server.url, "tok")
    client.create_logs([{"event": "a", "file": image}, {"event": "b"}])
    assert server.logs == [{"event": "a", "file": URI}, {"event": "b"}]
    with pytest.raises(FileNotFoundError):
        client.create_logs({"event": "a", "file": "gone.png"})
