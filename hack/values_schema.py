"""values.schema.json of the charts, from their commented values.yaml.

    python hack/values_schema.py charts/raydock charts/raydock-crds

A key's type is its default's; the comment above it is its description; the JSON of `# @schema {…}` lines is
merged into its schema. `settings` takes the schema of the operator's own settings model, less what the chart
fills in. Unknown keys are refused at every level.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic.alias_generators import to_camel

from raydock.plan.defaults import Defaults
from raydock.runtime.settings import Settings

MARK: Final = "# @schema "
FILLED_IN: Final = frozenset(
    {"gateway", "gatewayAddress", "reportUrl", "httpHost", "httpPort", "leaseName", "leaseNamespace"}
    | {"operatorNamespace", "identity", "kubeconfig"}
)
"""Settings that the chart knows by itself: from `gateway.*`, its Service and its pods."""
TYPES: Final = {"str": "string", "int": "integer", "bool": "boolean", "float": "number", "null": "null"}
"""JSON type by YAML tag."""


def schema(values: str) -> dict[str, Any]:
    """JSON Schema of the commented YAML `values`. Raises ValueError for a key without comment or default."""
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    if root is None:
        raise ValueError("no values at all")
    found = _of(root, values.splitlines(), "")
    found["properties"] |= {"global": {"type": "object"}}  # Helm hands it to every subchart
    return {"$schema": "http://json-schema.org/draft-07/schema#", **found}


def settings_fields() -> dict[str, Any]:
    """Schema of each key of the operator's settings file: its own settings, and the plan's beside them."""
    fields: dict[str, Any] = {}
    # Settings takes some fields by the names of variables; the file has all of them by their own names.
    for made in (Settings.model_json_schema(by_alias=False), Defaults.model_json_schema(by_alias=True)):
        for name, field in made["properties"].items():
            fields[to_camel(name)] = _in_camel(
                _inlined(field, made.get("$defs", {}))
            )  # as the file spells it
    del fields["defaults"]  # in the file, its keys stand beside the others
    return fields


def settings_schema() -> dict[str, Any]:
    """Schema of the chart's `settings`: fields that may be left out, each with the operator's own default."""
    kept = {name: field for name, field in settings_fields().items() if name not in FILLED_IN}
    kept["runtimeImage"] |= {"default": ""}  # the chart's appVersion
    return {"type": "object", "additionalProperties": False, "properties": kept}


def _of(node: yaml.Node, lines: list[str], path: str) -> dict[str, Any]:
    if isinstance(node, yaml.SequenceNode):
        return {"type": "array", "items": {}}
    if not isinstance(node, yaml.MappingNode):
        return {"type": TYPES[node.tag.rsplit(":", 1)[1]], "default": yaml.safe_load(yaml.serialize(node))}
    fields: dict[str, Any] = {}
    for key, value in node.value:
        where = f"{path}.{key.value}".lstrip(".")
        if where == "settings":
            fields[key.value] = settings_schema()
            continue
        said, more = _comment(lines, key.start_mark.line)
        if not said and not isinstance(value, yaml.MappingNode):
            raise ValueError(f"{where} has no comment")
        shape = {"type": "object"} if "additionalProperties" in more else _of(value, lines, where)
        fields[key.value] = {**({"description": said} if said else {}), **shape, **more}
    return {"type": "object", "additionalProperties": False, "properties": fields}


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    """Text and merged `@schema` objects of the comment right above `line`, counted from 0."""
    said: list[str] = []
    more: dict[str, Any] = {}
    first = line
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    for text in (entry.strip() for entry in lines[first:line]):
        if text.startswith(MARK):
            more |= json.loads(text.removeprefix(MARK))
        else:
            said.append(text.removeprefix("#").strip())
    return " ".join(said), more


def _in_camel(value: Any) -> Any:
    """`value` with the properties of objects named as the file spells them, at every level."""
    if isinstance(value, list):
        return [_in_camel(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    found = {key: _in_camel(entry) for key, entry in value.items()}
    if "properties" in value:
        found["properties"] = {to_camel(name): entry for name, entry in found["properties"].items()}
        if "default" in value:
            found["default"] = _default_in_camel(value["default"], value)
    return found


def _default_in_camel(default: Any, shape: dict[str, Any]) -> Any:
    fields = shape.get("properties", {})
    if not fields or not isinstance(default, dict):
        return default  # names in it are the user's
    return {to_camel(name): _default_in_camel(entry, fields.get(name, {})) for name, entry in default.items()}


def _inlined(value: Any, shared: dict[str, Any]) -> Any:
    """`value` with each `$ref` replaced by what it names, and without titles, for people who read it."""
    if isinstance(value, list):
        return [_inlined(entry, shared) for entry in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        rest = {key: entry for key, entry in value.items() if key != "$ref"}
        return _inlined(shared[value["$ref"].rsplit("/", 1)[1]] | rest, shared)
    return {
        key: _inlined(entry, shared)
        for key, entry in value.items()
        if not (key == "title" and isinstance(entry, str))
    }


def main(charts: list[str]) -> None:
    """Writes values.schema.json of each chart folder."""
    for chart in map(Path, charts):
        made = schema((chart / "values.yaml").read_text())
        (chart / "values.schema.json").write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
