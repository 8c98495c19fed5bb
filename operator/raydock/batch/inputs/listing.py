"""Files that are a row each: listed when the job is planned, read where the model is."""

from collections.abc import Iterator

import pyarrow as pa

from raydock.batch.inputs.at_once import each, threads
from raydock.batch.inputs.find import compiled_pattern, listed, matching, none_found
from raydock.batch.inputs.place import Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Found, Reading, Rows, invalid, refuse_any_changed, unread
from raydock.batch.shards import InputFile, Shard
from raydock.wire.job import FilesInput, JobConfig


def look(config: JobConfig, given: FilesInput, places: Places) -> Found:
    """The files, sorted by URI. Raises Terminal(INPUT_INVALID)."""
    for name in config.carry:
        if name != given.column:
            raise invalid(f"column {name!r} is missing in input.files; there is only {given.column}")
    pattern = compiled_pattern(given.pattern, "files.pattern")
    listing = listed(given.uri, places, recursive=given.recursive)
    uris = sorted(matching(listing, pattern))
    if not uris:
        missed = f"matches files.pattern {given.pattern!r}"
        raise invalid(none_found(given.uri, listing, missed, places))
    with threads() as pool:
        return Found((given.column,), listed=tuple(each(pool, lambda uri: _seen(uri, places), uris)))


def read(shard: Shard, how: Reading, places: Places) -> Iterator[Rows]:
    """URIs of the files of `shard`, at most `how.most` at once. Raises Terminal(INPUT_CHANGED), OSError."""
    with threads() as pool:
        for begin in range(0, shard.rows, how.most):
            files = shard.files[begin : begin + how.most]
            refuse_any_changed(files, places, pool)
            uris = pa.array([file.uri for file in files], pa.string())
            sizes = {file.uri: file.size for file in files}
            yield Rows(pa.record_batch([uris], list(how.columns)), sizes=sizes)


def _seen(uri: str, places: Places) -> InputFile:
    try:
        uri.encode()
        was = places.stat(uri)
    except UnicodeEncodeError:
        raise invalid(f"the name of {uri!a} is not UTF-8: rename the file") from None
    except (OSError, Unreadable) as exc:
        raise unread(places.told(uri), exc) from None
    return InputFile(uri, was.size, was.version, 1)
