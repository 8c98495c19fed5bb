"""Parts of core/v1 as they stand in raydock's specs: references, environment, resources.

Names, meaning and merging are Kubernetes' own. What it checks itself when pods are made is free-form.
"""

from typing import Annotated, ClassVar

from annotated_types import MaxLen, MinLen

from raydock.api.base import ObjectName, Spec
from raydock.api.quantity import Quantity
from raydock.api.rule import Matches, Rule, keyed_by

EnvName = Annotated[
    str,
    MinLen(1),
    MaxLen(253),
    Matches("[A-Za-z_][A-Za-z0-9_.-]*", "write a variable name of letters, digits and '_', first no digit"),
]
Key = Annotated[
    str,
    MinLen(1),
    MaxLen(253),
    Matches("[-._a-zA-Z0-9]+", "write a key of letters, digits, '-', '_' and '.'"),
]
ResourceList = Annotated[dict[str, Quantity], MaxLen(16)]
"""Amount by resource name: `cpu`, `memory`, `nvidia.com/gpu`."""


class LocalObjectReference(Spec):
    """An object of the same namespace."""

    name: ObjectName
    """Name of the object."""


class KeySelector(Spec):
    """One entry of a ConfigMap or Secret of the same namespace."""

    name: ObjectName
    """Name of the ConfigMap or Secret."""
    key: Key
    """Name of the entry."""
    optional: bool = False
    """Whether pods start without it. Default false."""


class FieldSelector(Spec):
    """A field of the pod itself."""

    api_version: Annotated[str, MaxLen(63)] = "v1"
    """Version of the pod's schema. Default v1."""
    field_path: Annotated[str, MinLen(1), MaxLen(512)]
    """Path of the field, such as `metadata.name`."""


class ResourceFieldSelector(Spec):
    """A resource of a container of the pod."""

    container_name: Annotated[str, MaxLen(63)] | None = None
    """Name of the container; absent: the one that the variable is set in."""
    resource: Annotated[str, MinLen(1), MaxLen(253)]
    """Name of the resource, such as `limits.memory`."""
    divisor: Quantity | None = None
    """Unit of the value. Default 1."""


class EnvVarSource(Spec):
    """Where a variable's value comes from: exactly one of the members."""

    config_map_key_ref: KeySelector | None = None
    """Entry of a ConfigMap."""
    secret_key_ref: KeySelector | None = None
    """Entry of a Secret. It is read when a pod starts."""
    field_ref: FieldSelector | None = None
    """Field of the pod."""
    resource_field_ref: ResourceFieldSelector | None = None
    """Resource of a container."""

    rules: ClassVar = (
        Rule(
            "[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef), "
            "has(self.resourceFieldRef)].filter(given, given).size() == 1",
            "write exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef",
        ),
    )


class EnvVar(Spec):
    """One environment variable; core/v1 EnvVar."""

    name: EnvName
    """Name of the variable."""
    value: Annotated[str, MaxLen(32768)] | None = None
    """Value; `$(NAME)` is replaced by an earlier variable. Absent: empty."""
    value_from: EnvVarSource | None = None
    """Where the value comes from, in place of `value`."""

    rules: ClassVar = (
        Rule("!(has(self.value) && has(self.valueFrom))", "write value or valueFrom, not both", ".valueFrom"),
    )


class EnvSource(Spec):
    """A whole ConfigMap or Secret of the same namespace."""

    name: ObjectName
    """Name of the ConfigMap or Secret."""
    optional: bool = False
    """Whether pods start without it. Default false."""


class EnvFromSource(Spec):
    """All entries of one ConfigMap or Secret as variables; core/v1 EnvFromSource."""

    prefix: Annotated[str, MaxLen(253)] = ""
    """Put before each name. Default none."""
    config_map_ref: EnvSource | None = None
    """The ConfigMap."""
    secret_ref: EnvSource | None = None
    """The Secret. It is read when a pod starts."""

    rules: ClassVar = (
        Rule(
            "has(self.configMapRef) != has(self.secretRef)", "write exactly one of configMapRef and secretRef"
        ),
    )


class ResourceRequirements(Spec):
    """What a container may count on and what it may use at most; core/v1 ResourceRequirements."""

    requests: ResourceList = {}
    """What is set aside, by resource name."""
    limits: ResourceList = {}
    """What may be used at most, by resource name. Devices such as `nvidia.com/gpu` are asked for here."""

    rules: ClassVar = (
        Rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
            "quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
            "a request is greater than the limit of the same resource: lower the request or raise the limit",
            ".requests",
        ),
    )


ImagePullSecrets = Annotated[tuple[LocalObjectReference, ...], MaxLen(16), keyed_by("name")]
Env = Annotated[tuple[EnvVar, ...], MaxLen(128), keyed_by("name")]
EnvFrom = Annotated[tuple[EnvFromSource, ...], MaxLen(32)]
