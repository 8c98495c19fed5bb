"""What an input becomes in the job's record and in its pods."""

from typing import Any

import pytest

from raydock.api import BatchJob
from raydock.errors import Terminal
from raydock.plan import resolved
from raydock.plan.ray_job import claims
from raydock.wire.job import ColumnHandling, FilesInput, JobConfig, TablesInput
from raydock.wire.record import loads
from tests.unit.plan.given import DEFAULTS, job, record


def config_of(cr: BatchJob) -> JobConfig:
    """What the driver reads."""
    settled = resolved.resolve(cr, None, None, DEFAULTS)
    assert settled is not None
    return loads(JobConfig, resolved.record_manifest(cr, settled, DEFAULTS)["data"]["job.json"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(
            {"tables": {"uris": ["pvc://data/x"], "format": "Csv", "columns": ["a"]}},
            {"tables": TablesInput(("pvc://data/x",), None, ("a",), "Csv")},
            id="tables",
        ),
        pytest.param(
            {"rows": [{"x": 1}, {"x": {"y": [1.5]}}]},
            {"tables": TablesInput(()), "rows": ({"x": 1}, {"x": {"y": [1.5]}})},
            id="rows",
        ),
        pytest.param(
            {"files": {"uri": "pvc://d/x", "recursive": False, "convertTo": "Base64"}},
            {"files": FilesInput("pvc://d/x", None, recursive=False, convert_to="Base64")},
            id="files",
        ),
    ],
)
def test_the_input_reaches_the_driver(given: dict[str, Any], told: dict[str, Any]) -> None:
    config = config_of(job(input=given))
    assert {name: getattr(config, name) for name in told} == told


@pytest.mark.parametrize(
    ("given", "mounted"),
    [
        pytest.param(
            {"tables": {"uris": ["pvc://data/x", "https://host/y.csv", "pvc://more"]}},
            {"data": True, "more": True},
            id="tables",
        ),
        pytest.param({"files": {"uri": "pvc://data/x"}}, {"data": True}, id="files"),
        pytest.param(
            {"rows": [{"x": "pvc://data/y"}, {"x": '[{"url": "pvc://more/z"}]'}]},
            {"data": True, "more": True},
            id="rows",
        ),
        pytest.param({"rows": [{"x": "-"}], "claims": ["a", "out"]}, {"a": True}, id="claims"),
    ],
)
def test_claims_of_the_input_are_mounted(given: dict[str, Any], mounted: dict[str, bool]) -> None:
    cr = job(input=given, columns={"x": {}}, output={"uri": "pvc://out/"})
    assert dict(claims(cr, record(cr))) == {**mounted, "out": False}


def test_rows_name_claims_only_where_a_column_is_read_as_files() -> None:
    cr = job(input={"rows": [{"x": "pvc://data/y"}]})
    assert "data" not in dict(claims(cr, record(cr)))


def test_columns_reach_the_driver() -> None:
    columns = {"a": {}, "b": {"inputFormat": "Messages"}, "c": {"convertTo": "Path"}}
    assert config_of(job(columns=columns)).columns == {
        "a": ColumnHandling("Path", "RawBytes"),
        "b": ColumnHandling("Messages", "RawBytes"),
        "c": ColumnHandling("Path", "Path"),
    }


def test_more_rows_than_a_record_holds_are_refused() -> None:
    rows = [{"x": "y" * 1000}] * 1000
    with pytest.raises(Terminal, match="write the rows into a file"):
        config_of(job(input={"rows": rows}))
