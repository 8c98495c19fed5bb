"""Requests of a batch, sorted by the model that they are for (contracts/actions.md 9).

Ray Serve makes one queue of a class's batches: requests for different models, and of different tenants, meet
in it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.failures import Failure
from raydock.sdk.plugins.serving.scope import Scope, entered

Infer = Callable[[list[Any]], Awaitable[list[Any]]]
Model = tuple[str | None, str] | None
"""Tenant and id; None: the Deployment's own."""


@dataclass(frozen=True)
class Waiting:
    """A request in the queue. Its caller may use the model."""

    model: Model
    scope: Scope
    body: Any


@dataclass(frozen=True)
class Outcome:
    """What became of one request."""

    result: Any = None
    error: Exception | None = None

    def taken(self) -> Any:
        """The result. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.result


async def in_groups(queued: Sequence[Waiting], infer: Infer) -> list[Outcome]:
    """An Outcome for each of `queued`, in their order; `infer` gets those of one model and tenant at a time.

    Within it `get_model()` is the model of the group. What one group raises is no matter of the others.
    """
    groups: dict[Model, list[int]] = {}
    for index, one in enumerate(queued):
        groups.setdefault(one.model, []).append(index)
    found: dict[int, Outcome] = {}

    async def run(indexes: list[int]) -> None:
        group = [queued[index] for index in indexes]
        found.update(zip(indexes, await _outcomes(group, infer), strict=True))

    await asyncio.gather(*(run(indexes) for indexes in groups.values()))
    return [found[index] for index in range(len(queued))]


async def _outcomes(group: Sequence[Waiting], infer: Infer) -> list[Outcome]:
    """Any of the callers will do; one who has lost the right since he was let in gives way to the next."""
    refused: list[Outcome] = []
    while len(refused) < len(group):
        left = group[len(refused) :]
        with ExitStack() as held:
            for one in reversed(left):  # the first is entered last: it asks; all keep what they brought along
                held.enter_context(entered(one.scope.like()))
            try:
                return refused + _one_each(await infer([one.body for one in left]), len(left))
            except Exception as error:  # noqa: BLE001 - told to each caller
                outcome = Outcome(error=error)
        if not isinstance(outcome.error, ModelLoadError) or outcome.error.code != Failure.FORBIDDEN.code:
            return refused + [outcome] * len(left)
        refused.append(outcome)
    return refused


def _one_each(results: Sequence[Any], wanted: int) -> list[Outcome]:
    if len(results) != wanted:
        raise ValueError(f"infer_batch gave {len(results)} results for {wanted} requests")
    return [Outcome(result) for result in results]
