"""Results of actions, as they travel."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def result_record(result: Any) -> dict[str, Any]:
    """`result` as a JSON object: a model dumped, a dict as it is, another value under `result`.

    Raises TypeError, or ValueError for NaN and infinities, which names the first key that JSON cannot hold.
    """
    if isinstance(result, BaseModel):
        record: dict[str, Any] = result.model_dump(mode="json")
    else:
        record = result if isinstance(result, dict) else {"result": result}
    try:
        json.dumps(record, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        where = _first_unfit(record, ())
        raise type(error)(f"the result is not JSON at {where}: {_cure(error)}") from error
    return record


def _cure(error: Exception) -> str:
    return f"{error}; return numbers, texts, lists and dicts"


def _first_unfit(value: Any, path: tuple[str, ...]) -> str:
    """Path of the innermost part of `value` that JSON cannot hold; those around it fail for its sake."""
    inner: list[tuple[Any, Any]] = []
    if len(path) < 100 and isinstance(value, Mapping):
        inner = list(value.items())
    elif len(path) < 100 and isinstance(value, list | tuple):
        inner = list(enumerate(value))
    for key, part in inner:
        try:
            json.dumps({key: part}, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return _first_unfit(part, (*path, str(key)))
    return ".".join(path) or "its top"
