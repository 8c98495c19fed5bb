"""Which files an input means: URIs, globs and a pattern become a sorted list of files."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from raydock.batch.inputs.place import Listing, Unavailable, Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import invalid, unread

WEB: Final = ("http://", "https://")
"""Addresses that may have a query behind the path."""


def find(uris: Sequence[str], pattern: str | None, endings: Sequence[str], places: Places) -> list[str]:
    """URIs of the tables' files, sorted, each once. Raises Terminal(INPUT_INVALID).

    A folder's files must have one of `endings` where no `pattern` says which ones are meant.
    """
    compiled = compiled_pattern(pattern, "tables.pattern")
    found: set[str] = set()
    for uri in uris:
        listing = listed(uri, places)
        kept = matching(listing, compiled)
        if compiled is None and listing.is_folder:
            kept = [file for file in kept if name_of(file).endswith(tuple(endings))]
        if not kept:
            missed = f"matches tables.pattern {pattern!r}" if pattern else f"ends in {' or '.join(endings)}"
            raise invalid(none_found(uri, listing, missed, places))
        found.update(kept)
    return sorted(found)


def compiled_pattern(pattern: str | None, field: str) -> re.Pattern[str] | None:
    """`pattern`, which stands in `field` of the input. Raises Terminal(INPUT_INVALID)."""
    try:
        return re.compile(pattern) if pattern else None
    except re.error as exc:
        raise invalid(f"{field} is no regular expression: {exc} in {pattern!r}") from None


def listed(uri: str, places: Places, *, recursive: bool = True) -> Listing:
    """What `uri` may mean. Raises Terminal(INPUT_INVALID), Retry."""
    try:
        return places.find(uri, recursive=recursive)
    except Unreadable as exc:
        raise invalid(f"cannot read {places.told(uri)}: {exc}") from None
    except Unavailable as exc:
        raise unread(places.told(uri), exc) from None


def matching(listing: Listing, pattern: re.Pattern[str] | None) -> list[str]:
    """The files of `listing` whose whole path below its base matches `pattern`."""
    if pattern is None:
        return list(listing.files)
    return [file for file in listing.files if pattern.fullmatch(file[len(listing.base) + 1 :])]


def none_found(uri: str, listing: Listing, missed: str, places: Places) -> str:
    """Why `uri` gave no file; `missed`: what none of the files did."""
    told = places.told(uri)
    if listing.files:
        return f"no input file: none of {len(listing.files)} under {told} {missed}"
    if listing.exists:
        return f"no input file: {told} is empty"
    if set("*?[") & set(uri):
        return f"no input file: nothing matches {told}"
    return f"no input file: {told} does not exist"


def folder_of(uri: str) -> str:
    """URI of the folder that a file lies in."""
    return (uri.partition("?")[0] if uri.startswith(WEB) else uri).rpartition("/")[0]


def name_of(uri: str) -> str:
    """The path of `uri`, by whose ending a file is known: a web address may have a query behind it."""
    return urlsplit(uri).path if uri.startswith(WEB) else uri
