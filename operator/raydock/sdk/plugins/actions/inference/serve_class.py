"""From a plugin's Serve class and its options to a bound Ray Serve application (contracts/actions.md 7)."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, Final

from raydock.sdk.plugins.actions.inference.serve import BaseServeDeployment
from raydock.sdk.plugins.serving import requests
from raydock.sdk.plugins.serving.batches import Outcome, Waiting, in_groups

BATCH: Final = "batch"
BATCH_DEFAULTS: Final[Mapping[str, Any]] = {"max_batch_size": 8, "batch_wait_timeout_s": 0.1}
_NOT_OPTIONS: Final = frozenset({"_func_or_class", "ray_actor_options"})


def ray_serve() -> ModuleType:
    """`ray.serve`. Raises ImportError where Ray Serve is not installed."""
    try:
        from ray import serve  # noqa: PLC0415 - an action that never deploys needs no Ray
    except ImportError as error:
        raise ImportError("Ray Serve is required to deploy: pip install 'raydock[runtime]'") from error
    return serve


def split_options(
    options: Mapping[str, Any], serve: ModuleType
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Options of Serve's deployment, and those of its batching; None without any.

    Raises ValueError for a key that neither knows, with those that are known.
    """
    known = sorted({*inspect.signature(serve.deployment).parameters, BATCH} - _NOT_OPTIONS)
    _only(options, known, "serve_options")
    rest = {name: value for name, value in options.items() if name != BATCH}
    batch = options.get(BATCH)
    if batch is None:
        return rest, None
    if not isinstance(batch, Mapping):
        raise ValueError(f"serve_options.batch: want {', '.join(BATCH_DEFAULTS)}")  # noqa: TRY004 - of a file
    _only(batch, list(BATCH_DEFAULTS), "serve_options.batch")
    return rest, {**BATCH_DEFAULTS, **{name: value for name, value in batch.items() if value is not None}}


def bound(
    entrypoint: type,
    backend_url: str,
    *,
    serve: ModuleType,
    ray_actor_options: Mapping[str, Any],
    serve_options: Mapping[str, Any],
    batch: Mapping[str, Any] | None,
) -> Any:
    """The application whose replicas are `entrypoint(backend_url)`. Raises what Ray Serve does."""
    replica = replica_class(entrypoint, serve)
    if batch is not None and hasattr(entrypoint, "infer_batch"):
        name = f"{entrypoint.__name__}_Batched"
        serves_models = issubclass(entrypoint, BaseServeDeployment)
        replica = (_in_groups if serves_models else _batched)(replica, name, serve, batch)
    deployment = serve.deployment(ray_actor_options=dict(ray_actor_options), **serve_options)(replica)
    return deployment.bind(backend_url)


def replica_class(entrypoint: type, serve: ModuleType) -> Any:
    """`entrypoint` as replicas run it: behind its app, and with an end."""
    serves_models = issubclass(entrypoint, BaseServeDeployment)
    replica: Any = _with_end(entrypoint) if serves_models else entrypoint
    app = getattr(entrypoint, "app", None)
    if app is None:
        return replica
    return serve.ingress(app if inspect.isfunction(app) else _app_of(entrypoint, serve))(replica)


def _app_of(entrypoint: Any, serve: ModuleType) -> Callable[[], Any]:
    """Makes the app of `entrypoint` in the replica. Raises what FastAPI does.

    FastAPI looks at the signatures of a class's routes when the first request comes. An app that was sent to
    the replica would find those of the class's own module there, in which `self` is a query parameter.
    """

    def made() -> Any:
        app = entrypoint.app
        if issubclass(entrypoint, BaseServeDeployment) and hasattr(app, "add_middleware"):
            requests.install(app)
        serve.ingress(app)(entrypoint)  # gives the app's routes their `self`
        return app

    return made


def _with_end(entrypoint: type[BaseServeDeployment]) -> type:
    """A subclass of the same name that Ray Serve ends by `end_replica`, then by the author's destructor.

    Not a destructor of the base: Python's collector cannot await one.
    """

    async def destroy(self: Any) -> None:
        await BaseServeDeployment.end_replica(self)
        of_author = getattr(entrypoint, "__del__", None)
        ended = None if of_author is None else of_author(self)
        if inspect.isawaitable(ended):
            await ended

    return _subclass(entrypoint, entrypoint.__qualname__, {"__del__": destroy, "__doc__": entrypoint.__doc__})


def _batched(replica: Any, name: str, serve: ModuleType, batch: Mapping[str, Any]) -> type:
    """A subclass called `name` whose `infer_batch` takes one request, and is called with several of them."""

    async def infer_batch(self: Any, requests: list[Any]) -> list[Any]:
        found: list[Any] = await replica.infer_batch(self, requests)
        return found

    return _subclass(replica, name, {"infer_batch": serve.batch(**batch)(infer_batch)})


def _in_groups(replica: Any, name: str, serve: ModuleType, batch: Mapping[str, Any]) -> type:
    """The same for a class whose requests may be for different models: each call is for one of them."""

    async def infer_queued(self: Any, queued: list[Waiting]) -> list[Outcome]:
        return await in_groups(queued, partial(replica.infer_batch, self))

    async def infer_batch(self: Any, request: Any) -> Any:
        outcome: Outcome = await self.infer_queued(await self.queued_request(request))
        return outcome.taken()

    # Ray Serve finds the queue of a method by the function's name.
    return _subclass(
        replica, name, {"infer_queued": serve.batch(**batch)(infer_queued), "infer_batch": infer_batch}
    )


def _subclass(base: Any, name: str, members: dict[str, Any]) -> type:
    made: Any = type(base)(name.rpartition(".")[2], (base,), members)
    made.__module__, made.__qualname__ = base.__module__, name
    return made  # type: ignore[no-any-return]  # made just above


def _only(options: Mapping[str, Any], known: list[str], what: str) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"{what}: unknown {', '.join(unknown)}; valid are {', '.join(known)}")
