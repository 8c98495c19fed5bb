"""An output in an object store: what raydock.batch.storage.Storage asks for, of conditional puts.

A put whose answer is lost is sent again by the client, and then finds what it made itself. So each object
that is made exclusively carries a mark of its writer, which tells. Data files are copied by the store itself
to their final names; a file above the store's limit for one copy goes through this process.
"""

import errno
import io
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, GenericError, NotSupportedError, PreconditionError
from typing_extensions import override

from raydock.batch.storage import NewFile, Storage
from raydock.remote.stores import Opener, told

SOON: Final = "60s"
"""For one small object."""
PATIENT: Final = "3700s"
"""For one part of a large one, or a copy within the store."""
MAX_RETRIES: Final = 10
RETRY_S: Final = 180.0
"""A job has time. A beat that takes longer than the lease loses it: that costs work, and no row."""
MARK: Final = "raydockmark"
"""Metadata of an object that was made exclusively: which call made it. Azure takes no hyphen."""
PART_BYTES: Final = 16 << 20
"""Of an upload in parts: S3 takes 10,000 of them, so a file may have 160 GB."""
PARTS_AT_ONCE: Final = 4
READ_BYTES: Final = 1 << 20
"""That are asked for at once."""
COPY_MOST: Final = 5 * 10**9
"""Bytes that S3 copies in one call (5 GiB), with a margin."""
AT_ONCE: Final = 16
"""Threads that copy or look at files: stores answer slowly, not little."""
TRIES: Final = 5
"""At a put that met something which was gone when it was looked at."""


UNKNOWN_CALL: Final = "the object store does not know the call"
NOT_IMPLEMENTED: Final = "501 Not Implemented"
"""How a store refuses a condition that it does not know, as it stands in the client's error."""


class StoreFailed(OSError):
    """What a store answered; `strerror` names no address and no key."""

    def __init__(self, message: str, *, final: bool = False, number: int = errno.EIO) -> None:
        """`final`: the same will come of another try."""
        super().__init__(number, message)
        self.final = final


class ObjectStorage(Storage):
    """What lies below `uri`; `drafts` is a folder for objects that nobody needs.

    `variables`: of the store's clients. Pickled without them: the process that gets it reads its environment.
    """

    needs = (
        "it needs a store with conditional writes (If-None-Match and If-Match), as S3, Google Cloud Storage, "
        "Azure Blob Storage and MinIO have them; or write to a pvc://"
    )

    def __init__(self, uri: str, drafts: str, variables: Mapping[str, str]) -> None:
        self._uri, self._drafts = uri, drafts
        with _telling():
            opener = Opener(uri, variables)
            self._store = opener.open(SOON, max_retries=MAX_RETRIES, retry_s=RETRY_S)
            self._patient = opener.open(PATIENT, max_retries=MAX_RETRIES, retry_s=RETRY_S)

    @classmethod
    def from_environment(cls, uri: str, drafts: str) -> "ObjectStorage":
        """With the variables of this process."""
        return cls(uri, drafts, os.environ)  # noqa: TID251 - the Secret comes as environment

    @override
    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return ObjectStorage.from_environment, (self._uri, self._drafts)

    @override
    def prepare(self, folders: Iterable[str]) -> None:
        """Folders are not made here."""

    @override
    def create(self, path: str, content: bytes) -> bool:
        mark = secrets.token_hex(8)
        for _ in range(TRIES):
            try:
                with _telling(), suppress(AlreadyExistsError):
                    obstore.put(self._store, path, content, mode="create", attributes={MARK: mark})
                    return True
            except FileNotFoundError:
                raise StoreFailed("there is no such bucket or container: create it", final=True) from None
            with _telling(), suppress(FileNotFoundError):  # it is gone again: another try
                return bool(obstore.get(self._store, path).attributes.get(MARK) == mark)
        raise StoreFailed("the object store says that an object is there, and then that it is not")

    @override
    def replace(self, path: str, content: bytes, version: str) -> bool:
        names = zip(("e_tag", "version"), version.split(" "), strict=True)
        mode: Any = {name: value for name, value in names if value}
        with _telling(), suppress(PreconditionError, FileNotFoundError, AlreadyExistsError):
            obstore.put(self._store, path, content, mode=mode)
            return True
        return self.read(path) == content  # the same never comes twice, so this call made it

    @override
    def read(self, path: str) -> bytes | None:
        found = self.read_version(path)
        return None if found is None else found[0]

    @override
    def read_version(self, path: str) -> tuple[bytes, str] | None:
        with _telling(), suppress(FileNotFoundError):
            found = obstore.get(self._store, path)
            meta = found.meta
            return bytes(found.bytes()), f"{meta['e_tag'] or ''} {meta['version'] or ''}"
        return None

    @override
    def sweep(self) -> None:
        """Nothing is left by a put that did not come to its end."""

    @override
    def names(self, folder: str) -> list[str]:
        with _telling():
            found = obstore.list_with_delimiter(self._store, folder or None)
        paths = [*found["common_prefixes"], *(one["path"] for one in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    @override
    def open_new(self, path: str) -> NewFile:
        return _Upload(self._patient, path)

    @override
    def promote(self, pairs: Iterable[tuple[str, str]]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda pair: self._copy(*pair), pairs):
                pass

    @override
    def remove(self, *paths: str) -> None:
        for path in paths:
            with _telling(), suppress(FileNotFoundError):
                self._delete(path)

    @override
    def remove_tree(self, folder: str) -> None:
        with _telling():
            found = [one["path"] for some in obstore.list(self._store, folder) for one in some]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self.remove, found):
                pass

    @override
    def remove_empty(self, folder: str) -> None:
        """There is none without an object in it."""

    @override
    def touch(self, path: str) -> None:
        found = self.read_version(path)
        # Only if it is still there: what was taken away must not come back. A content that is the same has
        # the same version for S3, so it does not matter who touched it first.
        if found is None or not self.replace(path, *found):
            raise FileNotFoundError(errno.ENOENT, "no such object", path)

    @override
    def age_s(self, path: str) -> float | None:
        made = self._modified(path)
        if made is None:
            return None
        clock = f"{self._drafts}/clock-{secrets.token_hex(8)}"
        with _telling():
            obstore.put(self._store, clock, b"")
        now = self._modified(clock)
        self.remove(clock)
        return None if now is None else (now - made).total_seconds()

    @override
    def size(self, path: str) -> int | None:
        """Bytes of an object, None where nothing is."""
        with _telling(), suppress(FileNotFoundError):
            return int(obstore.head(self._store, path)["size"])
        return None

    @override
    def open_read(self, path: str) -> Any:
        """An object as a file to read from. Raises FileNotFoundError."""
        if self.size(path) is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", path)
        with _telling():
            return io.BufferedReader(_Download(obstore.open_reader(self._patient, path)), READ_BYTES)

    def _modified(self, path: str) -> datetime | None:
        with _telling(), suppress(FileNotFoundError):
            return obstore.head(self._store, path)["last_modified"]
        return None

    def _delete(self, path: str) -> None:
        """Raises FileNotFoundError where another one was first."""
        try:
            obstore.delete(self._store, path)
        except GenericError:
            # Of two that delete an object at once, some stores tell the second that there is none; obstore
            # takes what it finds so in the answer to DeleteObjects for trouble.
            obstore.head(self._store, path)
            raise

    def _copy(self, source: str, target: str) -> None:
        if self.size(target) is not None:
            return  # names are a job's own, and this one has its content already
        size = self.size(source)
        if size is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", source)
        if size <= COPY_MOST:
            with _telling():
                obstore.copy(self._patient, source, target)
            return
        through = _Upload(self._patient, target)
        with _telling():
            for piece in obstore.get(self._patient, source).stream(min_chunk_size=READ_BYTES):
                through.write(piece)
        through.close()


class _Download(io.RawIOBase):
    """An object as what Python takes for a file; obstore's own is none to pyarrow."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @override
    def readinto(self, into: Any) -> int:
        with _telling():
            got = memoryview(self._file.read(len(into)))
        into[: len(got)] = got
        return len(got)

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return int(self._file.seek(offset, whence))

    @override
    def tell(self) -> int:
        return int(self._file.tell())

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True


class _Upload:
    """An object that is there once it is closed, and not before."""

    def __init__(self, store: Any, path: str) -> None:
        with _telling():
            self._file: Any = obstore.open_writer(
                store, path, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            )

    def write(self, data: Any, /) -> int:
        with _telling():
            return int(self._file.write(memoryview(data).cast("B")))

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with _telling():
                file.close()

    def abort(self) -> None:
        # Parts that were sent stay hidden in the bucket, until its rule for unfinished uploads takes them.
        self._file = None


@contextmanager
def _telling() -> Iterator[None]:
    """Whatever goes wrong in the context is a StoreFailed; nothing there stays a FileNotFoundError."""
    try:
        yield
    except StoreFailed:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such object") from None
    except NotSupportedError:
        raise StoreFailed(UNKNOWN_CALL, final=True, number=errno.ENOTSUP) from None
    except Exception as error:  # noqa: BLE001 - the clients raise anything, with addresses in it
        if NOT_IMPLEMENTED in str(error):
            raise StoreFailed(UNKNOWN_CALL, final=True, number=errno.ENOTSUP) from None
        failed = told(error)
        raise StoreFailed(str(failed), final=failed.final) from None
