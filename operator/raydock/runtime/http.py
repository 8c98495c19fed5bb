"""The operator's HTTP: metrics, probes, the progress reports of batch drivers, the gate for other tools."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from raydock.kube.client import Kube
from raydock.kube.errors import ApiError
from raydock.kube.tokens import Caller
from raydock.plan.meta import JOB_UID_LABEL
from raydock.reconcile.deps import Key
from raydock.reconcile.reports import Reports
from raydock.runtime.feasibility import PATH as FEASIBILITY
from raydock.runtime.feasibility import Feasibility
from raydock.runtime.lending import Lending, NotKept
from raydock.runtime.metrics import Metrics
from raydock.runtime.queue import Queue
from raydock.runtime.store import Store
from raydock.runtime.watch import OURS
from raydock.wire.lent import JOB_PATH, Lent
from raydock.wire.paths import TOKEN_AUDIENCE
from raydock.wire.progress import PROGRESS_PATH, Report
from raydock.wire.record import WireError, dumps, loads

BODY_MAX: Final = 64 * 1024
"""Bytes of a report: its only long part is a failure's message, of at most 2 KiB."""
WRITTEN_S: Final = 10.0
"""How long a driver waits to hear that its last report is in the status; then it asks again."""
STUCK_S: Final = 600.0
"""A pass that runs for so long is stuck in something its own time limit did not end: restart."""

_log = structlog.get_logger(__name__)


class Refused(Exception):
    """A request that is not taken: HTTP status, code for machines, message for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Http:
    """Handlers over what the operator knows."""

    def __init__(  # noqa: PLR0913 - the parts of the operator that are asked over HTTP
        self,
        *,
        kube: Kube,
        store: Store,
        queue: Queue[Key],
        reports: Reports,
        metrics: Metrics,
        leading: Callable[[], bool],
        ready: Callable[[], tuple[bool, str]],
        feasibility: Feasibility,
        lending: Lending,
    ) -> None:
        """`ready`: whether this replica does its part, and a line for people."""
        self._kube = kube
        self._store = store
        self._queue = queue
        self._reports = reports
        self._metrics = metrics
        self._leading = leading
        self._ready = ready
        self._feasibility = feasibility
        self._lending = lending

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=BODY_MAX)
        app.add_routes(
            [
                web.get("/metrics", self._get_metrics),
                web.get("/livez", self._get_livez),
                web.get("/readyz", self._get_readyz),
                web.post(PROGRESS_PATH, self._post_progress),
                web.post(JOB_PATH, self._post_job),
                web.post(FEASIBILITY, self._feasibility.post),
            ]
        )
        return app

    async def _get_metrics(self, _: web.Request) -> web.Response:
        queue, store, metrics = self._queue, self._store, self._metrics
        ours = {kind: store.all(kind) for kind in OURS}
        metrics.look(queue.states(), queue.oldest_wait_s(), store.counts(), ours)
        body, content_type = metrics.text()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _get_livez(self, _: web.Request) -> web.Response:
        stuck = self._queue.longest_pass_s() > STUCK_S
        return web.Response(status=503 if stuck else 200, text="a pass is stuck\n" if stuck else "ok\n")

    async def _get_readyz(self, _: web.Request) -> web.Response:
        ready, line = self._ready()
        return web.Response(status=200 if ready else 503, text=f"{line}\n")

    async def _post_progress(self, request: web.Request) -> web.Response:
        try:
            await self._take_report(request)
        except Refused as why:
            self._metrics.reports.labels(why.code).inc()
            return web.json_response({"error": {"code": why.code, "message": why.message}}, status=why.status)
        self._metrics.reports.labels("taken").inc()
        return web.Response(status=204)

    async def _post_job(self, request: web.Request) -> web.Response:
        try:
            lent = await self._job_for(request)
        except Refused as why:
            return web.json_response({"error": {"code": why.code, "message": why.message}}, status=why.status)
        if lent is None:
            return web.Response(status=204)
        return web.Response(text=dumps(lent), content_type="application/json")

    async def _job_for(self, request: web.Request) -> Lent | None:
        """The job that the caller's kept cluster is lent to; None when none came in a while."""
        if not self._leading():
            raise Refused(503, "NotLeader", "this replica stands by: try the next address")
        caller = await self._caller(_bearer(request))
        try:
            return await self._lending.job(caller)
        except NotKept:
            raise Refused(403, "Forbidden", "this pod is of no Ray cluster that is kept") from None
        except ApiError as error:
            _log.warning("job not read", error=type(error).__name__, why=error.message)
            raise Refused(503, "NotRead", "the job could not be read: ask again") from None

    async def _take_report(self, request: web.Request) -> None:
        """Check who reports about what, remember it, and for a last report wait until it is written down."""
        if not self._leading():
            raise Refused(503, "NotLeader", "this replica stands by: try the next address")
        token = _bearer(request)
        report = await _report(request)
        caller = await self._caller(token)
        self._check(caller, report)
        kept = self._reports.put(report)
        self._queue.add(Key("BatchJob", report.namespace, report.name))
        last = report.output is not None or report.failure is not None
        if kept and last and not await self._reports.wait_written(report.uid, report, WRITTEN_S):
            raise Refused(503, "NotWritten", "the status could not be written yet: repeat the report")

    async def _caller(self, token: str) -> Caller:
        try:
            caller = await self._kube.review_token(token, TOKEN_AUDIENCE)
        except ApiError as error:
            _log.warning("token not reviewed", error=type(error).__name__, why=error.message)
            raise Refused(503, "TokenReviewFailed", "the token could not be checked: repeat it") from None
        if caller is None:
            raise Refused(401, "Unauthorized", f"want a service-account token with audience {TOKEN_AUDIENCE}")
        return caller

    def _check(self, caller: Caller, report: Report) -> None:
        """A pod may report about the job that it was made for, and about no other.

        A service account alone proves nothing: a whole namespace may share it.
        """
        pod = self._store.get("Pod", caller.namespace, caller.pod_name)
        job_uid = self._store.uid("BatchJob", report.namespace, report.name)
        its_own = (
            pod is not None
            and bool(caller.pod_uid)
            and pod.uid == caller.pod_uid
            and caller.namespace == report.namespace
            and pod.labels.get(JOB_UID_LABEL) == report.uid
            and job_uid == report.uid
        )
        if not its_own:
            raise Refused(403, "Forbidden", "this pod does not belong to the job it reports about")


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` while the context is open; gives the port, which matters when 0 was asked for."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(401, "Unauthorized", "want `Authorization: Bearer TOKEN`")
    return token.strip()


async def _report(request: web.Request) -> Report:
    try:
        async with asyncio.timeout(WRITTEN_S):
            body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refused(413, "TooLarge", f"want at most {BODY_MAX} bytes") from None
    except TimeoutError:
        raise Refused(408, "Timeout", "the body did not arrive") from None
    try:
        return loads(Report, body)
    except WireError as error:
        raise Refused(400, "Malformed", str(error)) from None
