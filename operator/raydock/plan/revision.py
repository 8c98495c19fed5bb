"""Hashes of what a user asked for, by how deep an edit goes; what only the operator adds is in none."""

from dataclasses import dataclass

from raydock.api.base import RESTART_ANNOTATION
from raydock.api.deployment import Deployment
from raydock.plan.cached import caches_models
from raydock.plan.changes import Reach, by_reach
from raydock.plan.meta import fingerprint
from raydock.wire import paths


@dataclass(frozen=True)
class Revision:
    """Twelve hex digits each."""

    pods: str
    """Over everything in a pod's spec and the code's content."""
    application: str
    """Over `pods` and what a replica is started with."""
    whole: str
    """Over `application` and what is applied in place: the revision that users see."""

    def reach_from(self, other: "Revision") -> Reach:
        """How deep the way from another revision goes."""
        if other.pods != self.pods:
            return Reach.PODS
        if other.application != self.application:
            return Reach.APPLICATION
        return Reach.LIVE if other.whole != self.whole else Reach.NOTHING


def revision(cr: Deployment, code: str | None) -> Revision:
    """The wanted revision. `code`: fingerprint of the ConfigMap's content, None when it is in the image."""
    # A default that is written out is no edit, and a field that a later raydock adds changes no revision.
    said = by_reach(cr.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    restart = cr.metadata.annotations.get(RESTART_ANNOTATION)
    pods = fingerprint([said[Reach.PODS], _model_volume(cr), code, restart])
    application = fingerprint([pods, said[Reach.APPLICATION]])
    return Revision(pods, application, fingerprint([application, said[Reach.LIVE]]))


def _model_volume(cr: Deployment) -> str | None:
    """The claim that holds the model, and the cache of what is downloaded."""
    claim = paths.claim_of(cr.spec.model.uri) if cr.spec.model else None
    return f"{claim or ''}:cache" if caches_models(cr) else claim
