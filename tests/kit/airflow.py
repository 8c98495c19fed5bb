"""examples/batch/airflow_dag.py, read with stand-ins for Airflow: the pod that its task asks for."""

import runpy
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Self
from unittest.mock import patch

from kubernetes.client import ApiClient

from hack.node.layout import REPOSITORY

DAG_FILE = REPOSITORY / "examples" / "batch" / "airflow_dag.py"


class Dag:
    """airflow.sdk.DAG, as far as a file needs it."""

    def __init__(self, *, dag_id: str, **_: Any) -> None:
        self.dag_id = dag_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


class PodOperator:
    """KubernetesPodOperator: the parameters that are used here, with its own names (provider 10)."""

    def __init__(
        self,
        *,
        task_id: str,
        namespace: str,
        image: str,
        cmds: list[str],
        env_vars: Mapping[str, str],
        volumes: list[Any],
        volume_mounts: list[Any],
        service_account_name: str,
        security_context: Any,
        container_security_context: Any,
        **of_the_task: Any,
    ) -> None:
        unknown = set(of_the_task) - {"get_logs", "retries", "retry_delay", "execution_timeout"}
        assert not unknown, unknown
        self.env = dict(env_vars)
        self.pod = {
            "metadata": {"name": task_id, "namespace": namespace},
            "spec": {
                "serviceAccountName": service_account_name,
                "securityContext": _plain(security_context),
                "restartPolicy": "Never",
                "volumes": _plain(volumes),
                "containers": [
                    {
                        "name": "base",
                        "image": image,
                        "command": cmds,
                        "volumeMounts": _plain(volume_mounts),
                        "securityContext": _plain(container_security_context),
                    }
                ],
            },
        }


def pod(render: Callable[[str], str]) -> dict[str, Any]:
    """The pod of the DAG's one task. `render`: what Airflow makes of templated text."""
    names = (
        *("airflow", "airflow.sdk", "airflow.providers", "airflow.providers.cncf"),
        *("airflow.providers.cncf.kubernetes", "airflow.providers.cncf.kubernetes.operators"),
        "airflow.providers.cncf.kubernetes.operators.pod",
    )
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    modules["airflow.sdk"].DAG = Dag
    modules[names[-1]].KubernetesPodOperator = PodOperator
    with patch.dict(sys.modules, modules):
        found = runpy.run_path(str(DAG_FILE))
    (task,) = (one for one in found.values() if isinstance(one, PodOperator))
    container = task.pod["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": render(value)} for name, value in task.env.items()]
    return {"apiVersion": "v1", "kind": "Pod", **task.pod}


def _plain(value: Any) -> Any:
    """As the API server takes it."""
    return ApiClient().sanitize_for_serialization(value)
