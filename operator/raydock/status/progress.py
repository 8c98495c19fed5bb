"""How far the start of the version that was applied last is: from its write until it was seen to work."""

from typing import Final

from raydock.api.deployment_status import DeployCategory, DeployProgress
from raydock.plan.observed import Observed

POD: Final = 10
"""Percent of the start once a pod is there; then once one runs, and once one is ready."""
RAY: Final = 40
APPLICATION: Final = 70
CATEGORIES: Final = frozenset(category.value for category in DeployCategory)


def start_progress(o: Observed) -> DeployProgress | None:
    """status.progress; None while nothing shall run, and until there is a RayService."""
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
    # With an action the start of a version does not go back until it came to its end: not while the action is
    # not heard of or tried again, nor while its pod is replaced.
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
    """With a pod ready: of the action, where there is one, until it has handed over; then of the replicas."""
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
