"""Where the results of `input.sql` are read from, see raydock.batch.inputs.query."""

import pyarrow as pa

from raydock.batch.storage import Storage


class Results:
    """What queries left in the staging folder of `storage`; opened by its path there."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def open(self, uri: str) -> pa.NativeFile:
        """As Place.open."""
        return pa.PythonFile(self._storage.open_read(uri), mode="r")
