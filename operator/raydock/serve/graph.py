"""A bound Ray Serve application: its ingress put behind the host, the other deployments left as they are."""

import inspect
from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.serve._private.http_util import ASGIAppReplicaWrapper, _walk_fastapi_routes
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.wire.host import INGRESS

_SELF_DEPENDENCY = "get_current_servable_instance"
"""Default of `self` in a FastAPI class view (Ray 2.60, http_util.make_fastapi_class_based_view)."""


def bound(found: serve.Application) -> serve.Deployment:
    """The ingress of `found` with its constructor's arguments. Raises LoadFailed for a name that is taken."""
    ingress = found._bound_deployment  # noqa: SLF001 - Serve has no public way to look into a bound application
    args, kwargs = arguments(ingress)
    for argument in (*args, *kwargs.values()):
        if isinstance(argument, serve.Application) and bound(argument).name == INGRESS:
            said = f"a deployment behind the ingress is named {INGRESS!r}, which is the ingress's: rename it"
            raise LoadFailed(Reason.IMPORT_FAILED, said)
    return ingress


def arguments(ingress: serve.Deployment) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the constructor of `ingress` was bound to."""
    kwargs: Any = ingress.init_kwargs  # annotated as a tuple in Ray 2.60
    return tuple(ingress.init_args), dict(kwargs)


async def instance(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The class `target` with its constructor run, as a Serve replica would; a function is itself."""
    if not inspect.isclass(target):
        return target
    made = target.__new__(target)
    ran = target.__init__(made, *args, **kwargs)
    if inspect.isawaitable(ran):
        await ran
    if isinstance(made, ASGIAppReplicaWrapper):
        # The host runs the lifespan; without this attribute Serve's own destructor leaves it alone.
        del made._serve_asgi_lifespan  # noqa: SLF001 - there is no public way
    return made


async def end(made: Any) -> None:
    """Run an `async __del__`, which Serve allows; the garbage collector can only run a plain one."""
    destructor = getattr(type(made), "__del__", None)
    if inspect.iscoroutinefunction(destructor):
        await destructor(made)


def asgi(made: Any) -> ASGIApp:
    """The ingress as an ASGI app: the app of `serve.ingress`, or `__call__(request)` as Serve calls it."""
    if not isinstance(made, ASGIAppReplicaWrapper):
        return _called(made)
    app: ASGIApp = made.app
    _give_self(app, made)
    return app


def _give_self(app: Any, made: Any) -> None:
    """FastAPI class views get `made` as self; Serve would give them the replica's object, the host."""
    if not hasattr(app, "dependency_overrides"):
        return
    for route, _, _ in _walk_fastapi_routes(app):
        for parameter in inspect.signature(route.endpoint).parameters.values():
            dependency = getattr(parameter.default, "dependency", None)
            if getattr(dependency, "__name__", "") == _SELF_DEPENDENCY:
                app.dependency_overrides[dependency] = lambda: made


def _called(made: Any) -> ASGIApp:
    call = made if inspect.isroutine(made) else made.__call__
    takes_request = bool(inspect.signature(call).parameters)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        result = call(request) if takes_request else call()
        if inspect.isawaitable(result):
            result = await result
        await _response(result)(scope, receive, send)

    return answer


def _response(result: Any) -> Response:
    """As Serve answers: text as it is, a generator as a stream, anything else as JSON."""
    if isinstance(result, Response):
        return result
    if isinstance(result, str):
        return PlainTextResponse(result)
    if isinstance(result, bytes):
        return Response(result)
    if _is_stream(result):
        return StreamingResponse(result)
    return JSONResponse(result)


def _is_stream(result: Any) -> bool:
    return inspect.isgenerator(result) or inspect.isasyncgen(result)
