"""Calls a Serve application that runs already, for an `inference` action (contracts/actions.md 9)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from raydock.remote.blocking import Call, Reply, Times, exchange
from raydock.remote.errors import ClientResponseIncompleteError, ClientTimeoutError, MalformedResponse
from raydock.remote.persistence import CLOCK, Clock, persist_blocking
from raydock.remote.terms import base_url, is_header_value, raise_unless_ok
from raydock.sdk.clients.caller import parsed
from raydock.sdk.plugins.actions.inference.deferred import (
    POLL_REQUEST_KEY,
    STATUS_FAILED,
    is_deferred_envelope,
    is_pending,
)
from raydock.sdk.plugins.actions.inference.deployment import BaseDeploymentAction
from raydock.sdk.plugins.connections import backend_url
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.errors import ExecutionError
from raydock.sdk.plugins.serving.model_token import (
    AUDIENCE,
    create_serve_multiplexed_model_id,
    environment_key,
)
from raydock.sdk.plugins.serving.settings import AUDIENCE_ENV
from raydock.sdk.utils.redaction import redact_text, secret_values
from raydock.wire.access import DEPLOYMENT_HEADER

SERVE_URL_ENV: Final = "RAYDOCK_SERVE_URL"
TIMEOUT_ENV: Final = "RAYDOCK_INFER_TIMEOUT_SECONDS"
DEFAULT_URL: Final = "http://localhost:8100"
CONNECT_S: Final = 5.0
ANSWER_S: Final = 300.0
ANSWER_MAX: Final = 256 << 20
"""Bytes of an answer."""
FIRST_POLL_S: Final = 2.0
"""Seconds until a deferred answer is asked for; then FACTOR times as long each, at most POLL_MAX_S."""
FACTOR: Final = 1.5
POLL_MAX_S: Final = 10.0
POLLS_S: Final = 1800.0
"""Seconds for a deferred answer in all."""
_METHOD: Final = re.compile(r"[A-Z]{1,16}")


@dataclass(frozen=True)
class _Target:
    """Whom to call, and as whom."""

    method: str
    url: str
    body: Any
    model: Any
    env: PluginEnvironment = field(repr=False)
    times: Times
    deployment: str = ""
    """The one that is to answer; empty: whichever the split leads to."""

    def call(self, body: Any) -> Call:
        """With `body` as JSON."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self._credentials()}
        if self.deployment:
            headers[DEPLOYMENT_HEADER] = self.deployment
        return Call(self.method, self.url, headers, json.dumps(body).encode(), ANSWER_MAX)

    def _credentials(self) -> dict[str, str]:
        """The endpoint's key, and the model token, which is made anew: it may have ended since."""
        found = {}
        if key := self.env.get_str("RAYDOCK_ENDPOINT_KEY"):
            found["api-key"] = key
        if self.model is not None:
            # Not serve_multiplexed_model_id: what that holds gets into Ray Serve's logs and traces.
            found["raydock-model-token"] = _model_token(self.model, self.env)
        if not all(is_header_value(value) for value in found.values()):
            raise ValueError("RAYDOCK_ENDPOINT_KEY: want one line of ASCII")
        return found


def infer(params: Mapping[str, Any], ctx: RuntimeContext, clock: Clock = CLOCK) -> Any:
    """What the application answers; see BaseServeDeployment.infer_remote."""
    target = _target(params, ctx)
    hidden = secret_values(ctx.env.to_dict())
    first = _sent(target, target.body, hidden)
    answer = _json(first)
    # The ticket is known to the Deployment that gave it out alone, and an endpoint may have several.
    target = replace(target, deployment=first.headers.get(DEPLOYMENT_HEADER, ""))
    begun, wait_s = clock.now(), FIRST_POLL_S
    while is_pending(answer):
        if clock.now() + wait_s - begun > POLLS_S:
            raise ClientTimeoutError(0, f"no answer within {POLLS_S:.0f} seconds")
        clock.wait(wait_s)
        wait_s = min(wait_s * FACTOR, POLL_MAX_S)
        answer = _json(_polled(target, {POLL_REQUEST_KEY: answer.get("ticket")}, hidden, clock))
    if is_deferred_envelope(answer):
        if answer.get("status") == STATUS_FAILED:
            told = redact_text(str(answer.get("error")), hidden)
            raise ExecutionError(f"the inference failed: {told}")
        raise ExecutionError("the deferred answer is lost: the replica that had it is gone, or it was taken")
    return answer


def _target(params: Mapping[str, Any], ctx: RuntimeContext) -> _Target:
    """Raises ValueError for parameters or settings that are none."""
    method = str(params.get("method") or "post").upper()
    if not _METHOD.fullmatch(method):
        raise ValueError("method: want an HTTP method, such as post")
    body = params.get("json")
    path = str(params.get("path") or "/").lstrip("/")
    if not is_header_value(path) or " " in path or "#" in path:
        raise ValueError("path: want a path as it stands in a URL, such as /predict")
    env = ctx.env
    place = env.get_str(SERVE_URL_ENV) or env.get_str("RAY_SERVE_ADDRESS") or DEFAULT_URL
    prefix = _route_prefix(ctx).strip("/")
    url = base_url(place, "the Serve application's") + (f"{prefix}/" if prefix else "") + path
    return _Target(
        method=method,
        url=url,
        body={} if body is None else body,
        model=params.get("model"),
        env=env,
        times=Times(CONNECT_S, _seconds(env)),
    )


def _route_prefix(ctx: RuntimeContext) -> str:
    """As the deployment action has it; behind a URL of one's own there need be none."""
    try:
        return BaseDeploymentAction({}, ctx).get_route_prefix()
    except RuntimeError:
        if ctx.env.get_str(SERVE_URL_ENV):
            return ""
        raise


def _model_token(model: Any, env: PluginEnvironment) -> str:
    token = env.get_str("SYNAPSE_ACCESS_TOKEN")
    if not token:
        raise ValueError("SYNAPSE_ACCESS_TOKEN: want the token that may use the model")
    return create_serve_multiplexed_model_id(
        model,
        token,
        backend_url(env) or "",
        env.get_str("SYNAPSE_PLUGIN_RUN_TENANT"),
        signing_key=environment_key({name: str(value) for name, value in env.to_dict().items()}),
        audience=env.get_str(AUDIENCE_ENV) or AUDIENCE,
    )


def _seconds(env: PluginEnvironment) -> float:
    try:
        found = env.get_float(TIMEOUT_ENV, ANSWER_S)
    except ValueError:
        found = None
    if found is None or not 0 < found < float("inf"):
        raise ValueError(f"{TIMEOUT_ENV}: want seconds above 0")
    return found


def _sent(target: _Target, body: Any, hidden: set[str]) -> Reply:
    """One try: what it does when it is made twice, nobody knows."""
    reply = exchange(target.call(body), target.times, CONNECT_S + target.times.answer_s)
    raise_unless_ok(reply.status, reply.body, reply.retry_after, hidden)
    return reply


def _polled(target: _Target, body: Any, hidden: set[str], clock: Clock) -> Reply:
    """A poll that nobody took is made again."""
    return persist_blocking(
        lambda _: _sent(target, body, hidden),
        "harmless",
        deadline_s=CONNECT_S + target.times.answer_s,
        clock=clock,
    )


def _json(reply: Reply) -> Any:
    if reply.cut_off:
        raise ClientResponseIncompleteError(reply.status)
    if reply.body is None:
        raise MalformedResponse(reply.status)
    return parsed(reply.status, reply.body)
