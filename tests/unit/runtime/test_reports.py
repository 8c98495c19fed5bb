"""The newest word of each driver, and waiting until it is written down; in virtual time."""

import asyncio
from dataclasses import replace

import pytest

from raydock.reconcile.reports import Reports
from raydock.wire.progress import Output, Report
from tests.kit.virtual_time import now, pass_time, run

RUNNING = Report("ns", "job", "u1", attempt=1, category="inference", percent=40)
DONE = replace(RUNNING, percent=100, output=Output("pvc://out", rows=1, bytes=1, files=1, failed_rows=0))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param([RUNNING, replace(RUNNING, percent=50)], replace(RUNNING, percent=50), id="news"),
        pytest.param([replace(RUNNING, attempt=2), RUNNING], replace(RUNNING, attempt=2), id="older attempt"),
        pytest.param([DONE, RUNNING], DONE, id="late progress after the end"),
        pytest.param([DONE, replace(RUNNING, attempt=2)], replace(RUNNING, attempt=2), id="next attempt"),
    ],
)
def test_the_newest_report_is_kept(sent: list[Report], kept: Report) -> None:
    reports = Reports()
    for report in sent:
        reports.put(report)
    assert reports.get("u1") == kept


def test_who_waits_is_told_when_it_is_written() -> None:
    async def test() -> tuple[bool, float]:
        reports = Reports()
        reports.put(DONE)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(reports.wait_written("u1", DONE, 10))
            await pass_time(3)
            reports.written("u1", RUNNING)
            await pass_time(1)
            reports.written("u1", DONE)
        return waiting.result(), now()

    assert run(test) == (True, 4.0)


def test_who_waits_too_long_is_told_so() -> None:
    async def test() -> tuple[bool, float]:
        reports = Reports()
        reports.put(DONE)
        return await reports.wait_written("u1", DONE, 10), now()

    assert run(test) == (False, 10.0)


def test_who_waits_is_told_although_the_job_is_forgotten_at_once() -> None:
    async def test() -> tuple[bool, Report | None]:
        reports = Reports()
        reports.put(DONE)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(reports.wait_written("u1", DONE, 10))
            await pass_time(1)
            reports.written("u1", DONE)
            reports.forget("u1")
        return waiting.result(), reports.get("u1")

    assert run(test) == (True, None)


def test_a_job_that_is_gone_is_forgotten_by_its_name() -> None:
    reports = Reports()
    for uid, name in (("u1", "job"), ("u2", "job"), ("u3", "other")):
        reports.put(replace(RUNNING, uid=uid, name=name))
    reports.forget_named("ns", "job")
    reports.forget_named("elsewhere", "other")
    assert [uid for uid in ("u1", "u2", "u3") if reports.get(uid)] == ["u3"]


def test_a_forgotten_job_keeps_nobody_waiting() -> None:
    async def test() -> tuple[bool, float]:
        reports = Reports()
        reports.put(DONE)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(reports.wait_written("u1", DONE, 10))
            await pass_time(1)
            reports.forget("u1")
        return waiting.result(), now()

    assert run(test) == (False, 1.0)
