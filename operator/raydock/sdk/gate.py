"""The capacity gate of a deployment that runs outside the operator (contracts/actions.md 8).

Fails closed: only the JSON value `true` under `allowed` lets a deployment go on. No text of an error here
names the agent, its address or a credential.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from raydock.remote.errors import MalformedResponse
from raydock.remote.terms import without_secrets
from raydock.sdk.utils.redaction import is_clean, sanitize_exception
from raydock.wire.capacity import Answer, answer_of, question_of_options
from raydock.wire.record import WireError

SKIPPED: Final = "serve capacity gate skipped: agent_client not provided"


class CapacityDenied(RuntimeError):
    """The agent says that it does not fit."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__(f"Serve deploy denied: insufficient cluster capacity ({list(reasons)})")
        self.reasons = list(reasons)
        """The agent's codes, `gpu_insufficient`; empty when it told none."""

    @override
    def __reduce__(self) -> tuple[type["CapacityDenied"], tuple[list[str]]]:
        return type(self), (self.reasons,)  # Ray pickles what a worker raises


class CapacityCheckFailed(RuntimeError):
    """There is no clear answer. `__cause__` is the error, redacted; None for one that would not be."""

    def __init__(self, error_type: str) -> None:
        super().__init__(f"Serve deploy capacity check failed: agent unreachable ({error_type})")
        self.error_type = error_type
        """Class name of what went wrong."""

    @override
    def __reduce__(self) -> tuple[type["CapacityCheckFailed"], tuple[str]]:
        return type(self), (self.error_type,)


def require_capacity(
    agent_client: Any,
    *,
    ray_actor_options: Mapping[str, Any],
    serve_options: Mapping[str, Any],
    plugin_code: str,
    agent_id: str,
    warn: Callable[[str], None],
    secrets: Collection[str] = (),
) -> None:
    """Return when the capacity agent allows the deployment.

    `agent_client`: an AgentClient, or what has its `check_feasibility`; None skips the gate with a warning.
    `secrets`: texts that no error may hold, besides the client's own. Raises ValueError for an option that is
    no figure, before anybody is asked, then CapacityDenied or CapacityCheckFailed.
    """
    asked = question_of_options(ray_actor_options, serve_options, plugin_code=plugin_code, agent=agent_id)
    if agent_client is None:
        warn(SKIPPED)
        return
    own = getattr(agent_client, "hidden", ())
    hidden = (*secrets, *(own if isinstance(own, tuple) else ()))
    fields = asked.fields()
    try:
        said = _clear(agent_client.check_feasibility(fields.pop("kind"), **fields))
    except Exception as error:  # noqa: BLE001 - fails closed: any error denies, and none may tell a secret
        sanitize_exception(error, hidden)
        failed = CapacityCheckFailed(type(error).__name__)
        failed.__cause__ = error if is_clean(error, hidden) else None
    else:
        if said.allowed:
            return
        raise CapacityDenied(without_secrets(said, hidden).reasons)
    raise failed


def _clear(told: Any) -> Answer:
    """The answer; a client of somebody else's may hand on anything. Raises MalformedResponse."""
    found: Answer | None
    try:
        found = answer_of(told)
    except WireError:
        found = None
    if found is None:
        raise MalformedResponse(200)
    return found
