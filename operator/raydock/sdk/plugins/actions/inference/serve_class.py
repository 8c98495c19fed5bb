"""From a plugin's Serve class and its options to a bound Ray Serve application (contracts/actions.md 7)."""

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

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
    """The application whose replicas are `entrypoint(backend_url)`. Raises what Ray Serve and FastAPI do."""
    replica: Any = entrypoint
    app = getattr(entrypoint, "app", None)
    if app is not None:
        replica = serve.ingress(app)(replica)
    if batch is not None and hasattr(entrypoint, "infer_batch"):
        replica = _batched(replica, f"{entrypoint.__name__}_Batched", serve, batch)
    deployment = serve.deployment(ray_actor_options=dict(ray_actor_options), **serve_options)(replica)
    return deployment.bind(backend_url)


def _batched(replica: Any, name: str, serve: ModuleType, batch: Mapping[str, Any]) -> type:
    """A subclass called `name` whose `infer_batch` takes one request, and is called with several of them."""

    async def infer_batch(self: Any, requests: list[Any]) -> list[Any]:
        found: list[Any] = await super(batched, self).infer_batch(requests)
        return found

    batched: Any = type(name, (replica,), {"infer_batch": serve.batch(**batch)(infer_batch)})
    batched.__module__, batched.__qualname__ = replica.__module__, name
    return batched  # type: ignore[no-any-return]  # made just above


def _only(options: Mapping[str, Any], known: list[str], what: str) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"{what}: unknown {', '.join(unknown)}; valid are {', '.join(known)}")
