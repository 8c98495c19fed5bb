"""What the operator tells the serving host, and what the host's health route answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

BUILDER: Final = "raydock.serve.host:build"
"""Import path of the Serve app builder that every Deployment runs; its argument is HostArgs as JSON."""
INGRESS: Final = "host"
"""Name of the Serve deployment that takes requests: fixed, so that serveConfigV2 can override its figures."""
SERVE_PORT: Final = 8000
REPORT_PORT: Final = 8001
"""Where a replica that has a pod of its own answers READY_PATH itself: Serve's port is in the head alone."""
STREAM_TIMEOUT_S: Final = 480
READY_PATH: Final = "/-/ready"
"""Always answered by the host, without a key: Health as JSON, 200 or 503."""


@dataclass(frozen=True)
class HostArgs:
    """The part of a Deployment whose change restarts replicas."""

    namespace: str
    deployment: str
    import_path: str
    """`module:attribute`."""
    model_uri: str | None = None
    model_sha256: str | None = None
    startup_timeout_s: int = 600
    access_file: str | None = None
    """Where the access file lies; None: wire.paths.ACCESS_FILE."""
    report_port: int | None = None
    """Where it answers READY_PATH beside Serve's own port; None: nowhere."""
    task: str | None = None
    """What a Hugging Face model does; None: it is none."""


@dataclass(frozen=True)
class Limits:
    """Per replica; in whole requests, seconds and bytes."""

    ongoing_requests: int = 16
    queued_requests: int = 64
    request_timeout_s: int = 60
    body_bytes: int = 6_291_456
    queue_wait_s: int | None = None
    """None: as long as the request may take."""
    stream_timeout_s: int | None = None
    """From the first byte of an answer to its last; None: STREAM_TIMEOUT_S."""


@dataclass(frozen=True)
class HostConfig:
    """Ray Serve's `user_config` of the host: applied in place, no restart."""

    revision: str
    """Echoed by the health route, so that the operator sees which version answers."""
    params: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()
    predict_path: str = "/"
    """Path of the app that the endpoint's root leads to."""
    invoke: bool | None = None
    """Every path of the app is called instead, as `/invoke/ANY`; None: no."""
    exclude: tuple[str, ...] | None = None
    """With `invoke`: paths that are not, with all below them."""
    health_path: str = READY_PATH
    """A path of the app that must answer 2xx; READY_PATH itself means: the app has none."""


@dataclass(frozen=True)
class Health:
    """Answer of READY_PATH."""

    status: str
    """`ready` or `starting` or `unhealthy`."""
    deployment: str
    revision: str
    access: str
    """wire.access.digest of the access file that this pod holds; empty when it has none."""
    message: str = ""
