"""What the commit protocol asks of a storage: of a directory and of a real S3 server. Whole outputs there."""

import io
import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch import clean as cleaning
from raydock.batch import driver, engine
from raydock.batch.__main__ import run
from raydock.batch.ledger import Ledger
from raydock.batch.object_storage import ObjectStorage, StoreFailed
from raydock.batch.outputs import refusing
from raydock.batch.owner import Owner
from raydock.batch.part import PartWriter
from raydock.batch.plan import Plan
from raydock.batch.report import Counts, Reporter
from raydock.batch.shards import Shard
from raydock.batch.storage import PosixStorage, Storage, drafts_dir
from raydock.batch.verify import verify
from raydock.batch.worker import LOAD, Outcome, Setting, Worker
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, SaveMode, TablesInput
from raydock.wire.ledger import CommitRecord, JobName, JobOutput, Success
from raydock.wire.record import dumps, loads
from tests.kit.object_store import BUCKET, Server, dropping, s3_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

DRAFTS = "_staging/drafts"
ROWS = 100
SHARDS = tuple(Shard(index, ROWS, ()) for index in range(3))
PLAN = Plan("sha256:0", ROWS * len(SHARDS), ("id",), (), SHARDS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "data") as running:
        yield running


@pytest.fixture(params=["directory", "S3"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Storage]:
    """Opens the test's own output with this folder for drafts."""
    if request.param == "directory":
        return lambda drafts: PosixStorage(str(tmp_path), drafts)
    variables = request.getfixturevalue("server").variables()
    return lambda drafts: ObjectStorage(f"s3://{BUCKET}/{tmp_path.name}", drafts, variables)


@pytest.fixture
def storage(opened: Callable[[str], Storage]) -> Storage:
    made = opened(DRAFTS)
    made.prepare([DRAFTS, "deep"])
    return made


def at_once(work: Callable[[int], None], count: int = 16) -> None:
    ready = threading.Barrier(count)

    def begin(number: int) -> None:
        ready.wait()
        work(number)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_many_that_create_one_wins(storage: Storage) -> None:
    for again in range(5):
        won: list[int] = []
        path = f"deep/{again}"

        def create(number: int, path: str = path, won: list[int] = won) -> None:
            if storage.create(path, str(number).encode()):
                won.append(number)

        at_once(create)
        assert [str(number).encode() for number in won] == [storage.read(path)]


def test_of_many_that_replace_the_same_version_one_wins(storage: Storage) -> None:
    storage.create("x", b"first")
    for again in range(5):
        found = storage.read_version("x")
        assert found is not None
        told: list[int] = []

        def replace(number: int, again: int = again, version: str = found[1], told: list[int] = told) -> None:
            if storage.replace("x", f"{again} {number}".encode(), version):
                told.append(number)

        at_once(replace)
        assert storage.read("x") in [f"{again} {number}".encode() for number in range(16)]
        assert [f"{again} {number}".encode() for number in told] in ([], [storage.read("x")])
        assert not storage.replace("x", b"late", found[1])
    storage.sweep()
    storage.remove_tree(DRAFTS)
    assert storage.names("_staging") == []


def test_what_is_not_there_is_none(storage: Storage) -> None:
    assert storage.read("none") is None
    assert storage.read_version("none") is None
    assert storage.size("none") is None
    assert storage.age_s("none") is None
    assert storage.names("none") == []
    storage.create("other", b"other")
    other = storage.read_version("other")
    assert other is not None
    assert not storage.replace("none", b"", other[1])
    assert storage.read("none") is None
    storage.remove("none")
    storage.remove_tree("none")
    with pytest.raises(FileNotFoundError):
        storage.touch("none")
    with pytest.raises(FileNotFoundError):
        storage.open_read("none")
    with pytest.raises(FileNotFoundError):
        storage.promote([("deep/none", "none")])


def test_a_large_file_is_there_once_it_is_closed(storage: Storage) -> None:
    content = bytes(range(256)) * (40 << 12)  # 40 MiB: three parts
    file = storage.open_new("deep/large")
    for start in range(0, len(content), 1 << 20):
        file.write(content[start : start + (1 << 20)])
    file.close()
    assert storage.size("deep/large") == len(content)
    with storage.open_read("deep/large") as opened:
        assert opened.read() == content


@pytest.mark.parametrize("size", [10, 40 << 20], ids=["small", "large"])
def test_a_file_that_is_given_up_leaves_nothing(storage: Storage, size: int) -> None:
    file = storage.open_new("deep/x")
    file.write(b"x" * size)
    file.abort()
    assert storage.names("deep") == []


def test_parquet_is_written_and_read(storage: Storage) -> None:
    with PartWriter(lambda: storage.open_new("deep/x.parquet")) as part:
        part.write(pa.table({"a": list(range(1000))}))
        written = part.close()
    assert (written.rows, written.bytes) == (1000, storage.size("deep/x.parquet"))
    with storage.open_read("deep/x.parquet") as opened:
        assert pq.read_table(opened)["a"].to_pylist() == list(range(1000))


def test_promote_can_be_repeated_and_never_loses(storage: Storage) -> None:
    for name in ("a", "b"):
        storage.create(f"deep/{name}", name.encode())
    pairs = [("deep/a", "a"), ("deep/b", "b")]
    for _ in range(2):
        storage.promote(pairs)
    storage.remove_tree("deep")
    storage.promote(pairs)
    assert (storage.read("a"), storage.read("b")) == (b"a", b"b")


def test_age_is_counted_by_the_storage(storage: Storage) -> None:
    storage.create("x", b"same")
    storage.touch("x")
    assert 0 <= (storage.age_s("x") or 0) < 60
    assert storage.read("x") == b"same"
    assert storage.names(DRAFTS) == []


class TestLostAnswers:
    """The server did it, and its answer never came."""

    @pytest.fixture
    def lossy(self, server: Server, tmp_path: Path) -> Iterator[tuple[Storage, Any]]:
        with dropping(server) as proxy:
            uri = f"s3://{BUCKET}/{tmp_path.name}"
            yield ObjectStorage(uri, DRAFTS, server.variables(proxy.port)), proxy

    def test_who_created_it_is_told(self, lossy: tuple[Storage, Any]) -> None:
        storage, proxy = lossy
        proxy.lost = 2
        assert storage.create("x", b"mine")
        assert proxy.dropped == 2
        assert not storage.create("x", b"mine")

    def test_who_replaced_it_is_told(self, lossy: tuple[Storage, Any]) -> None:
        storage, proxy = lossy
        storage.create("x", b"first")
        found = storage.read_version("x")
        assert found is not None
        proxy.lost = 1
        assert storage.replace("x", b"second", found[1])
        assert proxy.dropped == 1
        assert not storage.replace("x", b"third", found[1])
        assert storage.read("x") == b"second"


def test_a_store_is_sent_to_workers_without_its_keys(server: Server) -> None:
    sent = pickle.dumps(ObjectStorage(f"s3://{BUCKET}/x", DRAFTS, server.variables()))
    assert server.variables()["AWS_SECRET_ACCESS_KEY"].encode() not in sent


@pytest.mark.parametrize(
    ("bucket", "wrong", "told"),
    [
        pytest.param(BUCKET, {"AWS_SECRET_ACCESS_KEY": "x"}, "refused the credentials", id="a wrong key"),
        pytest.param("nowhere", {}, "no such bucket", id="a wrong bucket"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_in_its_words(
    server: Server, bucket: str, wrong: dict[str, str], told: str
) -> None:
    storage = ObjectStorage(f"s3://{bucket}/x", DRAFTS, {**server.variables(), **wrong})
    with pytest.raises(StoreFailed, match=told) as failed:
        storage.create("x", b"")
    assert "127.0.0.1" not in str(failed.value)
    with pytest.raises(Terminal, match=told), refusing():
        storage.create("x", b"")


def in_this_process(
    setting: Setting, shards: Sequence[Shard], _standby: object
) -> Generator[CommitRecord | None]:
    """What engine.run does, without Ray: a worker gets the pickled setting, and one shard after the other."""
    worker = Worker(pickle.loads(pickle.dumps(setting)))
    for shard in (LOAD, *shards):
        (said,) = worker({"shard": [dumps(shard)]})["outcome"]
        outcome = loads(Outcome, said)
        assert outcome.failure is None, outcome.failure
        yield outcome.record


def test_a_whole_job_writes_into_a_store(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "data" / "table"
    table.mkdir(parents=True)
    pq.write_table(pa.table({"id": list(range(1000))}), table / "0.parquet", row_group_size=100)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "stores_model.py").write_text(
        "import pyarrow as pa\ndef same(batch: pa.Table) -> pa.Table: return batch.rename_columns(['y'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setattr(engine, "run", in_this_process)
    for name, value in server.variables().items():  # as the Secret gives them to the pods
        monkeypatch.setenv(name, value)
    uri = f"s3://{BUCKET}/{tmp_path.name}/out/"
    config = JobConfig(
        "demo",
        "score",
        "3f2a9c01-0000",
        "stores_model:same",
        TablesInput(("pvc://data/table/",)),
        uri,
        carry=("id",),
        max_batch_rows=50,
        max_rows_per_file=300,
    )
    published = run(config, 1, str(tmp_path), Counts(config, 1), Reporter(None, print))
    assert (published.rows, published.files) == (1000, 4)
    output = ObjectStorage(uri, "", server.variables())
    assert verify(output) == []
    assert output.names("")[0] == "_SUCCESS"
    assert len(output.names("")) == 5
    success = loads(Success, output.read("_SUCCESS") or b"")
    ids: list[int] = []
    for file in success.files:
        with output.open_read(file.path) as opened:
            ids += pq.read_table(opened)["y"].to_pylist()
    assert ids == list(range(1000))


class Job:
    """A BatchJob that makes its rows by itself."""

    def __init__(self, opened: Callable[[str], Storage], uid: str, mode: SaveMode) -> None:
        self.name = JobName("demo", f"job-{uid[:1]}", uid)
        self.storage = opened(drafts_dir(uid))
        self.ledger = Ledger(self.storage, self.name, mode)

    def run(self) -> JobOutput:
        config = JobConfig("demo", self.name.name, self.name.uid, "m:predict", TablesInput(()), "")
        steps = driver.Steps(lambda: PLAN, lambda _: None, self._compute, lambda _: None)
        owner = Owner(self.storage, self.name, lambda _: None)
        return driver.run(self.ledger, owner, Counts(config, 1), steps)

    def _compute(self, _: Plan, missing: Sequence[Shard]) -> Generator[CommitRecord | None]:
        for shard in missing:
            path = self.ledger.new_data_file(shard.index, 1)
            staged = self.ledger.data_path(path)
            with PartWriter(lambda staged=staged: self.storage.open_new(staged)) as part:  # type: ignore[misc]
                ids = range(shard.index * ROWS, shard.index * ROWS + ROWS)
                part.write(pa.table({"id": list(ids), "job": [self.name.uid] * ROWS}))
                done = part.close()
            record = CommitRecord(shard.index, path, done.rows, 0, done.bytes, done.sha256, 1)
            yield self.ledger.commit(record)


def rows(storage: Storage) -> dict[str, list[int]]:
    """What a reader of `_SUCCESS` reads: ids by job."""
    content = storage.read("_SUCCESS")
    assert content is not None
    found: dict[str, list[int]] = {}
    for file in loads(Success, content).files:
        with storage.open_read(file.path) as opened:
            table = pq.read_table(io.BytesIO(opened.read()))
        for uid, number in zip(table["job"].to_pylist(), table["id"].to_pylist(), strict=True):
            found.setdefault(uid, []).append(number)
    return found


FIRST, SECOND = "aaaaaaaa-1", "bbbbbbbb-2"
ALL = list(range(PLAN.rows))


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        pytest.param(SaveMode.OVERWRITE, {SECOND: ALL}, id="Overwrite"),
        pytest.param(SaveMode.APPEND, {SECOND: ALL, FIRST: ALL}, id="Append"),
        pytest.param(SaveMode.ERROR, {FIRST: ALL}, id="Error"),
    ],
)
def test_a_second_job_does_what_its_save_mode_says(
    opened: Callable[[str], Storage], mode: SaveMode, left: dict[str, list[int]]
) -> None:
    first, second = Job(opened, FIRST, SaveMode.ERROR), Job(opened, SECOND, mode)
    assert first.run().rows == PLAN.rows
    if mode is SaveMode.ERROR:
        with pytest.raises(Terminal) as refused:
            second.run()
        assert refused.value.reason is Reason.OUTPUT_NOT_EMPTY
    else:
        assert second.run().files == len(SHARDS)
    assert rows(first.storage) == left
    assert verify(first.storage) == []
    names = [name for name in first.storage.names("") if not name.startswith("part-")]
    assert names == ["_SUCCESS"]
    assert len(first.storage.names("")) == 1 + len(SHARDS) * len(left)
    assert first.run().job.uid == FIRST if mode is not SaveMode.ERROR else True


def test_many_that_append_at_once_are_all_in_the_list(opened: Callable[[str], Storage]) -> None:
    jobs = [Job(opened, f"{number:08x}-x", SaveMode.APPEND) for number in range(6)]
    for job in jobs:  # each has the output for itself up to its last step
        job.ledger.open()
        plan = job.ledger.agree(PLAN)
        assert len(list(job._compute(plan, plan.shards))) == len(SHARDS)
    ended: list[str] = []
    at_once(lambda n: ended.append(jobs[n].ledger.publish(PLAN, lambda: "now").job.uid), len(jobs))
    assert sorted(ended) == sorted(job.name.uid for job in jobs)
    assert rows(jobs[0].storage) == {job.name.uid: ALL for job in jobs}
    for job in jobs:
        job.ledger.clean()
    Owner(jobs[0].storage, jobs[0].name, lambda _: None).leave()
    jobs[0].ledger.clean()
    assert verify(jobs[0].storage) == []
    assert [name for name in jobs[0].storage.names("") if not name.startswith("part-")] == ["_SUCCESS"]


def test_clean_leaves_the_result_and_nothing_else(opened: Callable[[str], Storage]) -> None:
    dead, done = Job(opened, FIRST, SaveMode.ERROR), Job(opened, SECOND, SaveMode.OVERWRITE)
    dead.ledger.open()
    dead.ledger.agree(PLAN)
    list(dead._compute(PLAN, SHARDS[:1]))
    done.run()
    for name in ("part-aaaaaaaa-00000.parquet", "notes.txt"):
        file = done.storage.open_new(name)
        file.write(b"left by somebody")
        file.close()
    me = cleaning.new_name()
    removed = cleaning.clean(opened(drafts_dir(me.uid)), me, lambda _: None)
    assert removed == [f"_staging/{FIRST}", "part-aaaaaaaa-00000.parquet"]
    assert verify(done.storage) == []
    others = [name for name in done.storage.names("") if not name.startswith("part-")]
    assert others == ["_SUCCESS", "notes.txt"]
