"""What nodes have left, and which of them take a pod."""

from typing import Any

import pytest

from raydock.capacity.nodes import free_nodes, refusal
from raydock.facts.node import Node
from raydock.facts.podspec import Expression, Toleration
from tests.unit.capacity.given import a_pod, head, node, room, taint


@pytest.mark.parametrize(
    ("pods", "free", "left"),
    [
        pytest.param([], room(4, 16), 110, id="nothing runs"),
        pytest.param([a_pod("n1", room(1, 2))], room(3, 14), 109, id="a running pod"),
        pytest.param(
            [a_pod("n1", room(1, 2), deleting=True)],
            room(3, 14),
            109,
            id="a leaving pod counts until it is gone",
        ),
        pytest.param(
            [a_pod("n1", room(1, 2), phase="Pending")], room(3, 14), 109, id="bound and not started"
        ),
        pytest.param([a_pod("n1", room(1, 2), phase="Succeeded")], room(4, 16), 110, id="a finished pod"),
        pytest.param([a_pod("n1", room(1, 2), phase="Failed")], room(4, 16), 110, id="an evicted pod"),
        pytest.param([a_pod("", room(1, 2), phase="Pending")], room(4, 16), 110, id="a pod without a node"),
        pytest.param([a_pod("n2", room(1, 2))], room(4, 16), 110, id="a pod on another node"),
        pytest.param([a_pod("n1", room(5, 2))], room(-1, 14), 109, id="more than the node has"),
        pytest.param([a_pod("n1", room(1, 0, 1))] * 2, room(2, 16) - room(0, 0, 2), 108, id="devices"),
        pytest.param(
            [a_pod("n1", room())], room(4, 16), 109, id="a pod that asks for nothing is still a pod"
        ),
    ],
)
def test_free_is_allocatable_less_what_pods_request(pods: list[Any], free: Any, left: int) -> None:
    (read,) = free_nodes([node("n1", room(4, 16))], pods)
    assert (read.free, read.pods) == (free, left)


GPU_TAINT = taint("gpu", "yes")


@pytest.mark.parametrize(
    ("on", "asks", "why"),
    [
        pytest.param(node(), {}, None, id="nothing in the way"),
        pytest.param(node(ready=False), {}, "is not ready", id="not ready"),
        pytest.param(node(unschedulable=True), {}, "is cordoned", id="cordoned"),
        pytest.param(node(), {"node_selector": {"disk": "ssd"}}, "has no label disk=ssd", id="label missing"),
        pytest.param(
            node(labels={"disk": "hdd"}),
            {"node_selector": {"disk": "ssd"}},
            "has no label disk=ssd",
            id="label differs",
        ),
        pytest.param(
            node(labels={"disk": "ssd"}), {"node_selector": {"disk": "ssd"}}, None, id="label matches"
        ),
        pytest.param(node(taints=(GPU_TAINT,)), {}, "has the taint gpu=yes:NoSchedule", id="tainted"),
        pytest.param(
            node(taints=(taint("x", effect="NoExecute"),)),
            {},
            "has the taint x:NoExecute",
            id="taint that evicts",
        ),
        pytest.param(
            node(taints=(taint("x", effect="PreferNoSchedule"),)), {}, None, id="taint that only prefers"
        ),
    ],
)
def test_a_node_says_why_it_refuses(on: Node, asks: dict[str, Any], why: str | None) -> None:
    assert refusal(head(room(1, 1), **asks), on) == why


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        pytest.param(Toleration("gpu", "Equal", "yes", "NoSchedule"), True, id="the very taint"),
        pytest.param(Toleration("gpu", "Equal", "yes", ""), True, id="every effect"),
        pytest.param(Toleration("gpu", "Exists", "", "NoSchedule"), True, id="every value"),
        pytest.param(Toleration("", "Exists", "", ""), True, id="every taint"),
        pytest.param(Toleration("", "Exists", "", "NoExecute"), False, id="every taint of another effect"),
        pytest.param(Toleration("gpu", "Equal", "no", "NoSchedule"), False, id="another value"),
        pytest.param(Toleration("tpu", "Exists", "", ""), False, id="another key"),
        pytest.param(Toleration("gpu", "Equal", "yes", "NoExecute"), False, id="another effect"),
        pytest.param(Toleration("", "Equal", "yes", ""), False, id="no key needs Exists"),
        pytest.param(Toleration("gpu", "Near", "yes", ""), False, id="an operator of the future"),
    ],
)
def test_tolerations_match_as_in_kubernetes(toleration: Toleration, *, tolerated: bool) -> None:
    why = refusal(head(room(1, 1), tolerations=(toleration,)), node(taints=(GPU_TAINT,)))
    assert (why is None) is tolerated


def test_each_taint_needs_its_own_toleration() -> None:
    shape = head(room(1, 1), tolerations=(Toleration("gpu", "Exists", "", ""),))
    assert refusal(shape, node(taints=(GPU_TAINT, taint("team", "b")))) == "has the taint team=b:NoSchedule"


def expression(operator: str, *values: str, key: str = "zone", is_field: bool = False) -> Expression:
    return Expression(key, operator, values, is_field=is_field)


@pytest.mark.parametrize(
    ("terms", "takes"),
    [
        pytest.param(None, True, id="no affinity"),
        pytest.param((), False, id="required, but without terms"),
        pytest.param(((),), False, id="a term without expressions holds nowhere"),
        pytest.param(((expression("In", "a", "b"),),), True, id="In"),
        pytest.param(((expression("In", "c"),),), False, id="In, another value"),
        pytest.param(((expression("In", "a", key="rack"),),), False, id="In, no such label"),
        pytest.param(((expression("NotIn", "c"),),), True, id="NotIn"),
        pytest.param(((expression("NotIn", "a"),),), False, id="NotIn, its value"),
        pytest.param(((expression("NotIn", "a", key="rack"),),), True, id="NotIn, no such label"),
        pytest.param(((expression("Exists"),),), True, id="Exists"),
        pytest.param(((expression("Exists", key="rack"),),), False, id="Exists, no such label"),
        pytest.param(((expression("DoesNotExist", key="rack"),),), True, id="DoesNotExist"),
        pytest.param(((expression("DoesNotExist"),),), False, id="DoesNotExist, a label"),
        pytest.param(((expression("Gt", "7", key="cores"),),), True, id="Gt"),
        pytest.param(((expression("Gt", "8", key="cores"),),), False, id="Gt, the same"),
        pytest.param(((expression("Lt", "9", key="cores"),),), True, id="Lt"),
        pytest.param(((expression("Lt", "9"),),), False, id="Lt, not a number"),
        pytest.param(((expression("Lt"),),), False, id="Lt, no value"),
        pytest.param(((expression("Near", "a"),),), False, id="an operator of the future"),
        pytest.param(((expression("In", "c"),), (expression("Exists"),)), True, id="one term of several"),
        pytest.param(((expression("In", "c"), expression("Exists")),), False, id="each expression of a term"),
        pytest.param(((expression("In", "n1", key="metadata.name", is_field=True),),), True, id="by name"),
        pytest.param(
            ((expression("In", "n2", key="metadata.name", is_field=True),),), False, id="another's name"
        ),
        pytest.param(
            ((expression("In", "n1", key="metadata.uid", is_field=True),),), False, id="another field"
        ),
    ],
)
def test_required_affinity_matches_as_in_kubernetes(terms: Any, *, takes: bool) -> None:
    on = node("n1", labels={"zone": "a", "cores": "8"})
    assert (refusal(head(room(1, 1), affinity=terms), on) is None) is takes
