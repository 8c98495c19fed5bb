"""Parts of core/v1 as they stand in raydock's specs: environment, resources, where pods may run.

Names, meaning and merging are Kubernetes' own. What it checks itself when pods are made is free-form.
"""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen

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
LabelValue = Annotated[str, MaxLen(63)]
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


class TolerationOperator(StrEnum):
    """How a toleration's key is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Spec):
    """A taint that does not keep the pods away; core/v1 Toleration."""

    key: Annotated[str, MaxLen(317)] = ""
    """Key of the taint; empty with `operator: Exists`: every taint."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Equal compares `value`, Exists does not. Default Equal."""
    value: LabelValue = ""
    """Value of the taint."""
    effect: TaintEffect | None = None
    """Effect of the taint; absent: every effect."""
    toleration_seconds: Annotated[int, Ge(0), Le(2**63 - 1)] | None = None
    """With NoExecute: seconds until the pod is evicted all the same. Absent: never."""

    rules: ClassVar = (
        Rule(
            "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
            "a toleration without key needs operator: Exists",
            ".operator",
        ),
        Rule(
            "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
            "operator Exists compares no value: take out value, or write operator: Equal",
            ".value",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs effect: NoExecute",
            ".tolerationSeconds",
        ),
    )


class Scheduling(Spec):
    """Where pods may run and as whom."""

    node_selector: Annotated[dict[str, LabelValue], MaxLen(32)] = {}
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], MaxLen(32)] = ()
    """Taints of nodes that do not keep the pods away."""
    affinity: dict[str, Any] = {}
    """core/v1 Affinity: which nodes and neighbours are wanted or shunned."""
    priority_class_name: Annotated[str, MaxLen(253)] = ""
    """PriorityClass of the pods. Default: the cluster's."""
    service_account_name: Annotated[str, MaxLen(253)] = ""
    """ServiceAccount of the pods, whose token is not mounted. Default: the namespace's default."""


ImagePullSecrets = Annotated[tuple[LocalObjectReference, ...], MaxLen(16), keyed_by("name")]
Env = Annotated[tuple[EnvVar, ...], MaxLen(128), keyed_by("name")]
EnvFrom = Annotated[tuple[EnvFromSource, ...], MaxLen(32)]
