"""Where a column's values name files, and what a value becomes once these are read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pyarrow as pa
from typing_extensions import override

from raydock.batch.inputs.place import Unreadable
from raydock.batch.inputs.reading import invalid
from raydock.wire.job import ColumnHandling

AUDIO: Final = "Audio"
"""A way to convert beside those of ColumnHandling.convert_to: Base64 and a format, see `Sound`."""
_URLS: Final = ("image_url", "video_url")


@dataclass(frozen=True)
class Reference:
    """A file as a value names it, and the form in which it is wanted."""

    name: str
    way: str


@dataclass(frozen=True)
class Sound:
    """A file as OpenAI's `input_audio` has it."""

    data: str
    format: str


class Column(Protocol):
    """One column of names. Values are those of pyarrow's `to_pylist`."""

    type: pa.DataType
    """What it has once it is converted."""

    def parsed(self, value: Any) -> Any:
        """`value` as the other functions take it. Raises Unreadable."""

    def references(self, value: Any) -> list[Reference]:
        """What `value` names, in order."""

    def filled(self, value: Any, found: Iterator[Any]) -> Any:
        """`value` with the next of `found` in the place of each reference."""


def column(name: str, kind: pa.DataType, how: ColumnHandling) -> Column:
    """The column `name` of type `kind`. Raises Terminal(INPUT_INVALID) where its type can name no file."""
    if how.input_format == "Messages":
        return Messages(name, kind)
    return Paths(name, kind, how.convert_to)


class Paths(Column):
    """A path in each value, or lists of them."""

    def __init__(self, name: str, kind: pa.DataType, way: str) -> None:
        if not (pa.types.is_null(_leaf(kind)) or _is_text(_leaf(kind))):
            raise invalid(
                f"columns: {name!r} is {kind}, which names no file: it must be text, or a list of text"
            )
        self.type = _with_leaf(kind, pa.binary() if way == "RawBytes" else pa.string())
        self._way = way

    @override
    def parsed(self, value: Any) -> Any:
        return value

    @override
    def references(self, value: Any) -> list[Reference]:
        if isinstance(value, list):
            return [one for inner in value for one in self.references(inner)]
        return [] if value is None else [Reference(value, self._way)]

    @override
    def filled(self, value: Any, found: Iterator[Any]) -> Any:
        if isinstance(value, list):
            return [self.filled(inner, found) for inner in value]
        return None if value is None else next(found)


class Messages(Column):
    """OpenAI chat messages, as JSON text or nested. Whatever in them is no URI stays as it is."""

    def __init__(self, name: str, kind: pa.DataType) -> None:
        self._is_text = _is_text(kind)
        if not (self._is_text or pa.types.is_null(kind) or pa.types.is_struct(_leaf(kind))):
            raise invalid(
                f"columns: {name!r} is {kind}, which holds no messages: it must be JSON text or nested"
            )
        self.type = pa.string() if self._is_text else _with_format(kind)

    @override
    def parsed(self, value: Any) -> Any:
        if value is None or not self._is_text:
            return value
        try:
            found = json.loads(value)
        except (ValueError, RecursionError) as exc:
            raise Unreadable(f"its messages are no JSON: {exc}") from None
        if not isinstance(found, list | dict):
            raise Unreadable("its messages are JSON, but no list of messages")
        return found

    @override
    def references(self, value: Any) -> list[Reference]:
        return [
            Reference(holder[key], AUDIO if key == "data" else "Base64DataUrl")
            for holder, key in _media(value)
        ]

    @override
    def filled(self, value: Any, found: Iterator[Any]) -> Any:
        for holder, key in _media(value):
            content = next(found)
            if isinstance(content, Sound):
                holder[key] = content.data
                holder["format"] = holder.get("format") or content.format
            else:
                holder[key] = content
        # In ASCII: half of a surrogate pair, which JSON may hold, is no text that Arrow takes.
        return json.dumps(value) if self._is_text and value is not None else value


def _media(value: Any) -> list[tuple[dict[str, Any], str]]:
    """Objects in `value` and their members that are URIs of media, in order."""
    found = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(reversed(one))
        elif isinstance(one, dict):
            for name in _URLS:
                inner = one.get(name)
                holder, key = (inner, "url") if isinstance(inner, dict) else (one, name)
                if _is_uri(holder.get(key)):
                    found.append((holder, key))
            audio = one.get("input_audio")
            if isinstance(audio, dict) and _is_uri(audio.get("data")):
                found.append((audio, "data"))
            waiting.extend(reversed(one.values()))
    return found


def _is_uri(value: Any) -> bool:
    """Whether a text names a file: neither a data URL nor Base64 has `://` in it, up to where it matters."""
    return isinstance(value, str) and "://" in value[:32] and not value.startswith("data:")


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _leaf(kind: pa.DataType) -> pa.DataType:
    return _leaf(kind.value_type) if _is_list(kind) else kind


def _with_leaf(kind: pa.DataType, leaf: pa.DataType) -> pa.DataType:
    return pa.list_(_with_leaf(kind.value_type, leaf)) if _is_list(kind) else leaf


def _with_format(kind: pa.DataType) -> pa.DataType:
    """`kind` with room for the format of a sound."""
    if _is_list(kind):
        return pa.list_(_with_format(kind.value_type))
    if not pa.types.is_struct(kind):
        return kind
    fields = [field.with_type(_with_format(field.type)) for field in kind]
    for index, field in enumerate(fields):
        if field.name == "input_audio" and pa.types.is_struct(field.type):
            members = list(field.type)
            if "data" in [one.name for one in members] and "format" not in [one.name for one in members]:
                fields[index] = field.with_type(pa.struct([*members, pa.field("format", pa.string())]))
    return pa.struct(fields)
