"""How commands about plugins fail: one line on standard error, and exit code 1."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import typer

from raydock.cli.synapse_config import ConfigError
from raydock.client.errors import ClientError as ClusterError
from raydock.remote.errors import ClientError
from raydock.remote.redaction import without_credentials
from raydock.sdk.plugins.errors import ExecutionError, PluginError
from raydock.sdk.utils.redaction import redact_text, secret_values

FAILED: Final = 1
KNOWN: Final = (
    *(ConfigError, ClusterError, ClientError, PluginError),
    *(ImportError, OSError, RuntimeError, ValueError),
)
"""Ray's job client raises RuntimeError and ConnectionError; a plugin's modules may lack a package."""


@contextmanager
def told(variables: Mapping[str, str] | None = None) -> Iterator[None]:
    """The command's text for what goes wrong inside. Values of `variables` are told nobody."""
    try:
        yield
    except (typer.Exit, typer.Abort):  # RuntimeErrors too
        raise
    except KNOWN as error:
        print(f"error: {said(error, variables or {})}", file=sys.stderr)
        raise typer.Exit(FAILED) from None


def said(error: BaseException, variables: Mapping[str, str]) -> str:
    """What `error` says, without credentials; of an action or a service, without addresses too."""
    if isinstance(error, ConfigError | ClusterError):
        return str(error)  # ours, and about places that the user has to look at
    if isinstance(error, ClientError):
        detail = "" if error.detail in (None, "") else f": {error.detail}"
        status = f" ({error.status_code})" if error.status_code else ""
        return redacted(f"{type(error).__name__}{status}{detail}", variables)
    text = str(error) or type(error).__name__
    if isinstance(error, ExecutionError):
        return redacted(text, variables)
    return without_credentials(text, secret_values(variables))


def redacted(text: str, variables: Mapping[str, str]) -> str:
    """`text` of somebody else's code, without credentials and addresses."""
    return redact_text(text, secret_values(variables))
