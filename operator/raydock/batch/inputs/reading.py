"""What every kind of input gives to planning, and takes and gives when a worker reads."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import pyarrow as pa

from raydock.batch.inputs.at_once import each
from raydock.batch.inputs.place import Unavailable, Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.shards import InputFile, Source
from raydock.errors import Retry, Terminal, Unfinished
from raydock.reasons import Reason


@dataclass(frozen=True)
class Found:
    """What planning knows of an input: files with rows in them, or files that are a row each."""

    columns: tuple[str, ...]
    sources: tuple[Source, ...] = ()
    listed: tuple[InputFile, ...] = ()
    schema: str = ""
    """For readers of text; see inputs.schemas."""
    origin: tuple[InputFile, ...] = ()
    """What the rows were made of, where that is not the sources themselves."""

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(file.rows for file in self.files())

    def files(self) -> Iterator[InputFile]:
        """All of them, in order."""
        yield from (source.file for source in self.sources)
        yield from self.listed


@dataclass(frozen=True)
class Reading:
    """How a worker reads: which columns, with which types, how many rows at once."""

    columns: tuple[str, ...]
    schema: str
    most: int


@dataclass(frozen=True)
class Rows:
    """Some rows of an input, with the columns of the plan in its order."""

    batch: pa.RecordBatch
    folder: str | None = None
    """URI of the folder that their file lies in: relative paths in them begin there. None: they have none."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of those files that they name, by URI, whose size was looked at already."""


def invalid(message: str) -> Terminal:
    """What is raised for an input that only a changed one can replace."""
    return Terminal(Reason.INPUT_INVALID, message)


def unread(told: str, exc: Exception, form: str = "") -> Unfinished:
    """What is raised when `exc` kept the file `told` from being read, as text of `form` if given."""
    if isinstance(exc, Unavailable):
        return Retry(Reason.JOB_FAILED, f"{told} cannot be read now: {exc}")
    return invalid(f"{told} cannot be read{form}: {exc}")


def refuse_any_changed(files: Sequence[InputFile], places: Places, pool: Executor) -> None:
    """`refuse_changed` of each of `files`, by threads of `pool`."""
    for _ in each(pool, lambda file: refuse_changed(file, places), files):
        pass


def refuse_changed(file: InputFile, places: Places) -> None:
    """Raises Terminal(INPUT_CHANGED) when `file` is not what it was, OSError when that cannot be told."""
    try:
        now = places.stat(file.uri)
    except (FileNotFoundError, Unreadable):
        told = f"{places.told(file.uri)} was removed after the job began"
        raise Terminal(Reason.INPUT_CHANGED, told) from None
    if (now.size, now.version) != (file.size, file.version):
        told = f"{places.told(file.uri)} was written to after the job began: make a new job"
        raise Terminal(Reason.INPUT_CHANGED, told)
