"""`s3://`, `gs://`, `az://`: objects, opened with the variables of the process, read in parts.

A part is asked for with the version that the file had when it was opened, so nobody reads half of one content
and half of another.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import obstore
import pyarrow as pa
from obstore.exceptions import PreconditionError
from typing_extensions import override

from raydock.batch.inputs import flat
from raydock.batch.inputs.parts import Parts
from raydock.batch.inputs.place import Listing, Stat, Unavailable, Unreadable
from raydock.remote.stores import Opener, told

PATIENT: Final = "300s"
"""For one part of an object."""
MAX_RETRIES: Final = 10
RETRY_S: Final = 180.0
NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
"""How the stores say it (S3, Azure, Google), as it stands in the client's error."""


class Stores(flat.Flat):
    """All object stores. Names that start with `.` or `_` are never searched."""

    inside = "bucket"

    def __init__(self, variables: Mapping[str, str]) -> None:
        """`variables`: of the stores' clients."""
        self._variables = variables
        self._opened: dict[str, Any] = {}

    @classmethod
    def from_environment(cls) -> "Stores":
        """With the variables of this process."""
        return cls(os.environ)  # noqa: TID251 - the Secret comes as environment

    @override
    def find(self, uri: str, *, recursive: bool) -> Listing:
        bucket, path = _parts(uri)
        with _telling():
            store = self._store(bucket)
            return flat.find(
                bucket,
                f"{path}/" if path and uri.endswith("/") else path,
                lambda folder: _keys(store, folder),
                lambda file: _is_object(store, file),
                recursive=recursive,
            )

    @override
    def stat(self, uri: str) -> Stat:
        bucket, path = _parts(uri)
        with _telling():
            found = obstore.head(self._store(bucket), path)
        return Stat(found["size"], found["e_tag"] or found["last_modified"].isoformat())

    @override
    def open(self, uri: str) -> pa.NativeFile:
        bucket, path = _parts(uri)
        with _telling():
            store = self._store(bucket)
            found = obstore.head(store, path)
        return _Object(store, path, found["size"], found["e_tag"]).opened()

    @override
    def read(self, uri: str, most: int) -> bytes:
        bucket, path = _parts(uri)
        with _telling():
            found = obstore.get(self._store(bucket), path)
            if found.meta["size"] > most:
                raise Unreadable(
                    f"it has more than {most >> 20} MiB: write convertTo: Path and open it yourself"
                )
            return bytes(found.bytes())

    @override
    def root(self, uri: str) -> str:
        return _parts(uri)[0]

    def _store(self, bucket: str) -> Any:
        """What opens `bucket`, a URI; may raise anything."""
        if bucket not in self._opened:
            opener = Opener(bucket, self._variables)
            self._opened[bucket] = opener.open(PATIENT, max_retries=MAX_RETRIES, retry_s=RETRY_S)
        return self._opened[bucket]


class _Object(Parts):
    """An object as it was when it was opened."""

    def __init__(self, store: Any, path: str, size: int, e_tag: str | None) -> None:
        super().__init__(size)
        self._store, self._path, self._e_tag = store, path, e_tag

    @override
    def part(self, at: int, length: int) -> bytes:
        options: Any = {"range": (at, at + length)}
        if self._e_tag is not None:
            options["if_match"] = self._e_tag
        with _telling():
            return bytes(obstore.get(self._store, self._path, options=options).bytes())


def _parts(uri: str) -> tuple[str, str]:
    """URI of the bucket, and the path in it."""
    scheme, _, rest = uri.partition("://")
    bucket, _, path = rest.partition("/")
    if not bucket:
        raise Unreadable(f"want {scheme}://BUCKET/PATH")
    return f"{scheme}://{bucket}", path.rstrip("/")


def _keys(store: Any, folder: str) -> list[str]:
    """Paths of the objects below `folder`, seen from there.

    Consoles mark a folder with an empty object of its name: that is no file.
    """
    found = [one for some in obstore.list(store, prefix=folder or None) for one in some]
    folders = {one["path"].rpartition("/")[0] for one in found}
    files = (one["path"] for one in found if one["size"] or one["path"] not in folders)
    return [path[len(folder) :].lstrip("/") for path in files if path != folder]


def _is_object(store: Any, path: str) -> bool:
    try:
        obstore.head(store, path)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _telling() -> Iterator[None]:
    """What goes wrong, as a place says it, without an address or a key."""
    try:
        yield
    except (Unreadable, Unavailable):
        raise
    except FileNotFoundError:
        raise FileNotFoundError("no such object") from None
    except PreconditionError:
        raise Unreadable("it changed while it was read") from None
    except Exception as error:  # noqa: BLE001 - the clients raise anything, with addresses in it
        if any(code in str(error) for code in NO_BUCKET):
            raise Unreadable("there is no such bucket or container") from None
        failed = told(error)
        raise (Unreadable if failed.final else Unavailable)(str(failed)) from None
