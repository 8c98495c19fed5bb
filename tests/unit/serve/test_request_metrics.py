"""The host's requests: what is counted as what, and under which names it leaves the pod."""

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import ray.util.metrics
from prometheus_client import REGISTRY
from ray._private.telemetry.open_telemetry_metric_recorder import OpenTelemetryMetricRecorder

from raydock.serve.metrics import Requests
from raydock.wire.access import ENDPOINT_HEADER, TIMEOUT_HEADER
from raydock.wire.host import Limits
from raydock.wire.metrics import BOUNDS, GONE, HOST_METRICS, REQUESTS, SECONDS, HostMetric
from tests.kit.virtual_time import pass_time, run
from tests.unit.serve.asgi import call
from tests.unit.serve.test_front import KEY, OPEN, THROUGH, echo, front, raising, slow

Told = tuple[str, float, Mapping[str, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """What Ray is told: name, value and tags."""
    told: list[Told] = []

    def record(self: Any, value: float, tags: Mapping[str, str]) -> None:
        told.append((self._name, value, {**self._default_tags, **tags}))

    monkeypatch.setattr(ray.util.metrics.Counter, "inc", record)
    return told


@pytest.mark.parametrize(
    ("sent", "want"),
    [
        pytest.param({"headers": THROUGH}, ("iris", 200), id="answered"),
        pytest.param({"headers": OPEN}, ("open", 200), id="without a key"),
        pytest.param({"headers": KEY}, ("", 200), id="past the gateway"),
        pytest.param({"headers": {ENDPOINT_HEADER: "iris"}}, ("iris", 401), id="refused"),
        pytest.param({"headers": {ENDPOINT_HEADER: "made-up"}}, ("", 401), id="an endpoint that is none"),
        pytest.param(
            {"headers": {ENDPOINT_HEADER: "other"}}, ("", 401), id="an endpoint that routes elsewhere"
        ),
        pytest.param({"headers": THROUGH, "path": "/x"}, ("iris", 404), id="another path"),
        pytest.param({"headers": KEY, "body": b"x" * 11}, ("", 413), id="too long"),
        pytest.param({"headers": {**KEY, TIMEOUT_HEADER: "x"}}, ("", 400), id="a wrong header"),
    ],
)
async def test_each_answer_is_counted_once(tmp_path: Path, sent: Any, want: tuple[str, int]) -> None:
    counted: list[tuple[str, int]] = []
    stack = front(tmp_path, echo, count=lambda *said: counted.append(said[:2]), limits=Limits(body_bytes=10))
    await call(stack, **sent)
    assert counted == [want]


async def test_a_crash_of_the_app_is_a_500(tmp_path: Path) -> None:
    counted: list[tuple[str, int]] = []
    stack = front(tmp_path, raising(ValueError()), count=lambda *said: counted.append(said[:2]))
    await call(stack, headers=THROUGH)
    assert counted == [("iris", 500)]


async def test_probes_are_not_counted(tmp_path: Path) -> None:
    counted: list[Any] = []
    await call(front(tmp_path, echo, count=lambda *said: counted.append(said)), "/-/ready", method="GET")
    assert counted == []


def test_a_stream_is_counted_as_it_begins_and_a_leaver_as_gone(tmp_path: Path) -> None:
    counted: list[tuple[str, int]] = []

    async def play() -> list[list[tuple[str, int]]]:
        stack = front(tmp_path, slow(2, then_stream_s=60), count=lambda *said: counted.append(said[:2]))
        calls = [asyncio.ensure_future(call(stack, headers=KEY)) for _ in range(2)]
        await pass_time(1)
        calls[0].cancel()
        await pass_time(2)
        seen = [[*counted]]
        await calls[1]
        return [*seen, counted]

    want = [("", GONE), ("", 200)]
    assert run(play) == [want, want]


def test_ray_is_told_once_a_second(told: list[Told]) -> None:
    async def play() -> None:
        requests = Requests("iris-v1")
        for seconds in (0.0005, 0.001, 0.3, 3600):
            requests.add("iris", 200, seconds)
        await pass_time(0.5)
        requests.add("", 500, 0.02)
        assert told == []
        await pass_time(1)
        before = len(told)
        await pass_time(60)
        assert len(told) == before  # nothing new: nothing to tell
        requests.add("iris", 200, 0.3)
        await pass_time(1)

    run(play)
    answers = [(value, tags["endpoint"], tags["code"]) for name, value, tags in told if name == REQUESTS.name]
    assert answers == [(4, "iris", "200"), (1, "", "500"), (1, "iris", "200")]
    iris = [(tags["le"], value) for name, value, tags in told if name == SECONDS.name and tags["endpoint"]]
    first, second = iris[: len(BOUNDS)], iris[len(BOUNDS) :]
    at_most = dict(first)
    assert (at_most["0.001"], at_most["0.25"], at_most["0.5"], at_most["60.0"], at_most["+Inf"]) == (
        2,
        2,
        3,
        3,
        4,
    )
    assert second == [(le, 1) for le, _ in first if float(le) >= 0.5]
    assert {tags["deployment"] for _, _, tags in told} == {"iris-v1"}


def test_buckets_grow_and_end_at_infinity() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert BOUNDS[-1] == math.inf


@pytest.mark.parametrize("metric", HOST_METRICS, ids=lambda metric: metric.name)
def test_ray_exports_it_under_the_documented_name(metric: HostMetric) -> None:
    recorder = OpenTelemetryMetricRecorder()
    recorder.register_counter_metric(metric.name, metric.text)
    labels = dict.fromkeys(metric.labels, "x")
    recorder.set_metric_value(metric.name, labels, 3)
    samples = [s for family in REGISTRY.collect() for s in family.samples if s.name == metric.exported]
    assert [s.value for s in samples] == [3]
    assert labels.items() <= samples[0].labels.items()
