"""An action as a job: one result whatever dies on the way, told by progress and by reason."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from typing_extensions import override

from raydock.batch import __main__ as batch_main
from raydock.batch import action, action_output
from raydock.batch.outputs import storage_at
from raydock.batch.report import Counts, Reporter
from raydock.batch.verify import verify
from raydock.errors import Retry, Stopped, Terminal, Unfinished
from raydock.reasons import Reason
from raydock.sdk.loggers.entry import ProgressData
from raydock.sdk.plugins import BaseDeploymentAction, BaseInferenceAction
from raydock.sdk.plugins.steps import BaseStep, StepRegistry, StepResult
from raydock.wire import last_report
from raydock.wire.job import ActionCall, JobConfig, TablesInput
from raydock.wire.ledger import ActionRecord, Success
from raydock.wire.progress import Output
from raydock.wire.record import dumps, loads
from tests.kit.backend import Backend, backend

TOKEN = "tok-planted-0001"
RUNS: list[int] = []
"""One entry for each time that an action ran."""
MEANWHILE: list[Callable[[], object]] = []
"""What happens while the next action runs."""


class Params(BaseModel):
    inputs: list[int] = [1, 2]
    model_id: int = 34


class Score(BaseInferenceAction[Params]):
    @override
    def execute(self) -> dict[str, Any]:
        RUNS.append(len(RUNS))
        run = RUNS[-1]
        self.set_progress(1, 1, self.progress.MODEL_LOAD)
        while MEANWHILE:
            MEANWHILE.pop()()
        self.set_progress(1, 2, self.progress.INFERENCE)
        return {"results": [{"run": run, "x": x} for x in self.params.inputs], "run": run}


class InSteps(BaseInferenceAction[Params]):
    @override
    def setup_steps(self, registry: StepRegistry[Any]) -> None:
        registry.register(Named("load_images"))
        registry.register(Named("measure"))


class Named(BaseStep[Any]):
    def __init__(self, name: str) -> None:
        self._name = name

    @property
    @override
    def name(self) -> str:
        return self._name

    @property
    @override
    def progress_weight(self) -> float:
        return 1.0

    @override
    def execute(self, context: Any) -> StepResult:
        context.results.append({"step": self._name})
        return StepResult()


class Broken(BaseInferenceAction[Params]):
    @override
    def execute(self) -> Any:
        raise ValueError(f"no model at https://backend.planted/7 with {TOKEN}")


class Interrupted(BaseInferenceAction[Params]):
    @override
    def execute(self) -> Any:
        batch_main.stop()


class Leaves(BaseInferenceAction[Params]):
    @override
    def execute(self) -> Any:
        sys.exit(0)


class Unfit(BaseInferenceAction[Params]):
    @override
    def execute(self) -> Any:
        return {"results": [{"x": object()}]}


class Mixed(BaseInferenceAction[Params]):
    @override
    def execute(self) -> Any:
        return {"results": [{"x": 1}, {"x": "one"}, 7]}


class Hollow(BaseInferenceAction[Params]):
    """Arrow has a type for its boxes, and Parquet has none."""

    @override
    def execute(self) -> Any:
        return {"results": [{"x": 1, "box": {}}, {"x": 2, "box": {}}]}


class Plain(BaseInferenceAction[Params]):
    @override
    def execute(self) -> Any:
        return 7


class Models(BaseInferenceAction[Params]):
    @override
    def execute(self) -> Any:
        return self.get_model(self.params.model_id)


class Deploys(BaseDeploymentAction[Params]):
    entrypoint: ClassVar[type | None] = object


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    RUNS.clear()
    MEANWHILE.clear()
    (tmp_path / "data").mkdir()
    for name in ("SYNAPSE_HOST", "SYNAPSE_JOB_ID", "SYNAPSE_AGENT_URL", "SYNAPSE_PLUGIN_RUN_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", TOKEN)
    yield
    assert MEANWHILE == []


def job(act: str = "Score", output: str = "pvc://data/out", **more: Any) -> JobConfig:
    params = more.pop("params", {})
    call = ActionCall(params)
    return JobConfig(
        "demo", "score", "3f2a9c01", f"{__name__}:{act}", TablesInput(()), output, action=call, **more
    )


def ran(config: JobConfig, claims: Path, attempt: int = 1) -> Output:
    return action.run(config, attempt, str(claims), lambda _: None)


def refused(config: JobConfig, claims: Path) -> Unfinished:
    with pytest.raises(Unfinished) as caught:
        ran(config, claims)
    return caught.value


def whole(claims: Path) -> dict[str, Any]:
    """The published result, after a look at everything around it."""
    out = claims / "data" / "out"
    assert verify(out) == []
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    names = {"result.json", "_SUCCESS"}
    if isinstance(result.get("results"), list):
        names.add("part-3f2a9c01-00000.parquet")
        assert pq.read_table(out / "part-3f2a9c01-00000.parquet").to_pylist() == result["results"]
    assert {path.name for path in out.iterdir()} == names
    return result


def test_the_result_is_published_whole(tmp_path: Path) -> None:
    told = ran(job(params={"inputs": [1, 2, 3]}), tmp_path)
    assert whole(tmp_path) == {"results": [{"run": 0, "x": x} for x in (1, 2, 3)], "run": 0}
    assert (told.uri, told.rows, told.files, told.failed_rows) == ("pvc://data/out", 3, 2, 0)
    success = loads(Success, (tmp_path / "data/out/_SUCCESS").read_bytes())
    assert success.result is not None
    assert (success.result.path, success.job.uid, success.rows) == ("result.json", "3f2a9c01", 3)


@pytest.mark.parametrize("act", ["Plain", "Mixed", "Hollow"])
def test_what_is_no_table_is_published_as_json_alone(tmp_path: Path, act: str) -> None:
    told = ran(job(act), tmp_path)
    out = tmp_path / "data/out"
    assert sorted(path.name for path in out.iterdir()) == ["_SUCCESS", "result.json"]
    assert verify(out) == []
    assert (told.rows, told.files) == (0, 1)


def test_a_result_that_was_changed_is_found_by_its_sum(tmp_path: Path) -> None:
    ran(job(), tmp_path)
    (tmp_path / "data/out/result.json").write_text("{}")
    assert [line.partition(":")[0] for line in verify(tmp_path / "data/out")] == ["result.json"] * 2
    (tmp_path / "data/out/result.json").unlink()
    assert verify(tmp_path / "data/out") == ["result.json is missing"]


def test_a_later_attempt_of_a_job_that_was_published_runs_nothing(tmp_path: Path) -> None:
    first = ran(job(), tmp_path)
    assert ran(job(), tmp_path, 2) == first
    assert RUNS == [0]


class Killed(BaseException):
    """The process is gone: nothing that runs after this reaches the storage."""


class Stepped:
    """A storage whose user dies at an operation: before it, or after it took effect."""

    def __init__(self, inner: Any, at: int, *, after: bool) -> None:
        self._inner, self._at, self._after = inner, at, after
        self.done, self.dead = 0, False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._step(found) if callable(found) else found

    def _step(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                raise Killed
            self.done += 1
            dies = self.done == self._at
            if dies and not self._after:
                self.dead = True
                raise Killed
            found = operation(*args, **kwargs)
            if dies:
                self.dead = True
                if isinstance(found, io.IOBase):
                    found.close()  # as the kernel does for a process that is gone
                raise Killed
            return found

        return step


def dying(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> list[Stepped]:
    """From now on a driver's storage is one that its user dies at; the list holds those that were made."""
    made: list[Stepped] = []

    def stepped(*args: Any) -> Any:
        made.append(Stepped(storage_at(*args), at, after=after))
        return made[-1]

    monkeypatch.setattr(action_output, "storage_at", stepped)
    return made


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_kill_at_any_operation_is_made_good_by_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    undisturbed = tmp_path / "undisturbed"
    (undisturbed / "data").mkdir(parents=True)
    made = dying(monkeypatch, 0, after=after)
    ran(job(), undisturbed)
    operations = made[0].done
    assert operations > 20
    for at in range(1, operations + 1):
        RUNS.clear()
        claims = tmp_path / str(at)
        (claims / "data").mkdir(parents=True)
        dying(monkeypatch, at, after=after)
        with pytest.raises(Killed):
            ran(job(), claims)
        monkeypatch.setattr(action_output, "storage_at", storage_at)
        ran(job(), claims, 2)
        assert whole(claims)["run"] == RUNS[-1] or len(RUNS) == 1
        assert len(RUNS) <= 2


def test_a_result_that_an_earlier_attempt_had_is_published_and_the_action_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> Output:
        raise Killed

    with monkeypatch.context() as here:
        here.setattr(action_output.ActionOutput, "publish", dies)
        with pytest.raises(Killed):
            ran(job(), tmp_path)
    ran(job(), tmp_path, 2)
    assert RUNS == [0]
    assert whole(tmp_path)["run"] == 0


def test_of_two_drivers_at_once_one_publishes(tmp_path: Path) -> None:
    others: list[Output] = []
    MEANWHILE.append(lambda: others.append(ran(job(), tmp_path, 2)))
    assert ran(job(), tmp_path) == others[0]
    assert RUNS == [0, 1]
    assert whole(tmp_path)["run"] == 1


def test_of_two_results_the_first_counts(tmp_path: Path) -> None:
    place = action_output.ActionOutput(job(), str(tmp_path), lambda _: None)
    place.begin()
    first = place.commit({"results": [{"run": 0}]}, 1)
    assert place.commit({"results": [{"run": 1}]}, 1) == first
    place.publish(first, "2026-05-04T10:00:00Z")
    place.clean()
    assert whole(tmp_path) == {"results": [{"run": 0}]}


def test_a_full_output_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "data/out").mkdir()
    (tmp_path / "data/out/mine.txt").write_text("x")
    failed = refused(job(), tmp_path)
    assert (type(failed), failed.reason) == (Terminal, Reason.OUTPUT_NOT_EMPTY)
    assert RUNS == []


@pytest.mark.parametrize(
    ("config", "kind", "reason", "text"),
    [
        (job("Broken"), Retry, Reason.ACTION_FAILED, "ValueError: no model at"),
        (job("Leaves"), Retry, Reason.ACTION_FAILED, "the action ended its process (sys.exit)"),
        (job(params={"inputs": "many"}), Terminal, Reason.PARAMS_INVALID, "validation error for Params"),
        (job("Unfit"), Terminal, Reason.ACTION_FAILED, "the result is not JSON at results.0.x"),
        (job("Deploys"), Terminal, Reason.IMPORT_FAILED, "deploys: name it in the server.action of a"),
        (job("NotThere"), Terminal, Reason.IMPORT_FAILED, "has no attribute 'NotThere'"),
        (job("Params"), Terminal, Reason.IMPORT_FAILED, "is no action"),
    ],
    ids=[
        "an error",
        "sys.exit",
        "parameters",
        "a result that is not JSON",
        "a deployment action",
        "no class",
        "a model",
    ],
)
def test_a_failure_has_its_reason_and_publishes_nothing(
    tmp_path: Path, config: JobConfig, kind: type[Unfinished], reason: Reason, text: str
) -> None:
    failed = refused(config, tmp_path)
    assert (type(failed), failed.reason) == (kind, reason)
    assert text in failed.message
    assert "planted" not in failed.message
    assert {path.name for path in (tmp_path / "data/out").iterdir()} <= {"_staging"}


def test_without_an_output_the_result_is_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(job("Plain", output=""), tmp_path) == action.NOWHERE
    assert '__SYNAPSE_RESULT_START__\n{"result": 7}\n__SYNAPSE_RESULT_END__\n' in capsys.readouterr().out
    assert list((tmp_path / "data").iterdir()) == []


def test_without_a_backend_the_model_of_the_spec_answers(tmp_path: Path) -> None:
    ran(job("Models", model_uri="pvc://models/yolo/v2.zip"), tmp_path)
    assert whole(tmp_path) == {
        "id": 34,
        "name": "v2.zip",
        "version": None,
        "file": "pvc://models/yolo/v2.zip",
    }


def test_a_model_with_an_id_is_no_other(tmp_path: Path) -> None:
    named = job("Models", model_uri="pvc://models/yolo/v2.zip", model_id="34", model_version="7")
    ran(named, tmp_path)
    assert (whole(tmp_path)["id"], whole(tmp_path)["version"]) == (34, "7")
    failed = refused(replace(named, model_id="35", output_uri="pvc://data/other/"), tmp_path)
    assert "the model here is 35: ask for that one, or name a backend" in failed.message


def test_progress_is_told_by_name_and_ends_at_100_once_the_result_is_there(tmp_path: Path) -> None:
    config = job("InSteps")
    counts, told = Counts(config, 1), list[tuple[str, int]]()
    assert (counts.report.category, counts.report.percent) == ("", 0)

    class Listening(Reporter):
        @override
        def tell(self, report: Any) -> None:
            told.append((report.category, report.percent))

    counts.acted(batch_main.act(config, 1, str(tmp_path), counts, Listening(None, print)))
    assert told[0] == ("load_images", 50)
    assert [percent for _, percent in told] == sorted(percent for _, percent in told)
    assert told[-1] == ("measure", 99)
    assert (counts.report.percent, counts.report.rows_done) == (100, 2)
    assert counts.report.output is not None


def test_a_figure_that_falls_is_not_told() -> None:
    counts = Counts(job(), 1)
    counts.acts("inference", 60.9)
    counts.acts("model_load", 10)
    assert (counts.report.category, counts.report.percent) == ("model_load", 60)
    counts.acts("x" * 300, 100.0)
    assert (len(counts.report.category), counts.report.percent) == (253, 99)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    with backend() as server:
        monkeypatch.setenv("SYNAPSE_HOST", server.url)
        monkeypatch.setenv("SYNAPSE_JOB_ID", "7")
        yield server


def test_the_backend_s_job_is_told_of_the_run_and_its_result(tmp_path: Path, one: Backend) -> None:
    ran(job(), tmp_path)
    told = one.jobs["7"]
    assert one.of("PATCH")[0] == {"status": "RUNNING"}
    assert (told["status"], told["result"]) == ("SUCCEEDED", whole(tmp_path))
    assert told["progress_record"]["current_progress"]["overall"] == 100.0
    ran(job(), tmp_path, 2)
    assert one.jobs["7"]["result"] == whole(tmp_path)


@pytest.mark.parametrize(
    ("act", "raised", "text"),
    [("Broken", Retry, "ValueError: no model at"), ("Interrupted", Stopped, "interrupted (Stopped)")],
)
def test_the_backend_s_job_is_told_of_a_failure(
    tmp_path: Path, one: Backend, act: str, raised: type[BaseException], text: str
) -> None:
    with pytest.raises(raised):
        ran(job(act), tmp_path)
    assert one.jobs["7"]["status"] == "FAILED"
    assert text in one.jobs["7"]["result"]["error"]
    assert "planted" not in str(one.jobs["7"])


def test_an_address_that_is_none_is_told_and_not_tried_again(
    tmp_path: Path, one: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_AGENT_TOKEN", TOKEN)
    monkeypatch.setenv("SYNAPSE_AGENT_URL", "agent.planted:8000")
    with pytest.raises(Terminal, match="must begin with http") as caught:
        ran(job(), tmp_path)
    assert caught.value.reason is Reason.INVALID_SPEC
    assert one.jobs["7"]["status"] == "FAILED"
    assert "must begin with http" in one.jobs["7"]["result"]["error"]
    assert "planted" not in f"{caught.value}{one.jobs['7']}"
    monkeypatch.setenv("SYNAPSE_HOST", "backend.planted")
    with pytest.raises(Terminal, match="must begin with http"):
        ran(job(), tmp_path)


def test_records_of_other_versions_are_read() -> None:
    assert loads(ActionRecord, '{"result": {"file": "a", "bytes": 1, "sha256": "b"}, "later": 1}').rows == 0
    old = JobConfig("demo", "score", "u", "m:predict", TablesInput(()), "pvc://data/out")
    assert loads(JobConfig, dumps(old)) == old
    assert "action" not in dumps(old)
    assert loads(JobConfig, dumps(job(params={"deep": {"er": [None]}}))).action == ActionCall(
        {"deep": {"er": [None]}}
    )


def test_a_sink_takes_each_progress(tmp_path: Path) -> None:
    seen: list[ProgressData] = []
    action.run(job(), 1, str(tmp_path), seen.append)
    assert [(told.step, told.overall) for told in seen] == [
        ("model_load", 10.0),
        ("inference", 50.0),
        ("inference", 100.0),
    ]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs one attempt as `python -m raydock.batch` does: exit code, and the report at the end of its log."""
    monkeypatch.setattr(f"{batch_main.__name__}.console.install", lambda *_: None)
    monkeypatch.setattr(f"{batch_main.__name__}.signal.signal", lambda *_: None)

    def driven(config: JobConfig, claims: Path) -> tuple[int, Any]:
        code = batch_main.attempt_at(config, 1, str(claims))
        return code, last_report.find(capsys.readouterr().out)

    return driven


def test_the_driver_ends_well_with_an_action_that_does(tmp_path: Path, driver: Callable[..., Any]) -> None:
    assert driver(job(), tmp_path) == (0, None)
    assert whole(tmp_path)["run"] == 0


def test_the_driver_s_last_word_has_the_reason(tmp_path: Path, driver: Callable[..., Any]) -> None:
    code, told = driver(job(params={"inputs": "many"}), tmp_path)
    assert code == 1
    assert (told.failure.reason, told.failure.final) == ("ParamsInvalid", True)
    code, told = driver(job("Broken"), tmp_path)
    assert (code, told.failure.reason, told.failure.final) == (1, "ActionFailed", False)
    code, told = driver(job("Leaves"), tmp_path)
    assert (code, told.failure.reason) == (1, "ActionFailed"), "an action that leaves with 0 gave no result"


def test_a_sigterm_still_ends_the_driver(tmp_path: Path, driver: Callable[..., Any]) -> None:
    with pytest.raises(Stopped) as ended:
        driver(job("Interrupted"), tmp_path)
    assert ended.value.code == 143
