"""contracts/actions.md 3: RuntimeContext and PluginEnvironment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raydock.sdk.plugins import connections
from raydock.sdk.plugins.connections import agent_client, backend_client
from raydock.sdk.plugins.context import PluginEnvironment
from tests.unit.sdk.recording import a_context, recorded

GIVEN = PluginEnvironment(
    {
        "text": "x",
        "number": "7",
        "half": "0.5",
        "on": "YES",
        "off": "no",
        "one": 1,
        "list": "a, b,,c",
        "own": ["a"],
    }
)


def test_clients_have_their_old_names() -> None:
    ctx = a_context(client="v1", v2_client="v2")
    assert (ctx.client_v1, ctx.client_v2) == ("v1", "v2")
    with pytest.raises(AttributeError):
        ctx.client_v1 = "another"  # type: ignore[misc]  # that it is read-only is what is tested


@pytest.mark.parametrize(
    ("call", "language", "env", "text"),
    [
        pytest.param("ko", "en", {"SYNAPSE_LANGUAGE": "en"}, "ko", id="call argument"),
        pytest.param(None, "ko", {"SYNAPSE_LANGUAGE": "en"}, "ko", id="language"),
        pytest.param(None, None, {"SYNAPSE_LANGUAGE": "ko"}, "ko", id="env SYNAPSE_LANGUAGE"),
        pytest.param(None, None, {}, "en", id="en"),
    ],
)
def test_the_language(call: str | None, language: str | None, env: dict[str, str], text: str) -> None:
    ctx = a_context(language=language, env=PluginEnvironment(env))
    ctx.log_message({"en": "en", "ko": "ko"}, language=call)
    assert recorded(ctx).texts == [("info", text)]


def test_log_dev_event_is_for_developers() -> None:
    ctx = a_context()
    ctx.log_dev_event("m", {"a": 1})
    (entry,) = recorded(ctx).entries
    assert (entry.event, entry.level) == ("dev_event", "debug")
    assert entry.data == {"content": "m", "data": {"a": 1}}


def test_end_log_tells_that_the_run_is_over() -> None:
    ctx = a_context()
    ctx.end_log()
    assert recorded(ctx).texts == [("info", "Plugin run is complete.")]


@pytest.mark.parametrize(
    ("ask", "want"),
    [
        pytest.param(lambda e: e.get("one"), 1, id="get"),
        pytest.param(lambda e: e.get_str("one"), "1", id="get_str"),
        pytest.param(lambda e: e.get_int("number"), 7, id="get_int"),
        pytest.param(lambda e: e.get_float("half"), 0.5, id="get_float"),
        pytest.param(lambda e: e.get_bool("on"), True, id="get_bool: yes in any case"),
        pytest.param(lambda e: e.get_bool("one"), True, id="get_bool: 1"),
        pytest.param(lambda e: e.get_bool("off"), False, id="get_bool: anything else"),
        pytest.param(lambda e: e.get_list("list"), ["a", "b", "c"], id="get_list: comma-separated"),
        pytest.param(lambda e: e.get_list("own"), ["a"], id="get_list: a list"),
        pytest.param(lambda e: e["text"], "x", id="[]"),
        pytest.param(lambda e: ("text" in e, "none" in e), (True, False), id="in"),
        pytest.param(lambda e: PluginEnvironment(e.to_dict()).to_dict() == e.to_dict(), True, id="to_dict"),
        *[
            pytest.param(lambda e, kind=kind: getattr(e, kind)("none", "dflt"), "dflt", id=f"{kind}: missing")
            for kind in ("get", "get_str", "get_int", "get_float", "get_bool", "get_list")
        ],
    ],
)
def test_an_environment_answers(ask: Callable[[PluginEnvironment], Any], want: Any) -> None:
    assert ask(GIVEN) == want


def test_text_is_no_number() -> None:
    with pytest.raises(ValueError, match="x"):
        GIVEN.get_int("text")


def test_of_several_environments_the_later_wins() -> None:
    merged = PluginEnvironment.merge(PluginEnvironment({"a": 1, "b": 1}), PluginEnvironment({"b": 2}))
    assert merged.to_dict() == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("kwargs", "want"),
    [
        pytest.param({"prefix": "SYN_"}, {"A": "1", "B": "2"}, id="prefix is stripped"),
        pytest.param(
            {"prefixes": ["SYN_", "OTHER_"]},
            {"SYN_A": "1", "SYN_B": "2", "OTHER_C": "3"},
            id="prefixes keep names",
        ),
        pytest.param({"prefix": "SYN_", "prefixes": ["OTHER_"]}, {"OTHER_C": "3"}, id="prefixes win"),
    ],
)
def test_the_environment_of_the_process(
    monkeypatch: pytest.MonkeyPatch, kwargs: dict[str, Any], want: dict[str, str]
) -> None:
    for name, value in (("SYN_A", "1"), ("SYN_B", "2"), ("OTHER_C", "3")):
        monkeypatch.setenv(name, value)
    assert PluginEnvironment.from_environ(**kwargs).to_dict() == want


def test_an_environment_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "env.toml").write_text('a = "x"\nb = [1, 2]\n')
    assert PluginEnvironment.from_file(tmp_path / "env.toml").to_dict() == {"a": "x", "b": [1, 2]}


def test_an_environment_shows_names_only() -> None:
    assert (
        repr(PluginEnvironment({"SYNAPSE_ACCESS_TOKEN": "s3cret"}))
        == "PluginEnvironment(SYNAPSE_ACCESS_TOKEN)"
    )


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Arguments that clients were made with."""
    seen: list[Any] = []
    monkeypatch.setattr(connections, "_client", lambda *_: lambda *args, **named: seen.append((args, named)))
    return seen


HOST = {"SYNAPSE_HOST": "http://one"}


@pytest.mark.parametrize(
    ("env", "url", "tokens"),
    [
        pytest.param(
            {**HOST, "SYNAPSE_ACCESS_TOKEN": "a"},
            "http://one",
            ("a", None, None),
            id="SYNAPSE_HOST, access token",
        ),
        pytest.param(
            {**HOST, "SYNAPSE_PLUGIN_RUN_HOST": "http://two"},
            "http://two",
            (None, None, None),
            id="SYNAPSE_PLUGIN_RUN_HOST first",
        ),
        pytest.param(
            {
                **HOST,
                "SYNAPSE_ACCESS_TOKEN": "a",
                "SYNAPSE_PLUGIN_RUN_USER_TOKEN": "u",
                "SYNAPSE_PLUGIN_RUN_TENANT": "t",
            },
            "http://one",
            (None, "u", "t"),
            id="user-token pair, preferred over the access token",
        ),
    ],
)
def test_the_backends_client(made: list[Any], env: dict[str, str], url: str, tokens: Any) -> None:
    backend_client(PluginEnvironment(env))
    (((where,), named),) = made
    assert where == url
    assert (named["access_token"], named["authorization_token"], named["tenant"]) == tokens


@pytest.mark.parametrize(
    ("env", "there"),
    [
        pytest.param({"SYNAPSE_AGENT_URL": "http://a", "SYNAPSE_AGENT_TOKEN": "t"}, True, id="URL and token"),
        pytest.param({"SYNAPSE_AGENT_URL": "http://a"}, False, id="no token"),
        pytest.param({"SYNAPSE_AGENT_TOKEN": "t"}, False, id="no URL"),
    ],
)
def test_the_agents_client_needs_both(made: list[Any], env: dict[str, str], there: bool) -> None:
    agent_client(PluginEnvironment(env))
    assert bool(made) == there


def test_without_a_url_there_is_no_client(made: list[Any]) -> None:
    assert backend_client(PluginEnvironment({"SYNAPSE_ACCESS_TOKEN": "a"})) is None
    assert made == []
