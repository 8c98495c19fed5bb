"""A failure's reason as one marked line, which Ray Serve hands on in its own message."""

from typing import Final

from raydock.wire import marked
from raydock.wire.progress import Failure
from raydock.wire.record import dumps

MARK: Final = "RAYDOCK-FAILURE "
MESSAGE_MAX: Final = 2048
"""Characters of a message that users read in a condition (api.md: at most 2 KiB)."""


def line(failure: Failure) -> str:
    """`failure` as the marked line, its message cut."""
    return MARK + dumps(cut(failure))


def find(text: str) -> Failure | None:
    """The last failure marked in `text`, also where Ray quoted the line inside a JSON or repr string."""
    return marked.find(text, MARK, Failure)


def cut(failure: Failure) -> Failure:
    """With the last MESSAGE_MAX characters of its message."""
    return Failure(failure.reason, failure.message[-MESSAGE_MAX:], failure.final)
