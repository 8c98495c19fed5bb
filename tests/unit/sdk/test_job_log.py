"""A Ray job's output: what is shown of it, and what its result is; credentials that come by a file."""

import io
import itertools
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.sdk.plugins import entrypoint
from raydock.sdk.plugins.entrypoint import CREDENTIALS_READ, RESULT_END, RESULT_START
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.executors.ray_job import JobLog

OUTPUT = f'one\ntwo\n{CREDENTIALS_READ}\n\n{RESULT_START}\n{{"y": 2}}\n{RESULT_END}\nlast'


@given(st.lists(st.integers(min_value=0, max_value=len(OUTPUT)), max_size=6))
def test_lines_come_whole_however_they_are_cut(cuts: list[int]) -> None:
    said: list[str] = []
    told: list[str] = []
    log = JobLog(said.append, started=lambda: told.append("it has them"))
    places = [0, *sorted(cuts), len(OUTPUT)]
    for start, end in itertools.pairwise(places):
        log.take(OUTPUT[start:end])
    log.close()
    assert (said, log.result, told) == (["one", "two", "", "last"], {"y": 2}, ["it has them"])
    assert log.taken == len(OUTPUT)


def test_what_is_no_result_is_shown() -> None:
    said: list[str] = []
    log = JobLog(said.append)
    log.take(f"{RESULT_START}\nanother process speaks\n[1]\n{RESULT_END}\n")
    assert (said, log.result) == (["another process speaks"], [1])


def test_credentials_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoint, "LOOK_AGAIN_S", 0.001)
    file, out = tmp_path / "lent.json", io.StringIO()
    env = PluginEnvironment({"RAYDOCK_CREDENTIALS_FILE": str(file)})
    found: list[dict[str, str]] = []
    waiting = threading.Thread(target=lambda: found.append(entrypoint.credentials(env, out)))
    waiting.start()
    draft = tmp_path / "draft"
    draft.write_text(json.dumps({"SYNAPSE_ACCESS_TOKEN": "tok", "SYNAPSE_AGENT_ID": 9}))
    draft.replace(file)
    waiting.join()
    assert found == [{"SYNAPSE_ACCESS_TOKEN": "tok", "SYNAPSE_AGENT_ID": "9"}]
    assert out.getvalue() == f"{CREDENTIALS_READ}\n"


def test_credentials_that_do_not_come(tmp_path: Path) -> None:
    env = PluginEnvironment({"RAYDOCK_CREDENTIALS_FILE": str(tmp_path / "nothing")})
    with pytest.raises(TimeoutError, match="did not come within 0 s"):
        entrypoint.credentials(env, io.StringIO(), wait_s=0)
    assert entrypoint.credentials(PluginEnvironment(), io.StringIO()) == {}


@pytest.mark.parametrize("text", ["tok-planted", '["tok-planted"]'])
def test_credentials_of_another_form_are_not_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "lent.json").write_text(text)
    env = PluginEnvironment({"RAYDOCK_CREDENTIALS_FILE": str(tmp_path / "lent.json")})
    with pytest.raises(ValueError, match="want a JSON object") as told:
        entrypoint.credentials(env, io.StringIO())
    assert "planted" not in str(told.value)
