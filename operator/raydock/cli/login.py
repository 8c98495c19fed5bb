"""`raydock login`: the backend and the credentials that actions and commands use."""

from typing import Annotated

import typer


def login(
    host: Annotated[
        str | None, typer.Option("--host", help="URL of the backend. Default: asked.", show_default=False)
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", "-t", help="Access token. Default: asked.", show_default=False)
    ] = None,
    user_token: Annotated[
        str | None,
        typer.Option(
            "--user-token", help="A user's token; it wins over an access token.", show_default=False
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Tenant of the user's token.", show_default=False)
    ] = None,
) -> None:
    """Keep a backend's URL and credentials in ~/.synapse/config.json, which only its owner can read.

    Variables such as SYNAPSE_HOST and SYNAPSE_ACCESS_TOKEN win over the file.
    """
    from raydock.cli import ask, synapse_config  # noqa: PLC0415 - `raydock --help` needs neither
    from raydock.cli.failing import told  # noqa: PLC0415 - likewise
    from raydock.remote.terms import base_url, is_header_value  # noqa: PLC0415 - likewise

    with told():
        stored = synapse_config.load()
        before = str(stored.get("host") or "")
        host = host or ask.text("Backend URL", default=before or None, instead="--host and --token")
        base_url(host, "the backend's")  # raises for what is no URL
        if not token and not user_token:
            token = ask.text("Access token", hidden=True, instead="--token")
        credentials = {"access_token": token, "user_token": user_token, "tenant": tenant}
        kept = {name: value.strip() for name, value in credentials.items() if value and value.strip()}
        if not kept.keys() & {"access_token", "user_token"}:
            raise ValueError("a token is needed: give --token")
        if not all(is_header_value(value) for value in kept.values()):
            raise ValueError("tokens want one line of ASCII each")
        # All credentials are replaced: those of before belong to another login, or to another host.
        others = {name: value for name, value in stored.items() if name not in credentials}
        synapse_config.save({**others, "host": host.strip(), **kept})
    print(f"logged in to {host.strip()}: kept in {synapse_config.config_path()}")
