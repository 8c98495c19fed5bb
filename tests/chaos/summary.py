"""What is printed: a line for each run, and what they come to."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import mean

from tests.chaos.run import Told


def line(told: Told) -> str:
    """One run."""
    missed = len(told.scenario.mishaps) - len(told.came)
    counts = f"{told.attempts} attempts, {told.recomputed:.1%} recomputed, {told.seconds:.1f} s"
    never = f", {missed} never came" if missed else ""
    verdict = "ok" if not told.wrong else "".join(f"\n    WRONG {said}" for said in told.wrong)
    return f"seed {told.scenario.seed}: {told.scenario} | {counts}{never} | {verdict}"


def summary(told: Sequence[Told]) -> str:
    """All runs."""
    return "\n".join(_summary(told))


def _summary(told: Sequence[Told]) -> Iterator[str]:
    wrong = [one for one in told if one.wrong]
    yield f"\n{len(told)} runs, {len(wrong)} with a violation, {sum(one.seconds for one in told):.0f} s"
    if not told:
        return
    came = Counter(deed for one in told for deed in one.came)
    for deed, times in came.most_common():
        runs = [one for one in told if deed in one.came]
        counts = (
            f"{times:4} times in {len(runs):3} runs, {sum(bool(one.wrong) for one in runs)} with a violation"
        )
        yield f"  {deed:14}{counts}, {mean(one.recomputed for one in runs):.1%} recomputed"
    shares = [one.recomputed for one in told]
    attempts = [one.attempts for one in told]
    yield f"recomputed: {mean(shares):.1%} of the rows on average, {max(shares):.1%} at most"
    yield f"attempts: {mean(attempts):.1f} on average, {max(attempts)} at most"
    for one in wrong:
        yield f"again: make chaos RUNS=1 SEED={one.scenario.seed}"
