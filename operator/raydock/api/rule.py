"""What a JSON schema cannot say by itself: CEL rules, patterns with a message, list types, stored defaults.

All of these stand beside what they belong to: a `Rule` between fields in the `rules` of the class, a rule for
one field in its `Annotated`.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

VALIDATIONS: Final = "x-kubernetes-validations"
STORED: Final = "x-raydock-stored"
"""Mark for the generator, never in a CRD: this field's default is kept in the schema."""


@dataclass(frozen=True)
class Rule:
    """A CEL expression that must be true, and what the user reads when it is not: what to write instead."""

    cel: str
    message: str
    field_path: str = ""
    """Path of the culprit below the object that the rule stands on, such as `.workers`; empty: the object."""

    def as_json(self) -> dict[str, str]:
        """The entry of `x-kubernetes-validations`."""
        at = {"fieldPath": self.field_path} if self.field_path else {}
        return {"rule": self.cel, "message": self.message} | at

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return add_rules(handler(schema), self)


def add_rules(schema: JsonSchemaValue, *rules: Rule) -> JsonSchemaValue:
    """`schema` with `rules` behind those it has."""
    return schema | {VALIDATIONS: [*schema.get(VALIDATIONS, []), *(rule.as_json() for rule in rules)]}


@dataclass(frozen=True)
class Matches:
    """The whole text matches `pattern` (syntax of both RE2 and `re`); checked here and by the API server.

    Not JSON schema's `pattern`: the API server would answer with the bare expression.
    """

    pattern: str
    message: str

    def check(self, text: str) -> str:
        """Returns `text` or raises ValueError."""
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(self.message)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # CEL's matches() looks for the pattern anywhere, so both ends are tied down.
        return add_rules(handler(schema), Rule(f"self.matches(r'^({self.pattern})$')", self.message))


@dataclass(frozen=True)
class ListType:
    """How server-side apply merges a list. A list without this mark is atomic: its one owner replaces it."""

    kind: Literal["map", "set"]
    keys: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        marks: dict[str, Any] = {"x-kubernetes-list-type": self.kind}
        if self.keys:
            marks["x-kubernetes-list-map-keys"] = list(self.keys)
        return handler(schema) | marks


UNIQUE: Final = ListType("set")


def keyed_by(key: str) -> ListType:
    """A list of objects that are told apart by their field `key`, which must be unique in the list."""
    return ListType("map", (key,))


@dataclass(frozen=True)
class Stored:
    """The field's default is written into the stored object. The operator applies every other default."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {STORED: True}
