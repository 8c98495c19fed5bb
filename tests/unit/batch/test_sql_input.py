"""`input.sql`: a query is run once, over its sources and nothing else; shards are pieces of what it gave."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typing_extensions import override

from raydock.batch import plan
from raydock.batch.inputs import of, query
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Reading
from raydock.batch.plan import Plan
from raydock.batch.storage import PosixStorage
from raydock.errors import Retry, Terminal, Unfinished
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, SqlInput
from raydock.wire.record import dumps, loads
from tests.unit.batch.whole import job

COUNT = 5000
ALL = {"calls": "pvc://data/calls/", "people": "pvc://data/people.csv", "notes": "pvc://data/notes.jsonl"}


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """Calls in two Parquet files, people as CSV and notes as JSON Lines."""
    folder = tmp_path / "data"
    (folder / "calls").mkdir(parents=True)
    calls = pa.table(
        {
            "id": list(range(COUNT)),
            "who": [n % 7 for n in range(COUNT)],
            "größe": [n / 2 for n in range(COUNT)],
        }
    )
    pq.write_table(calls.slice(0, 3000), folder / "calls" / "a.parquet", row_group_size=500)
    pq.write_table(calls.slice(3000), folder / "calls" / "b.parquet")
    (folder / "people.csv").write_text("who,name\n" + "".join(f"{n},n{n}\n" for n in range(7)))
    (folder / "notes.jsonl").write_text(
        "".join(json.dumps({"who": n, "tags": ["a"] * n}) + "\n" for n in range(3))
    )
    return tmp_path


def storage_of(claims: Path) -> PosixStorage:
    return PosixStorage(str(claims / "data" / "out"), "_staging/drafts")


def asking(text: str, sources: dict[str, str] = ALL, **more: Any) -> JobConfig:
    return replace(job(**more), sql=SqlInput(text, sources))


def made(config: JobConfig, claims: Path) -> Plan:
    return loads(Plan, dumps(plan.make(config, str(claims), storage_of(claims))))


def rows_of(config: JobConfig, claims: Path, of_plan: Plan) -> list[dict[str, Any]]:
    how = Reading(of_plan.columns, of_plan.schema, config.max_batch_rows)
    places, found = Places(str(claims)), []
    for shard in of_plan.shards:
        batches = [rows.batch for rows in of.read(config, shard, how, places, storage_of(claims))]
        assert sum(batch.num_rows for batch in batches) == shard.rows
        found += [row for batch in batches for row in batch.to_pylist()]
    return found


def test_the_rows_are_what_the_query_gives_in_its_order(claims: Path) -> None:
    config = asking(
        'SELECT id, name, "größe", tags FROM calls JOIN people USING (who) LEFT JOIN notes USING (who) '
        "WHERE id >= 100 ORDER BY id DESC",
        max_rows_per_file=700,
        max_batch_rows=50,
    )
    planned = made(config, claims)
    assert planned.rows == COUNT - 100
    assert len(planned.shards) > 5
    assert rows_of(config, claims, planned) == [
        {"id": n, "name": f"n{n % 7}", "größe": n / 2, "tags": ["a"] * (n % 7) if n % 7 < 3 else None}
        for n in range(COUNT - 1, 99, -1)
    ]
    plan.refuse_changed_files(planned, str(claims))


def test_a_source_can_be_read_twice(claims: Path) -> None:
    people = "people a JOIN people b USING (who)"
    config = asking(f"SELECT a.who FROM {people} JOIN calls ON id = a.who JOIN calls c USING (id) ORDER BY 1")
    assert [row["who"] for row in rows_of(config, claims, made(config, claims))] == list(range(7))


def test_attempts_read_the_result_of_the_plan(claims: Path) -> None:
    config = asking("SELECT id, random() AS r FROM calls")
    first, second = made(config, claims), made(config, claims)
    before = rows_of(config, claims, first)
    (claims / "data" / "people.csv").unlink()
    plan.refuse_changed_files(first, str(claims))
    assert rows_of(config, claims, first) == before != rows_of(config, claims, second)
    assert first.fingerprint == second.fingerprint


def test_a_fingerprint_names_query_and_sources(claims: Path) -> None:
    found = made(asking("SELECT * FROM people"), claims).fingerprint
    assert made(asking("SELECT * FROM people "), claims).fingerprint != found
    (claims / "data" / "people.csv").write_text("who,name\n" + "".join(f"{n},m{n}\n" for n in range(7)))
    assert made(asking("SELECT * FROM people"), claims).fingerprint != found


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param(asking("SELECT FROM"), "syntax error", id="bad SQL"),
        pytest.param(asking("SELECT * FROM cals"), "Did you mean", id="a table that is no source"),
        pytest.param(asking("SELECT nobody FROM people"), '"nobody" not found', id="an unknown column"),
        pytest.param(asking("SELECT 1; SELECT 2"), "write one SELECT", id="two queries"),
        pytest.param(asking("DROP TABLE people"), "write one SELECT", id="no query"),
        pytest.param(asking("COPY people TO '/tmp/x'"), "write one SELECT", id="a file that is written"),
        pytest.param(
            asking("SELECT * FROM read_csv('/etc/passwd')"),
            "operations are disabled",
            id="a file that is no source",
        ),
        pytest.param(
            asking("SELECT * FROM '/etc/passwd'"), "does not exist", id="a file in place of a table"
        ),
        pytest.param(asking("SELECT * FROM config"), "does not exist", id="a variable of Python"),
        pytest.param(asking("SELECT who, who FROM people"), "column 'who' twice", id="a name twice"),
        pytest.param(asking("SELECT name::INT AS x FROM people"), "Could not convert", id="a value"),
        pytest.param(asking("SELECT INTERVAL 1 DAY AS x"), "sql.query", id="a type that Parquet lacks"),
        pytest.param(asking("SELECT * FROM people WHERE false"), "sql.query gives none", id="no row"),
        pytest.param(asking("SELECT 1", {"t": "pvc://data/none/"}), "there is no file", id="no source"),
        pytest.param(
            asking("SELECT 1", {"t": "pvc://data/*"}),
            "files of Parquet and Csv and JsonLines",
            id="two formats",
        ),
        pytest.param(
            asking("SELECT name FROM people", carry=("who",)), "'who' is missing", id="nothing to carry"
        ),
    ],
)
def test_what_cannot_be_asked_is_an_invalid_input_and_nothing_is_left(
    config: JobConfig, told: str, claims: Path
) -> None:
    with pytest.raises(Terminal) as raised:
        made(config, claims)
    assert raised.value.reason is Reason.INPUT_INVALID
    assert told in raised.value.message
    assert not [path for path in (claims / "data").rglob("*") if path.is_file() and "out" in path.parts]


def test_rows_that_need_no_source(claims: Path) -> None:
    config = asking("SELECT range AS n FROM range(10)", {})
    assert [row["n"] for row in rows_of(config, claims, made(config, claims))] == list(range(10))


def test_a_source_that_changes_meanwhile_ends_the_job(claims: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = query._selected

    def changing(*given: Any) -> Any:
        (claims / "data" / "people.csv").write_text("who,name\n1,other\n")
        return plain(*given)

    monkeypatch.setattr(query, "_selected", changing)
    with pytest.raises(Terminal, match="was written to") as raised:
        made(asking("SELECT * FROM people"), claims)
    assert raised.value.reason is Reason.INPUT_CHANGED


@pytest.mark.parametrize("name", ["calls/a.parquet", "people.csv"])
def test_a_place_that_fails_is_tried_again(claims: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    served = f"http://files.example/{name}"
    opens = iter(range(100))

    class Failing(Places):
        @override
        def of(self, uri: str) -> Any:
            return Moved(str(claims))

    class Moved:
        def __init__(self, folder: str) -> None:
            self._plain = Places(folder).of("pvc://data/x")

        def __getattr__(self, called: str) -> Any:
            def call(uri: str, *rest: Any, **more: Any) -> Any:
                if called == "path":
                    return uri
                if called == "open" and next(opens) >= 1:
                    return pa.PythonFile(Broken(), mode="r")
                if called == "find":
                    return replace(self._plain.find(at(uri), **more), files=(served,))
                return getattr(self._plain, called)(at(uri), *rest, **more)

            return call

    class Broken:
        closed = False

        def read(self, *_: int) -> bytes:
            raise OSError("the network is gone")

        seek = tell = read

        def readable(self) -> bool:
            return True

        def close(self) -> None:
            """As a file's."""

    def at(uri: str) -> str:
        return f"pvc://data/{uri.removeprefix('http://files.example/')}"

    monkeypatch.setattr(plan, "Places", Failing)
    with pytest.raises((Retry, OSError)) as raised:
        made(asking("SELECT count(*) AS n, sum(who)::INT AS s FROM t", {"t": served}), claims)
    assert not isinstance(raised.value, Unfinished) or raised.value.reason is Reason.JOB_FAILED
