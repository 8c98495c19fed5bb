"""How far a start is: from the first write to the first answer of the wanted version."""

from typing import Final

from raydock.api.deployment_status import DeployCategory, DeployProgress
from raydock.plan.observed import Observed

POD: Final = 10
"""Percent of the start at which its pod is being started; then those of Ray and of the application."""
RAY: Final = 40
APPLICATION: Final = 70
CATEGORIES: Final = frozenset(category.value for category in DeployCategory)


def start_progress(o: Observed) -> DeployProgress | None:
    """status.progress; None while nothing shall run."""
    if o.stopped or o.seen.child is None:
        return None
    if o.current or o.proven:
        return DeployProgress(category=DeployCategory.REGISTER, percent=100)
    told = _told(o)
    before, revision = o.cr.status.progress, o.cr.status.revision
    same = revision is not None and revision.wanted == o.wanted.whole
    if o.cr.spec.server.action is None or before is None or not same or before.percent == 100:
        return told
    if (before.percent or 0) <= (told.percent or 0):
        return told
    # An action that was not heard of for a moment has not gone back, nor has one that is tried again.
    trouble = o.seen.building.trouble if o.seen.building else None
    return before.model_copy(update={"message": told.message}) if trouble else before


def _told(o: Observed) -> DeployProgress:
    heads = o.newest_pods
    if any(p.ready for p in heads):
        return _of_application(o)
    if any(p.phase == "Running" for p in heads):
        return DeployProgress(category=DeployCategory.INITIALIZE, percent=RAY, message="Ray is starting")
    if heads:
        return DeployProgress(category=DeployCategory.INITIALIZE, percent=POD, message="the pod is starting")
    return DeployProgress(category=DeployCategory.INITIALIZE, percent=0, message="waiting for the pod")


def _of_application(o: Observed) -> DeployProgress:
    """Behind an action, which comes first, the replicas are started."""
    action, built = o.seen.building, o.application is not None and bool(o.application.deployments)
    if o.cr.spec.server.action is None or built:
        return DeployProgress(
            category=DeployCategory.DEPLOY, percent=APPLICATION, message="the application is starting"
        )
    if action is None:
        return DeployProgress(
            category=DeployCategory.INITIALIZE, percent=RAY, message="the action has reported nothing yet"
        )
    category = action.category if action.category in CATEGORIES else DeployCategory.DEPLOY.value
    at = f"the action is at {action.percent} %" + (f" ({action.category})" if action.category else "")
    return DeployProgress(
        category=DeployCategory(category),
        percent=RAY + (APPLICATION - RAY) * action.percent // 100,
        message=f"it is tried again: {action.trouble}" if action.trouble else at,
    )
