"""contracts/actions.md 13: ~/.synapse/config.json, `raydock login` and `raydock agent`."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raydock.cli.synapse_config import ConfigError, config_path, given, load, require_login, variables
from tests.kit.backend import Backend, backend
from tests.unit.cli.plugins import raydock

HOST = "https://backend.example"
STORED = {
    "host": HOST,
    "access_token": "stored-access",
    "user_token": "stored-user",
    "tenant": "acme",
    "agent": {"id": 9, "name": "gpu", "url": "https://agent.example", "token": "stored-agent"},
}


@pytest.fixture
def server(home: Path) -> Iterator[Backend]:
    with backend() as found:
        found.agents += [{"id": 9, "name": "gpu", "url": "https://agent.example"}, {"id": 10, "name": "cpu"}]
        yield found


def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(config_path().read_text())
    return found


def test_a_login_is_kept_for_its_owner_only(home: Path) -> None:
    done = raydock("login", "--host", HOST, "--token", "tok-1")
    assert done.exit_code == 0
    assert kept() == {"host": HOST, "access_token": "tok-1"}
    assert stat.S_IMODE(config_path().stat().st_mode) == 0o600
    assert config_path() == home / ".synapse" / "config.json"
    assert "tok-1" not in done.output


def test_another_login_takes_the_place_of_the_first_but_for_the_agent(home: Path) -> None:
    config_path().parent.mkdir()
    config_path().write_text(json.dumps(STORED))
    config_path().chmod(0o644)
    raydock("login", "--host", "https://other.example", "-t", "tok-2")
    assert kept() == {"agent": STORED["agent"], "host": "https://other.example", "access_token": "tok-2"}
    assert stat.S_IMODE(config_path().stat().st_mode) == 0o600
    assert [path.name for path in config_path().parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        pytest.param([], 2, "--host and --token", id="nobody to ask"),
        pytest.param(["--host", HOST], 2, "--token", id="nobody to ask for the token"),
        pytest.param(["--host", "backend", "-t", "x"], 1, "must begin with http", id="no URL"),
        pytest.param(["--host", HOST, "-t", "a\nb"], 1, "one line of ASCII", id="no header"),
    ],
)
def test_a_login_that_cannot_be(home: Path, args: list[str], code: int, says: str) -> None:
    done = raydock("login", *args)
    assert done.exit_code == code
    assert says in done.stderr
    assert not config_path().exists()


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_file_that_is_none_is_told(home: Path, text: str) -> None:
    config_path().parent.mkdir()
    config_path().write_text(text)
    with pytest.raises(ConfigError, match="correct it, or take it away"):
        load()


@pytest.mark.parametrize(
    ("known", "want"),
    [
        pytest.param(
            {},
            {
                "SYNAPSE_HOST": HOST,
                "SYNAPSE_ACCESS_TOKEN": "stored-access",
                "SYNAPSE_PLUGIN_RUN_USER_TOKEN": "stored-user",
                "SYNAPSE_PLUGIN_RUN_TENANT": "acme",
                "SYNAPSE_AGENT_ID": "9",
                "SYNAPSE_AGENT_URL": "https://agent.example",
                "SYNAPSE_AGENT_TOKEN": "stored-agent",
            },
            id="all of the file",
        ),
        pytest.param(
            {"SYNAPSE_ACCESS_TOKEN": "mine", "SYNAPSE_AGENT_URL": "https://elsewhere.example"},
            {
                "SYNAPSE_HOST": HOST,
                "SYNAPSE_ACCESS_TOKEN": "mine",
                "SYNAPSE_PLUGIN_RUN_TENANT": "acme",
                "SYNAPSE_AGENT_URL": "https://elsewhere.example",
            },
            id="a token of the environment stands alone, and another agent gets no token",
        ),
        pytest.param(
            {"SYNAPSE_HOST": "https://stranger.example", "SYNAPSE_AGENT_URL": "https://elsewhere.example"},
            {"SYNAPSE_HOST": "https://stranger.example", "SYNAPSE_AGENT_URL": "https://elsewhere.example"},
            id="another host gets none of the file's credentials",
        ),
        pytest.param(
            {"SYNAPSE_HOST": f"{HOST.upper()}/", "SYNAPSE_AGENT_URL": "https://elsewhere.example"},
            {
                "SYNAPSE_HOST": f"{HOST.upper()}/",
                "SYNAPSE_ACCESS_TOKEN": "stored-access",
                "SYNAPSE_PLUGIN_RUN_USER_TOKEN": "stored-user",
                "SYNAPSE_PLUGIN_RUN_TENANT": "acme",
                "SYNAPSE_AGENT_URL": "https://elsewhere.example",
            },
            id="the same host in other letters",
        ),
    ],
)
def test_the_environment_wins(known: dict[str, str], want: dict[str, str]) -> None:
    assert variables(STORED, known) == want


def test_options_win_over_the_environment() -> None:
    known = {"SYNAPSE_HOST": HOST, "SYNAPSE_PLUGIN_RUN_USER_TOKEN": "u", "SYNAPSE_PLUGIN_RUN_TENANT": "acme"}
    here = {"SYNAPSE_PLUGIN_RUN_HOST": HOST, "SYNAPSE_HOST": HOST}
    assert given(known, HOST, "t") == {
        **here,
        "SYNAPSE_PLUGIN_RUN_TENANT": "acme",
        "SYNAPSE_ACCESS_TOKEN": "t",
    }
    other = "https://other.example"
    assert given(known, other, None) == {"SYNAPSE_PLUGIN_RUN_HOST": other, "SYNAPSE_HOST": other}


def test_there_is_no_host_that_everybody_is_sent_to() -> None:
    with pytest.raises(ConfigError, match="No backend host"):
        require_login({"SYNAPSE_ACCESS_TOKEN": "t"})
    with pytest.raises(ConfigError, match="Not logged in"):
        require_login({"SYNAPSE_HOST": HOST})


@pytest.mark.parametrize("wanted", ["9", "gpu"])
def test_an_agent_is_selected_by_id_or_name(server: Backend, wanted: str) -> None:
    raydock("login", "--host", server.url, "-t", "tok-1")
    done = raydock("agent", "select", wanted, "--agent-token", "agent-tok")
    assert (done.exit_code, done.stdout) == (0, "agent 9 gpu\n")
    assert kept()["agent"] == {"id": 9, "name": "gpu", "url": "https://agent.example", "token": "agent-tok"}
    shown = raydock("agent", "show").stdout
    assert shown.split() == ["Id:", "9", "Name:", "gpu", "URL:", "https://agent.example", "Token:", "set"]


def test_an_agent_that_there_is_not(server: Backend) -> None:
    done = raydock("agent", "select", "11", "--host", server.url, "-t", "tok-1")
    assert done.exit_code == 1
    assert done.stderr == "error: no agent 11: write the id of one of 9 gpu, 10 cpu\n"


def test_an_agent_without_a_backend(home: Path) -> None:
    done = raydock("agent", "select", "3", "--url", "https://agent.example")
    assert done.exit_code == 0
    assert kept() == {"agent": {"id": "3", "url": "https://agent.example"}}
    assert raydock("agent", "clear").exit_code == 2  # nobody to ask
    assert raydock("agent", "clear", "--yes").exit_code == 0
    assert kept() == {}
    assert raydock("agent", "show").exit_code == 1


def test_whom_to_ask_must_be_known(home: Path) -> None:
    done = raydock("agent", "select")
    assert (done.exit_code, done.stderr) == (
        1,
        "error: No backend host: run `raydock login`, or set SYNAPSE_HOST\n",
    )
