"""Every shape that both sides speak goes to JSON and back."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.wire.access import Access, EndpointAccess
from raydock.wire.host import Health, HostArgs, HostConfig, Limits
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import CommitRecord, FailedRow, InputSummary, JobName, OutputFile, Success
from raydock.wire.progress import Failure, Output, Report
from raydock.wire.record import WireError, dumps, from_json, loads, to_json

SHAPES = [
    Access, EndpointAccess, Health, HostArgs, HostConfig, Limits, JobConfig, TablesInput, CommitRecord,
    FailedRow, InputSummary, JobName, OutputFile, Success, Failure, Output, Report,
]  # fmt: skip
FREE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def records() -> st.SearchStrategy[Any]:
    st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
    params = st.dictionaries(st.text(max_size=3), FREE, max_size=2)

    def of(shape: Any) -> st.SearchStrategy[Any]:
        more = {"params": params} if any(f.name == "params" for f in dataclasses.fields(shape)) else {}
        return st.builds(shape, **more)

    return st.one_of([of(shape) for shape in SHAPES])


@given(records())
@settings(max_examples=200, deadline=None)
def test_a_record_comes_back_as_it_was(record: Any) -> None:
    text = dumps(record)
    assert loads(type(record), text) == record
    assert "\n" not in text
    assert dumps(loads(type(record), text)) == text


@given(records())
@settings(max_examples=50, deadline=None)
def test_what_a_newer_peer_adds_is_dropped(record: Any) -> None:
    assert from_json(type(record), {**to_json(record), "aNewKey": {"deep": 1}}) == record


@given(
    st.sampled_from(SHAPES),
    st.dictionaries(st.sampled_from(["name", "uid", "rows", "status", "params"]), FREE),
)
@settings(max_examples=100, deadline=None)
def test_odd_json_is_a_wire_error_and_nothing_else(shape: Any, value: dict[str, Any]) -> None:
    try:
        from_json(shape, value)
    except WireError as error:
        assert shape.__name__ in str(error) or "want" in str(error)  # noqa: PT017 - either way is right


@pytest.mark.parametrize(
    ("shape", "text", "told"),
    [
        pytest.param(Failure, "{", "Failure: not JSON", id="no JSON"),
        pytest.param(Failure, "[]", "Failure: want an object", id="no object"),
        pytest.param(
            Failure, '{"reason": "x"}', "Failure: missing one of ['message', 'final']", id="missing"
        ),
        pytest.param(Failure, '{"reason": "x", "message": 5}', "Failure.message: want str", id="wrong type"),
        pytest.param(
            Limits, '{"bodyBytes": true}', "Limits.bodyBytes: want int", id="a boolean is no number"
        ),
        pytest.param(TablesInput, '{"uris": "a"}', "TablesInput.uris: want a list", id="no list"),
        pytest.param(Access, '{"endpoints": {"a": 1}}', "EndpointAccess: want an object", id="deeper"),
    ],
)
def test_an_error_names_the_field_and_never_the_value(shape: Any, text: str, told: str) -> None:
    with pytest.raises(WireError) as error:
        loads(shape, text)
    assert str(error.value) == told


def test_keys_are_camel_case_and_none_is_left_out() -> None:
    told = json.loads(dumps(Report("demo", "iris", "u", 1, "inference", 5, rows_per_second=2)))
    assert told["rowsPerSecond"] == 2
    assert "etaSeconds" not in told
    assert (
        loads(JobConfig, dumps(JobConfig("n", "a", "u", "a:b", TablesInput(("x",)), "o"))).worker_cpus == 1.0
    )
    assert (
        from_json(
            JobConfig, {**to_json(JobConfig("n", "a", "u", "a:b", TablesInput(("x",)), "o")), "workerCpus": 2}
        ).worker_cpus
        == 2.0
    )


def test_a_commit_record_of_before_there_were_error_files_counts() -> None:
    text = '{"attempt":1,"bytes":9,"failedRows":0,"file":"a","rows":3,"sha256":"s","shard":7}'
    record = loads(CommitRecord, text)
    assert (record.rows, record.error_file, record.first_failures) == (3, "", ())
