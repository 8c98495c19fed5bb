"""The gate that the settings ask for."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp

from raydock.capacity.seen import Growth
from raydock.facts.node import Node, Taint
from raydock.facts.room import room
from raydock.plan.defaults import Defaults
from raydock.reconcile.deps import Key, Store
from raydock.reconcile.gate import Gate
from raydock.reconcile.line import Line
from raydock.reconcile.questions import Questions
from raydock.remote.capacity_agent import CapacityAgent, Credentials
from raydock.runtime.settings import Agent, Capacity
from raydock.wire.capacity import Answer, Question

PODS_A_NODE: Final = 110
"""The kubelet's default; a pod needs one place."""


def gate_of(
    settings: Capacity,
    store: Store,
    clock: Callable[[], datetime],
    *,
    wake: Callable[[Key], None],
    session: aiohttp.ClientSession,
    defaults: Defaults,
) -> Gate:
    """`wake`: has an object looked at; `session`: to the agent, of raydock.remote.capacity_agent."""

    async def ask(question: Question) -> Answer:
        # Made for each question: what is wrong with the settings is then told to each object that waits.
        agent = CapacityAgent(session, settings.agent.url, lambda: credentials(settings.agent))
        return await agent.ask(question)

    questions = Questions(ask, wake, clock) if settings.provider == "agent" else None
    return Gate(
        settings.provider,
        store,
        clock,
        questions=questions,
        agent_id=settings.agent.id,
        growth=growth(settings),
        wake=wake,
        line=Line(store, clock, defaults),
    )


def growth(settings: Capacity) -> Growth | None:
    """The nodes that the cluster adds by itself; None where it adds none."""
    if not settings.autoscaler:
        return None
    return Growth(
        tuple(
            Node(
                name=f"new node {number}",
                uid="",
                allocatable=room(shape.resources),
                pods=PODS_A_NODE,
                labels=shape.labels,
                taints=tuple(Taint(taint.key, taint.value, taint.effect) for taint in shape.taints),
                unschedulable=False,
                ready=True,
            )
            for number, shape in enumerate(settings.node_shapes, start=1)
        )
    )


def credentials(settings: Agent) -> Credentials:
    """What the mounted Secret holds now; the kubelet renews it while we run."""
    folder = Path(settings.credentials_dir)
    return Credentials(
        token=_entry(folder / "token"),
        user_token=_entry(folder / "user-token"),
        tenant=_entry(folder / "tenant"),
    )


def _entry(path: Path) -> str:
    """Empty when there is none: whether that will do is decided where it is used."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
