"""The base of classes that serve: their replicas load the model that a request's token names.

contracts/actions.md 9
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel
from typing_extensions import override

from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.actions.inference.deferred import extract_ticket, is_poll_request
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.serving.batches import Waiting
from raydock.sdk.plugins.serving.deferring import Deferring, other_replicas
from raydock.sdk.plugins.serving.scope import Scope, current, of_task


class BaseServeDeployment(BaseAction[Any], ABC):
    """What each replica runs. A subclass loads models in `_get_model`, and infers in `infer`.

    raydock applies `serve.deployment` and `serve.ingress`, never the author. As an action, it calls an
    application that runs already.
    """

    app: ClassVar[Any] = None
    """FastAPI, whose routes are methods of the class."""
    serve_deadline_s: ClassVar[float] = 8.0
    """Seconds after which `handle_inference` gives out a ticket."""

    def __init__(self, backend_url: str) -> None:  # no super(): a replica has no parameters of an action
        self.backend_url = backend_url

    @classmethod
    @override
    def dispatch(cls, params: Mapping[str, Any], ctx: RuntimeContext) -> Any:
        """`infer_remote`."""
        return cls.infer_remote(params, ctx)

    @classmethod
    def infer_remote(cls, params: Mapping[str, Any], ctx: RuntimeContext) -> Any:
        """What the running application answers to `params`: `model`, `method`, `json` and `path`.

        A deferred answer is waited for. Raises the ClientErrors of raydock.sdk.exceptions, ValueError for
        parameters that are none, ExecutionError where the answer is lost or is that the inference failed.
        """
        # Imported late: it asks the deployment action for the route, which knows this class.
        remote_call = importlib.import_module("raydock.sdk.plugins.actions.inference.remote_call")
        return remote_call.infer(params, ctx)

    @override
    def execute(self) -> Any:
        """Nothing: replicas answer requests."""

    @abstractmethod
    async def _get_model(self, model_info: dict[str, Any]) -> Any:
        """The model, built of its files.

        `model_info`: the backend's metadata, and `path`, the pathlib.Path of the directory with the extracted
        files, which lives as long as the model does.
        """

    @abstractmethod
    async def infer(self, *args: Any, **kwargs: Any) -> Any:
        """The handler of a route, or what a route calls."""

    async def infer_batch(self, requests: list[Any]) -> list[Any]:
        """A result for each of `requests`, which are for one model; here, each by `infer`."""
        return [await self.infer(one) for one in requests]

    async def get_model(self) -> Any:
        """The model of this request: by its token, without one the Deployment's own `spec.model`.

        It stays loaded until the request ends. Raises ModelLoadError, which is answered as it says.
        """
        return await self._models.of(_scope())

    async def _unload_model(self, model: Any) -> None:
        """Called once for each model, on eviction and at the end, when no request uses it."""

    async def handle_inference(
        self,
        body: Any,
        input_model: type[BaseModel] | None,
        runner: Callable[[Any], Any],
        *,
        deadline_s: float | None = None,
    ) -> Any:
        """What `runner` makes of `body`, validated by `input_model`; after `deadline_s` a ticket for it.

        The work goes on, and the same route answers a poll with the ticket. `deadline_s`: None for
        `serve_deadline_s`. Raises what `runner` raises within the deadline, and ModelLoadError where the
        caller may not use the model of its token, at a poll too.
        """
        scope = _scope()
        if scope.token is not None:
            await self._models.admit(scope)  # whose ticket it is, and whether he may use the model still
        if is_poll_request(body):
            return await self._deferring.poll(extract_ticket(body), scope.caller)
        limit_s = self.serve_deadline_s if deadline_s is None else deadline_s
        return await self._deferring.answer(scope, body, input_model, runner, limit_s)

    async def deferred_answer(self, ticket: str, caller: str) -> tuple[Any, ...]:
        """What this replica knows of a ticket: another one asks, where a poll landed."""
        return self._deferring.here(ticket, caller)

    async def queued_request(self, body: Any) -> Waiting:
        """A request as it waits for its batch. Raises ModelLoadError where it may not use its model."""
        scope = _scope()
        return Waiting(await self._models.admit(scope), scope, body)

    async def end_replica(self) -> None:
        """The replica ends: wait for deferred work, take the models away."""
        parts = vars(self)
        if (deferring := parts.get("_raydock_deferring")) is not None:
            await deferring.close()
        if (models := parts.get("_raydock_models")) is not None:
            await models.close()

    # Made when they are first used: a subclass may forget super().__init__, and a driver makes no threads.

    @property
    def _models(self) -> Any:
        parts = vars(self)
        if "_raydock_models" not in parts:
            # Imported late: a machine that only calls replicas needs none of what fetching takes.
            models = importlib.import_module("raydock.sdk.plugins.serving.models")
            url = getattr(self, "backend_url", "")
            parts["_raydock_models"] = models.Models(url, self._get_model, self._unload_model)
        return parts["_raydock_models"]

    @property
    def _deferring(self) -> Deferring:
        parts = vars(self)
        if "_raydock_deferring" not in parts:
            parts["_raydock_deferring"] = Deferring(other_replicas)
        found: Deferring = parts["_raydock_deferring"]
        return found


def _scope() -> Scope:
    """Of the request; a call by a handle of Ray Serve has its model token in Serve's own context."""
    found = current()
    return of_task(found, _token_of_call) if found is None or found.is_closed else found


def _token_of_call() -> str | None:
    try:
        from ray import serve  # noqa: PLC0415 - a class that is only tried out needs no Ray
    except ImportError:
        return None
    return serve.get_multiplexed_model_id() or None
