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
class Multiplexing:
    """Models that requests name by their tokens. What is None is the SDK's default."""

    models_per_replica: int | None = None
    audience: str | None = None
    """What stands in the tokens' `aud`."""
    legacy_tokens: str | None = None
    """`Accept`: also tokens without audience and end, signed with the backend's URL."""


@dataclass(frozen=True)
class Action:
    """An action that deploys what the replicas run."""

    params: Mapping[str, Any] = field(default_factory=dict)
    actor_options: Mapping[str, Any] = field(default_factory=dict)
    """Ray's options of one replica, as the custom resource asks for it. Not among the overrides of
    serveConfigV2: those would take the place of the action's runtime environment."""


@dataclass(frozen=True)
class Progress:
    """How far an action is."""

    category: str
    """The category or step that it reported last."""
    percent: int
    """Of the whole action."""
    trouble: str | None = None
    """Why the last try failed, while it waits for the next one; None: it runs."""


@dataclass(frozen=True)
class HostArgs:
    """The part of a Deployment whose change restarts replicas."""

    namespace: str
    deployment: str
    import_path: str
    """`module:attribute`."""
    model_uri: str | None = None
    model_sha256: str | None = None
    model_id: str | None = None
    """What a model backend calls it."""
    model_version: str | None = None
    startup_timeout_s: int = 600
    access_file: str | None = None
    """Where the access file lies; None: wire.paths.ACCESS_FILE."""
    report_port: int | None = None
    """Where it answers READY_PATH beside Serve's own port; None: nowhere."""
    task: str | None = None
    """What a Hugging Face model does; None: it is none."""
    multiplexing: Multiplexing | None = None
    """For a class that loads models by tokens; None: nothing is said about it."""
    action: Action | None = None
    """`import_path` names an action, which is run once to learn what the replicas are; None: it does not."""


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
    progress: Progress | None = None
    """Told on REPORT_PORT of the head pod while an action runs there."""
