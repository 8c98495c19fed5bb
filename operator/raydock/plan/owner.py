"""Who an object of ours is to the capacity gate, and by which code an agent and a backend know it."""

from typing import Final

from raydock.api.batchjob import BatchJob
from raydock.api.deployment import Deployment
from raydock.capacity.demand import Owner

RELEASE_CODE_ENV: Final = "SYNAPSE_PLUGIN_RELEASE_CODE"
"""What the code in the pods takes its application's name from (contracts/actions.md 3)."""


def owner_of(cr: BatchJob | Deployment) -> Owner:
    """Who asks the gate."""
    own = cr.metadata
    return Owner(cr.kind, own.namespace, own.name, own.uid, release_code(cr))


def release_code(cr: BatchJob | Deployment) -> str:
    """What `spec.env` says of its release, else its own name; what a Secret says there is not looked up."""
    said = {var.name: var.value for var in cr.spec.env}
    return said.get(RELEASE_CODE_ENV) or cr.metadata.name
