"""Columns that name files: what the model gets in place of each name.

The values of the input stay in the batch, for `output.carry`; what became of them stands beside, in a column
of a name that no user's column has.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pyarrow as pa

from raydock.batch.inputs import references
from raydock.batch.inputs.at_once import each, threads
from raydock.batch.inputs.media import audio_format, type_of
from raydock.batch.inputs.place import Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Rows, invalid
from raydock.batch.inputs.references import Sound
from raydock.wire.job import ColumnHandling, JobConfig

T = TypeVar("T")

PIECE_BYTES: Final = 64 << 20
"""Bytes of files that are held at once: a batch with more of them is cut."""
FILE_MAX: Final = 512 << 20
"""Bytes of one file that is read for a row."""
ASSUMED_BYTES: Final = 8 << 20
"""Of a file whose server does not say how large it is."""
TOLD_MAX: Final = 200
"""Characters of a name that a message shows."""
_CONVERTED: Final = "\0converted "


@dataclass(frozen=True)
class Converted:
    """Some rows, and which of them name what cannot be read: index in the batch, and why."""

    batch: pa.RecordBatch
    unreadable: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class _File:
    """One file in one form."""

    uri: str
    way: str


def handled(config: JobConfig, names: Sequence[str]) -> dict[str, ColumnHandling]:
    """How columns are handled, by their names in the input. Raises Terminal(INPUT_INVALID).

    A column is known by its exact name, else by the only one that differs in case.
    """
    if config.files is not None:
        return {config.files.column: ColumnHandling("Path", config.files.convert_to)}
    found: dict[str, ColumnHandling] = {}
    for name, how in config.columns.items():
        alike = [name] if name in names else [one for one in names if one.casefold() == name.casefold()]
        if len(alike) != 1:
            told = f"could be any of {', '.join(alike)}" if alike else "is none of those that are read"
            raise invalid(f"columns: {name!r} {told}; the input has {', '.join(names)}")
        if alike[0] in found:
            raise invalid(f"columns: {name!r} names {alike[0]!r} a second time")
        found[alike[0]] = how
    return found


class Converter:
    """Converts the batches of a job. `names`: the columns that are read."""

    def __init__(self, config: JobConfig, names: Sequence[str], places: Places) -> None:
        self._given = config.tables.columns
        # A column that is only carried is not shown to the model.
        found = handled(config, names)
        self._handled = {name: found[name] for name in found if not self._given or name in self._given}
        self._places = places

    def given(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What the model gets of a batch that `convert` made."""
        names = list(self._given) or [name for name in batch.schema.names if not name.startswith(_CONVERTED)]
        columns = batch.select([_CONVERTED + name if name in self._handled else name for name in names])
        return columns.rename_columns(names) if self._handled else columns

    def convert(self, rows: Rows) -> Iterator[Converted]:
        """`rows` with the converted columns beside the others, cut so that few bytes are held at once."""
        if not self._handled:
            yield Converted(rows.batch)
            return
        with threads() as pool:
            yield from _Batch(rows, self._handled, self._places, pool).pieces()


class _Batch:
    """One batch on its way: the files that each row names, and what is known of them."""

    def __init__(self, rows: Rows, how: Mapping[str, ColumnHandling], places: Places, pool: Executor) -> None:
        self._rows = rows
        self._places = places
        self._pool = pool
        self._columns = {
            name: references.column(name, rows.batch.schema.field(name).type, one)
            for name, one in how.items()
        }
        self._unreadable: dict[int, str] = {}
        self._values = [self._parsed(row) for row in range(rows.batch.num_rows)]
        self._files = [self._named(row) for row in range(rows.batch.num_rows)]

    def pieces(self) -> Iterator[Converted]:
        """All rows, in order, few bytes at a time."""
        sizes = self._each(self._size, {file for files in self._files for file in files})
        begin = held = 0
        for row, files in enumerate(self._files):
            size = sum(sizes[file] for file in files if file in sizes and row not in self._unreadable)
            if row > begin and held + size > PIECE_BYTES:
                yield self._piece(begin, row)
                begin, held = row, 0
            held += size
        yield self._piece(begin, len(self._files))

    def _piece(self, begin: int, end: int) -> Converted:
        """Rows from `begin` up to `end`."""
        good = [row for row in range(begin, end) if row not in self._unreadable]
        content = self._each(self._load, {file for row in good for file in self._files[row]})
        filled = {row: self._filled(row, content) for row in good if row not in self._unreadable}
        batch = self._rows.batch.slice(begin, end - begin)
        for index, (name, column) in enumerate(self._columns.items()):
            values = [filled[row][index] if row in filled else None for row in range(begin, end)]
            batch = batch.append_column(_CONVERTED + name, pa.array(values, column.type))
        told = ((row - begin, self._unreadable[row]) for row in range(begin, end) if row in self._unreadable)
        return Converted(batch, tuple(told))

    def _parsed(self, row: int) -> list[Any]:
        values = []
        for name, column in self._columns.items():
            try:
                values.append(column.parsed(self._rows.batch.column(name)[row].as_py()))
            except Unreadable as exc:
                self._unreadable[row] = f"column {name!r}: {exc}"
                return []
        return values

    def _named(self, row: int) -> list[_File]:
        """The files of a row, in the order in which its values are filled."""
        files = []
        for column, value in zip(self._columns.values(), self._values[row], strict=False):
            for one in column.references(value):
                try:
                    files.append(_File(self._uri(one.name), one.way))
                except Unreadable as exc:
                    self._unreadable[row] = f"{self._told(one.name)} cannot be read: {exc}"
                    return []
        return files

    def _filled(self, row: int, content: Mapping[_File, Any]) -> list[Any]:
        found = (content[file] for file in self._files[row])
        pairs = zip(self._columns.values(), self._values[row], strict=True)
        return [column.filled(value, found) for column, value in pairs]

    def _uri(self, name: str) -> str:
        if "://" in name:
            self._places.of(name)
            return name
        if self._rows.folder is None or not name:
            raise Unreadable("write the whole URI, such as pvc://CLAIM/PATH")
        return self._places.of(self._rows.folder).beside(self._rows.folder, name)

    def _told(self, name: str) -> str:
        return (self._places.told(name) if "://" in name else name)[:TOLD_MAX]

    def _each(self, of: Callable[[_File], T], files: set[_File]) -> dict[_File, T]:
        """What `of` gives for each file; rows with one that cannot be read are noted."""
        ordered = sorted(files, key=lambda file: (file.uri, file.way))
        tried = dict(zip(ordered, each(self._pool, lambda file: _tried(of, file), ordered), strict=True))
        broken = {file: found for file, found in tried.items() if isinstance(found, _Broken)}
        if broken:
            for row, named in enumerate(self._files):
                first = next((file for file in named if file in broken), None)
                if first is not None:
                    why = f"{self._told(first.uri)} cannot be read: {broken[first].why}"
                    self._unreadable.setdefault(row, why)
        return {file: found for file, found in tried.items() if not isinstance(found, _Broken)}

    def _size(self, file: _File) -> int:
        known = self._rows.sizes.get(file.uri)
        if known is not None:  # to look once more costs as much as to read a small file
            return 0 if file.way == "Path" else known
        if file.way == "Path":
            self._places.of(file.uri).path(file.uri)
            return 0
        size = self._places.of(file.uri).size(file.uri)
        return ASSUMED_BYTES if size is None else size

    def _load(self, file: _File) -> Any:
        place = self._places.of(file.uri)
        if file.way == "Path":
            return place.path(file.uri)
        content = place.read(file.uri, FILE_MAX)
        if file.way == "RawBytes":
            return content
        text = base64.b64encode(content).decode()
        if file.way == "Base64":
            return text
        if file.way == "Base64DataUrl":
            return f"data:{type_of(content, file.uri)};base64,{text}"
        kind = audio_format(content, file.uri)
        if kind is None:
            raise Unreadable("it is no audio of a known format: write input_audio with data as Base64")
        return Sound(text, kind)


@dataclass(frozen=True)
class _Broken:
    """A file that cannot be read, and why."""

    why: str


def _tried(of: Callable[[_File], T], file: _File) -> T | _Broken:
    try:
        return of(file)
    except Unreadable as exc:
        return _Broken(str(exc))
    except OSError as exc:  # of a volume: its own text would name a path in the pod
        return _Broken(exc.strerror or str(exc))
