"""A record as one marked line of a text that others quote and cut: Ray's and KubeRay's messages."""

import json
import re
from typing import TypeVar

from raydock.wire.record import WireError, loads

T = TypeVar("T")


def find(text: str, mark: str, shape: type[T]) -> T | None:
    """The last record of `shape` behind `mark` in `text`, also inside a JSON or repr string."""
    # Ray cuts long texts: the last mark may have lost its end. A message may hold one. An earlier one tells.
    for found in reversed(list(re.finditer(re.escape(mark), text))):
        rest = text[found.end() :]
        for candidate in (rest, _unquoted(rest)):
            end = _object_end(candidate)
            if end:
                try:
                    return loads(shape, candidate[:end])
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
