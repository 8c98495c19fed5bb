"""`raydock validate`: unknown fields and wrong values in manifests, found without a cluster."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from pydantic import ValidationError

from raydock.api import KINDS
from raydock.api.base import API_VERSION
from raydock.facts import lenient

GENERATED: Final = "00000"
"""What stands for the characters that the API server appends to generateName."""


def validate(
    files: Annotated[list[str], typer.Argument(help="Manifests; - for standard input.")],
) -> None:
    """Find unknown fields, wrong types and values out of range. Rules between fields are the API server's.

    Exit code 0: nothing found; 1: something is wrong; 2: a file cannot be read as YAML.
    """
    wrong = 0
    for name in files:
        for obj in objects(name):
            wrong += _report(name, obj)
    raise typer.Exit(1 if wrong else 0)


def objects(name: str) -> Iterator[dict[str, Any]]:
    """The objects of a file; `-` is standard input. Exits with 2 when it cannot be read."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        yield from (obj for obj in yaml.safe_load_all(text) if isinstance(obj, dict))
    except (OSError, yaml.YAMLError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _report(name: str, obj: dict[str, Any]) -> int:
    """Prints what is wrong with `obj`; returns how many things are. Objects of others are passed over."""
    if obj.get("apiVersion") != API_VERSION:
        return 0
    wrong = problems(obj)
    for problem in wrong:
        print(f"{name}: {problem}")
    return len(wrong)


def problems(obj: dict[str, Any]) -> list[str]:
    """What is wrong with an object of ours, one line each."""
    kinds = {kind.names.kind: kind for kind in KINDS}
    kind = kinds.get(obj.get("kind", ""))
    if kind is None:
        return [f"kind {obj.get('kind')}: write one of {', '.join(kinds)}"]
    metadata = obj.get("metadata")
    if isinstance(metadata, dict) and "name" not in metadata and metadata.get("generateName"):
        # The model wants the name that the API server will make.
        obj = {**obj, "metadata": {**metadata, "name": f"{metadata['generateName']}{GENERATED}"}}
    try:
        kind.parse(obj)
    except ValidationError as error:
        title = f"{kind.names.kind} {lenient.text(lenient.at(obj, 'metadata', 'name'))}"
        return [
            f"{title}: {'.'.join(map(str, found['loc']))}: {_said(found)}"
            for found in error.errors(include_url=False, include_input=False)
        ]
    return []


def _said(found: Any) -> str:
    if found["type"] == "extra_forbidden":
        return "unknown field: correct its name, or take it out"
    return str(found["msg"])
