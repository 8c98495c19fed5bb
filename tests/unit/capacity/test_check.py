"""The verdict on a demand: yes or no, how many would fit, and what the user reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.capacity.demand import Demand
from raydock.facts.node import Node
from raydock.facts.room import Room
from tests.unit.capacity.given import (
    IRIS,
    NOW,
    ROSE,
    a_pod,
    asked,
    demand,
    head,
    node,
    promised,
    room,
    taint,
    workers,
)


def test_a_yes_names_what_found_room() -> None:
    verdict = asked(demand(head(room(0.8, 2)), workers(2, room(1, 4))), [node()])
    assert verdict.allowed
    assert (verdict.provider, verdict.reasons, verdict.checked_at) == ("cluster", (), NOW)
    assert (
        verdict.message
        == "1 head pod of 800m CPU, 2Gi memory and 2 worker pods of 1 CPU, 4Gi memory found room"
    )
    assert [shape.name for shape in verdict.requested] == ["head", "workers"]


@pytest.mark.parametrize(
    ("wanted", "nodes", "reasons", "message"),
    [
        pytest.param(
            demand(head(room(2, 64))),
            [node("raydock", room(8, 30))],
            ("memory_insufficient",),
            "needs 1 head pod of 2 CPU, 64Gi memory; the largest free room is 6 CPU, 21.4Gi memory "
            "on node raydock: 42.6Gi memory short, and no node is that large",
            id="too little memory",
        ),
        pytest.param(
            demand(head(room(9, 64))),
            [node("raydock", room(8, 30))],
            ("cpu_insufficient", "memory_insufficient"),
            "needs 1 head pod of 9 CPU, 64Gi memory; the largest free room is 6 CPU, 21.4Gi memory "
            "on node raydock: 3 CPU, 42.6Gi memory short, and no node is that large",
            id="too little of both",
        ),
        pytest.param(
            demand(head(room(1, 25))),
            [node("raydock", room(8, 30))],
            ("memory_insufficient",),
            "needs 1 head pod of 1 CPU, 25Gi memory; the largest free room is 6 CPU, 21.4Gi memory "
            "on node raydock: 3.6Gi memory short",
            id="the node is large enough, but not free",
        ),
        pytest.param(
            demand(workers(3, room(4, 4))),
            [node("raydock", room(8, 30)), node("b", room(7, 30))],
            ("cpu_insufficient",),
            "needs 3 worker pods of 4 CPU, 4Gi memory, of which 2 would fit; the largest free room is "
            "3 CPU, 26Gi memory on node b: 1 CPU short",
            id="some of the pods would fit",
        ),
        pytest.param(
            demand(head(room(1, 1, 2))),
            [node("raydock", room(8, 30, 1))],
            ("gpu_insufficient",),
            "needs 1 head pod of 1 CPU, 1Gi memory, 2 nvidia.com/gpu; the largest free room is "
            "6 CPU, 21.4Gi memory, 1 nvidia.com/gpu on node raydock: 1 nvidia.com/gpu short, "
            "and no node is that large",
            id="no node has so many GPUs",
        ),
        pytest.param(
            demand(head(room(0, 0, 1))),
            [node("n2", room(8, 30, 1))],
            ("gpu_busy",),
            "needs 1 head pod of 1 nvidia.com/gpu; the largest free room is 0 nvidia.com/gpu on node n2: "
            "1 nvidia.com/gpu short",
            id="the GPU is in use",
        ),
        pytest.param(
            demand(head(room(1))),
            [],
            ("no_nodes",),
            "needs 1 head pod of 1 CPU; the cluster has no node",
            id="no node",
        ),
        pytest.param(
            demand(head(room(1))),
            [
                node("a", unschedulable=True),
                node("b", ready=False),
                node("c", taints=(taint("x"),)),
                node("d", ready=False),
            ],
            ("unschedulable",),
            "needs 1 head pod of 1 CPU; no node takes it: "
            "a is cordoned, b is not ready, c has the taint x:NoSchedule and 1 more",
            id="no node takes it",
        ),
        pytest.param(
            demand(head(room(1))),
            [node("a", pods=0)],
            ("unschedulable",),
            "needs 1 head pod of 1 CPU; node a runs 0 pods already, as many as it may",
            id="the node runs as many pods as it may",
        ),
        pytest.param(
            demand(head(room(4, 1), node_selector={"disk": "ssd"})),
            [node("a", room(64, 64)), node("b", room(3, 64), labels={"disk": "ssd"})],
            ("cpu_insufficient",),
            "needs 1 head pod of 4 CPU, 1Gi memory; the largest free room is 3 CPU, 64Gi memory on node b: "
            "1 CPU short, and no node is that large; left out: a has no label disk=ssd",
            id="the large node is not among those asked for",
        ),
    ],
)
def test_a_no_says_what_is_missing_and_where(
    wanted: Demand, nodes: list[Node], reasons: tuple[str, ...], message: str
) -> None:
    pods = [a_pod("raydock", room(2, 8.6)), a_pod("n2", room(1, 1, 1))]
    verdict = asked(wanted, nodes, pods)
    assert not verdict.allowed
    assert verdict.reasons == reasons
    assert verdict.message == message


def test_no_means_no_when_only_a_part_fits() -> None:
    verdict = asked(demand(head(room(1, 2)), workers(2, room(2, 2))), [node("a", room(4, 16))])
    assert not verdict.allowed
    assert verdict.message == (
        "needs 1 head pod of 1 CPU, 2Gi memory beside 2 worker pods; "
        "the largest free room is 0 CPU, 12Gi memory on node a: 1 CPU short"
    )


@pytest.mark.parametrize(
    ("wanted", "fit"),
    [
        pytest.param(demand(workers(1, room(1, 1))), 5, id="pods of one replica"),
        pytest.param(demand(head(room(1, 1)), workers(1, room(1, 1))), 4, id="beside their head"),
        pytest.param(demand(head(room(9, 1)), workers(1, room(1, 1))), 0, id="without room for their head"),
        pytest.param(
            demand(head(room(1.5, 2), replica=room(0.5, 1)), replicas=1),
            4,
            id="replicas inside the largest pod",
        ),
        pytest.param(
            demand(head(room(11, 2), replica=room(1, 0)), replicas=10), 2, id="fewer than were asked"
        ),
        pytest.param(
            demand(head(room(1, 2), replica=room()), replicas=7), 7, id="replicas that ask for nothing"
        ),
        pytest.param(demand(), 1, id="no pod at all"),
    ],
)
def test_feasible_replicas_are_those_that_would_fit(wanted: Demand, fit: int) -> None:
    assert asked(wanted, [node("a", room(2, 8)), node("b", room(3, 9))]).feasible_replicas == fit


def test_its_own_cluster_is_not_counted_against_a_demand() -> None:
    nodes = [node("a", room(2, 8))]
    pods = [a_pod("a", room(2, 8), cluster="iris-x")]
    again = demand(head(room(2, 8)), clusters=["iris-x"])
    assert asked(again, nodes, pods).allowed
    assert not asked(demand(head(room(2, 8))), nodes, pods).allowed, "a second cluster beside it"
    assert not asked(demand(head(room(2, 8)), owner=ROSE), nodes, pods).allowed, "somebody else's"


@pytest.mark.parametrize(
    ("reservation", "counts"),
    [
        pytest.param(promised(head(room(2, 2)), ROSE), True, id="another's cluster to come"),
        pytest.param(promised(head(room(2, 2)), ROSE, "rose-x"), True, id="another's pods to come"),
        pytest.param(promised(head(room(2, 2)), IRIS), False, id="its own admission"),
        pytest.param(promised(head(room(2, 2)), IRIS, "iris-x"), False, id="its own pods to come"),
        pytest.param(
            promised(head(room(2, 2)), IRIS, "iris-old"), True, id="pods of the cluster that it replaces"
        ),
        pytest.param(promised(head(room(9, 2)), ROSE), False, id="what fits nowhere takes no room"),
    ],
)
def test_reservations_take_room_from_others(reservation: Any, *, counts: bool) -> None:
    wanted = demand(head(room(1, 1)), clusters=["iris-x"])
    verdict = asked(wanted, [node("a", room(2, 8))], reserved=[reservation])
    assert verdict.allowed is not counts
    if counts:
        assert verdict.message.endswith(
            "; it would fit but for pods that were admitted before and still start: 1"
        )


def test_room_that_promised_pods_contest_is_given_to_nobody() -> None:
    # Somebody else's pods took room since: of two promised pods that fit alone, only one has a node.
    nodes = [node("a", room(3, 8)), node("b", room(1, 8))]
    stuck = [promised(workers(2, room(2, 2)))]
    assert not asked(demand(head(room(1, 8))), nodes[:1], reserved=stuck).allowed
    assert not asked(demand(head(room(1, 1))), nodes[:1], reserved=stuck).allowed
    assert asked(demand(head(room(1, 1))), nodes, reserved=stuck).allowed, "b is of no use to them"


def test_reserved_pods_are_moved_aside_when_that_makes_room() -> None:
    # First fit would put the reserved pod on a, the only node that the demand fits on.
    nodes = [node("a", room(4, 8)), node("b", room(2, 8))]
    assert asked(demand(head(room(4, 8))), nodes, reserved=[promised(head(room(2, 2)))]).allowed


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_the_same_state_gets_the_same_answer(sizes: list[tuple[int, int]], cpu: int, gi: int) -> None:
    nodes = [node(f"n{i}", Room(c * 1000, g * 2**30)) for i, (c, g) in enumerate(sizes)]
    wanted = demand(head(room(cpu, gi)))
    assert asked(wanted, nodes) == asked(wanted, reversed(nodes))
