"""What `spec.server` becomes in Ray's pods: an import path, for a ready-made server one of raydock's own."""

from typing import Final

from raydock.api.workload import Server
from raydock.errors import Terminal
from raydock.reasons import Reason

# Beside each other in two rooms, since a request and a batch are given and answered in different forms.
MLFLOW_APP: Final = "raydock.serve.mlflow:app"
MLFLOW_BATCH: Final = "raydock.batch.mlflow:Model"
HUGGINGFACE_APP: Final = "raydock.serve.huggingface:app"
HUGGINGFACE_BATCH: Final = "raydock.batch.huggingface:Model"


def app_path(server: Server) -> str:
    """What the host of a Deployment imports. Raises Terminal(INVALID_SPEC) for a server without a member."""
    return _path(server, MLFLOW_APP, HUGGINGFACE_APP)


def batch_path(server: Server) -> str:
    """What the workers of a BatchJob import, or its driver runs. Raises as `app_path` does."""
    return _path(server, MLFLOW_BATCH, HUGGINGFACE_BATCH)


def task(server: Server) -> str | None:
    """What a Hugging Face model is to do; None for any other server."""
    return server.huggingface.task if server.huggingface is not None else None


def _path(server: Server, mlflow: str, huggingface: str) -> str:
    if server.import_path is not None:
        return server.import_path
    if server.action is not None:
        return server.action.entrypoint
    if server.mlflow is not None:
        return mlflow
    if server.huggingface is not None:
        return huggingface
    # The API server refuses this; a CRD of another version may not.
    raise Terminal(
        Reason.INVALID_SPEC, "server: write exactly one of importPath, action, mlflow and huggingface"
    )
