"""Where things lie inside raydock's Ray pods, and how a `pvc://` URI becomes a path there."""

import re
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
TOKEN_KEY_FILE: Final = "/etc/raydock/model-token/key"  # noqa: S105 - a path, not a token
"""The key that model tokens are signed with, from `multiplexing.tokenKeySecret`; the one before it lies
beside it, with TOKEN_KEY_PREVIOUS behind its name."""
TOKEN_KEY_PREVIOUS: Final = ".previous"  # noqa: S105 - a suffix
TOKEN_KEY_FILE_ENV: Final = "RAYDOCK_MODEL_TOKEN_KEY_FILE"  # noqa: S105 - a variable's name
"""Environment variable with that path, for those who sign tokens and those who verify them."""
MODEL_PATH_ENV: Final = "RAYDOCK_MODEL_PATH"
"""Environment variable with the local path of spec.model, set before user code is imported."""
MODEL_ID_ENV: Final = "RAYDOCK_MODEL_ID"
MODEL_VERSION_ENV: Final = "RAYDOCK_MODEL_VERSION"
"""Environment variables with what a model backend calls spec.model, set as MODEL_PATH_ENV is."""
TASK_ENV: Final = "RAYDOCK_TASK"
"""Environment variable with the task of a Hugging Face model, set as MODEL_PATH_ENV is."""
_CLAIM: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
"""The name of an object of Kubernetes (RFC 1123): no other one is mounted, and `..` would lead out."""


def claim_of(uri: str) -> str | None:
    """The claim's name of `pvc://CLAIM/PATH`; None for another scheme."""
    return uri.removeprefix("pvc://").split("/", 1)[0] if uri.startswith("pvc://") else None


def claim_path(uri: str, claims_dir: str = CLAIMS_DIR) -> str:
    """Where `pvc://CLAIM/PATH` lies, claims mounted under `claims_dir`. ValueError: no such form, `..`."""
    claim = claim_of(uri)
    if not claim or not _CLAIM.fullmatch(claim):
        raise ValueError("want pvc://CLAIM/PATH")
    path = uri.removeprefix("pvc://").partition("/")[2].strip("/")
    if ".." in path.split("/"):
        raise ValueError("a pvc:// path must not contain ..")
    return f"{claims_dir}/{claim}/{path}".rstrip("/")
