"""How the driver of a kept cluster waits for its next job."""

from typing import Any

from raydock.batch.resident import AGAIN_S, FORSAKEN_S, next_job
from raydock.remote.operator import Unreachable
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.lent import Lent

JOB = Lent(JobConfig("demo", "iris", "u", "iris:predict", TablesInput(("pvc://d/in",)), "pvc://d/out"), 2)
LONG_S = 10.0


class Operators:
    """Gives `answers` one after the other, each after its time; then none answers."""

    def __init__(self, *answers: Lent | None) -> None:
        self.answers = list(answers)
        self.now = 0.0
        self.asked = 0

    def ask(self) -> Lent | None:
        self.asked += 1
        if not self.answers:
            raise Unreachable("ConnectionRefusedError")
        answer = self.answers.pop(0)
        self.now += LONG_S if answer is None else 0
        return answer

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def next(self) -> Lent | None:
        return next_job(self.ask, lambda: self.now, self.pause)


def test_it_asks_until_there_is_one() -> None:
    there = Operators(None, None, JOB)
    assert there.next() == JOB
    assert (there.asked, there.now) == (3, 2 * LONG_S)


def test_it_waits_for_ever_as_long_as_an_operator_answers() -> None:
    answers: list[Any] = [None] * 1000
    assert Operators(*answers, JOB).next() == JOB


def test_it_ends_when_no_operator_answered_for_long() -> None:
    alone = Operators(None)
    assert alone.next() is None
    assert alone.now == LONG_S + FORSAKEN_S
    assert alone.asked == 1 + FORSAKEN_S / AGAIN_S
