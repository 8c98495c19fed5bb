"""Placing pods on nodes, compared with trying every way."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raydock.capacity.demand import PodShape
from raydock.capacity.nodes import FreeNode, refusal
from raydock.capacity.pack import EXACT_PODS, Placement, feasible, pack
from raydock.facts.room import Room
from tests.unit.capacity.given import GPU, head, node, room, used, workers


def free(*rooms: Room, pods: int = 110) -> list[FreeNode]:
    return [FreeNode(node(f"n{i}", has), has, pods) for i, has in enumerate(rooms)]


@pytest.mark.parametrize(
    ("shapes", "nodes", "unplaced"),
    [
        pytest.param([head(room(1, 2))], free(room(1, 2)), [], id="just enough"),
        pytest.param(
            [head(room(2, 2))], free(room(1, 2), room(1, 2)), [("head", 1)], id="halves do not add up"
        ),
        pytest.param([workers(3, room(1, 1))], free(room(2, 9), room(1, 9)), [], id="spread over nodes"),
        pytest.param(
            [workers(4, room(1, 1))], free(room(2, 9), room(1, 9)), [("workers", 1)], id="one too many"
        ),
        pytest.param(
            [head(room(2, 1)), workers(2, room(1, 1))],
            free(room(2, 9), room(2, 9)),
            [],
            id="head and workers",
        ),
        pytest.param(
            [head(room(1, 1), count=1), workers(1, room(1, 1))],
            free(room(9, 9), pods=1),
            [("workers", 1)],
            id="the node may run one pod more",
        ),
        pytest.param([workers(0, room(9, 9))], free(room(1, 1)), [], id="no pod is asked"),
        pytest.param([head(room(1))], [], [("head", 1)], id="no node"),
        pytest.param([head(room(0, 1))], free(Room(-500, 2**31)), [], id="CPU is overdrawn, none is asked"),
        pytest.param([head(room(1, 1, 1))], free(room(9, 9)), [("head", 1)], id="no GPU"),
        pytest.param(
            [workers(1, room(3)), workers(1, room(3)), workers(2, room(2)), workers(2, room(1))],
            free(room(6), room(6)),
            [],
            id="first fit would put 3+3 and 2+2+1+1",
        ),
        pytest.param(
            [head(room(4)), workers(2, room(3)), PodShape("small", room(2), count=2)],
            free(room(8), room(6)),
            [],
            id="4+2+2 and 3+3, where the largest first takes 4+3",
        ),
    ],
)
def test_all_pods_are_placed_at_once(
    shapes: list[PodShape], nodes: list[FreeNode], unplaced: list[tuple[str, int]]
) -> None:
    found = pack(shapes, nodes)
    assert [(shape.name, missing) for shape, missing in found.unplaced] == unplaced
    assert_within(found, nodes)


def test_a_pod_goes_only_where_it_is_taken() -> None:
    nodes = [FreeNode(node("a", room(9, 9), labels={"disk": "hdd"}), room(9, 9), 110), *free(room(1, 1))]
    nodes[1] = replace(nodes[1], node=node("b", room(1, 1), labels={"disk": "ssd"}))
    picky = head(room(1, 1), node_selector={"disk": "ssd"})
    assert [placed.node for placed in pack([picky], nodes).placed] == ["b"]
    # The other pod, although larger, must not be tried first on the only node that the picky one has.
    assert pack([head(room(1, 1)), picky], nodes[::-1]).complete
    assert not pack([replace(picky, count=2)], nodes).complete


def test_six_pods_on_a_thousand_nodes_are_decided_at_once() -> None:
    nodes = free(*[room(3 + i % 2, 8) for i in range(1000)])
    shapes = [workers(1, room(2.5 + i / 10, 4)) for i in range(5)] + [head(room(9, 9))]
    assert [shape.name for shape, _ in pack(shapes, nodes).unplaced] == ["head"]


def test_many_pods_of_several_sizes_are_tried_in_more_than_one_order() -> None:
    # The largest first, each on the first node with room, leaves no place for the last one.
    nodes = free(room(6, 8), room(8, 7))
    shapes = [workers(2, room(1, 1)), workers(2, room(3, 3))]
    shapes += [workers(1, room(cpu, gi)) for cpu, gi in ((1, 2), (2, 2), (2, 3))]
    assert pack(shapes, nodes).complete


SIZES = st.builds(
    Room,
    cpu_m=st.integers(0, 6),
    memory=st.integers(0, 6),
    extended=st.sampled_from([{}, {}, {GPU: 1}]),
)
SHAPES = st.lists(
    st.builds(
        PodShape,
        name=st.just("pod"),
        requests=SIZES,
        count=st.integers(1, 3),
        node_selector=st.sampled_from([{}, {}, {"zone": "a"}]),
    ),
    max_size=4,
)
NODES = st.lists(
    st.builds(
        lambda has, pods, zone: FreeNode(node("n", has, labels={"zone": zone}), has, pods),
        st.builds(
            Room,
            cpu_m=st.integers(-1, 9),
            memory=st.integers(-1, 9),
            extended=st.sampled_from([{}, {GPU: 1}, {GPU: 2}]),
        ),
        st.integers(0, 4),
        st.sampled_from("ab"),
    ),
    max_size=4,
).map(lambda nodes: [replace(n, node=replace(n.node, name=f"n{i}")) for i, n in enumerate(nodes)])


def assert_within(found: Placement, nodes: Sequence[FreeNode]) -> None:
    """No node got more than it had or a pod that it refuses, and what is said to be left is left."""
    taken = used((placed.node, placed.shape, placed.count) for placed in found.placed)
    by_name = {free.node.name: free for free in nodes}
    for placed in found.placed:
        assert refusal(placed.shape, by_name[placed.node].node) is None
        assert placed.shape.requests.fits_in(by_name[placed.node].free)
    for before, after in zip(nodes, found.rest, strict=True):
        took = taken.get(before.node.name, Room())
        assert took.fits_in(before.free)
        assert after.free == before.free - took
        count = sum(placed.count for placed in found.placed if placed.node == before.node.name)
        assert after.pods == before.pods - count
        assert count <= max(0, before.pods)


def some_way_exists(shapes: Sequence[PodShape], nodes: Sequence[FreeNode]) -> bool:
    """Tries every node for every pod."""
    pods = [shape for shape in shapes for _ in range(shape.count)]
    for where in product(range(len(nodes)), repeat=len(pods)):
        took = used((nodes[i].node.name, shape, 1) for i, shape in zip(where, pods, strict=True))
        if all(
            refusal(shape, nodes[i].node) is None and where.count(i) <= nodes[i].pods
            for i, shape in zip(where, pods, strict=True)
        ) and all(took.get(free.node.name, Room()).fits_in(free.free) for free in nodes):
            return True
    return False


def pods_of(shapes: Sequence[PodShape]) -> int:
    return sum(shape.count for shape in shapes)


@given(SHAPES, NODES)
def test_no_node_is_overfilled(shapes: list[PodShape], nodes: list[FreeNode]) -> None:
    found = pack(shapes, nodes)
    assert_within(found, nodes)
    assert pods_of(shapes) == sum(p.count for p in found.placed) + sum(n for _, n in found.unplaced)


@given(SHAPES.filter(lambda shapes: pods_of(shapes) <= 5), NODES)
def test_a_no_to_few_pods_is_right(shapes: list[PodShape], nodes: list[FreeNode]) -> None:
    assert pods_of(shapes) <= EXACT_PODS
    assert pack(shapes, nodes).complete is some_way_exists(shapes, nodes)


@given(SHAPES.filter(lambda shapes: pods_of(shapes) <= EXACT_PODS), NODES, SIZES, st.data())
def test_more_room_never_turns_a_yes_into_a_no(
    shapes: list[PodShape], nodes: list[FreeNode], more: Room, data: st.DataObject
) -> None:
    assume(nodes)
    assume(pack(shapes, nodes).complete)
    i = data.draw(st.integers(0, len(nodes) - 1))
    nodes[i] = replace(nodes[i], free=nodes[i].free + more, pods=nodes[i].pods + 1)
    assert pack(shapes, nodes).complete


@given(SHAPES.filter(bool), NODES)
def test_any_number_of_pods_of_one_shape_is_decided_exactly(
    shapes: list[PodShape], nodes: list[FreeNode]
) -> None:
    fit = feasible(shapes[0], nodes)
    assert pack([replace(shapes[0], count=fit)], nodes).complete
    assert not pack([replace(shapes[0], count=fit + 1)], nodes).complete
