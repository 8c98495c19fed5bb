"""One file a kind: fetch, gate, plan, apply, observe, status. No arithmetic, manifests or wording."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from raydock.reconcile import batchjob, deployment, endpoint, warm
from raydock.reconcile.deps import Deps, Key, Outcome

RECONCILERS: Final[Mapping[str, Callable[[Key, Deps], Awaitable[Outcome]]]] = {
    "Deployment": deployment.reconcile,
    "InferenceEndpoint": endpoint.reconcile,
    "BatchJob": batchjob.reconcile,
    "RayJob": warm.reconcile,
}
"""By kind."""
