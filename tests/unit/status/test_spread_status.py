"""What a Deployment with worker pods may claim."""

from dataclasses import replace

from raydock.api.conditions import ConditionType, find
from raydock.facts.pod import Pod, pod
from raydock.plan.rollout import Choice
from raydock.status import deployment as status
from tests.unit.plan.given import observed
from tests.unit.plan.test_workers import live, spread, state


def stuck() -> Pod:
    """A worker pod beside the one that serves, whose image cannot be pulled."""
    waiting = {
        "name": "ray",
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
    }
    labels = {"ray.io/cluster": "iris-a", "ray.io/node-type": "worker", "ray.io/group": "replicas"}
    return pod(
        {
            "metadata": {"name": "b", "creationTimestamp": "2026-05-04T09:00:00Z", "labels": labels},
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Pending", "containerStatuses": [waiting]},
        }
    )


def test_a_worker_pod_that_cannot_start_is_told_while_the_others_serve() -> None:
    cr = spread(replicas=2)
    seen = live(cr, 2, state(2, "a", ""), "a")
    o = observed(cr, replace(seen, pods=(*seen.pods, stuck())))
    told = status.deployment(o, Choice())
    found = {kind: find(told.conditions, kind) for kind in ConditionType}
    cluster, healthy = found[ConditionType.CLUSTER_READY], found[ConditionType.APPLICATION_HEALTHY]
    assert cluster is not None
    assert (cluster.status, cluster.reason) == ("False", "ImagePullFailed")
    assert "pod b" in cluster.message
    assert healthy is not None
    assert healthy.status == "True"
