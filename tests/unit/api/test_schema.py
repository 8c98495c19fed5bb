"""The generated CRDs: up to date, structural, bounded, described."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from raydock.api import KINDS, Resource, Spec
from raydock.api.crd import crd, dump, main
from raydock.api.schema import openapi_schema

ROOT = Path(__file__).parents[3]
CRDS = sorted((ROOT / "crds").glob("*.yaml"))
CRD_BYTES_MAX = 256 * 1024
"""kubectl apply keeps the whole object in an annotation, of which an object has at most 256 KiB."""
DESCRIPTION_MAX = 3 * 110
"""Three lines of source."""

Json = dict[str, Any]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names.kind)


def walk(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema below the root with its path; entries of lists as `[]`, of maps as `*`."""
    for name, member in schema.get("properties", {}).items():
        yield f"{path}.{name}", member
        yield from walk(member, f"{path}.{name}")
    for mark, keyword in (("[]", "items"), (".*", "additionalProperties")):
        if keyword in schema:
            yield path + mark, schema[keyword]
            yield from walk(schema[keyword], path + mark)


def ours(kind: type[Resource]) -> list[tuple[str, Json]]:
    """What raydock declares: spec and status."""
    root = openapi_schema(kind)["properties"]
    return [*walk({"properties": {"spec": root["spec"], "status": root["status"]}})]


def test_the_committed_files_are_what_the_models_say(tmp_path: Path) -> None:
    main([str(tmp_path / "crds"), "--reference", str(tmp_path / "reference")])
    for made, kept in (("crds", ROOT / "crds"), ("reference", ROOT / "docs/reference")):
        for path in sorted((tmp_path / made).iterdir()):
            assert (kept / path.name).read_text() == path.read_text(), f"run `make crds`: {path.name}"
    assert {path.name for path in CRDS} == {path.name for path in (tmp_path / "crds").iterdir()}


@pytest.mark.parametrize("path", CRDS, ids=lambda path: path.stem)
def test_a_crd_can_be_applied_from_the_client(path: Path) -> None:
    assert len(json.dumps(yaml.safe_load(path.read_text()))) < CRD_BYTES_MAX


@each_kind
def test_the_same_models_give_the_same_bytes(kind: type[Resource]) -> None:
    assert dump(crd(kind)) == dump(crd(kind))


@each_kind
def test_every_field_says_what_it_means(kind: type[Resource]) -> None:
    for path, schema in ours(kind):
        if path.endswith(("[]", "*")):
            continue
        assert schema["description"][-1] in ".`", path
        assert len(schema["description"]) <= DESCRIPTION_MAX, path


@each_kind
def test_everything_is_bounded(kind: type[Resource]) -> None:
    for path, schema in ours(kind):
        match schema.get("type"):
            case "string":
                assert schema.keys() & {"maxLength", "enum"} or schema.get("format") == "date-time", path
            case "integer":
                assert "minimum" in schema, path
                assert path.startswith(".status") or "maximum" in schema, path
                assert schema["format"] in {"int32", "int64"}, path
                assert schema["format"] == "int64" or schema.get("maximum", 0) < 2**31, path
                # The API server holds a bound as a float; what is not exact there may turn negative.
                assert schema.get("maximum", 0) <= 2**53, path
            case "array":
                assert "maxItems" in schema, path
                assert schema["x-kubernetes-list-type"] in {"map", "set", "atomic"}, path
            case "object" if "additionalProperties" in schema:
                assert "maxProperties" in schema, path


@each_kind
def test_lists_of_named_objects_merge_by_name(kind: type[Resource]) -> None:
    for path, schema in ours(kind):
        if schema.get("x-kubernetes-list-type") == "map":
            keys = schema["x-kubernetes-list-map-keys"]
            assert set(keys) <= set(schema["items"]["required"]), path


@each_kind
def test_only_the_two_stored_defaults_are_in_the_schema(kind: type[Resource]) -> None:
    found = {path: schema["default"] for path, schema in ours(kind) if "default" in schema}
    replicas = {".spec.replicas": 1} if kind.names.kind == "Deployment" else {}
    assert found == {".status": {"observedGeneration": -1}} | replicas


@each_kind
def test_nothing_is_in_the_schema_that_the_api_server_refuses_or_clients_misread(
    kind: type[Resource],
) -> None:
    for path, schema in ours(kind):
        assert not schema.keys() & {"$ref", "nullable", "title", "const", "allOf", "oneOf"}, path
        assert schema.get("type") != "number", path
        assert "anyOf" not in schema or schema["x-kubernetes-int-or-string"], path
        assert isinstance(schema.get("additionalProperties", {}), dict), path


@each_kind
def test_a_default_that_the_operator_applies_is_in_the_description(kind: type[Resource]) -> None:
    for shape in specs(kind.model_fields["spec"].annotation):
        for name, field in shape.model_fields.items():
            default = field.default
            if isinstance(default, bool):
                default = str(default).lower()
            if isinstance(default, str | int) and default != "":
                assert f"Default {default}" in (field.description or "").replace("`", ""), f"{shape}.{name}"


def specs(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every Spec class in a field's type, with those of its own fields."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
        for field in annotation.model_fields.values():
            yield from specs(field.annotation)
    for inner in getattr(annotation, "__args__", ()):
        yield from specs(inner)
