"""Two replicas and one Lease: one acts, the other takes over; and who may report progress to whom."""

import asyncio
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from raydock.kube.client import Kube
from raydock.kube.lease import LeaderElection, LeaseLost, Terms
from raydock.kube.transport import Transport
from raydock.runtime.settings import Settings
from raydock.wire.progress import PROGRESS_PATH, Failure, Output, Report
from raydock.wire.record import dumps
from tests.integration.test_kube_client import token
from tests.integration.test_queue_and_store import job
from tests.kit.eventually import eventually, pause
from tests.kit.kuberay import KubeRay
from tests.kit.running import Running, Start
from tests.kit.running import running as running_operator

pytestmark = pytest.mark.integration

QUICK = Terms(lease_s=1.5, renew_s=1.0, retry_s=0.2)
ROOT = Path(__file__).parents[2]


def candidate(kube: Kube, namespace: str, me: str) -> LeaderElection:
    return LeaderElection(kube, namespace, "lease", me, QUICK)


async def test_a_released_lease_is_taken_at_once(kube: Kube, namespace: str) -> None:
    first, second = candidate(kube, namespace, "a"), candidate(kube, namespace, "b")
    await first.acquire()
    waiting = asyncio.ensure_future(second.acquire())
    await pause(0.5)
    assert first.holds()
    assert not waiting.done()
    await first.release()
    await asyncio.wait_for(waiting, 1.0)
    assert second.holds()
    assert not first.holds()
    lease = await kube.get("Lease", namespace, "lease")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("b", 1)


async def test_a_silent_leader_is_replaced_after_the_term(kube: Kube, namespace: str) -> None:
    first, second = candidate(kube, namespace, "a"), candidate(kube, namespace, "b")
    await first.acquire()
    started = asyncio.get_running_loop().time()
    await asyncio.wait_for(second.acquire(), 5.0)
    assert asyncio.get_running_loop().time() - started >= QUICK.lease_s
    assert not first.holds()
    with pytest.raises(LeaseLost):
        await first.hold()


async def test_a_leader_renews_and_loses_what_is_taken_from_it(kube: Kube, namespace: str) -> None:
    leader = candidate(kube, namespace, "a")
    await leader.acquire()
    holding = asyncio.ensure_future(leader.hold())
    await pause(2.5)
    assert leader.holds()
    await kube.patch("Lease", namespace, "lease", {"spec": {"holderIdentity": "thief"}})
    with pytest.raises(LeaseLost, match="held by another"):
        await asyncio.wait_for(holding, 2.0)


async def test_who_cannot_renew_gives_up_before_anybody_can_take_over(
    kube: Kube, namespace: str, control_plane: str
) -> None:
    leader = candidate(kube, namespace, "a")
    await leader.acquire()
    kube._transport.configuration.host = "http://127.0.0.1:1"
    started = asyncio.get_running_loop().time()
    with pytest.raises(LeaseLost, match="could not be renewed"):
        await leader.hold()
    assert asyncio.get_running_loop().time() - started < QUICK.lease_s


async def test_the_standby_is_warm_and_takes_over(start: Start, kube: Kube, namespace: str) -> None:
    first = await start(identity="a")
    second = await start(identity="b", leads=False)
    await kube.apply(job(namespace))
    await eventually(lambda: second.operator.store.get("BatchJob", namespace, "job"))
    await eventually(lambda: first.operator.queue.waits() == first.operator.queue.active() == 0)
    assert second.writes() == []
    assert second.operator.ready() == (True, "ok")
    first.stop.set()
    await first.ended
    assert not first.operator.leadership.may_write()
    await eventually(second.operator.leadership.may_write, 3.0)


async def test_a_replica_that_loses_the_lease_ends(start: Start, kube: Kube, namespace: str) -> None:
    one = await start()
    await kube.patch("Lease", namespace, "raydock-operator", {"spec": {"holderIdentity": "thief"}})
    done, _ = await asyncio.wait([one.ended], timeout=10)
    assert done
    error = one.ended.exception()
    assert isinstance(error, ExceptionGroup)
    assert error.subgroup(LeaseLost) is not None
    one.expected_end = True


async def test_sigterm_ends_the_process_with_0_and_frees_the_lease(
    control_plane: str, kube: Kube, namespace: str
) -> None:
    environment = {
        "PYTHONPATH": str(ROOT / "operator"),
        "RAYDOCK_KUBECONFIG": control_plane,
        "RAYDOCK_HTTP_PORT": "0",
        "POD_NAME": "me",
        "POD_NAMESPACE": namespace,
    }
    command = "import sys; from raydock.runtime.main import main; sys.exit(main())"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", command, env=environment, stderr=subprocess.PIPE
    )
    try:
        await eventually(lambda: _holder(kube, namespace, "me"), 40)
        await pause(1.0)
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    assert (await kube.get("Lease", namespace, "raydock-operator"))["spec"]["holderIdentity"] == ""
    assert all(line.startswith("{") for line in errors.decode().splitlines())


@pytest.fixture
def nowhere(control_plane: str, tmp_path: Path) -> str:
    """A kubeconfig of an API server that isn't there."""
    file = tmp_path / "kubeconfig"
    file.write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", Path(control_plane).read_text()))
    return str(file)


async def test_an_operator_without_an_api_server_waits_and_can_be_stopped(nowhere: str) -> None:
    settings = Settings(kubeconfig=nowhere, http_host="127.0.0.1", http_port=0)
    async with running_operator(settings) as one:
        await pause(0.5)
        assert one.operator.ready() == (False, "reading the cluster")
        assert not one.ended.done()
        one.stop.set()
        await asyncio.wait_for(one.ended, 5)


async def _holder(kube: Kube, namespace: str, who: str) -> bool:
    lease = await kube.get("Lease", namespace, "raydock-operator")
    return bool(lease["spec"]["holderIdentity"] == who)


class Driver:
    """A batch driver's pod, its token, and its job."""

    def __init__(self, session: aiohttp.ClientSession, operator: Running, bearer: str, uid: str) -> None:
        self.session = session
        self.operator = operator
        self.bearer = bearer
        self.uid = uid

    async def post(self, body: str | bytes, bearer: str | None = None) -> tuple[int, str]:
        """HTTP status and the error's code."""
        headers = {"Authorization": f"Bearer {self.bearer if bearer is None else bearer}"}
        async with self.session.post(self.operator.url + PROGRESS_PATH, data=body, headers=headers) as answer:
            code = "" if answer.status == 204 else (await answer.json())["error"]["code"]
            return answer.status, code


@pytest.fixture
async def driver(
    operator: Running, kube: Kube, kuberay: KubeRay, namespace: str, transport: Transport
) -> Any:
    live = await kube.apply(job(namespace))
    uid = live["metadata"]["uid"]
    pod = await kuberay.pod("driver", labels={"raydock.io/batchjob-uid": uid})
    await eventually(lambda: operator.operator.store.get("Pod", namespace, "driver"))
    await eventually(lambda: operator.operator.store.get("BatchJob", namespace, "job"))
    bearer = await token(transport, namespace, "raydock", pod)
    async with aiohttp.ClientSession() as session:
        yield Driver(session, operator, bearer, uid)


def running(namespace: str, uid: str) -> Report:
    return Report(namespace, "job", uid, attempt=1, category="inference", percent=40)


async def test_the_job_s_own_pod_may_report(driver: Driver, namespace: str) -> None:
    report = running(namespace, driver.uid)
    assert await driver.post(dumps(report)) == (204, "")
    assert driver.operator.operator.reports.get(driver.uid) == report


async def test_a_last_report_is_answered_once_it_is_written(driver: Driver, namespace: str) -> None:
    report = replace(running(namespace, driver.uid), failure=Failure("InputInvalid", "no rows", final=True))
    asked = asyncio.ensure_future(driver.post(dumps(report)))
    reports = driver.operator.operator.reports
    await eventually(lambda: reports.get(driver.uid) == report)
    reports.written(driver.uid, report)
    assert await asyncio.wait_for(asked, 5) == (204, "")


async def test_a_last_report_that_is_not_written_must_be_repeated(
    driver: Driver, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydock.runtime.http.WRITTEN_S", 0.3)
    monkeypatch.setattr(driver.operator.operator.reports, "written", lambda *_: None)
    report = replace(running(namespace, driver.uid), output=Output("pvc://o", 1, 1, 1, 0))
    assert await driver.post(dumps(report)) == (503, "NotWritten")


@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param({"uid": "another"}, (403, "Forbidden"), id="another job"),
        pytest.param({"name": "job2"}, (403, "Forbidden"), id="another name"),
        pytest.param({"namespace": "default"}, (403, "Forbidden"), id="another namespace"),
    ],
)
async def test_a_report_about_another_job_is_refused(
    driver: Driver, namespace: str, change: dict[str, str], want: tuple[int, str]
) -> None:
    assert await driver.post(dumps(replace(running(namespace, driver.uid), **change))) == want  # type: ignore[arg-type]


async def test_a_pod_of_the_same_account_is_not_the_job_s(
    driver: Driver, namespace: str, kuberay: KubeRay, transport: Transport
) -> None:
    other = await kuberay.pod("other")
    loose = await token(transport, namespace, "raydock", None)
    theirs = await token(transport, namespace, "raydock", other)
    wrong = await token(transport, namespace, "elsewhere", other)
    body = dumps(running(namespace, driver.uid))
    assert await driver.post(body, theirs) == (403, "Forbidden")
    assert await driver.post(body, loose) == (403, "Forbidden")
    assert await driver.post(body, wrong) == (401, "Unauthorized")
    assert await driver.post(body, "") == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("body", "want"),
    [
        pytest.param(b"", (400, "Malformed"), id="nothing"),
        pytest.param(b"[]", (400, "Malformed"), id="a list"),
        pytest.param(b'{"namespace": 1}', (400, "Malformed"), id="a wrong type"),
        pytest.param(b"\xff", (400, "Malformed"), id="no text"),
        pytest.param(b" " * 70_000, (413, "TooLarge"), id="too large"),
    ],
)
async def test_a_bad_body_is_refused(driver: Driver, body: bytes, want: tuple[int, str]) -> None:
    assert await driver.post(body) == want


async def test_a_standby_sends_the_driver_on(start: Start, driver: Driver, namespace: str) -> None:
    standby = await start(identity="b", leads=False)
    elsewhere = Driver(driver.session, standby, driver.bearer, driver.uid)
    assert await elsewhere.post(dumps(running(namespace, driver.uid))) == (503, "NotLeader")


async def test_probes_and_metrics(operator: Running) -> None:
    async with aiohttp.ClientSession() as session:
        for path, want in (("/livez", "ok\n"), ("/readyz", "ok\n")):
            async with session.get(operator.url + path) as answer:
                assert (answer.status, await answer.text()) == (200, want)
        async with session.get(operator.url + "/metrics") as answer:
            text = await answer.text()
    assert "raydock_leader 1.0" in text
    assert 'raydock_api_call_seconds_count{kind="Lease"' in text
    assert 'raydock_missing_kind{kind="RayService"} 0.0' in text
