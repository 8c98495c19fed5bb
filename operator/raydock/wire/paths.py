"""Where things lie inside raydock's Ray pods, and how a `pvc://` URI becomes a path there."""

from typing import Final

ACCESS_FILE: Final = "/etc/raydock/access/access.json"
"""Who may call, from the Secret `<deployment>-access`: wire.access.Access as JSON."""
CODE_DIR: Final = "/opt/raydock-code"
"""The copied code ConfigMap; on PYTHONPATH."""
JOB_FILE: Final = "/etc/raydock/job/job.json"
"""What a batch driver does: wire.job.JobConfig as JSON."""
TOKEN_FILE: Final = "/var/run/raydock/token"  # noqa: S105 - a path, not a token
"""Projected service-account token, audience `raydock`, for POST /v1/progress."""
TOKEN_AUDIENCE: Final = "raydock"  # noqa: S105 - an audience, not a token
MODEL_CACHE_DIR: Final = "/var/cache/raydock/models"
"""Content-addressed model files, shared by a pod's replicas."""
CLAIMS_DIR: Final = "/mnt/raydock"
"""PersistentVolumeClaims by name below it."""
MODEL_PATH_ENV: Final = "RAYDOCK_MODEL_PATH"
"""Environment variable with the local path of spec.model, set before user code is imported."""
TASK_ENV: Final = "RAYDOCK_TASK"
"""Environment variable with the task of a Hugging Face model, set as MODEL_PATH_ENV is."""


def claim_of(uri: str) -> str | None:
    """The claim's name of `pvc://CLAIM/PATH`; None for another scheme."""
    return uri.removeprefix("pvc://").split("/", 1)[0] if uri.startswith("pvc://") else None


def claim_path(uri: str, claims_dir: str = CLAIMS_DIR) -> str:
    """Where `pvc://CLAIM/PATH` lies, claims mounted under `claims_dir`. ValueError: other scheme, `..`."""
    claim = claim_of(uri)
    if not claim:
        raise ValueError("want pvc://CLAIM/PATH")
    path = uri.removeprefix("pvc://").partition("/")[2].strip("/")
    if ".." in path.split("/"):
        raise ValueError("a pvc:// path must not contain ..")
    return f"{claims_dir}/{claim}/{path}".rstrip("/")
