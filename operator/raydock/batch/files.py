"""Which files an input means: URIs, globs and a pattern become a sorted list of paths."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import TablesInput
from raydock.wire.paths import claim_path

PARQUET: Final = (".parquet", ".parq", ".pq")
"""Endings that a directory's files must have where no pattern says which ones are meant."""
_WILDCARD: Final = re.compile(r"[*?\[]")


def find(tables: TablesInput, claims_dir: str) -> list[str]:
    """Paths of the input's files, absolute, sorted, each once. Raises Terminal(INPUT_INVALID).

    Names that start with `.` or `_`, and all below them, are skipped where a directory or a glob is searched.
    """
    try:
        pattern = re.compile(tables.pattern) if tables.pattern else None
    except re.error as exc:
        raise Terminal(
            Reason.INPUT_INVALID, f"tables.pattern is no regular expression: {exc} in {tables.pattern!r}"
        ) from None
    found: set[str] = set()
    for uri in tables.uris:
        found.update(_below(uri, _local(uri, claims_dir), pattern))
    return sorted(found)


def _local(uri: str, claims_dir: str) -> str:
    try:
        return claim_path(uri, claims_dir)
    except ValueError as exc:
        raise Terminal(Reason.INPUT_INVALID, f"cannot read {uri}: {exc}") from None


def _below(uri: str, where: str, pattern: re.Pattern[str] | None) -> list[str]:
    base, candidates = _candidates(where)
    if pattern is not None:
        kept = [path for path in candidates if pattern.fullmatch(os.path.relpath(path, base))]
    elif base == where:  # a directory
        kept = [path for path in candidates if path.endswith(PARQUET)]
    else:
        kept = candidates
    if not kept:
        raise Terminal(Reason.INPUT_INVALID, _none_found(uri, where, len(candidates), pattern))
    return kept


def _candidates(where: str) -> tuple[str, list[str]]:
    """What `where` may mean, and the path that a pattern looks from."""
    if os.path.isfile(where):  # noqa: PTH113 - paths stay text here, a listing may hold a million
        return os.path.dirname(where), [where]  # noqa: PTH120
    if os.path.isdir(where):  # noqa: PTH112
        return where, list(_walk(where))
    wildcard = _WILDCARD.search(where)
    if wildcard is None:
        return where, []
    base = where[: wildcard.start()].rpartition("/")[0]
    matches: list[str] = []
    for path in glob.glob(where, recursive=True):  # noqa: PTH207
        if any(part.startswith(("_", ".")) for part in os.path.relpath(path, base).split("/")):
            continue
        matches.extend(_walk(path) if os.path.isdir(path) else [path])  # noqa: PTH112
    return base, matches


def _walk(folder: str) -> Iterable[str]:
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(("_", "."))]
        yield from (f"{at}/{name}" for name in names if not name.startswith(("_", ".")))


def _none_found(uri: str, where: str, candidates: int, pattern: re.Pattern[str] | None) -> str:
    if candidates:
        missed = (
            f"matches tables.pattern {pattern.pattern!r}" if pattern else f"ends in {' or '.join(PARQUET)}"
        )
        return f"no input file: none of {candidates} under {uri} {missed}"
    if _WILDCARD.search(where):
        return f"no input file: nothing matches {uri}"
    return f"no input file: {uri} " + ("is empty" if Path(where).exists() else "does not exist")
