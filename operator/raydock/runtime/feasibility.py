"""POST /resources/feasibility/: the gate, for other tools (contracts/actions.md 8). Nothing is reserved."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

import structlog
from aiohttp import web
from annotated_types import Ge, Le
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from raydock.capacity.verdict import Code
from raydock.kube.client import Kube
from raydock.kube.errors import ApiError
from raydock.kube.tokens import Caller
from raydock.reconcile.gate import Gate
from raydock.wire.capacity import COUNT_MAX, FEASIBILITY_PATH, Question
from raydock.wire.paths import TOKEN_AUDIENCE

PATH: Final = f"/{FEASIBILITY_PATH}"
ARRIVES_S: Final = 10.0
"""For a body."""
CPUS_MAX: Final = 1e9
MEMORY_MAX: Final = 2**63 - 1
"""Kubernetes keeps a quantity as int64."""

_log = structlog.get_logger(__name__)


class Asked(BaseModel):
    """The body; other keys are left alone."""

    kind: Literal["job", "serve", "container", "task"]
    num_cpus: Annotated[FiniteFloat, Ge(0), Le(CPUS_MAX)] = 1.0
    num_gpus: Annotated[FiniteFloat, Ge(0), Le(CPUS_MAX)] = 0.0
    memory_bytes: Annotated[int, Ge(0), Le(MEMORY_MAX)] | None = None
    replicas: Annotated[int, Ge(0), Le(COUNT_MAX)] = 1
    metadata: dict[str, Any] = Field(default_factory=dict)

    def question(self) -> Question:
        """As the gate takes it."""
        texts = {key: value for key, value in self.metadata.items() if isinstance(value, str)}
        return Question(
            self.kind, self.num_cpus, self.num_gpus, self.memory_bytes, self.replicas, metadata=texts
        )


class Feasibility:
    """The handler. Leader and standby both know the cluster, so both answer."""

    def __init__(
        self, kube: Kube, gate: Gate, filled: Callable[[], bool], namespaces: Collection[str] = ()
    ) -> None:
        """`filled`: whether the store knows the cluster; `namespaces`: those that are watched; none: all."""
        self._kube = kube
        self._gate = gate
        self._filled = filled
        self._namespaces = frozenset(namespaces)

    async def post(self, request: web.Request) -> web.Response:
        """200 with an answer, or why there is none."""
        if not self._filled():
            return _refused(503, "the cluster is still being read: ask again", {"Retry-After": "1"})
        token = _token(request)
        try:
            caller = await self._kube.review_token(token, TOKEN_AUDIENCE) if token else None
        except ApiError as error:
            _log.warning("token not reviewed", error=type(error).__name__, why=error.message)
            return _refused(503, "the token could not be checked: ask again", {"Retry-After": "1"})
        if caller is None:
            return _refused(401, f"want a service-account token with audience {TOKEN_AUDIENCE}")
        body = await _body(request)
        if isinstance(body, web.Response):
            return body
        try:
            asked = Asked.model_validate_json(body)
        except ValidationError as error:
            return web.json_response({"detail": _detail(error)}, status=422)
        return await self._answer(asked.question(), caller)

    async def _answer(self, question: Question, caller: Caller) -> web.Response:
        namespace = question.metadata.get("namespace") or caller.namespace
        if self._namespaces and not {namespace, caller.namespace} <= self._namespaces:
            return _refused(403, "this raydock does not look after that namespace")
        found = await self._gate.feasible(question, namespace)
        if namespace != caller.namespace and Code.QUOTA_EXCEEDED in found.reasons:
            # Whether it fits is no secret, how much another namespace may use can be one.
            found = replace(found, messages=("the quotas or limits of that namespace refuse it",))
        return web.json_response(found.json())


def _token(request: web.Request) -> str:
    """The token, bare or as `Bearer`; empty when there is none."""
    text = request.headers.get("Authorization", "").strip()
    scheme, _, rest = text.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else text


async def _body(request: web.Request) -> bytes | web.Response:
    try:
        async with asyncio.timeout(ARRIVES_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return _refused(413, "the body is too large")
    except TimeoutError:
        return _refused(408, "the body did not arrive")


def _refused(status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"detail": why}, status=status, headers=headers)


def _detail(error: ValidationError) -> list[dict[str, Any]]:
    """What is wrong with the body, and where; without what it said."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"loc": ["body", *entry["loc"]], "msg": entry["msg"], "type": entry["type"]} for entry in found]
