"""`raydock agent`: which capacity agent actions ask, and whose cluster their jobs go to."""

from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Choose the capacity agent that plugins are run with.")

Host = Annotated[
    str | None, typer.Option("--host", help="URL of the backend. Default: the login's.", show_default=False)
]
Token = Annotated[
    str | None, typer.Option("--token", "-t", help="Access token. Default: the login's.", show_default=False)
]


@app.command("select")
def select(
    agent: Annotated[
        str | None, typer.Argument(help="Its id or name. Default: asked.", show_default=False)
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Its URL; the backend is then not asked for it.", show_default=False),
    ] = None,
    agent_token: Annotated[
        str | None, typer.Option("--agent-token", help="Its token.", show_default=False)
    ] = None,
    host: Host = None,
    token: Token = None,
) -> None:
    """Choose one of the backend's agents, and keep it in ~/.synapse/config.json."""
    from raydock.cli import synapse_config  # noqa: PLC0415 - `raydock --help` needs none of them
    from raydock.cli.failing import told  # noqa: PLC0415 - likewise

    variables: dict[str, str] = {}
    with told(variables):
        if url:
            if not agent:
                raise ValueError("give the agent's id beside --url")
            found: dict[str, Any] = {"id": agent, "url": url}
        else:
            variables |= synapse_config.effective(host, token)
            found = _asked(variables, agent)
        found = {name: found.get(name) for name in ("id", "name", "url", "token")}
        if agent_token:
            found["token"] = agent_token
        kept = {name: value for name, value in found.items() if value not in (None, "")}
        synapse_config.save({**synapse_config.load(), "agent": kept})
    print(f"agent {_title(kept)}")
    if not kept.get("token") or not kept.get("url"):
        print("its capacity is not asked without a URL and a token: --url, --agent-token")


@app.command("show")
def show() -> None:
    """Show the chosen agent; of its token, only whether there is one."""
    from raydock.cli import synapse_config  # noqa: PLC0415 - `raydock --help` needs none of them
    from raydock.cli.failing import told  # noqa: PLC0415 - likewise

    with told():
        known = synapse_config.effective()
        chosen = synapse_config.load().get("agent") or {}
    names = synapse_config.AGENT
    if not any(known.get(variable) for variable in names.values()):
        print("no agent is chosen: raydock agent select")
        raise typer.Exit(1)
    name = chosen.get("name") if str(chosen.get("id")) == known.get(names["id"]) else None
    for title, value in (
        ("Id", known.get(names["id"])),
        ("Name", name),
        ("URL", known.get(names["url"])),
        ("Token", "set" if known.get(names["token"]) else "not set"),
    ):
        if value:
            print(f"{title + ':':<8}{value}")


@app.command("clear")
def clear(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget the chosen agent."""
    from raydock.cli import ask, synapse_config  # noqa: PLC0415 - `raydock --help` needs none of them
    from raydock.cli.failing import told  # noqa: PLC0415 - likewise

    with told():
        stored = synapse_config.load()
        chosen = stored.pop("agent", None)
        if chosen is None:
            print("no agent was chosen")
            return
        if not yes and ask.text("Forget the agent? (y/n)", default="n", instead="--yes").lower() != "y":
            raise typer.Exit(1)
        synapse_config.save(stored)
    print("no agent is chosen any more")


def _asked(variables: dict[str, str], wanted: str | None) -> dict[str, Any]:
    """The agent that was meant, as the backend describes it. Raises ConfigError, ClientError, ValueError."""
    from raydock.cli import ask, synapse_config  # noqa: PLC0415 - `raydock --help` needs none of them
    from raydock.sdk.plugins.connections import backend_client  # noqa: PLC0415 - likewise
    from raydock.sdk.plugins.environment import PluginEnvironment  # noqa: PLC0415 - likewise

    synapse_config.require_login(variables)
    agents = backend_client(PluginEnvironment(variables)).list_agents()
    if not agents:
        raise ValueError("the backend has no agents: give --url, --agent-token and an id")
    if wanted is None:
        titles = [_title(one) for one in agents]
        return dict(agents[ask.choice("Agent", titles, instead="its id or name")])
    match = [one for one in agents if wanted in (str(one.get("id")), one.get("name"))]
    if len(match) != 1:
        known = ", ".join(_title(one) for one in agents)
        many = "more than one" if match else "no"
        raise ValueError(f"{many} agent {wanted}: write the id of one of {known}")
    return dict(match[0])


def _title(agent: dict[str, Any]) -> str:
    name = f" {agent['name']}" if agent.get("name") else ""
    return f"{agent.get('id')}{name}"
