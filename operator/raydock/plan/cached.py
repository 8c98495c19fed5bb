"""Which Deployments keep downloaded models in their pods."""

from raydock.api.deployment import Deployment
from raydock.wire import paths


def caches_models(cr: Deployment) -> bool:
    """Whether the pods download models: their own, or those that requests name."""
    model = cr.spec.model
    return cr.spec.multiplexing is not None or bool(model and not paths.claim_of(model.uri))
