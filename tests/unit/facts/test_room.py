"""Arithmetic of room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.facts.room import Room, room

GPU = "nvidia.com/gpu"
ROOMS = st.builds(
    Room,
    cpu_m=st.integers(0, 8000),
    memory=st.integers(0, 2**34),
    extended=st.dictionaries(st.sampled_from([GPU, "hugepages-2Mi"]), st.integers(1, 8)),
)


def test_a_resource_list_is_read_without_disk_and_pods() -> None:
    allocatable = {
        "cpu": "4",
        "memory": "8Gi",
        "ephemeral-storage": "100Gi",
        "pods": "110",
        "attachable-volumes-aws-ebs": "25",
        "hugepages-1Gi": "0",
        GPU: "2",
    }
    assert room(allocatable) == Room(4000, 2**33, {GPU: 2})


@pytest.mark.parametrize(
    "odd", [None, [], "cpu", {"cpu": "lots"}, {"memory": {}}, {GPU: None}, {"cpu": True}]
)
def test_what_is_no_quantity_is_no_room(odd: object) -> None:
    assert room(odd) == Room()


@pytest.mark.parametrize(
    ("need", "free", "fits"),
    [
        pytest.param(Room(500), Room(500), True, id="exactly"),
        pytest.param(Room(501), Room(500), False, id="one millicore too much"),
        pytest.param(Room(0, 10), Room(-500, 10), True, id="no CPU asked where CPU is overdrawn"),
        pytest.param(Room(0, 0, {GPU: 1}), Room(9, 9), False, id="a device that the node has none of"),
        pytest.param(Room(), Room(-1, -1), True, id="nothing asked"),
    ],
)
def test_room_fits(need: Room, free: Room, *, fits: bool) -> None:
    assert need.fits_in(free) is fits
    assert (need.short_of(free) == Room()) is fits
    assert need.times_in(free, most=1) == int(fits)


@given(ROOMS, ROOMS)
def test_what_is_added_can_be_taken_away(left: Room, right: Room) -> None:
    assert left + right - right == left
    assert hash(left + right) == hash(right + left)


@given(ROOMS, ROOMS, st.integers(0, 20))
def test_it_fits_as_often_as_it_can_be_multiplied(need: Room, free: Room, most: int) -> None:
    times = need.times_in(free, most=most)
    assert (need * times).fits_in(free)
    assert times == most or not (need * (times + 1)).fits_in(free)


@given(ROOMS, ROOMS)
def test_what_is_short_is_just_what_makes_it_fit(need: Room, free: Room) -> None:
    assert need.fits_in(free + need.short_of(free))


@given(ROOMS, ROOMS)
def test_the_larger_of_two_holds_both(left: Room, right: Room) -> None:
    larger = left.at_least(right)
    assert left.fits_in(larger)
    assert right.fits_in(larger)
    assert larger.cpu_m in {left.cpu_m, right.cpu_m}
