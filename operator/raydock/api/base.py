"""What all kinds have in common: naming of fields, frozen shapes, metadata, how a kind introduces itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from annotated_types import MaxLen, MinLen
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    PlainSerializer,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import override

from raydock.api.rule import Matches, Rule, add_rules

GROUP: Final = "raydock.io"
VERSION: Final = "v1alpha1"
API_VERSION: Literal["raydock.io/v1alpha1"] = "raydock.io/v1alpha1"
CATEGORY: Final = "raydock"

PAUSED_ANNOTATION: Final = f"{GROUP}/paused"
RESTART_ANNOTATION: Final = f"{GROUP}/restart"
ROTATE_ANNOTATION: Final = f"{GROUP}/rotate"

NAME_MAX: Final = 40
"""Characters. A RayService may have 47 (KubeRay 1.7.0, constant.go); children add a suffix of up to 7."""
INT_MAX: Final = 2**53
"""Greatest number that we take. The API server holds bounds as floats: 2**63 - 1 turns negative there."""
MESSAGE_MAX: Final = 4096
"""Characters of a message in status: 2 KiB of traceback and what stands around it."""

DNS_1035: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
DNS_1123: Final = "[a-z0-9]([-.a-z0-9]*[a-z0-9])?"


class Shape(BaseModel):
    """A frozen object: snake_case here, camelCase in Kubernetes."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        extra="ignore",
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """CEL between the fields of this object."""

    @classmethod
    def cel_rules(cls) -> tuple[Rule, ...]:
        """`rules` of the class and of those that it is made of, and what a class makes of its own fields."""
        return tuple(rule for base in reversed(cls.__mro__) for rule in base.__dict__.get("rules", ()))

    @classmethod
    @override
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The class's own schema with its rules in it."""
        ref = handler(core)
        if rules := cls.cel_rules():
            own = handler.resolve_ref_schema(ref)
            own.update(add_rules(own, *rules))
        return ref

    def as_json(self) -> dict[str, Any]:
        """What is said about this object in Kubernetes: camelCase, without what is absent or default."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


class Spec(Shape):
    """A part of what the user asks for. An unknown field is an error: it would be ignored."""

    model_config = ConfigDict(extra="forbid")


class Status(Shape):
    """A part of what the operator reports. Unknown fields are those of an earlier or later raydock."""


def whole_seconds(at: datetime) -> datetime:
    """`at` as metav1.Time keeps it: UTC, without fractions, so that what is read equals what was written."""
    return at.astimezone(UTC).replace(microsecond=0)


def cut(text: object) -> object:
    """`text` cut to MESSAGE_MAX characters: a long message must never make the API server refuse a status."""
    return text[:MESSAGE_MAX] if isinstance(text, str) else text


Time = Annotated[
    AwareDatetime,
    AfterValidator(whole_seconds),
    PlainSerializer(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"), when_used="json"),
]
Message = Annotated[str, BeforeValidator(cut), MaxLen(MESSAGE_MAX)]
Text = Annotated[str, MaxLen(253)]
"""A short text that the operator writes."""

DeploymentName = Annotated[
    str,
    MinLen(1),
    MaxLen(NAME_MAX),
    Matches(DNS_1035, "write the name of a Deployment: lower case letters, digits and '-', first a letter"),
]
EndpointName = Annotated[
    str,
    MinLen(1),
    MaxLen(NAME_MAX),
    Matches(
        DNS_1035, "write the name of an InferenceEndpoint: lower case letters, digits, '-', first a letter"
    ),
]
ObjectName = Annotated[
    str,
    MinLen(1),
    MaxLen(253),
    Matches(DNS_1123, "write the name of an object: lower case letters, digits, '-' and '.'"),
]


class OwnerReference(Shape):
    """Who owns an object; metav1.OwnerReference."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class Metadata(Shape):
    """metav1.ObjectMeta, as far as raydock looks at it."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Names:
    """How a kind is called."""

    kind: str
    plural: str
    short: str


@dataclass(frozen=True)
class Scale:
    """Where the scale subresource finds its three numbers: paths in the object."""

    wanted: str
    present: str
    selector: str


@dataclass(frozen=True)
class Column:
    """What `kubectl get` prints, `wide` only with `-o wide`. A `type` of `date` is printed as an age."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


def condition_column(name: str, part: str, *, wide: bool = False) -> Column:
    """Column of the `Ready` condition's `status`, `reason` or `message`."""
    return Column(name, f'.status.conditions[?(@.type=="Ready")].{part}', wide=wide)


AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")


class Resource(Shape):
    """A whole object. A kind adds `spec` and `status`."""

    names: ClassVar[Names]
    columns: ClassVar[tuple[Column, ...]]
    scale: ClassVar[Scale | None] = None

    metadata: Metadata
    """Standard object metadata."""

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """The object as read from the API server or a manifest. Raises pydantic.ValidationError."""
        return cls.model_validate(obj)

    @override
    def as_json(self) -> dict[str, Any]:
        return {"apiVersion": API_VERSION, "kind": self.names.kind} | super().as_json()


def name_rules(kind: str, *, shortest: int = 1) -> tuple[Rule, ...]:
    """What holds for the name of every kind."""
    length = f"at most {NAME_MAX}" if shortest == 1 else f"{shortest} to {NAME_MAX}"
    return (
        Rule(
            f"self.metadata.name.size() >= {shortest} && self.metadata.name.size() <= {NAME_MAX}",
            f"give the {kind} a name of {length} characters",
        ),
        Rule(
            f"self.metadata.name.matches(r'^{DNS_1035}$')",
            f"give the {kind} a name of lower case letters, digits and '-' that begins with a letter",
        ),
    )
