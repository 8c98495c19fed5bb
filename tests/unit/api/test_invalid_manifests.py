"""tests/invalid as a whole. The API server reads the files in tests/integration/test_invalid_manifests.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from raydock.api import KINDS, Resource
from raydock.api.schema import openapi_schema

INVALID = Path(__file__).parents[2] / "invalid"
FILES = sorted(INVALID.glob("*/*.yaml"))
WANT = "# want: "
WANTED = [path.read_text().splitlines()[0].removeprefix(WANT) for path in FILES]


def messages(schema: Any) -> Iterator[str]:
    """Messages of all CEL rules in `schema`."""
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
        for inner in schema.values():
            yield from messages(inner)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_says_what_the_user_reads(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(WANT)
    assert {document["kind"].lower() for document in yaml.safe_load_all(text)} == {path.parent.name}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)
def test_every_rule_is_broken_by_a_file(kind: type[Resource]) -> None:
    unbroken = {
        message
        for message in messages(openapi_schema(kind)["properties"]["spec"])
        if not any(want in message for want in WANTED)
    }
    assert not unbroken
