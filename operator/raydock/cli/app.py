"""The `raydock` command."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

import typer

from raydock.cli import agent, batch, login, plugin, validate

app: Final = typer.Typer(
    name="raydock",
    help="Models on Ray in Kubernetes, from plain YAML.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("validate")(validate.validate)
app.add_typer(batch.app, name="batch")
app.add_typer(plugin.app, name="plugin")
app.command("login")(login.login)
app.add_typer(agent.app, name="agent")


@app.command("version")
def show_version() -> None:
    """Print the version of raydock."""
    try:
        print(version("raydock"))
    except PackageNotFoundError:  # run from a checkout or an image, where the package isn't installed as one
        print("unknown")
