"""The user's `module:attribute`: imported by name; what goes wrong there, told without secrets."""

import importlib
import os
import re
import traceback
from collections.abc import Mapping
from typing import Final

from typing_extensions import override

from raydock.reasons import Reason
from raydock.wire.progress import Failure

TRACEBACK_MAX: Final = 1700
"""Characters of a traceback; with the sentence before it still below wire.failure.MESSAGE_MAX."""
SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
"""Names of environment variables whose values are cut out of messages."""
SECRET_MIN: Final = 4
"""Characters. Shorter values (`1`, `yes`) are no secrets, and cutting them out would shred a message."""
CUT: Final = "[cut]"

_NOT_THE_USERS = ("<frozen importlib", f"{os.sep}importlib{os.sep}", f"{os.sep}raydock{os.sep}")
"""Files whose frames tell a user nothing about his own code."""


class LoadFailed(Exception):
    """Code or model that cannot be loaded; the same again until the spec, the code or the file changes."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @override
    def __reduce__(self) -> tuple[type["LoadFailed"], tuple[Reason, str]]:
        return type(self), (self.reason, self.message)  # Ray pickles what a worker raises

    def failure(self) -> Failure:
        """As the wire carries it. Not `final` for ModelLoadFailed: a network may be back at the next try."""
        return Failure(self.reason.value, self.message, final=self.reason is not Reason.MODEL_LOAD_FAILED)


def load_attribute(import_path: str) -> object:
    """The object that `module:attribute` names; the attribute may be dotted.

    Raises LoadFailed(IMPORT_FAILED) whose message ends with the traceback, secrets cut out.
    """
    module_name, _, attribute = import_path.partition(":")
    if not module_name or not attribute:
        raise LoadFailed(Reason.IMPORT_FAILED, f"{import_path!r} is no import path: write module:attribute")
    try:
        found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as exc:
        said = f"importing {module_name} failed:\n{cut_traceback(exc)}"
        raise LoadFailed(Reason.IMPORT_FAILED, said) from exc
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise LoadFailed(Reason.IMPORT_FAILED, f"module {module_name} has no attribute {attribute!r}")
        found = getattr(found, name)
    return found


def cut_traceback(exc: BaseException) -> str:
    """The end of `exc`'s traceback, at most TRACEBACK_MAX characters, whole lines, secrets cut out."""
    told = traceback.TracebackException.from_exception(exc)
    _keep_users_frames(told)
    return _end_of(without_secrets("".join(told.format()).strip()), TRACEBACK_MAX)


def without_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` less each value of an environment variable whose name looks like a secret's."""
    known = os.environ if environment is None else environment  # noqa: TID251 - what must not be told is known here only
    secrets = {
        value for name, value in known.items() if SECRET_NAME.search(name) and len(value) >= SECRET_MIN
    }
    for secret in sorted(secrets, key=len, reverse=True):  # a secret may contain another
        text = text.replace(secret, CUT)
    return text


def _keep_users_frames(told: traceback.TracebackException) -> None:
    kept = [frame for frame in told.stack if not any(part in frame.filename for part in _NOT_THE_USERS)]
    told.stack = traceback.StackSummary.from_list(kept)
    for before in (told.__cause__, told.__context__):
        if before is not None:
            _keep_users_frames(before)


def _end_of(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = text[-limit:]
    first_whole_line = end.find("\n") + 1
    return "…\n" + end[first_whole_line:]
