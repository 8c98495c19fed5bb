"""What a Deployment may claim about its record with a backend."""

from raydock.api.conditions import Condition, ConditionType
from raydock.plan.observed import Observed
from raydock.plan.registration import backend_of, plain_id
from raydock.reasons import Reason
from raydock.status.conditions import condition


def lasting_id(o: Observed) -> str | None:
    """The application's id; None until it ran, and until its backend knows it."""
    before = o.cr.status.serve_application
    kept = before.id if before else None
    own = plain_id(o.cr)
    if backend_of(o.cr) is None:
        return kept or (own if o.answers else None)
    return o.record_id or (kept if kept != own else None)


def registered(o: Observed) -> list[Condition]:
    """`Registered`, where the spec names a backend. `Ready` does not depend on it."""
    backend = backend_of(o.cr)
    if backend is None:
        return []
    kind, said = ConditionType.REGISTERED, o.seen.standing
    if o.record_id is not None:
        return [condition(kind, True, Reason.REGISTERED, f"the backend's record is {o.record_id}")]
    if said is not None and said.problem:
        return [condition(kind, False, Reason.DEPENDENCY_MISSING, said.problem)]
    if said is not None and said.error:
        told = (
            f"the backend could not be told ({said.error}); it is tried again, and the application serves on"
        )
        return [condition(kind, False, Reason.REGISTRATION_FAILED, told)]
    told = "the backend is told once the application is RUNNING"
    return [condition(kind, False, Reason.PENDING, told)]
