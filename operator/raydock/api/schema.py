"""From a pydantic model to a structural schema: what the API server takes, and nothing else.

A structural schema has no `$ref`, no `nullable`, no defaults but the stored ones, and bounds everywhere: the
API server estimates what a CEL rule costs from the greatest size of what it looks at.
"""

from collections.abc import Mapping
from typing import Any, Final

from raydock.api.base import Resource
from raydock.api.rule import STORED, VALIDATIONS

INT32_MAX: Final = 2**31 - 1
OBSERVED_NOTHING: Final = {"observedGeneration": -1}
"""Status of an object that nobody looked at yet: kstatus reads it as "in progress"."""

TAKEN_OVER: Final = frozenset(
    {
        "type",
        "format",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "maxProperties",
        "required",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        VALIDATIONS,
    }
)
"""Keywords that mean the same in pydantic's JSON schema and in a structural one."""
HANDLED: Final = frozenset(
    {"$ref", "$defs", "title", "description", "default", "const", "anyOf", "items", "properties"}
) | {"additionalProperties", STORED}
"""Keywords that are translated or left out."""

Json = dict[str, Any]


def openapi_schema(kind: type[Resource]) -> Json:
    """The `openAPIV3Schema` of `kind`. Raises ValueError for what no structural schema can say."""
    raw = kind.model_json_schema()
    schema = structural(raw, raw["$defs"])
    properties = schema["properties"]
    properties["apiVersion"] = {"type": "string", "description": "Version of the schema."}
    properties["kind"] = {"type": "string", "description": "Kind of the object."}
    # The API server has its own schema of metadata and refuses another one.
    properties["metadata"] = {"type": "object"}
    properties["status"]["default"] = OBSERVED_NOTHING
    schema["required"] = ["spec"]
    return schema


def structural(raw: Json, defs: Mapping[str, Json]) -> Json:
    """`raw`, a piece of pydantic's JSON schema with definitions `defs`, as a structural schema."""
    raw = resolved(raw, defs)
    if unknown := raw.keys() - TAKEN_OVER - HANDLED:
        raise ValueError(f"no structural schema can say {sorted(unknown)}: {raw}")
    schema = {keyword: value for keyword, value in raw.items() if keyword in TAKEN_OVER}
    if "description" in raw:
        schema["description"] = " ".join(raw["description"].split())
    if "const" in raw:
        schema["enum"] = [raw["const"]]
    if raw.get(STORED):
        schema["default"] = raw["default"]
    if "x-kubernetes-int-or-string" in raw:
        schema["anyOf"] = raw["anyOf"]
    match raw.get("type"):
        case "integer":
            schema["format"] = "int32" if abs(raw.get("maximum", INT32_MAX)) <= INT32_MAX else "int64"
        case "array":
            schema["items"] = structural(raw["items"], defs)
            schema.setdefault("x-kubernetes-list-type", "atomic")
        case "object":
            schema |= members(raw, defs)
        case "number":
            raise ValueError(f"floats are read differently by different clients: {raw}")
        case _:
            pass
    return schema


def resolved(raw: Json, defs: Mapping[str, Json]) -> Json:
    """`raw` with its reference and `| None` resolved. A field's own words win over those of its class."""
    beside = {keyword: value for keyword, value in raw.items() if keyword not in {"$ref", "anyOf"}}
    if "$ref" in raw:
        return merged(resolved(defs[raw["$ref"].removeprefix("#/$defs/")], defs), beside)
    if "anyOf" not in raw or "x-kubernetes-int-or-string" in raw:
        return raw
    given = [one for one in raw["anyOf"] if one != {"type": "null"}]
    if len(given) != 1:
        raise ValueError(f"a field has one type, or one type and None: {raw}")
    return merged(resolved(given[0], defs), beside)


def merged(inner: Json, beside: Json) -> Json:
    """`beside` over `inner`; the rules of both hold."""
    rules = [*inner.get(VALIDATIONS, []), *beside.get(VALIDATIONS, [])]
    return inner | beside | ({VALIDATIONS: rules} if rules else {})


def members(raw: Json, defs: Mapping[str, Json]) -> Json:
    """What is in an object: named fields, or values of one type, or anything."""
    if "properties" in raw:
        return {"properties": {name: structural(field, defs) for name, field in raw["properties"].items()}}
    if raw["additionalProperties"] is True:
        return {"x-kubernetes-preserve-unknown-fields": True}
    return {"additionalProperties": structural(raw["additionalProperties"], defs)}
