"""What a place that a job reads from can do, whether it is a volume or a web server."""

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa


class Unreadable(Exception):
    """What a URI names cannot be read, however often it is tried; the message says why, without secrets."""


class Unavailable(OSError):
    """A place does not answer now; the message says which, without secrets."""


@dataclass(frozen=True)
class Stat:
    """One file as it is now."""

    size: int
    version: str
    """What changes when it is written to."""


@dataclass(frozen=True)
class Listing:
    """What a URI may mean."""

    base: str
    """URI that a pattern looks from, without a slash at its end."""
    files: tuple[str, ...]
    """URIs of files, in no order."""
    is_folder: bool = False
    """The URI names one folder: of its files only those of the right ending are meant."""
    exists: bool = True
    """Something is there, with files or without."""


class Place(Protocol):
    """Where files lie. Operations raise Unreadable, and OSError for what another try may make good."""

    def find(self, uri: str, *, recursive: bool) -> Listing:
        """The file, the files below the folder, or those that the glob means; nothing is no error."""

    def stat(self, uri: str) -> Stat:
        """The file as it is now. Raises FileNotFoundError."""

    def open(self, uri: str) -> pa.NativeFile:
        """The file, to be read from anywhere in it. Raises FileNotFoundError."""

    def read(self, uri: str, most: int) -> bytes:
        """The whole file; Unreadable where it has more than `most` bytes. Raises FileNotFoundError."""

    def size(self, uri: str) -> int | None:
        """How many bytes `read` would give; None where that cannot be told before."""

    def path(self, uri: str) -> str:
        """What the user's code opens: a local path of a file that is there, or the URI where it has none."""

    def beside(self, folder: str, path: str) -> str:
        """URI of the relative `path`, seen from the folder with the URI `folder`."""

    def told(self, uri: str) -> str:
        """`uri` as a message may show it."""
