"""What is kept of Ray Serve's own word; the shapes are what Ray 2.60's dashboard answered on the node."""

from typing import Any

import pytest

from raydock.facts.serve import Replica, ServeState, serve_state


def details(*replicas: tuple[str | None, str], target: Any = 2) -> dict[str, Any]:
    entries = [{"node_instance_id": pod, "state": state, "replica_id": "w71ub3o8"} for pod, state in replicas]
    host = {"name": "host", "status": "HEALTHY", "target_num_replicas": target, "replicas": entries}
    return {"applications": {"iris": {"name": "iris", "status": "RUNNING", "deployments": {"host": host}}}}


def test_replicas_are_read_with_their_pods() -> None:
    state = serve_state(details(("iris-a-head", "RUNNING"), (None, "STARTING")), "iris", "host")
    assert state == ServeState(2, (Replica("iris-a-head", "RUNNING"), Replica("", "STARTING")))
    assert state.running == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(None, id="nothing"),
        pytest.param({"applications": {}}, id="no application yet"),
        pytest.param({"applications": {"iris": {"deployments": {}}}}, id="its import failed"),
        pytest.param(details(target=None), id="an older Ray, which tells no target"),
        pytest.param(details(target=True), id="a target that is no number"),
    ],
)
def test_what_tells_no_number_is_nothing(said: Any) -> None:
    assert serve_state(said, "iris", "host") is None
