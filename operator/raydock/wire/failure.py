"""A failure's reason as one marked line: all that Ray's own message keeps when the operator was away."""

import json
import re
from typing import Final

from raydock.wire.progress import Failure
from raydock.wire.record import WireError, dumps, loads

MARK: Final = "RAYDOCK-FAILURE "
MESSAGE_MAX: Final = 2048
"""Characters of a message that users read in a condition (api.md: at most 2 KiB)."""


def line(failure: Failure) -> str:
    """`failure` as the marked line, its message cut to the last MESSAGE_MAX characters."""
    return MARK + dumps(Failure(failure.reason, failure.message[-MESSAGE_MAX:], failure.final))


def find(text: str) -> Failure | None:
    """The last failure marked in `text`, also where Ray quoted the line inside a JSON or repr string."""
    # Ray cuts long texts: the last mark may have lost its end. A message may hold one. An earlier one tells.
    for mark in reversed(list(re.finditer(re.escape(MARK), text))):
        rest = text[mark.end() :]
        for candidate in (rest, _unquoted(rest)):
            end = _object_end(candidate)
            if end:
                try:
                    return loads(Failure, candidate[:end])
                except WireError:
                    continue
    return None


def _object_end(text: str) -> int:
    """Length of the JSON object that `text` starts with; 0 when there is none."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return 0
    return end


def _unquoted(text: str) -> str:
    return text.replace('\\"', '"').replace("\\\\", "\\")
