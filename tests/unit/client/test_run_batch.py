"""What the arguments of `run_batch` become, and what is refused before anything is asked."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from raydock.client import batch
from raydock.client.batch import (
    FileEncoding,
    InferenceEngine,
    InputFormat,
    InputSpec,
    JobNotFound,
    JobSpec,
    OutputSpec,
    SaveMode,
    Sql,
    list_files,
    run_batch,
)
from raydock.client.errors import NotFound
from raydock.client.job import job as job_of
from raydock.client.specs import memory_quantity
from tests.unit.client.fake_session import FakeSession, batch_job, event

OUT = OutputSpec("pvc://data/out")


def made(
    model: Any = "iris-v1", data: Any = "pvc://data/in", output: OutputSpec = OUT, **more: Any
) -> dict[str, Any]:
    """The manifest that was sent."""
    api = FakeSession([batch_job()])
    run_batch(model, data, output_spec=output, session=api.as_session(), **more)
    ((method, path, query, manifest),) = api.asked
    assert (method, path) == ("POST", "/apis/raydock.io/v1alpha1/namespaces/demo/batchjobs")
    assert query["fieldValidation"] == "Strict"
    found: dict[str, Any] = manifest
    return found


def test_the_public_names_are_those_of_the_contract() -> None:
    words = (
        "run_batch list_files list_jobs get_job delete_job InputSpec OutputSpec JobSpec SaveMode InputFormat"
    )
    words += " FileEncoding InferenceEngine Sql JobHandle JobNotFound"
    assert set(batch.__all__) == set(words.split())
    assert all(hasattr(batch, name) for name in batch.__all__)


def test_the_least_is_a_deployment_an_input_and_an_output() -> None:
    assert made() == {
        "apiVersion": "raydock.io/v1alpha1",
        "kind": "BatchJob",
        "metadata": {"generateName": "batch-inference-"},
        "spec": {
            "deployment": "iris-v1",
            "input": {"tables": {"uris": ["pvc://data/in"]}},
            "output": {"uri": "pvc://data/out"},
        },
    }


def test_everything_at_once() -> None:
    program = {"server": {"importPath": "iris:Model"}, "model": {"uri": "pvc://models/iris"}}
    handling: dict[str, dict[str, Any]] = {
        "IMAGE": {"input_format": InputFormat.FULL_STAGE_PATH, "convert_to": FileEncoding.BASE64_DATA_URL},
        "TALK": {"input_format": InputFormat.MESSAGES},
    }
    manifest = made(
        program,
        list_files("pvc://data/images/", pattern=r".*\.jpg", column_name="IMAGE"),
        OutputSpec("pvc://data/out", SaveMode.OVERWRITE),
        compute_pool={"pool": "gpu"},
        input_spec=InputSpec(params={"temperature": 0.9}, column_handling=handling),
        job_spec=JobSpec(
            job_name="nightly",
            replicas=4,
            max_batch_rows=64,
            cpu_requests=2,
            memory_requests="8GiB",
            gpu_requests=1,
            num_workers=3,
            image_repo="registry.example/iris:1",
            function_name="predict",
            force_rebuild=True,
            warehouse="WH",
        ),
    )
    assert manifest["metadata"] == {"name": "nightly"}
    assert manifest["spec"] == {
        **program,
        "input": {"files": {"uri": "pvc://data/images/", "pattern": r".*\.jpg", "column": "IMAGE"}},
        "output": {"uri": "pvc://data/out", "saveMode": "Overwrite"},
        "nodeSelector": {"pool": "gpu"},
        "params": {"temperature": 0.9},
        "columns": {
            "IMAGE": {"inputFormat": "Path", "convertTo": "Base64DataUrl"},
            "TALK": {"inputFormat": "Messages"},
        },
        "workers": {"max": 4, "concurrency": 3},
        "maxBatchRows": 64,
        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"nvidia.com/gpu": "1"}},
        "image": "registry.example/iris:1",
        "function": "predict",
    }


ROWS = [{"x": 1, "at": datetime(2026, 1, 2, tzinfo=UTC), "b": b"\x00"}, {"x": None, "at": None, "b": None}]
PLAIN = [{"x": 1, "at": "2026-01-02T00:00:00+00:00", "b": "AA=="}, {"x": None, "at": None, "b": None}]


@pytest.mark.parametrize(
    ("data", "want"),
    [
        pytest.param(["pvc://a/1", "pvc://a/2"], {"tables": {"uris": ["pvc://a/1", "pvc://a/2"]}}, id="URIs"),
        pytest.param(
            Sql("SELECT * FROM t", {"t": "pvc://a/*.parquet"}),
            {"sql": {"query": "SELECT * FROM t", "sources": {"t": "pvc://a/*.parquet"}}},
            id="SQL",
        ),
        pytest.param(list_files("pvc://a/"), {"files": {"uri": "pvc://a/"}}, id="files"),
        pytest.param(pa.Table.from_pylist(ROWS), {"rows": PLAIN}, id="Arrow"),
        pytest.param(pd.DataFrame(ROWS), {"rows": PLAIN}, id="pandas"),
        pytest.param(
            pd.DataFrame({"v": [[1.5, float("nan")]], "i": [2]}),
            {"rows": [{"v": [1.5, None], "i": 2}]},
            id="nested",
        ),
    ],
)
def test_an_input_of_each_kind(data: Any, want: dict[str, Any]) -> None:
    assert made(data=data)["spec"]["input"] == want


LONG = pd.DataFrame({"x": range(1001)})
VLLM = {"engine": InferenceEngine.VLLM, "engine_args_override": ["--max-model-len=100"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"output": OutputSpec("@DB.S.STAGE/x/")}, "only in Snowflake", id="a stage as output"),
        pytest.param({"data": "@DB.S.STAGE/x/"}, "only in Snowflake", id="a stage as input"),
        pytest.param({"data": LONG}, "write Parquet and pass its URI", id="a long frame"),
        pytest.param(
            {"data": pa.Table.from_pandas(LONG)}, "write Parquet and pass its URI", id="a long table"
        ),
        pytest.param({"input_spec": InputSpec(partition_column="p")}, "partition", id="partitions"),
        pytest.param(
            {"input_spec": InputSpec(column_handling={"A": {"format": "x"}})},
            "none of input_format",
            id="a typo",
        ),
        pytest.param({"job_spec": JobSpec(memory_requests="8 potatoes")}, "8GiB", id="an unknown unit"),
        pytest.param({"compute_pool": "GPU_POOL"}, "labels of its nodes", id="a pool's name"),
        pytest.param({"inference_engine_options": VLLM}, "importPath", id="an engine"),
        pytest.param({"model": {"server": {"vllm": {}}}}, "importPath", id="an engine as server"),
        pytest.param({"model": {"endpoint": "iris"}}, "name of the Deployment", id="an endpoint"),
        pytest.param({"model": {"image": "x"}}, "with server", id="nothing that runs"),
    ],
)
def test_what_has_no_place_is_refused_with_what_to_write(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(**arguments)


def test_what_is_no_input_is_a_type_error() -> None:
    for data in (5, [], [1], {"x": 1}):
        with pytest.raises(TypeError, match="give a URI"):
            made(data=data)


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("8GiB", "8Gi"),
        ("8GB", "8G"),
        ("512MiB", "512Mi"),
        ("1.5 TiB", "1.5Ti"),
        ("64KB", "64k"),
        ("8Gi", "8Gi"),
        ("7", "7"),
    ],
)
def test_memory_in_the_words_of_kubernetes(said: str, want: str) -> None:
    assert memory_quantity(said) == want


@pytest.mark.parametrize("said", ["8gib", "GiB", "-1GiB", "8GiBs", ""])
def test_memory_in_no_words(said: str) -> None:
    with pytest.raises(ValueError, match="memory_requests"):
        memory_quantity(said)


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        *[(batch_job(state), "PENDING") for state in ("Pending", "Queued", "Starting", "Suspended")],
        *[(batch_job(state), "RUNNING") for state in ("Running", "Finalizing")],
        (batch_job("Succeeded"), "DONE"),
        (batch_job("Failed", reason="InputInvalid"), "FAILED"),
        (batch_job("Failed", reason="JobFailed"), "INTERNAL_ERROR"),
        (batch_job("Cancelled"), "CANCELLED"),
        (batch_job("Running") | {"spec": {"cancel": True}}, "CANCELLING"),
        (batch_job("Succeeded") | {"spec": {"cancel": True}}, "DONE"),
        (NotFound("no"), "DELETED"),
    ],
)
def test_the_vendors_word_for_each_state(obj: Any, want: str) -> None:
    handle = batch.JobHandle(FakeSession([obj]).as_session(), job_of(batch_job()))
    assert handle.status == want


def test_wait_gives_the_status_or_a_timeout() -> None:
    first, done = batch_job("Running"), batch_job("Succeeded", 2)
    ended = FakeSession([first, first], [[event(done)]])
    assert batch.JobHandle(ended.as_session(), job_of(first)).wait() == "DONE"
    with pytest.raises(TimeoutError, match="RUNNING after 0 s"):
        batch.JobHandle(FakeSession([first]).as_session(), job_of(first)).wait(timeout=0)


def test_a_result_is_in_the_output() -> None:
    handle = batch.JobHandle(FakeSession().as_session(), job_of(batch_job()))
    with pytest.raises(NotImplementedError, match="pvc://data/out"):
        handle.result()


@pytest.mark.parametrize(
    ("said", "place", "name"),
    [("demo/job", "demo", "job"), ("other.job", "other", "job"), ("job", "demo", "job")],
)
def test_an_id_in_each_form(said: str, place: str, name: str) -> None:
    api = FakeSession([batch_job(), {}, NotFound("no")])
    batch.get_job(said, session=api.as_session())
    batch.delete_job(said, session=api.as_session())
    with pytest.raises(JobNotFound):
        batch.get_job(said, session=api.as_session())
    path = f"/apis/raydock.io/v1alpha1/namespaces/{place}/batchjobs/{name}"
    assert [(method, asked) for method, asked, _, _ in api.asked] == [
        ("GET", path),
        ("DELETE", path),
        ("GET", path),
    ]


def test_cancel_leaves_an_ended_job_alone() -> None:
    api = FakeSession([batch_job("Succeeded")])
    batch.JobHandle(api.as_session(), job_of(batch_job())).cancel()
    assert [method for method, *_ in api.asked] == ["GET"]


def test_a_list_is_shown_and_becomes_a_frame(capsys: pytest.CaptureFixture[str]) -> None:
    objects = [batch_job("Succeeded", name=f"job-{n}") for n in range(12)]
    for n, obj in enumerate(objects):
        obj["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{n:02}Z"
    found = batch.list_jobs(session=FakeSession([{"items": objects}]).as_session())
    assert [one.name for one in found][:2] == ["job-11", "job-10"]
    assert len(found.show()) == 10
    header, first, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["ID", "STATUS", "CREATED", "OUTPUT"]
    assert first.split()[:2] == ["demo/job-11", "DONE"]
    frame = found.to_pandas()
    assert (frame["id"][0], len(frame)) == ("demo/job-11", 10)
