"""Kubernetes quantities, exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.facts import quantity


@pytest.mark.parametrize(
    ("text", "cpu_m"),
    [
        pytest.param("500m", 500, id="millicores"),
        pytest.param("2", 2000, id="cores"),
        pytest.param("0.1", 100, id="a tenth is exact"),
        pytest.param("1.5", 1500, id="a core and a half"),
        pytest.param("100u", 1, id="less than a millicore is one"),
        pytest.param("1n", 1, id="a nanocore is one"),
        pytest.param("0", 0, id="nothing"),
        pytest.param(".5", 500, id="no digit before the point"),
        pytest.param("2e3m", None, id="exponent and suffix at once"),
        pytest.param(2, 2000, id="a bare number"),
        pytest.param(0.5, 500, id="a bare fraction"),
        pytest.param(0.0000001, 1, id="a fraction that prints with an exponent"),
        pytest.param(True, None, id="a boolean"),
        pytest.param(None, None, id="nothing at all"),
        pytest.param("", None, id="empty"),
        pytest.param("lots", None, id="a word"),
        pytest.param("1 Gi", None, id="a space inside"),
        pytest.param("٣", None, id="digits that are not ASCII"),
        pytest.param("9" * 65, None, id="longer than any quantity"),
    ],
)
def test_cpu_is_read_in_millicores_rounded_up(text: object, cpu_m: int | None) -> None:
    if cpu_m is None:
        with pytest.raises(ValueError, match="not a quantity"):
            quantity.millicores(text)
    else:
        assert quantity.millicores(text) == cpu_m


@pytest.mark.parametrize(
    ("text", "units"),
    [
        pytest.param("1Ki", 1024, id="binary suffix"),
        pytest.param("1k", 1000, id="decimal suffix"),
        pytest.param("1.5Gi", 3 * 2**29, id="fraction of a binary suffix"),
        pytest.param("1E", 10**18, id="E alone is exa"),
        pytest.param("1E3", 1000, id="E with digits is an exponent"),
        pytest.param("5e-1", 1, id="half a byte is one"),
        pytest.param("128974848", 128974848, id="plain bytes"),
        pytest.param("1e-400", 1, id="an exponent far below"),
        pytest.param("1e999999999", quantity.MOST, id="an exponent far above, answered at once"),
        pytest.param("16Ei", quantity.MOST, id="more than an int64"),
        pytest.param("-1Gi", -(2**30), id="negative"),
    ],
)
def test_bytes_and_devices_are_whole(text: str, units: int) -> None:
    assert quantity.count(text) == units


@given(st.integers(0, 10**12))
def test_cpu_text_is_read_back(cpu_m: int) -> None:
    assert quantity.millicores(quantity.cpu_text(cpu_m)) == cpu_m


@given(st.integers(0, 2**60) | st.integers(0, 2**20).map(lambda n: n * 2**20))
def test_memory_text_is_read_back(memory: int) -> None:
    assert quantity.count(quantity.memory_text(memory)) == memory


@given(
    st.integers(0, 10**6),
    st.integers(0, 9),
    st.sampled_from(["", "k", "M", "G", "Ki", "Mi", "Gi", "m", "u", "n"]),
)
def test_rounding_is_up_and_by_less_than_one(whole: int, tenth: int, suffix: str) -> None:
    text = f"{whole}.{tenth}{suffix}"
    exact = quantity.parse(text)
    assert 0 <= quantity.count(text) - exact < 1
    assert 0 <= Fraction(quantity.millicores(text), 1000) - exact < Fraction(1, 1000)


@pytest.mark.parametrize(
    ("memory", "down", "up"),
    [
        pytest.param(3 * 2**29, "1.5Gi", "1.5Gi", id="exact to a tenth"),
        pytest.param(2**36, "64Gi", "64Gi", id="whole"),
        pytest.param(2**30 - 1, "1023.9Mi", "1024Mi", id="just below a unit"),
        pytest.param(2**30 + 1, "1Gi", "1.1Gi", id="just above one"),
        pytest.param(700, "700", "700", id="bytes"),
        pytest.param(0, "0", "0", id="none"),
        pytest.param(-(2**30) - 1, "-1.1Gi", "-1Gi", id="overdrawn"),
    ],
)
def test_people_read_tenths(memory: int, down: str, up: str) -> None:
    assert quantity.memory_about(memory) == down
    assert quantity.memory_about(memory, up=True) == up


@given(st.integers(0, 2**60))
def test_a_need_is_never_told_smaller_nor_free_room_larger_than_it_is(memory: int) -> None:
    assert (
        quantity.count(quantity.memory_about(memory))
        <= memory
        <= quantity.count(quantity.memory_about(memory, up=True))
    )
