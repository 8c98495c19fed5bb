"""Questions to the capacity agent, put beside the passes: no pass waits for a slow agent.

A question is put again until the agent allows it, as no watch tells that it would. Its last answer stands
meanwhile, and the object is woken only when the answer is another one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from raydock.errors import Waiting
from raydock.reasons import Reason
from raydock.reconcile.deps import Key
from raydock.remote.capacity_agent import AgentNotConfigured
from raydock.remote.errors import ClientError
from raydock.wire.capacity import Answer, Question

AT_ONCE: Final = 4
"""Questions under way at a time: an agent that hangs keeps each for up to 30 s."""
PATIENCE_S: Final = 1.0
"""How long a pass waits for a first answer: most come within it, and save a status that says `Pending`."""
PATIENT: Final = 4
"""Passes that may wait so at a time: workers are few."""
FRESH_S: Final = 10.0
"""How old a yes may be when it is used."""
DENIED_S: Final = (2.0, 4.0, 8.0, 10.0)
FAILED_S: Final = (5.0, 10.0, 20.0, 30.0)
"""Seconds until the question is put again, the last one from then on: room must be noticed within 15 s."""
RETRY_AFTER_MAX_S: Final = 60.0
LOOK_AGAIN_S: Final = 60.0
"""Should nothing wake an object that waits for an answer: longer than any answer takes."""


GROWTH: Final = "scale"
"""The phase in which an object may ask for one number of pods after the other."""

Place = tuple[str, str, int]
"""uid, phase and in GROWTH the number of pods: an object may ask for several things in the same pass."""
Ask = Callable[[Question], Awaitable[Answer]]
"""Puts a question (raydock.remote.capacity_agent.CapacityAgent.ask)."""


@dataclass(frozen=True)
class Said:
    """What came of a question."""

    asked_at: datetime
    """When it was put: what was admitted later, the agent could not know."""
    at: datetime
    """When this came."""
    answer: Answer | None = None
    error: str = ""
    """Class name of what went wrong."""
    wrong: str = ""
    """What to set, when nobody could be asked at all."""
    retry_after_s: float | None = None


@dataclass
class _Open:
    """A question that was not yet answered with a yes that somebody used."""

    place: Place
    key: Key
    question: Question
    said: Said | None = None
    times: int = 0
    """How often it was answered without a yes."""
    waited_for: int = 0
    """Passes that wait for the answer right now."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None


class Questions:
    """All open questions, one for each phase of an object that asks. `run` puts them."""

    def __init__(self, ask: Ask, wake: Callable[[Key], None], clock: Callable[[], datetime]) -> None:
        """`wake`: has an object looked at again."""
        self._ask = ask
        self._wake = wake
        self._clock = clock
        self._open: dict[Place, _Open] = {}
        self._due: asyncio.Queue[_Open] = asyncio.Queue()
        self._patient = 0
        self._once = asyncio.Semaphore(AT_ONCE)

    async def said(self, key: Key, uid: str, question: Question) -> Said:
        """The newest answer. Raises Waiting while there is none; when it comes, it wakes `key`."""
        place = _place(uid, question)
        one = self._open.get(place)
        if one is None or one.question != question:
            self._drop(place)
            one = self._open[place] = _Open(place, key, question)
            self._due.put_nowait(one)
        elif one.said is not None and _allows(one.said) and self._age_s(one.said) > FRESH_S:
            one.said = None
            one.came.clear()
            self._put_later(one, 0.0)
        if one.said is None:
            await self._wait_for(one)
        if one.said is None:
            told = "the capacity agent was asked and has not answered yet"
            raise Waiting(Reason.PENDING, told, look_again_s=LOOK_AGAIN_S)
        return one.said

    async def once(self, question: Question) -> Answer:
        """The agent's answer to a question that is put once; a denial that says why when there is none."""
        async with self._once:
            said = await self._put(question)
        if said.answer is not None:
            return said.answer
        why = said.wrong or f"agent unreachable ({said.error})"
        return Answer(False, messages=(f"capacity check failed: {why}",))

    def again(self, uid: str, question: Question, after_s: float) -> None:
        """Put an open question again in `after_s` seconds; what was said stands until then."""
        one = self._open.get(_place(uid, question))
        if one is not None:
            self._put_later(one, after_s)

    def drop(self, uid: str) -> None:
        """An answer was used, or the object wants none any more."""
        for place in [place for place in self._open if place[0] == uid]:
            self._drop(place)

    def grows_by(self, uid: str, questions: Sequence[Question]) -> None:
        """The object asks for no other numbers of pods any more."""
        kept = {_place(uid, question) for question in questions}
        for place in [p for p in self._open if p[:2] == (uid, GROWTH) and p not in kept]:
            self._drop(place)

    def drop_named(self, key: Key) -> None:
        """As `drop`, for an object of which only the name is left."""
        for place in [place for place, one in self._open.items() if one.key == key]:
            self._drop(place)

    def _put_later(self, one: _Open, after_s: float) -> None:
        if one.timer is not None:
            one.timer.cancel()
        one.timer = asyncio.get_running_loop().call_later(after_s, self._due.put_nowait, one)

    def _drop(self, place: Place) -> None:
        one = self._open.pop(place, None)
        if one is not None and one.timer is not None:
            one.timer.cancel()

    async def run(self, wanted: Callable[[Key], bool]) -> None:
        """Put the questions that are due, until cancelled. `wanted`: whether somebody still waits for one."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work(wanted))

    async def _work(self, wanted: Callable[[Key], bool]) -> None:
        while True:
            one = await self._due.get()
            if self._open.get(one.place) is not one:
                continue
            if not wanted(one.key):
                self._drop(one.place)
                continue
            said = await self._put(one.question)
            if self._open.get(one.place) is one:  # not asked something else, or nothing, meanwhile
                self._take(one, said)

    async def _put(self, question: Question) -> Said:
        asked_at = self._clock()
        try:
            return Said(asked_at, answer=await self._ask(question), at=self._clock())
        except AgentNotConfigured as error:
            return Said(asked_at, self._clock(), wrong=str(error))
        except Exception as error:  # noqa: BLE001 - fails closed: any error denies
            wait_s = error.retry_after_s if isinstance(error, ClientError) else None
            return Said(asked_at, self._clock(), error=type(error).__name__, retry_after_s=wait_s)

    def _take(self, one: _Open, said: Said) -> None:
        changed = one.said is None or (one.said.answer, one.said.error) != (said.answer, said.error)
        one.said = said
        one.came.set()
        if not _allows(said):
            one.times += 1
            self._put_later(one, _pause_s(said, one.times))
        if (changed or _allows(said)) and not one.waited_for:
            self._wake(one.key)

    async def _wait_for(self, one: _Open) -> None:
        if self._patient >= PATIENT:
            return
        self._patient += 1
        one.waited_for += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                await one.came.wait()
        except TimeoutError:
            return
        finally:
            self._patient -= 1
            one.waited_for -= 1

    def _age_s(self, said: Said) -> float:
        return (self._clock() - said.at).total_seconds()


def _place(uid: str, question: Question) -> Place:
    phase = question.metadata.get("phase", "")
    return uid, phase, question.replicas if phase == GROWTH else 0


def _allows(said: Said) -> bool:
    return said.answer is not None and said.answer.allowed


def _pause_s(said: Said, times: int) -> float:
    waits = DENIED_S if said.answer is not None else FAILED_S
    pause_s = waits[min(times, len(waits)) - 1]
    return max(pause_s, min(said.retry_after_s or 0.0, RETRY_AFTER_MAX_S))
