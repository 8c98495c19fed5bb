"""The split that is in force now, and where the move to the one of the spec stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from raydock.api.endpoint import InferenceEndpoint
from raydock.facts.meta import meta
from raydock.facts.requests import Answered
from raydock.plan import progression, traffic
from raydock.plan.meta import DEPLOYMENT_LABEL
from raydock.plan.progression import PROGRESSION_ANNOTATION, Course, Outcome, Unclear
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps, Event, Key, Newcomer, Object


@dataclass(frozen=True)
class Held:
    """What an endpoint's route remembers."""

    split: Mapping[str, int]
    """The one in force."""
    course: Course | None

    @property
    def names(self) -> tuple[str, ...]:
        """Deployments that it speaks of."""
        course = self.course
        return (*self.split, *course.start, *course.goal) if course else tuple(self.split)


@dataclass(frozen=True)
class Move:
    """What a pass decided."""

    split: Mapping[str, int]
    course: Course | None = None
    answered: Answered | None = None
    """By the one that is judged; None when nobody is, or no pod told."""
    unclear: str = ""
    """Why no move can begin."""


def held(live: Object | None) -> Held:
    """From the split's HTTPRoute."""
    notes = meta(live).annotations if live else {}
    return Held(
        traffic.remembered(notes.get(traffic.TRAFFIC_ANNOTATION)),
        progression.remembered(notes.get(PROGRESSION_ANNOTATION)),
    )


async def look(
    cr: InferenceEndpoint, before: Held, backends: Mapping[str, traffic.Backend], do: Deps
) -> Move:
    """Decide. Writes nothing: split and course go onto the route together."""
    judged = progression.judged(cr, before.course, before.split)
    answered = await _answered(cr, judged, do) if judged else None
    try:
        course = progression.course(cr, before.course, before.split, backends, answered, do.clock())
    except Unclear as stop:
        old = traffic.kept(before.split, backends) or traffic.in_force(cr, before.split, backends)
        return Move(old, unclear=str(stop))
    if judged and not (course and course.is_going):
        do.requests.forget(_newcomer(cr, judged))
    return Move(progression.in_force(cr, course, before.split, backends), course, answered)


def events(key: Key, before: Course | None, now: Course | None) -> tuple[Event, ...]:
    """What became of a move."""
    if now is None or (before and before.outcome == now.outcome and before.since == now.since):
        return ()
    match now.outcome:
        case Outcome.PROMOTED:
            told = f"{now.candidate} has the share that the spec gives it"
            return (Event("Normal", Reason.PROMOTED, told, key),)
        case Outcome.ROLLED_BACK:
            told = f"traffic was taken back from {now.candidate}: {now.message}"
            return (Event("Warning", Reason.PROGRESSION_FAILED, told, key),)
        case _:
            return ()  # the new split is told


async def _answered(cr: InferenceEndpoint, judged: str, do: Deps) -> Answered | None:
    pods = do.store.labelled("Pod", cr.metadata.namespace, DEPLOYMENT_LABEL, judged)
    return await do.requests.answered(_newcomer(cr, judged), pods)


def _newcomer(cr: InferenceEndpoint, judged: str) -> Newcomer:
    return Newcomer(cr.metadata.namespace, judged, cr.metadata.name)
