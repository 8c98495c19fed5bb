"""Runs an action where raydock runs it, and tells its end by a reason (contracts/actions.md 2, 6, 7)."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from raydock.errors import Stopped
from raydock.models.entry import LoadFailed, cut_traceback, load_attribute, without_secrets
from raydock.reasons import Reason
from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.discovery import load_action
from raydock.sdk.utils.redaction import redact_text, secret_values
from raydock.wire import paths

SHOWN_MAX: Final = 1000
"""Characters of what the parameters' model says."""

Action = type[BaseAction[Any]]


def action_of(entrypoint: str) -> Action:
    """The action that `module:Class` names. Raises LoadFailed(IMPORT_FAILED)."""
    found = load_attribute(entrypoint)  # a failed import is told with the end of its traceback
    try:
        return load_action(entrypoint)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is no action
        told = f"{entrypoint} is of type {type(found).__name__}: {without_secrets(str(error))}"
        raise LoadFailed(Reason.IMPORT_FAILED, told) from None


def dispatched(action: Action, params: Mapping[str, Any], context: RuntimeContext) -> Any:
    """What `action` returns, run in the folder of the code where there is one.

    Raises LoadFailed: PARAMS_INVALID for parameters that are not as its model has them, else ACTION_FAILED;
    Stopped after a SIGTERM.
    """
    secrets = hidden(context)
    try:
        with _in_code_folder():
            return action.dispatch(dict(params), context)
    except ValidationError as error:
        if action.params_model is None or error.title != action.params_model.__name__:
            raise _failed(error, secrets) from None
        told = redact_text(without_secrets(str(error)), secrets)[:SHOWN_MAX]
        raise LoadFailed(Reason.PARAMS_INVALID, f"server.action.params: {told}") from None
    except Stopped:
        raise
    except SystemExit:  # with code 0 it would look like a success
        told = "the action ended its process (sys.exit): let it return its result, or raise an error"
        raise LoadFailed(Reason.ACTION_FAILED, told) from None
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        raise _failed(error, secrets) from None


def hidden(context: RuntimeContext) -> tuple[str, ...]:
    """Texts that nothing which is told may hold: credentials, and the addresses of services."""
    own = [getattr(client, "hidden", ()) for client in (context.client, context.agent_client)]
    known = (text for texts in own if isinstance(texts, tuple) for text in texts)
    return (*secret_values(context.env.to_dict()), *known)


def _failed(error: Exception, secrets: Collection[str]) -> LoadFailed:
    told = redact_text(cut_traceback(error), secrets)
    return LoadFailed(Reason.ACTION_FAILED, f"the action raised an error:\n{told}")


@contextlib.contextmanager
def _in_code_folder() -> Iterator[None]:
    """Where config.yaml and requirements.txt of a plugin lie whose code is in a ConfigMap."""
    with contextlib.chdir(paths.CODE_DIR) if Path(paths.CODE_DIR).is_dir() else contextlib.nullcontext():
        yield
