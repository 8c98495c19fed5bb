"""contracts/actions.md 4 and 12, wire: every request that a run of an action makes, to the letter.

The whole way is the real one, but for the clock: entry point, logger, client, HTTP.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import override

from raydock.sdk.loggers import JobLogger
from raydock.sdk.loggers.entry import LogLevel
from raydock.sdk.plugins import (
    BaseAction,
    BaseInferenceAction,
    BaseStep,
    BaseStepContext,
    StepResult,
    entrypoint,
)
from raydock.sdk.plugins.environment import PluginEnvironment
from tests.kit.backend import Backend, backend
from tests.unit.sdk.recording import NOON, Clock

AT = "2026-06-01T12:00:00+00:00"
CLOCK = Clock()
Sent = list[tuple[str, str, Any]]


def after(seconds: float) -> None:
    """Seconds pass: the next call is late enough for a request of its own."""
    CLOCK.now_s += seconds


class Categories(BaseInferenceAction[Any]):
    @override
    def execute(self) -> Any:
        for current, category in enumerate(("model_load", "inference", "postprocess"), start=1):
            after(2)
            self.set_progress(current, 3, category)
        return {"results": [1]}


class Talks(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        self.log_message("half of {n} done", n=8)
        self.log_message({"en": "careful", "ko": "조심"}, LogLevel.WARNING)
        self.log("rows", {"n": 4})
        after(2)
        self.log_metric("loss", "total", 0.5, epoch=1)
        self.log_visualization("seen", "boxes", 0, "data:image/png;base64,AA==")
        return {}


class Measures(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        self.set_metrics({"loss": 0.5}, "train")
        self.set_metrics({"lr": 0.1}, "train")
        after(1)
        self.set_metrics({"loss": float("nan")}, "eval")
        return {}


class One(BaseStep[BaseStepContext]):
    name, progress_weight, progress_proportion = "a", 1.0, 30

    @override
    def execute(self, context: BaseStepContext) -> StepResult:
        context.set_progress(0, 2)
        after(4)
        context.set_progress(1, 2)
        context.set_metrics({"rows": 7})
        context.log("read", {"rows": 7})
        after(2)
        return StepResult()


class Two(One):
    name, progress_proportion = "b", 70

    @override
    def execute(self, context: BaseStepContext) -> StepResult:
        after(2)
        return StepResult()


class Steps(BaseAction[Any]):
    @override
    def setup_steps(self, registry: Any) -> None:
        registry.register(One())
        registry.register(Two())


class Fails(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        self.set_progress(1, 4)
        raise RuntimeError("no more rows")


@pytest.fixture
def server() -> Iterator[Backend]:
    with backend() as found:
        yield found


@pytest.fixture(autouse=True)
def _the_clock_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that find something due send it, by a clock that a test puts forward."""
    monkeypatch.setattr(CLOCK, "now_s", 0.0)

    def logger(client: Any, job_id: str) -> JobLogger:
        return JobLogger(client, job_id, background_flush=False, clock=CLOCK, now=lambda: NOON)

    monkeypatch.setattr(entrypoint, "_logger", logger)


def sent_by(server: Backend, name: str) -> Sent:
    env = {
        "SYNAPSE_HOST": server.url,
        "SYNAPSE_ACCESS_TOKEN": "tok",
        "SYNAPSE_JOB_ID": "5",
        "SYNAPSE_ACTION_ENTRYPOINT": f"{__name__}:{name}",
        "SYNAPSE_ACTION_PARAMS": json.dumps({"model": 34}),
    }
    entrypoint.run(PluginEnvironment(env), io.StringIO(), io.StringIO())
    assert {one.headers["Synapse-Access-Token"] for one in server.requests} == {"Token tok"}
    assert {one.headers["Content-Type"] for one in server.requests} == {"application/json"}
    return [(one.method, one.path, one.body) for one in server.requests]


RUNNING = ("PATCH", "/jobs/5/", {"status": "RUNNING"})


def patched(*bodies: dict[str, Any]) -> Sent:
    return [RUNNING, *(("PATCH", "/jobs/5/", body) for body in bodies)]


LOADED = {"model_load": {"proportion": 10, "percent": 33.33, "time_remaining": 0.0}}
INFERRED = {**LOADED, "inference": {"proportion": 80, "percent": 66.67, "time_remaining": 0.0}}
THROUGH = {**INFERRED, "postprocess": {"proportion": 10, "percent": 100.0, "time_remaining": 0.0}}


def test_progress_by_category(server: Backend) -> None:
    loaded = {"overall": 3.33, "step": "model_load", "percent": 33.33, "time_remaining": 0.0}
    inferred = {"overall": 63.34, "step": "inference", "percent": 66.67, "time_remaining": 0.0}
    through = {"overall": 100.0, "step": "postprocess", "percent": 100.0, "time_remaining": 0.0}
    assert sent_by(server, "Categories") == patched(
        {"progress_record": {"record": {"steps": LOADED}, "current_progress": loaded}},
        {"progress_record": {"record": {"steps": INFERRED}, "current_progress": inferred}},
        {"progress_record": {"record": {"steps": THROUGH}, "current_progress": through}},
        {
            "status": "SUCCEEDED",
            "result": {"results": [1]},
            "progress_record": {
                "record": {"steps": THROUGH},
                "current_progress": {**through, "time_elapsed": 6},
            },
        },
    )


A_HALF = {"a": {"proportion": 30, "order": 0, "percent": 50.0, "time_remaining": 4.0}}
A_DONE = {"a": {"proportion": 30, "order": 0, "percent": 100.0, "time_remaining": 0.0}}
BOTH_DONE = {**A_DONE, "b": {"proportion": 70, "order": 1, "percent": 100.0, "time_remaining": 0.0}}
ROWS = {"record": {"steps": {"a": {"rows": 7}}}}


def test_progress_by_step(server: Backend) -> None:
    half = {"overall": 15.0, "step": "a", "percent": 50.0, "time_remaining": 4.0, "order": 0}
    done = {"overall": 30.0, "step": "a", "percent": 100.0, "time_remaining": 0.0, "order": 0}
    both = {"overall": 100.0, "step": "b", "percent": 100.0, "time_remaining": 0.0, "order": 1}
    sent = sent_by(server, "Steps")
    entry = {"event": "read", "data": {"rows": 7}, "datetime": AT, "job": "5", "step": "a", "level": "info"}
    assert sent[2] == ("POST", "/logs/", entry)
    assert [sent[0], sent[1], *sent[3:]] == patched(
        {"progress_record": {"record": {"steps": A_HALF}, "current_progress": half}},
        {"progress_record": {"record": {"steps": A_DONE}, "current_progress": done}, "metrics_record": ROWS},
        {
            "progress_record": {"record": {"steps": BOTH_DONE}, "current_progress": both},
            "metrics_record": ROWS,
        },
        {
            "status": "SUCCEEDED",
            "result": {"success": True, "steps_executed": 2, "steps_total": 2},
            "progress_record": {
                "record": {"steps": BOTH_DONE},
                "current_progress": {**both, "time_elapsed": 8},
            },
            "metrics_record": ROWS,
        },
    )


def complete(elapsed_s: int) -> dict[str, Any]:
    """The record of an action that ended well and reported no progress."""
    whole = {"overall": 100.0, "step": None, "percent": 100.0, "time_remaining": None}
    return {"record": {"steps": {}}, "current_progress": {**whole, "time_elapsed": elapsed_s}}


def test_messages_and_events(server: Backend) -> None:
    told = [
        {
            "event": "message",
            "data": {"content": "half of 8 done"},
            "datetime": AT,
            "job": "5",
            "level": "info",
        },
        {"event": "message", "data": {"content": "careful"}, "datetime": AT, "job": "5", "level": "warning"},
        {"event": "rows", "data": {"n": 4}, "datetime": AT, "job": "5", "level": "info"},
        {
            "event": "metric",
            "data": {"category": "loss", "key": "total", "value": 0.5, "metrics": {"epoch": 1}},
            "datetime": AT,
            "job": "5",
        },
    ]
    seen = {
        "event": "visualization",
        "data": {"category": "seen", "group": "boxes", "index": 0},
        "datetime": AT,
        "job": "5",
        "file": "data:image/png;base64,AA==",
    }
    last = {"status": "SUCCEEDED", "result": {}, "progress_record": complete(2)}
    assert sent_by(server, "Talks") == [
        RUNNING,
        ("POST", "/logs/", told),
        ("POST", "/logs/", seen),
        ("PATCH", "/jobs/5/", last),
    ]


def test_metrics(server: Backend) -> None:
    found = {"record": {"steps": {"train": {"loss": 0.5, "lr": 0.1}, "eval": {"loss": None}}}}
    assert sent_by(server, "Measures") == patched(
        {"metrics_record": found},
        {"status": "SUCCEEDED", "result": {}, "progress_record": complete(1), "metrics_record": found},
    )


def test_a_failure(server: Backend) -> None:
    assert sent_by(server, "Fails") == patched(
        {
            "status": "FAILED",
            "result": {"error": "no more rows"},
            "progress_record": {
                "record": {"steps": {}},
                "current_progress": {
                    "overall": 25.0,
                    "step": None,
                    "percent": 25.0,
                    "time_remaining": 0.0,
                    "time_elapsed": 0,
                },
            },
        }
    )
