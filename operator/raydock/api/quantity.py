"""Kubernetes quantities: `500m`, `1Gi`, `2`."""

from typing import Annotated, Final

from annotated_types import MaxLen
from pydantic import BeforeValidator, WithJsonSchema

from raydock.api.rule import Matches

PATTERN: Final = r"([0-9]+(\.[0-9]+)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?"
"""resource.Quantity (apimachinery, quantity.go) without a sign: nobody asks for a negative amount."""


def as_text(amount: object) -> object:
    """A whole number as text: YAML gives `cpu: 2` as an integer."""
    return str(amount) if type(amount) is int else amount


Quantity = Annotated[
    str,
    MaxLen(32),
    Matches(PATTERN, "not a Kubernetes quantity: write for example 500m, 2 or 1Gi"),
    BeforeValidator(as_text),
    # Text or a whole number. `cpu: 0.5` is refused: clients differ in how they read and write floats.
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": f"^({PATTERN})$",
            "maxLength": 32,
        }
    ),
]
