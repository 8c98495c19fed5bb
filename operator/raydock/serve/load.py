"""What `server.importPath` may name, and how each form becomes an ASGI app that the host stands in front of.

bound Ray Serve application   its ingress, see serve.graph
BaseServeDeployment           behind its app, made with the backend's URL
ASGI app                      itself, its lifespan run: FastAPI, Starlette, any callable of three arguments
class with `predict`          made once without arguments, see serve.predictor
object with `predict`         the same, already made
function named `predict`      the same
any other function            called with the params as a dict; returns one of the first two
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ray import serve
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp

from raydock.models.entry import LoadFailed, cut_traceback
from raydock.reasons import Reason
from raydock.sdk.plugins.actions.inference import BaseServeDeployment
from raydock.sdk.plugins.actions.inference.serve_class import replica_class
from raydock.sdk.plugins.connections import backend_url
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.serve import graph, predictor

FORMS: Final = (
    "an ASGI app, a bound Ray Serve application, a function that returns one, a BaseServeDeployment, or "
    "something with predict"
)


@dataclass(frozen=True)
class Loaded:
    """A form of the user's code, made ready to be called."""

    app: ASGIApp
    owner: Any
    """What may have `reconfigure` and `check_health`: the user's object, or the module of an app."""


async def load(
    found: Any, import_path: str, params: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Loaded:
    """`found`, the attribute that `import_path` names, as an app. `args`, `kwargs`: a bound ingress's own.

    Raises LoadFailed: IMPORT_FAILED for none of the forms, MODEL_LOAD_FAILED when a constructor or an app
    builder raises.
    """
    if is_builder(found):
        found = await _made(lambda: build_app(found, params))
    if isinstance(found, serve.Application):
        ingress = graph.bound(found)
        made = await _made(lambda: graph.instance(ingress.func_or_class, args, kwargs))
        return Loaded(graph.asgi(made), made)
    if inspect.isclass(found) and issubclass(found, BaseServeDeployment):
        return await _serving(found, import_path)
    if inspect.isclass(found) and callable(getattr(found, "predict", None)):
        made = await _made(lambda: run_in_threadpool(found))
        return Loaded(predictor.app(made.predict), made)
    if is_asgi(found):
        return Loaded(found, found if hasattr(found, "reconfigure") else _module(import_path))
    if callable(getattr(found, "predict", None)):
        return Loaded(predictor.app(found.predict), found)
    if inspect.isfunction(found):
        return Loaded(predictor.app(found), _module(import_path))
    raise LoadFailed(Reason.IMPORT_FAILED, f"{import_path} is {_kind(found)}: want {FORMS}")


def is_asgi(found: Any) -> bool:
    """Whether `found` is called with scope, receive and send."""
    if inspect.isclass(found) or not callable(found):
        return False
    if isinstance(found, Starlette):
        return True
    call = found if inspect.isroutine(found) else found.__call__
    try:
        names = list(inspect.signature(call).parameters)
    except (TypeError, ValueError):
        return False
    return len(names) == 3 and (inspect.iscoroutinefunction(call) or names == ["scope", "receive", "send"])


def is_builder(found: Any) -> bool:
    """Whether `found` is a function that returns the app."""
    return inspect.isfunction(found) and found.__name__ != "predict" and not is_asgi(found)


def build_app(builder: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    """What the app builder returns; it is given the params if it takes an argument."""
    return builder(dict(params)) if inspect.signature(builder).parameters else builder()


async def _serving(found: type[BaseServeDeployment], import_path: str) -> Loaded:
    """A class of the action SDK. Raises LoadFailed(IMPORT_FAILED): its models are loaded by requests only."""
    if found.app is None:
        said = f"{import_path} has no app: write app = FastAPI() in the class, whose routes are its methods"
        raise LoadFailed(Reason.IMPORT_FAILED, said)
    url = backend_url(PluginEnvironment.from_environ(prefixes=("SYNAPSE_",))) or ""
    try:
        made = await graph.instance(replica_class(found, serve), (url,), {})
    except (Exception, SystemExit) as exc:
        said = f"the class {import_path} cannot be made:\n{cut_traceback(exc)}"
        raise LoadFailed(Reason.IMPORT_FAILED, said) from exc
    return Loaded(graph.asgi(made), made)


async def _made(make: Callable[[], Any]) -> Any:
    try:
        made = make()
        return await made if inspect.isawaitable(made) else made
    except LoadFailed:
        raise  # of a server of raydock's own, which knows the reason
    except (Exception, SystemExit) as exc:
        said = f"the code raised an error at its start:\n{cut_traceback(exc)}"
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, said) from exc


def _module(import_path: str) -> Any:
    return sys.modules[import_path.partition(":")[0]]


def _kind(found: Any) -> str:
    if isinstance(found, serve.Deployment):
        return "a Serve deployment that is not bound (write .bind())"
    return "a class without predict" if inspect.isclass(found) else f"of type {type(found).__name__}"
