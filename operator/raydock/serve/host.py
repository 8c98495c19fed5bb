"""The Serve deployment that every raydock Deployment runs: loads the user's app and stands in front of it.

Ray Serve 2.60 starts a replica by the constructor, then `reconfigure(user_config)`, then `check_health`, and
only then lets requests come (_private/replica.py, Replica.initialize). The app is loaded in the first
`reconfigure`, so that its params are there when its code runs.
"""

import asyncio
import importlib.util
import inspect
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from ray import serve
from ray.serve.exceptions import RayServeException
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from raydock.models import console
from raydock.models.entry import LoadFailed, cut_traceback, load_attribute
from raydock.models.prepare import provide
from raydock.reasons import Reason
from raydock.sdk.plugins.actions.inference import BaseServeDeployment
from raydock.sdk.plugins.serving import settings
from raydock.serve import graph, managed
from raydock.serve.asynchronous.service import Asynchronous
from raydock.serve.auth import AccessFile
from raydock.serve.front import Front
from raydock.serve.lifespan import Lifespan, StartFailed
from raydock.serve.load import Loaded, build_app, is_builder, load
from raydock.serve.metrics import Requests
from raydock.serve.report import Report
from raydock.serve.target import Target, answers
from raydock.wire import failure, paths
from raydock.wire.host import INGRESS, READY_PATH, HostArgs, HostConfig
from raydock.wire.record import from_json, to_json

HEALTH_PAUSE_S: Final = 0.5
"""Between two looks at the app's health route while a replica starts."""
MENTIONS_RAY: Final = re.compile(r"^\s*(?:import|from)\s+ray\b", re.MULTILINE)

log = logging.getLogger(__name__)


def build(args: dict[str, Any]) -> serve.Application:
    """The Serve application of one Deployment; `args` is wire.host.HostArgs as JSON.

    A module that imports Ray may hold a bound application: its graph must be known now, so such a module is
    imported here too. Any other is imported in the replicas alone, once, where its model and GPU are. An
    action is run here, and only here.
    Raises RayServeException, which Serve shows as it is and does not retry (build_serve_application, 2.60).
    """
    host = from_json(HostArgs, args)
    start = to_json(HostConfig(revision=""))  # without a user_config Serve would not call reconfigure at all
    try:
        if host.action is not None:
            made = managed.deploy(host, host.action)
            return _hosted(user_config=start, **made.options).bind(
                args, (made.backend_url,), {}, made.handed_over
            )
        ingress_args, ingress_kwargs = _ingress_arguments(host)
    except LoadFailed as exc:
        raise RayServeException(failure.line(exc.failure())) from None
    return _hosted(user_config=start).bind(args, ingress_args, ingress_kwargs)


def _hosted(**options: Any) -> serve.Deployment:
    """Serve's deployment of the host. Raises LoadFailed for an option that Serve does not take."""
    try:
        hosted: serve.Deployment = serve.deployment(name=INGRESS, **options)(serve.ingress()(Host))
    except (TypeError, ValueError) as exc:
        raise LoadFailed(Reason.ACTION_FAILED, f"an option of the action is none: {exc}") from None
    return hosted


class Host:
    """One replica. `args`: wire.host.HostArgs as JSON; the next two are for a bound ingress's constructor.

    `handed_over`: what an action deployed, see raydock.serve.managed; None where there is none.
    """

    def __init__(
        self,
        args: dict[str, Any],
        ingress_args: tuple[Any, ...],
        ingress_kwargs: dict[str, Any],
        handed_over: bytes | None = None,
    ) -> None:
        self._args = from_json(HostArgs, args)
        self._handed_over = handed_over
        self._ingress = ingress_args, ingress_kwargs
        console.install(self._args.deployment, serve.get_replica_context().replica_id.unique_id)
        self._access = AccessFile(Path(self._args.access_file or paths.ACCESS_FILE))
        self._fresh: asyncio.Task[None] | None = None
        self._later: asyncio.Task[None] | None = None
        count = Requests(self._args.deployment).add
        self._front = Front(self._args.deployment, self._access, count, self._args.namespace)
        self._config = HostConfig(revision="")
        self._loaded: Loaded | None = None
        self._lifespan: Lifespan | None = None
        self._report: Report | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._front

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take wire.host.HostConfig as JSON: the first time by starting the app, later in place.

        A failed start raises RuntimeError with the marked line of wire.failure, which Serve repeats in the
        status message of the deployment. Params that the app refuses later do not stop it: it serves on with
        the old ones and the old revision, and the health route says so.
        """
        config = from_json(HostConfig, user_config)
        if self._loaded is None:
            try:
                self._loaded = await self._start(config)
            except LoadFailed as exc:
                log.error("%s: %s", exc.reason, exc.message)  # noqa: TRY400 - the traceback is in the message
                raise RuntimeError(failure.line(exc.failure())) from None
            self._front.message = ""
        elif config.params != self._config.params:
            config = await self._with_params(self._loaded, config)
        self._config = config
        self._front.apply(config)

    async def work(self, endpoint: str, of: str, number: int) -> None:
        """Work on an asynchronous request: called by a replica that found it."""
        if self._front.asynchronous is not None:
            await self._front.asynchronous.take(endpoint, of, number)

    async def stay(self, seconds: float) -> None:
        """Do nothing: while this is asked, the autoscaler sees a request."""
        await asyncio.sleep(seconds)  # noqa: TID251 - the call that is open is all its use

    async def deferred_answer(self, ticket: str, caller: str) -> tuple[Any, ...]:
        """What a class of the action SDK knows here of a ticket; asked by the replica where a poll landed."""
        owner = self._loaded.owner if self._loaded else None
        if isinstance(owner, BaseServeDeployment):
            return await owner.deferred_answer(ticket, caller)
        return ()

    async def check_health(self) -> None:
        """Serve replaces a replica whose health check raises: only the user's object can say so."""
        if self._loaded is None or isinstance(self._loaded.owner, ModuleType):
            return
        check = getattr(self._loaded.owner, "check_health", None)
        if callable(check):
            await _called(check)

    async def __del__(self) -> None:
        # Serve awaits this when the replica has drained; nothing else tells the app that it ends.
        for task in (self._fresh, self._later):
            if task is not None:
                task.cancel()
        if self._front.asynchronous is not None:
            await self._front.asynchronous.stop()
        if self._report is not None:
            await self._report.stop()
        if self._lifespan is not None:
            await self._lifespan.stop()
        if self._loaded is not None:
            await graph.end(self._loaded.owner)

    async def _start(self, config: HostConfig) -> Loaded:
        args, params = self._args, config.params
        await run_in_threadpool(_provide_model, args)
        loaded = await self._load(params)
        _show_params(loaded.app, params)
        self._lifespan = Lifespan(loaded.app)
        try:
            await self._lifespan.start()
            if params:
                await _hand_over(loaded.owner, params)
        except StartFailed as exc:
            told = cut_traceback(exc.__cause__) if exc.__cause__ else str(exc)
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, f"the app could not start:\n{told}") from exc
        except LoadFailed:
            raise
        except Exception as exc:
            said = f"reconfigure(params) raised an error:\n{cut_traceback(exc)}"
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, said) from exc
        target = Target(loaded.app, self._lifespan.state)
        await _healthy(target, config.health_path, args.startup_timeout_s)
        self._fresh = asyncio.create_task(self._access.keep_fresh())  # noqa: TID251 - __del__ ends it
        self._front.open(target)
        self._work_later()
        if args.report_port is not None:
            self._report = Report(self._front, args.report_port)
        return loaded

    async def _load(self, params: Mapping[str, Any]) -> Loaded:
        path = self._args.import_path
        if self._handed_over is None:
            return await load(load_attribute(path), path, params, *self._ingress)
        made = managed.unpacked(self._handed_over)
        try:
            loaded = await load(managed.application(made), path, params, *self._ingress)
        except LoadFailed as exc:  # its models are loaded later, so what failed is the class itself
            raise LoadFailed(Reason.IMPORT_FAILED, exc.message) from exc
        return replace(loaded, app=managed.prefixed(loaded.app, made.route_prefix))

    def _work_later(self) -> None:
        """Take asynchronous requests, and work on them."""
        found = Asynchronous(
            self._access,
            self._args.deployment,
            owner=serve.get_replica_context().replica_id.unique_id,
            cluster=os.environ.get("RAY_CLUSTER_NAME", ""),  # noqa: TID251 - KubeRay says so in each pod
            slots=lambda: self._config.limits.ongoing_requests,
            later=self._front.later,
            serve=_Calls(),
        )
        self._front.asynchronous = found
        self._later = asyncio.create_task(found.run())  # noqa: TID251 - __del__ ends it

    async def _with_params(self, loaded: Loaded, config: HostConfig) -> HostConfig:
        """`config`, less its params and revision if the app does not take the params."""
        try:
            await _hand_over(loaded.owner, config.params)
        except Exception as exc:
            log.exception("the new params were refused")
            why = exc.message if isinstance(exc, LoadFailed) else f"{type(exc).__name__}, see the log"
            self._front.message = f"the new params were refused: {why}"
            return replace(config, params=self._config.params, revision=self._config.revision)
        _show_params(loaded.app, config.params)
        self._front.message = ""
        return config


class _Calls:
    """Calls of Ray Serve to replicas of the own Deployment, as asynchronous.dispatch.Serve."""

    @property
    def is_first(self) -> bool:
        return serve.get_replica_context().rank.rank == 0

    async def work(self, endpoint: str, of: str, number: int) -> None:
        await self._handle().work.remote(endpoint, of, number)

    async def stay(self, seconds: float) -> None:
        await self._handle().stay.remote(seconds)

    def _handle(self) -> Any:
        # Without _check_exists=False it would ask the controller, and stop the loop meanwhile.
        return serve.get_deployment_handle(INGRESS, serve.get_replica_context().app_name, _check_exists=False)


async def _healthy(target: Target, path: str, limit_s: int) -> None:
    """Wait for the app's own health route: once this replica runs, requests come and an older one goes.

    Raises LoadFailed after `limit_s` seconds.
    """
    try:
        async with asyncio.timeout(limit_s):
            while path != READY_PATH and not await answers(target, path):  # noqa: ASYNC110 - an app has no event
                await asyncio.sleep(HEALTH_PAUSE_S)  # noqa: TID251 - between two probes of it
    except TimeoutError:
        said = f"GET {path} of the app did not answer 2xx within {limit_s} s (health.startupTimeoutSeconds)"
        raise LoadFailed(Reason.UNHEALTHY, said) from None


def _ingress_arguments(host: HostArgs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Constructor arguments of a bound ingress; empty ones for every other form."""
    if not _imports_ray(host.import_path):
        return (), {}
    _provide_model(host)
    found: Any = load_attribute(host.import_path)
    if is_builder(found):
        found = build_app(found, {})
    if not isinstance(found, serve.Application):
        return (), {}
    return graph.arguments(graph.bound(found))


def _imports_ray(import_path: str) -> bool:
    """Whether the module's own text imports Ray; False for what cannot be read: the replica will tell."""
    try:
        spec = importlib.util.find_spec(import_path.partition(":")[0])
        return bool(spec and spec.origin and MENTIONS_RAY.search(Path(spec.origin).read_text()))
    except Exception:  # noqa: BLE001 - a parent package may raise anything when it is imported
        return False


def _provide_model(args: HostArgs) -> None:
    _tell(args)
    provide(args.model_uri, args.model_sha256, args.task, timeout_s=args.startup_timeout_s)


def _tell(args: HostArgs) -> None:
    """For a class of the action SDK, which reads it as it does where no operator is."""
    given = args.multiplexing
    told = {
        paths.MODEL_ID_ENV: args.model_id,
        paths.MODEL_VERSION_ENV: args.model_version,
        settings.MODELS_ENV: given and given.models_per_replica,
        settings.AUDIENCE_ENV: given and given.audience,
        settings.LEGACY_ENV: given and given.legacy_tokens,
    }
    for name, value in told.items():
        if value is not None:
            os.environ[name] = str(value)  # noqa: TID251 - this process's own, for the code that it imports


def _show_params(app: ASGIApp, params: Mapping[str, Any]) -> None:
    if isinstance(app, Starlette):
        app.state.params = dict(params)


async def _hand_over(owner: Any, params: Mapping[str, Any]) -> None:
    reconfigure = getattr(owner, "reconfigure", None)
    if callable(reconfigure):
        await _called(reconfigure, dict(params))


async def _called(function: Any, *args: Any) -> None:
    """Plain functions run in a thread: a slow one must not stop the requests."""
    if inspect.iscoroutinefunction(function):
        await function(*args)
    else:
        await run_in_threadpool(function, *args)
