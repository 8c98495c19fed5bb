"""contracts/actions.md 4, wire: what a JobLogger sends to a real HTTP server, and when."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typing_extensions import override

from raydock.remote.errors import of_status
from raydock.sdk.loggers import JobLogger
from raydock.sdk.loggers.entry import LogLevel
from raydock.sdk.loggers.outbox import QUEUE_MAX
from tests.kit.backend import CUT_OFF, Backend, PlainClient, Seen, backend
from tests.unit.sdk.recording import NOON, Clock

AT = NOON.isoformat()


@pytest.fixture
def server() -> Iterator[Backend]:
    with backend() as found:
        yield found


class Given:
    """A logger that sends in its calls, by a clock that stands still."""

    def __init__(self, server: Backend) -> None:
        self.clock = Clock()
        self.logger = self.of(server)

    def of(self, server: Backend, **kwargs: Any) -> JobLogger:
        client = PlainClient(server.server_port)
        return JobLogger(client, 5, background_flush=False, clock=self.clock, now=lambda: NOON, **kwargs)


@pytest.fixture
def given(server: Backend) -> Given:
    return Given(server)


def test_progress_of_a_step_travels_as_in_the_contract(server: Backend, given: Given) -> None:
    given.logger.set_step_proportions({"a": 30, "b": 70}, {"a": 0, "b": 1})
    given.logger.set_progress(3, 3, "a")
    assert server.of("PATCH") == [
        {
            "progress_record": {
                "record": {
                    "steps": {"a": {"proportion": 30, "order": 0, "percent": 100.0, "time_remaining": 0.0}}
                },
                "current_progress": {
                    "overall": 30.0,
                    "step": "a",
                    "percent": 100.0,
                    "time_remaining": 0.0,
                    "order": 0,
                },
            }
        }
    ]
    assert server.requests[0].path == "/jobs/5/"


def test_order_only_in_step_mode(server: Backend, given: Given) -> None:
    given.logger.set_progress(0, 3, "a")
    assert server.of("PATCH")[0]["progress_record"] == {
        "record": {"steps": {"a": {"proportion": 50, "percent": 0.0, "time_remaining": None}}},
        "current_progress": {"overall": 0.0, "step": "a", "percent": 0.0, "time_remaining": None},
    }


def test_the_last_record_adds_the_time_elapsed_in_whole_seconds(server: Backend, given: Given) -> None:
    given.logger.set_progress(1, 2, "a")
    given.clock.now_s = 12.9
    given.logger.finish(success=True, also={"status": "SUCCEEDED", "result": {}})
    first, last = server.of("PATCH")
    assert "time_elapsed" not in first["progress_record"]["current_progress"]
    assert last["progress_record"]["current_progress"]["time_elapsed"] == 12
    assert last["progress_record"]["current_progress"]["overall"] == 100
    assert (last["status"], last["result"]) == ("SUCCEEDED", {})


def test_metrics_travel_by_step_and_with_progress_in_one_request(server: Backend, given: Given) -> None:
    given.logger.set_progress(0, 3, "a")
    given.logger.set_metrics({"loss": float("nan")}, "a")
    given.logger.set_progress(1, 3, "a")
    given.clock.now_s = 1
    given.logger.set_metrics({"lr": 0.1}, "a")
    _, both = server.of("PATCH")
    assert both["metrics_record"] == {"record": {"steps": {"a": {"loss": None, "lr": 0.1}}}}
    assert both["progress_record"]["current_progress"]["percent"] == 33.33


def test_at_most_one_patch_per_second_and_the_newest_wins(server: Backend, given: Given) -> None:
    for current in range(5):
        given.clock.now_s = current / 4
        given.logger.set_progress(current, 4)
    sent = [body["progress_record"]["current_progress"]["overall"] for body in server.of("PATCH")]
    assert sent == [0, 100]


@pytest.mark.parametrize(
    ("call", "want"),
    [
        pytest.param(
            lambda to: to.log(LogLevel.INFO, "e", {"a": 1}),
            {"event": "e", "data": {"a": 1}, "datetime": AT, "job": 5, "level": "info"},
            id="log",
        ),
        pytest.param(
            lambda to: to.log(LogLevel.INFO, "e", {}, step="s"),
            {"event": "e", "data": {}, "datetime": AT, "job": 5, "step": "s", "level": "info"},
            id="log of a step",
        ),
        pytest.param(
            lambda to: to.log_metric("c", "k", 2, more=3),
            {
                "event": "metric",
                "data": {"category": "c", "key": "k", "value": 2, "metrics": {"more": 3}},
                "datetime": AT,
                "job": 5,
            },
            id="log_metric: no level",
        ),
        pytest.param(
            lambda to: to.log_visualization("c", "g", 1, "data:image/png;base64,AA==", alt="x"),
            {
                "event": "visualization",
                "data": {"category": "c", "group": "g", "index": 1, "alt": "x"},
                "datetime": AT,
                "job": 5,
                "file": "data:image/png;base64,AA==",
            },
            id="log_visualization: a data URI",
        ),
    ],
)
def test_an_entry_travels_as_in_the_contract(server: Backend, given: Given, call: Any, want: Any) -> None:
    call(given.logger)
    given.logger.finish()
    assert server.logs == [want]
    assert AT.endswith("+00:00")


def test_logs_go_at_200_entries(server: Backend, given: Given) -> None:
    for number in range(450):
        given.logger.info(str(number))
    assert [len(body) for body in server.of("POST", "/logs/")] == [200, 200]
    given.logger.finish()
    assert [entry["data"]["content"] for entry in server.logs] == [str(number) for number in range(450)]


def test_logs_go_after_2_s(server: Backend, given: Given) -> None:
    given.logger.info("a")
    given.clock.now_s = 1.9
    given.logger.info("b")
    assert server.logs == []
    given.clock.now_s = 2
    given.logger.info("c")
    assert len(server.logs) == 3


def test_an_entry_with_a_file_is_one_object(server: Backend, given: Given) -> None:
    given.logger.info("a")
    given.logger.log_visualization("c", "g", 1, "data:,")
    given.logger.info("b")
    given.logger.finish()
    shapes = [len(body) if isinstance(body, list) else body["file"] for body in server.of("POST")]
    assert shapes == [1, "data:,", 1]


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        pytest.param(CUT_OFF, 1, id="an answer that got lost: the entries may be there"),
        pytest.param(500, 1, id="an error of the server's"),
    ],
)
def test_a_post_is_not_repeated(server: Backend, given: Given, status: int, sent: int) -> None:
    def first(seen: Seen) -> int | None:
        return status if seen.body[0]["data"]["content"] == "0" else None

    server.failing = first
    for number in range(400):
        given.logger.info(str(number))
    given.logger.finish()
    posts = server.of("POST")
    assert [len(body) for body in posts] == [200, 200]
    assert [body[0]["data"]["content"] for body in posts] == ["0", "200"]


def test_entries_that_never_went_out_are_kept_for_the_next_time(server: Backend, given: Given) -> None:
    with backend() as gone:
        unreachable = gone.server_port
    client = PlainClient(unreachable)
    logger = JobLogger(client, 5, background_flush=False, clock=given.clock, now=lambda: NOON)
    logger.info("a")
    given.clock.now_s = 2
    logger.info("b")
    client._port = server.server_port
    logger.finish()
    assert [entry["data"]["content"] for entry in server.logs] == ["a", "b"]


@pytest.mark.parametrize("status", [429, 503])
def test_entries_that_a_busy_backend_did_not_take_are_sent_again(
    server: Backend, given: Given, status: int
) -> None:
    server.failing = lambda _: status
    for number in range(200):
        given.logger.info(str(number))
    server.failing = lambda _: None
    given.clock.now_s = 1.9
    given.logger.info("200")
    assert [len(body) for body in server.of("POST")] == [200]  # not at once
    given.clock.now_s = 2
    given.logger.info("201")
    assert [entry["data"]["content"] for entry in server.logs] == [str(number) for number in range(202)]


def test_a_busy_backend_is_left_alone_as_long_as_it_asks_for(given: Given) -> None:
    class Busy(Held):
        @override
        def create_logs(self, data: Any) -> None:
            self.sent += [entry["data"]["content"] for entry in data]
            raise of_status(429, retry_after_s=7)

    client = Busy()
    logger = JobLogger(client, 5, log_batch_size=1, background_flush=False, clock=given.clock)
    for now_s in (0, 6.9, 7):
        given.clock.now_s = now_s
        logger.info(str(now_s))
    assert client.sent == ["0", "0", "6.9", "7"]


def test_what_a_busy_backend_did_not_take_is_bounded(
    server: Backend, given: Given, caplog: pytest.LogCaptureFixture
) -> None:
    server.failing = lambda _: 429
    for number in range(QUEUE_MAX + 5):
        given.logger.info(str(number))
    server.failing = lambda _: None
    given.logger.finish()
    contents = [entry["data"]["content"] for entry in server.logs]
    assert contents == [str(number) for number in range(5, QUEUE_MAX + 5)]
    assert "5 entries of the job's log were lost" in caplog.text


@pytest.mark.parametrize("status", [400, 403, 413])
def test_the_end_goes_on_after_an_entry_that_is_refused_for_good(
    server: Backend, given: Given, status: int
) -> None:
    server.failing = lambda seen: status if isinstance(seen.body, dict) and "file" in seen.body else None
    given.logger.info("a")
    given.logger.log_visualization("c", "g", 0, "data:,")
    given.logger.info("b")
    given.logger.finish()
    assert [entry["data"]["content"] for entry in server.logs] == ["a", "b"]


@pytest.mark.parametrize("status", [500, 403, CUT_OFF])
def test_a_failed_send_never_fails_the_action(server: Backend, given: Given, status: int) -> None:
    server.failing = lambda _: status
    for number in range(200):
        given.logger.info(str(number))
    given.logger.set_progress(1, 2)
    given.logger.set_metrics({"a": 1}, "s")
    given.logger.finish(success=True)
    assert server.logs == [] or status == CUT_OFF


def test_a_snapshot_that_failed_is_sent_again(server: Backend, given: Given) -> None:
    server.failing = lambda _: 503
    given.logger.set_metrics({"loss": 1}, "a")
    server.failing = lambda _: None
    given.logger.finish()
    assert server.jobs["5"]["metrics_record"] == {"record": {"steps": {"a": {"loss": 1}}}}


def test_a_second_finish_tells_what_is_new(server: Backend, given: Given) -> None:
    given.logger.set_progress(1, 2, "a")
    given.logger.finish()  # by the action itself
    given.logger.finish(success=True, also={"status": "SUCCEEDED", "result": {"y": 1}})
    last = server.of("PATCH")[-1]
    assert (last["status"], last["result"]) == ("SUCCEEDED", {"y": 1})
    assert last["progress_record"]["current_progress"]["overall"] == 100


def test_a_finish_that_tells_of_a_failure_after_a_success_still_tells(server: Backend, given: Given) -> None:
    given.logger.finish(success=True)
    given.logger.finish(also={"status": "FAILED"})
    assert server.jobs["5"]["status"] == "FAILED"


@pytest.mark.parametrize(
    "again",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"success": True}, id="success again"),
        pytest.param({"also": {"status": "SUCCEEDED"}}, id="a field as it was told"),
    ],
)
def test_a_second_finish_with_nothing_new_does_nothing(
    server: Backend, given: Given, again: dict[str, Any]
) -> None:
    given.logger.set_progress(1, 2, "a")
    given.logger.finish(success=True, also={"status": "SUCCEEDED", "result": {}})
    sent = len(server.requests)
    given.logger.finish(**again)
    assert len(server.requests) == sent


def test_the_thread_sends_beside_the_action(server: Backend) -> None:
    logger = JobLogger(PlainClient(server.server_port), 5, log_flush_interval=0.01)
    logger.info("a")
    server.until(lambda: len(server.logs) == 1)
    logger.set_progress(1, 2)
    server.until(lambda: "progress_record" in server.jobs.get("5", {}))
    logger.info("b")
    logger.finish(success=True)
    assert [entry["data"]["content"] for entry in server.logs] == ["a", "b"]
    assert server.jobs["5"]["progress_record"]["current_progress"]["overall"] == 100


def test_everything_is_there_once_finish_returns(server: Backend) -> None:
    logger = JobLogger(
        PlainClient(server.server_port), 5, log_flush_interval=600, progress_flush_interval=600
    )
    for number in range(150):
        logger.info(str(number))
        logger.set_progress(number, 150)
    logger.finish(success=True)
    assert len(server.logs) == 150
    assert server.jobs["5"]["progress_record"]["current_progress"]["overall"] == 100
    assert not [thread for thread in threading.enumerate() if thread.name == "raydock-job-logger"]


class Held:
    """A client whose first POST takes until it is let go."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.sent: list[str] = []

    def update_job(self, job_id: int | str, data: Any) -> None:
        """Nothing."""

    def create_logs(self, data: Any) -> None:
        self.began.set()
        self.go_on.wait()
        self.sent += [entry["data"]["content"] for entry in data]


def test_a_full_queue_blocks_the_caller_once_and_then_drops_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Held()
    logger = JobLogger(client, 5, log_batch_size=1)
    waited_s: list[float] = []

    def in_vain(_: Callable[[], bool], seconds: float) -> bool:
        waited_s.append(seconds)
        return False

    monkeypatch.setattr(logger._changed, "wait_for", in_vain)
    logger.info("first")
    client.began.wait()
    for number in range(QUEUE_MAX + 2):  # 2 too many: the first of them waits
        logger.info(str(number))
    assert waited_s == [30]
    client.go_on.set()
    logger.finish()
    assert client.sent == ["first", *(str(number) for number in range(2, QUEUE_MAX + 2))]


def test_a_full_queue_with_room_again_drops_nothing() -> None:
    client = Held()

    class Waiting(JobLogger):
        @override
        def _wait_for_room(self) -> None:
            client.go_on.set()
            super()._wait_for_room()

    logger = Waiting(client, 5, log_batch_size=1, queue_wait_timeout=60)
    logger.info("first")
    client.began.wait()
    for number in range(QUEUE_MAX):
        logger.info(str(number))
    logger.info("last")
    logger.finish()
    assert client.sent == ["first", *(str(number) for number in range(QUEUE_MAX)), "last"]
