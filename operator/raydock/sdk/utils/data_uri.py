"""Files as texts: a data URI holds the content of a file, and says what it is."""

import base64
import mimetypes
from os import PathLike
from pathlib import Path
from typing import Final

File = str | PathLike[str] | bytes
"""A path, a content, or a data URI."""
_UNKNOWN: Final = "application/octet-stream"


def data_uri(file: File) -> str:
    """`file` as a data URI: one stays as it is, another text is a path. Raises OSError, or TypeError."""
    if isinstance(file, str) and file.startswith("data:"):
        return file
    if isinstance(file, bytes | bytearray | memoryview):
        return _written(_UNKNOWN, bytes(file))
    if not isinstance(file, str | PathLike):
        raise TypeError(f"file must be a path, bytes or a data URI, got {type(file).__name__}")
    path = Path(file)
    kind, packed_by = mimetypes.guess_type(path.name)
    # `table.csv.gz` is no CSV: a data URI cannot say how its content is packed.
    return _written(_UNKNOWN if packed_by or kind is None else kind, path.read_bytes())


def _written(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
