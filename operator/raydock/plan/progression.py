"""The gradual move from the traffic in force to that of the spec, judged on the newcomer's own requests.

What is known of a move stands on the HTTPRoute, so a new leader goes on where the last one was; the spec is
never written.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from raydock.api.base import GROUP
from raydock.api.endpoint import InferenceEndpoint, Progression
from raydock.facts.requests import Answered
from raydock.plan import traffic
from raydock.plan.meta import fingerprint
from raydock.plan.traffic import Backend
from raydock.wire.record import WireError, dumps, loads

PROGRESSION_ANNOTATION: Final = f"{GROUP}/progression"
"""On the HTTPRoute: the move as JSON, written together with the split that it leads to."""


class Outcome(StrEnum):
    """How a move stands."""

    GOING = "Progressing"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"


@dataclass(frozen=True)
class Course:
    """One move, as it is remembered."""

    start: Mapping[str, int]
    """The split that it came from, and goes back to."""
    goal: Mapping[str, int]
    """The split that the spec asked for then."""
    candidate: str
    """The one Deployment that gets more."""
    since: str
    """When the step began, ISO 8601 in UTC."""
    percent: int
    """What the candidate has in this step."""
    base: Answered | None = None
    """What the candidate had answered when the step began; None: not read yet."""
    outcome: str = Outcome.GOING.value
    message: str = ""
    """Why it was taken back."""
    rules: str = ""
    """Fingerprint of those that it is judged by."""
    version: str = ""
    """The candidate's, when it was judged last: another one gets another try."""

    @property
    def is_going(self) -> bool:
        """Whether it is still to be judged."""
        return self.outcome == Outcome.GOING


class Unclear(Exception):
    """Two Deployments rise at once: nobody could tell whose fault an error is."""


def rising(start: Mapping[str, int], goal: Mapping[str, int]) -> str | None:
    """The Deployment that gets more of the requests; None when none does. Raises Unclear."""
    more = [name for name, share in goal.items() if share > start.get(name, 0)]
    if len(more) > 1:
        raise Unclear(f"{' and '.join(more)} rise at once: change the share of one after the other")
    return more[0] if more else None


def shares(course: Course, rules: Progression) -> tuple[int, ...]:
    """The candidate's percents, one a step; the last one is the goal's."""
    low, high = course.start.get(course.candidate, 0), course.goal[course.candidate]
    return (*(step for step in rules.steps if low < step < high), high)


def step_of(course: Course, rules: Progression) -> int:
    """Which one of `shares` it is at, from 1."""
    return max(1, sum(share <= course.percent for share in shares(course, rules)))


def split(course: Course) -> dict[str, int]:
    """The split in force in the middle of the move, or at its end."""
    if course.outcome == Outcome.ROLLED_BACK:
        return dict(course.start)
    if course.percent == course.goal[course.candidate]:
        return dict(course.goal)
    return _between(course, course.percent)


def _between(course: Course, percent: int) -> dict[str, int]:
    """`percent` for the candidate, and the others as far on their way as it is. Sums to 100."""
    low, high = course.start.get(course.candidate, 0), course.goal[course.candidate]
    way = (percent - low) / (high - low)
    others = {name for name in (*course.start, *course.goal) if name != course.candidate}
    exact = {
        name: (from_ := course.start.get(name, 0)) + (course.goal.get(name, 0) - from_) * way
        for name in sorted(others)
    }
    whole = {name: int(share) for name, share in exact.items()}
    left = 100 - percent - sum(whole.values())
    for name in sorted(exact, key=lambda name: (whole[name] - exact[name], name))[:left]:
        whole[name] += 1
    return {name: share for name, share in {course.candidate: percent, **whole}.items() if share}


def course(
    cr: InferenceEndpoint,
    held: Course | None,
    before: Mapping[str, int],
    backends: Mapping[str, Backend],
    answered: Answered | None,
    now: datetime,
) -> Course | None:
    """The move after this look; None where there is none. Raises Unclear.

    `held`: as it was. `before`: the split in force. `answered`: of `judged`, None when it could not be read.
    """
    rules, goal = cr.spec.progression, traffic.wanted(cr)
    if cr.spec.suspend or (held and held.is_going and traffic.mixed(cr, backends)):
        return held
    if rules is None or not goal:
        return None
    if held and held.goal == goal and not _retried(held, rules, backends):
        backend = backends[held.candidate]
        if backend.unknown:
            return held
        known = replace(held, version=backend.version or held.version) if held.is_going else held
        return advance(known, rules, answered, healthy=backend.healthy, now=now)
    return _begun(cr, rules, held, before, backends, answered, now)


def _begun(
    cr: InferenceEndpoint,
    rules: Progression,
    held: Course | None,
    before: Mapping[str, int],
    backends: Mapping[str, Backend],
    answered: Answered | None,
    now: datetime,
) -> Course | None:
    going, goal = held if held and held.is_going else None, traffic.wanted(cr)
    # Whoever takes an edit back wants it back at once.
    taken_back = going is not None and going.start == goal
    if taken_back or before == goal or traffic.in_force(cr, before, backends) != goal:
        return None
    start: Mapping[str, int] = whole(before)
    has = 0
    if going and _rises_alone(going, goal):
        # The same newcomer with another goal: nothing of what it has was good enough yet.
        start, has = going.start, before.get(going.candidate, 0)
    made = begin(start, goal, rules, answered, now, at_least=has)
    return replace(made, version=backends[made.candidate].version) if made else None


def _rises_alone(going: Course, goal: Mapping[str, int]) -> bool:
    try:
        return rising(going.start, goal) == going.candidate
    except Unclear:
        return False


def judged(cr: InferenceEndpoint, held: Course | None, before: Mapping[str, int]) -> str | None:
    """Whose requests `course` wants to know."""
    goal = traffic.wanted(cr)
    if cr.spec.progression is None or not goal or not before:
        return None
    if held and held.goal == goal and held.is_going:
        return held.candidate
    with suppress(Unclear):
        return rising(whole(before), goal)
    return None


def in_force(
    cr: InferenceEndpoint, now: Course | None, before: Mapping[str, int], backends: Mapping[str, Backend]
) -> dict[str, int]:
    """The split for the routes, as traffic.in_force says it where nothing is on its way."""
    if now is None or cr.spec.suspend or now.outcome == Outcome.PROMOTED:
        return traffic.in_force(cr, before, backends)
    found = traffic.kept(split(now), backends)
    # Nobody of it is left: whoever answers goes on.
    return found or traffic.kept(before, backends) or traffic.in_force(cr, before, backends)


def whole(split: Mapping[str, int]) -> dict[str, int]:
    """The shares as the gateway understands them: of those that are there, summing to 100."""
    total = sum(split.values())
    if total in (0, 100):
        return dict(split)
    found = {name: share * 100 // total for name, share in split.items()}
    left = 100 - sum(found.values())
    for name in sorted(split, key=lambda name: (-(split[name] * 100 % total), name))[:left]:
        found[name] += 1
    return found


def _retried(held: Course, rules: Progression, backends: Mapping[str, Backend]) -> bool:
    """Whether one that was taken back has changed since then, or the rules have."""
    if held.outcome != Outcome.ROLLED_BACK:
        return False
    version = backends[held.candidate].version  # empty while it does not answer, which is no new one
    return bool(version and version != held.version) or held.rules != mark(rules)


def mark(rules: Progression) -> str:
    """Their fingerprint."""
    return fingerprint(rules.model_dump(mode="json"))


def remembered(text: str | None) -> Course | None:
    """The value of PROGRESSION_ANNOTATION; nothing for what isn't one."""
    try:
        return loads(Course, text) if text else None
    except WireError:
        return None


def memory(now: Course) -> str:
    """The value of PROGRESSION_ANNOTATION."""
    return dumps(now)


def begin(
    start: Mapping[str, int],
    goal: Mapping[str, int],
    rules: Progression,
    answered: Answered | None,
    now: datetime,
    *,
    at_least: int = 0,
) -> Course | None:
    """The move from `start` to `goal`; None where there is nothing to judge. Raises Unclear.

    `at_least`: percent that the candidate has already.
    """
    candidate = rising(start, goal) if start else None
    if candidate is None:
        return None
    made = Course(dict(start), dict(goal), candidate, now.isoformat(), 0, base=answered, rules=mark(rules))
    first = max(shares(made, rules)[0], at_least)
    return replace(made, percent=min(first, goal[candidate]))


def advance(
    course: Course, rules: Progression, answered: Answered | None, *, healthy: bool, now: datetime
) -> Course:
    """The move after one more look. `answered`: of the candidate, None when it could not be read."""
    if not course.is_going:
        return course
    if not healthy:
        return _failed(course, f"{course.candidate} is not healthy")
    if course.rules != mark(rules):  # it stays where it is, and is judged anew
        return replace(course, rules=mark(rules), since=now.isoformat(), base=answered)
    seen = answered.since(course.base) if answered and course.base else None
    if seen is None:
        return replace(course, base=answered or course.base)
    if why := _fault(course, rules, seen):
        return _failed(course, why)
    lasted = now - datetime.fromisoformat(course.since)
    if seen.requests < rules.min_requests or lasted < timedelta(seconds=rules.step_seconds):
        return course
    more = [share for share in shares(course, rules) if share > course.percent]
    if not more:
        return replace(course, outcome=Outcome.PROMOTED.value, base=None)
    return replace(course, percent=more[0], since=now.isoformat(), base=answered)


def told(course: Course, rules: Progression, answered: Answered | None) -> str:
    """How a move goes that is not at its end. `answered`: as for `advance`."""
    of = len(shares(course, rules))
    at = f"{course.candidate} has {course.percent} %, step {step_of(course, rules)} of {of}"
    seen = answered.since(course.base) if answered and course.base else None
    if seen is None:
        return f"{at}: its requests could not be read yet"
    if seen.requests < rules.min_requests:
        return f"{at}: {seen.requests} of {rules.min_requests} requests that it is judged on"
    return f"{at}: {seen.errors} of {seen.requests} requests failed, p99 {seen.p99_s * 1000:.0f} ms"


def _fault(course: Course, rules: Progression, seen: Answered) -> str:
    """What is wrong with the requests of a step; empty when nothing is, or too few came."""
    if seen.requests < rules.min_requests:
        return ""
    if seen.error_percent > rules.max_error_percent:
        told = f"{seen.errors} of {seen.requests} requests failed at {course.candidate}"
        return f"{told}, at most {rules.max_error_percent} % may"
    if seen.p99_s * 1000 > rules.max_p99_milliseconds:
        told = f"p99 of {seen.requests} requests was {seen.p99_s * 1000:.0f} ms at {course.candidate}"
        return f"{told}, at most {rules.max_p99_milliseconds} ms may be"
    return ""


def _failed(course: Course, why: str) -> Course:
    return replace(course, outcome=Outcome.ROLLED_BACK.value, message=why, base=None)
