"""Where pods may run and as whom: core/v1 parts of a pod that every workload's spec has."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from annotated_types import Ge, Le, MaxLen
from pydantic import WithJsonSchema

from raydock.api.base import INT_MAX, Spec
from raydock.api.rule import Rule

LabelValue = Annotated[str, MaxLen(63)]
LIST_OF_TERMS: Final[dict[str, Any]] = {
    "type": "array",
    "maxItems": 32,
    "items": {"type": "object", "additionalProperties": True},
}


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
    toleration_seconds: Annotated[int, Ge(0), Le(INT_MAX)] | None = None
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


def affinity_schema() -> dict[str, Any]:
    """core/v1 Affinity down to the two lists of each kind; what is in these, Kubernetes checks.

    Not wholly free-form: CEL does not compare the names of undeclared fields (see batchjob.unchanged).
    """

    def terms(whom: str, required: dict[str, Any]) -> dict[str, Any]:
        when = "DuringSchedulingIgnoredDuringExecution"
        required = {"description": "What must hold."} | required
        preferred = {"description": "What is wished for."} | LIST_OF_TERMS
        return {
            "type": "object",
            "description": whom,
            "properties": {f"required{when}": required, f"preferred{when}": preferred},
        }

    node_selector = {
        "type": "object",
        "properties": {"nodeSelectorTerms": {"description": "One of these must hold."} | LIST_OF_TERMS},
    }
    return {
        "type": "object",
        "properties": {
            "nodeAffinity": terms("Nodes that are wanted.", node_selector),
            "podAffinity": terms("Pods that are wanted near.", LIST_OF_TERMS),
            "podAntiAffinity": terms("Pods that are shunned.", LIST_OF_TERMS),
        },
    }


Affinity = Annotated[dict[str, Any], WithJsonSchema(affinity_schema())]


class Scheduling(Spec):
    """Where pods may run and as whom."""

    node_selector: Annotated[dict[str, LabelValue], MaxLen(32)] = {}
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], MaxLen(32)] = ()
    """Taints of nodes that do not keep the pods away."""
    affinity: Affinity = {}
    """core/v1 Affinity: which nodes and neighbours are wanted or shunned."""
    priority_class_name: Annotated[str, MaxLen(253)] = ""
    """PriorityClass of the pods. Default: the cluster's."""
    service_account_name: Annotated[str, MaxLen(253)] = ""
    """ServiceAccount of the pods, whose token is not mounted. Default: the namespace's default."""
