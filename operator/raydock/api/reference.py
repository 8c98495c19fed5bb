"""The reference page of a kind, made from its CRD: what the API server checks is what the page says."""

from collections.abc import Iterator
from typing import NamedTuple

from raydock.api.base import API_VERSION, CATEGORY, INT_MAX, Resource
from raydock.api.rule import VALIDATIONS
from raydock.api.schema import Json


class Field(NamedTuple):
    """One line of a table. `path` is dotted, `[]` stands for any entry of a list."""

    path: str
    schema: Json
    required: bool


def page(kind: type[Resource], definition: Json) -> str:
    """The Markdown page of `kind`, whose CustomResourceDefinition is `definition`."""
    names = definition["spec"]["names"]
    version = definition["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    columns = [
        f"`{one['name']}`{' (wide)' if one.get('priority') else ''}"
        for one in version["additionalPrinterColumns"]
    ]
    return "\n".join(
        [
            f"<!-- Generated from raydock.api by `make crds`. Do not edit. -->\n\n# {kind.names.kind}\n",
            f"{root['description']}\n",
            f"`apiVersion: {API_VERSION}`, short name `{names['shortNames'][0]}`, category `{CATEGORY}`.\n",
            f"`kubectl get` prints {', '.join(columns)}.\n",
            "## Spec\n",
            *table(fields("spec", root["properties"]["spec"])),
            "\n## Rules\n",
            "An object that breaks one of these is refused, with this message:\n",
            *(f"- `{at}`: {message}" for at, message in rules(root)),
            "\n## Status\n",
            *table(fields("status", root["properties"]["status"])),
            "",
        ]
    )


def fields(path: str, schema: Json) -> Iterator[Field]:
    """Every field below `path`, each before its own members."""
    required = schema.get("required", [])
    for name, member in schema.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield Field(below, member, name in required)
        yield from fields(below, member)
        if member.get("type") == "array":
            yield from fields(f"{below}[]", member["items"])


def table(rows: Iterator[Field]) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for path, schema, required in rows:
        kind = kind_of(schema) + (", required" if required else "")
        yield f"| `{path}` | {escaped(kind)} | {escaped(schema['description'])} |"


def escaped(text: str) -> str:
    """`text` for a table's cell."""
    return text.replace("|", "\\|")


def kind_of(schema: Json) -> str:
    """Type and bounds of a field in words."""
    if "x-kubernetes-int-or-string" in schema:
        return "quantity"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    match schema["type"]:
        case "array":
            text = f"list of {kind_of(schema['items'])}, {bounds(schema, 'Items', 'entries')}"
        case "object" if "additionalProperties" in schema:
            text = (
                f"map to {kind_of(schema['additionalProperties'])}, {bounds(schema, 'Properties', 'entries')}"
            )
        case "object" if "x-kubernetes-preserve-unknown-fields" in schema:
            text = "free-form object"
        case "integer":
            text = f"integer, {bounds(schema, 'imum', '')}"
        case "string" if schema.get("format") == "date-time":
            text = "time"
        case "string":
            text = f"string of {bounds(schema, 'Length', 'characters')}"
        case other:
            text = str(other)
    return text.removesuffix(", ")


def bounds(schema: Json, keyword: str, unit: str) -> str:
    """`3 to 5 entries`, `at most 5 entries`, `at least 1`."""
    least, most = schema.get(f"min{keyword}"), schema.get(f"max{keyword}")
    if most is None or most >= INT_MAX:
        return "" if least is None else f"at least {least} {unit}".rstrip()
    if least is None:
        return f"at most {most} {unit}".rstrip()
    return f"{least} to {most} {unit}".rstrip()


def rules(root: Json) -> Iterator[tuple[str, str]]:
    """Path and message of each rule, the root's first."""
    yield from (
        (one.get("fieldPath", "metadata.name").lstrip("."), one["message"])
        for one in root.get(VALIDATIONS, [])
    )
    yield from rules_below("spec", root["properties"]["spec"])


def rules_below(path: str, schema: Json) -> Iterator[tuple[str, str]]:
    """Path and message of each rule at `path` and below."""
    yield from ((path + one.get("fieldPath", ""), one["message"]) for one in schema.get(VALIDATIONS, []))
    for name, member in schema.get("properties", {}).items():
        yield from rules_below(f"{path}.{name}", member)
    if "items" in schema:
        yield from rules_below(f"{path}[]", schema["items"])
