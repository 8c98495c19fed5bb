"""The app's OpenAPI document as its callers need it: with the paths that an endpoint has, in 3.1 or 3.0."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.types import ASGIApp

from raydock.serve.answer import Code, Refused
from raydock.serve.routing import INVOKE, Routing

VERSIONS: Final = ("3.1", "3")
"""Values of the query's `version`; without one it is the first. OpenAPI 2 is not offered."""
OPENAPI_3_0: Final = "3.0.3"
_BOUNDS: Final = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


def document(app: ASGIApp, routing: Routing, root: str, query: bytes) -> dict[str, Any]:
    """For GET /swagger.json. `root`: path of the endpoint, or empty; `query`: the request's.

    Raises Refused where the app has no schema, and for another version.
    """
    version = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("version", [VERSIONS[0]])[-1]
    if version not in VERSIONS:
        raise Refused(Code.NOT_FOUND, f"version: want one of {', '.join(VERSIONS)}")
    made: Callable[[], Mapping[str, Any]] | None = getattr(app, "openapi", None)
    if not callable(made):
        raise Refused(Code.NOT_FOUND, "this app has no OpenAPI schema: a FastAPI app has one")
    found = dict(made())
    found["paths"] = {
        outside: item for path, item in found.get("paths", {}).items() if (outside := routing.outside(path))
    }
    found["servers"] = [{"url": root + (INVOKE if routing.invokes else "") or "/"}]
    return found if version == VERSIONS[0] else as_3_0(found)


def as_3_0(found: Any) -> Any:
    """A document of OpenAPI 3.1 in the words of 3.0; what 3.0 has no word for is left out."""
    if isinstance(found, list):
        return [as_3_0(one) for one in found]
    if not isinstance(found, Mapping):
        return found
    told = {key: as_3_0(value) for key, value in found.items()}
    if "openapi" in told and "info" in told:
        told["openapi"] = OPENAPI_3_0
        for new in ("webhooks", "jsonSchemaDialect"):
            told.pop(new, None)
        return told
    return _schema(told)


def _schema(told: dict[str, Any]) -> dict[str, Any]:
    if "const" in told:
        told["enum"] = [told.pop("const")]
    if isinstance(told.get("examples"), list):  # of a schema; those of a media type are a mapping, as in 3.0
        examples = told.pop("examples")
        told |= {"example": examples[0]} if examples else {}
    for new, old in _BOUNDS.items():
        if isinstance(told.get(new), int | float) and not isinstance(told.get(new), bool):
            told |= {old: told[new], new: True}
    if "prefixItems" in told:
        told["items"] = {"anyOf": told.pop("prefixItems")}
    if told.pop("contentMediaType", None) == "application/octet-stream":
        told["format"] = "binary"
    return _nullable(told)


def _nullable(told: dict[str, Any]) -> dict[str, Any]:
    kinds = told.get("type")
    if isinstance(kinds, list):
        rest = [kind for kind in kinds if kind != "null"]
        told |= {"nullable": True} if len(rest) < len(kinds) else {}
        del told["type"]
        told |= {"type": rest[0]} if len(rest) == 1 else {"anyOf": [{"type": kind} for kind in rest]}
    for word in ("anyOf", "oneOf"):
        choices = told.get(word)
        if not isinstance(choices, list) or {"type": "null"} not in choices:
            continue
        rest = [choice for choice in choices if choice != {"type": "null"}]
        del told[word]
        # Beside a $ref 3.0 reads nothing, so it is wrapped.
        told |= {"allOf": rest} if len(rest) == 1 else {word: rest}
        told["nullable"] = True
    return told
