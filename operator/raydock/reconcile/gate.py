"""Asks the chosen provider whether a demand fits, and remembers what it promised until the child is seen."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal, assert_never

from raydock.capacity import agent, queue
from raydock.capacity.check import check
from raydock.capacity.demand import Demand, PodShape
from raydock.capacity.dry_run import dry_run
from raydock.capacity.reservations import Admitted
from raydock.capacity.seen import Growth, Seen
from raydock.capacity.verdict import Verdict
from raydock.errors import Waiting
from raydock.facts.meta import meta
from raydock.facts.pod import Pod
from raydock.plan.warm import WARM_LABEL
from raydock.reconcile.deps import Key, Object, Store
from raydock.reconcile.line import Line
from raydock.reconcile.questions import Questions
from raydock.reconcile.surroundings import Surroundings
from raydock.wire.capacity import Answer, Question

Provider = Literal["cluster", "agent", "none"]
UNCHECKED: Final = "capacity.provider is none: nothing was checked"
NOBODY: Final = "the capacity agent is not configured: set capacity.agent.url"
HELD_BACK_S: Final = 2.0
"""Until the agent is asked anew about what it allows while admitted pods still start: that takes seconds."""


def free_clusters(store: Store) -> list[Key]:
    """The RayJobs whose clusters are kept and lent to nobody."""
    found = (meta(obj) for obj in store.all("RayJob") if WARM_LABEL in (obj["metadata"].get("labels") or {}))
    return [Key("RayJob", own.namespace, own.name) for own in found if not own.owner_uid]


class Gate:
    """One for the whole operator.

    Two demands are never admitted on the same room: nothing awaits between reading what is reserved and
    remembering an admission.
    """

    def __init__(
        self,
        provider: Provider,
        store: Store,
        clock: Callable[[], datetime],
        *,
        questions: Questions | None = None,
        agent_id: str = "",
        growth: Growth | None = None,
        wake: Callable[[Key], None] | None = None,
        line: Line | None = None,
    ) -> None:
        """`questions`: to the agent, where that is the provider; without them everything is denied.

        `growth`: nodes are added for pods that find none. `wake`: has an object looked at. `line`: in which
        jobs wait; without it whoever asks first gets the room.
        """
        self._provider = provider
        self._clock = clock
        self._seen = Surroundings(store)
        self._questions = questions
        self._agent_id = agent_id
        self._growth = growth
        self._admitted = Admitted()
        self._granted = agent.Granted()
        self.waiting: set[Key] = set()
        """Objects that were denied: they are woken when room may have come free."""
        self.unsettled: set[Key] = set()
        """Those of them, and former ones, that pods stand in the way of which have no node yet."""
        self.denied: set[Key] = set()
        """Those of the waiting for which there was no room, or not yet their turn."""
        self._store = store
        self._wake = wake
        self.line = line

    async def ask(self, demand: Demand) -> Verdict:
        """The answer now. A yes is a reservation until `applied` and seen, or `withdraw`.

        Raises Waiting while an agent has not answered yet; its answer wakes the object.
        """
        given = self._given(demand)
        if given is not None:
            return given
        key = Key(demand.owner.kind, demand.owner.namespace, demand.owner.name)
        place = self._place(demand)
        if place.is_far:
            self._forget(key)
            return self._behind(demand, place)
        if self._provider == "agent":
            # It knows nothing of whose turn it is.
            waits = place.ahead and queue.delays(demand, place.ahead, self._look())
            verdict = self._behind(demand, place) if waits else await self._agreed(key, demand, place)
        else:
            verdict = self._counted(demand, place)
        if not verdict.allowed:
            verdict = replace(verdict, position=place.position)
        same = verdict.allowed and self._admitted.promises(demand)
        self._forget(key, tell=not same)
        if verdict.allowed:
            self._admitted.remember(demand.owner, demand.shapes)
            return verdict
        self.waiting.add(key)
        self.denied.add(key)
        if verdict.unsettled:
            self.unsettled.add(key)
        self._clear_the_way()
        return verdict

    async def feasible(self, question: Question, namespace: str) -> Answer:
        """Whether somebody else's pods would fit in `namespace` now; nothing is reserved for them."""
        if self._provider == "none":
            return Answer(True, messages=(UNCHECKED,), feasible_replicas=question.replicas)
        if self._provider == "cluster":
            return dry_run(question, namespace, self._look(), self._clock(), self._growth)
        if self._provider == "agent":
            return (
                await self._questions.once(question) if self._questions else Answer(False, messages=(NOBODY,))
            )
        assert_never(self._provider)

    async def run(self) -> None:
        """Put questions to the agent, where there is one, until cancelled."""
        if self._questions is not None:
            await self._questions.run(self.waiting.__contains__)

    def reserved(self, owner_uid: str, pods: Iterable[Pod]) -> tuple[PodShape, ...]:
        """What was admitted for an object and is not bound to a node yet: for its status.

        `pods`: all those of its Ray clusters.
        """
        found = self._seen.reserved_of(owner_uid, pods, self._admitted)
        return tuple(entry.shape for entry in found)

    def applied(self, owner_uid: str, child: Object) -> None:
        """What was promised became `child`, as the API server answered."""
        self._admitted.applied(owner_uid, meta(child))

    def gone(self, key: Key) -> None:
        """The object was deleted: nothing is promised to it, and it waits for nothing."""
        self._forget(key)
        if self._questions is not None:
            self._questions.drop_named(key)

    def asks_only(self, owner_uid: str, demands: Sequence[Demand]) -> None:
        """Of all that an object asked to grow by, these numbers of pods still count."""
        if self._questions is not None:
            kept = [agent.question(demand, self._agent_id) for demand in demands]
            self._questions.grows_by(owner_uid, kept)

    def withdraw(self, key: Key, owner_uid: str) -> None:
        """The object wants nothing any more."""
        self._forget(key)
        if self._questions is not None:
            self._questions.drop(owner_uid)

    def _forget(self, key: Key, *, tell: bool = True) -> None:
        """What it waits for and what it was promised. `tell`: the others, as no watch tells them."""
        self.waiting.discard(key)
        self.denied.discard(key)
        self.unsettled.discard(key)
        if self._admitted.release_named(*key) and tell and self._wake is not None:
            for other in sorted(self.waiting):
                self._wake(other)

    def _clear_the_way(self) -> None:
        """Ray clusters that are kept for a job to come make room for what is there."""
        if self._wake is not None:
            for key in free_clusters(self._store):
                self._wake(key)

    def _look(self) -> Seen:
        return self._seen.look(self._admitted)

    def _place(self, demand: Demand) -> queue.Place:
        """Where in line the asking job stands; nobody is before whoever serves."""
        is_job = demand.owner.kind == "BatchJob"
        if self.line is None or self._provider == "none" or not is_job:
            return queue.Place((), None)
        return self.line.place(demand.owner, self._look, starts=demand.way == "job")

    def _behind(self, demand: Demand, place: queue.Place) -> Verdict:
        """Not your turn."""
        found = Verdict(False, self._provider, requested=demand.shapes, checked_at=self._clock())
        return replace(queue.not_yet(demand, place, found), position=place.position)

    def _counted(self, demand: Demand, place: queue.Place) -> Verdict:
        if self._provider == "none":
            return Verdict(True, "none", message=UNCHECKED, requested=demand.shapes, checked_at=self._clock())
        if self._provider == "cluster":
            seen = self._look()
            verdict = check(demand, seen, self._clock(), self._growth)
            if verdict.allowed and place.ahead and queue.delays(demand, place.ahead, seen):
                return queue.not_yet(demand, place, verdict)
            return verdict
        if self._provider == "agent":
            raise AssertionError("an agent is asked, not counted")
        assert_never(self._provider)

    async def _agreed(self, key: Key, demand: Demand, place: queue.Place) -> Verdict:
        """The agent's word on `demand`, and no doubt about it."""
        if self._questions is None:
            return agent.not_asked(demand, NOBODY, self._clock())
        self.waiting.add(key)  # for an answer; questions of objects that wait for nothing are not put
        uid, question = demand.owner.uid, agent.question(demand, self._agent_id)
        try:
            said = await self._questions.said(key, uid, question)
        except Waiting as stop:
            if demand.way != "scale":
                raise
            # What runs goes on as it is: the pass must not end before it is told how.
            return agent.not_asked(demand, stop.message, self._clock())
        # From here on without an await.
        if said.answer is None:
            wrong, error = said.wrong, said.error
            return agent.not_asked(demand, wrong, said.at) if wrong else agent.failed(demand, error, said.at)
        verdict = agent.answered(demand, said.answer, said.at)
        if not verdict.allowed:
            return verdict
        now = self._clock()
        starting = self._granted.starting(demand, self._seen.reserved(self._admitted), said.asked_at, now)
        if place.ahead and queue.delays(demand, place.ahead, self._look()):
            return self._behind(demand, place)  # somebody was admitted while the agent was asked
        crowd = agent.crowded(demand, said.answer, starting)
        if crowd:
            self._questions.again(uid, question, HELD_BACK_S)
            return agent.held_back(demand, crowd, said.at)
        if demand.way == "scale":  # a rollout's question may be open beside it
            self._questions.grows_by(uid, ())
        else:
            self._questions.drop(uid)
        self._granted.remember(demand, verdict, now)
        return verdict

    def _given(self, demand: Demand) -> Verdict | None:
        """The agent's yes to this very demand, while it is not in use yet."""
        promised = self._provider == "agent" and self._admitted.promises(demand)
        return self._granted.verdict(demand, self._clock()) if promised else None
