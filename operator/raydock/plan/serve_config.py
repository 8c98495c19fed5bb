"""`serveConfigV2` of a Deployment: a string that KubeRay sends to Ray Serve and nobody validates on the way.

Ray Serve drops unknown keys silently, so a test reads every golden manifest with Serve's own schema and
compares the keys (ADR 0007 says why not the operator at run time).
"""

import math
from collections.abc import Mapping
from typing import Any, Final

import yaml

from raydock.api.deployment import Autoscaling, Deployment, Multiplexing
from raydock.facts import lenient
from raydock.plan.defaults import Defaults
from raydock.plan.pods import gpus, logical_cpus, of_replica
from raydock.plan.scale import Bounds, is_spread, sized
from raydock.plan.server import app_path, task
from raydock.wire import host
from raydock.wire.record import to_json

ADMITTED_BEYOND_LIMITS: Final = 16
"""Requests that Serve passes on beside ongoing and queued ones: probes, and those answered with 429."""
DRAIN_S: Final = 10
"""Beyond the longest request: what a leaving replica needs to be taken out of HAProxy and to end."""


def serve_config_v2(
    cr: Deployment, revision: str, between: Bounds, defaults: Defaults, live: str | None = None
) -> str:
    """The config as YAML. KubeRay sends it again whenever the string differs: key order must not wander.

    `live`: the config of running replicas that shall go on. Other actor options would replace them, and the
    user's are the same: only an operator setting may have changed since.
    """
    config = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "0.0.0.0", "port": host.SERVE_PORT},  # noqa: S104 - the pod's own address
        "logging_config": {"enable_access_log": False},
        "applications": [_application(cr, revision, between, defaults, _actor_options(live))],
    }
    return _text(config)


def resized(live: str, between: Bounds, auto: Autoscaling | None) -> str:
    """A config that raydock wrote, with another number of replicas."""
    config = yaml.safe_load(live)
    config["applications"][0]["deployments"][0] |= sized(between, auto)
    return _text(config)


def surge_fits(live: str, cluster: Mapping[str, Any]) -> bool:
    """Whether the head pod of `cluster` has Ray's logical CPUs for one replica more than `live` asks for."""
    actor, host_ = _actor_options(live), _host(live)
    if actor is None or host_ is None or actor.get("num_gpus"):
        return False
    have = cluster["headGroupSpec"]["rayStartParams"].get("num-cpus", "0")
    most = (host_.get("autoscaling_config") or {}).get("max_replicas", 1)
    return bool(float(actor.get("num_cpus", 1)) * (most + 1) <= float(have))


def host_config(cr: Deployment, revision: str) -> host.HostConfig:
    """What the running host is told without a restart."""
    limits = cr.spec.limits
    return host.HostConfig(
        revision=revision,
        params=cr.spec.params,
        limits=host.Limits(
            ongoing_requests=limits.ongoing_requests_per_replica,
            queued_requests=limits.queued_requests,
            request_timeout_s=limits.request_timeout_seconds,
            body_bytes=limits.body_bytes,
            queue_wait_s=limits.queue_wait_seconds,
            # Said only where it differs: what an older operator wrote must not change by an upgrade.
            stream_timeout_s=None
            if limits.stream_timeout_seconds == host.STREAM_TIMEOUT_S
            else limits.stream_timeout_seconds,
        ),
        predict_path=cr.spec.routes.predict or "/",
        invoke=True if cr.spec.routes.invoke else None,
        exclude=cr.spec.routes.exclude or None,
        health_path=cr.spec.health.path,
    )


def longest_answer_s(cr: Deployment) -> int:
    """Seconds from a request to the last byte of its answer."""
    return cr.spec.limits.request_timeout_seconds + cr.spec.limits.stream_timeout_seconds


def host_args(cr: Deployment, actor_options: Mapping[str, Any]) -> host.HostArgs:
    """What the host is started with; a change needs new replicas."""
    model, action = cr.spec.model, cr.spec.server.action
    return host.HostArgs(
        namespace=cr.metadata.namespace,
        deployment=cr.metadata.name,
        import_path=app_path(cr.spec.server),
        model_uri=model.uri if model else None,
        model_sha256=model.sha256 if model else None,
        model_id=model.id if model else None,
        model_version=model.version if model else None,
        startup_timeout_s=cr.spec.health.startup_timeout_seconds,
        report_port=host.REPORT_PORT if is_spread(cr.spec) else None,
        task=task(cr.spec.server),
        multiplexing=_multiplexing(cr.spec.multiplexing),
        action=host.Action(action.params, actor_options) if action else None,
    )


def _multiplexing(asked: Multiplexing | None) -> host.Multiplexing | None:
    if asked is None:
        return None
    return host.Multiplexing(asked.models_per_replica, asked.audience, asked.legacy_tokens.value)


def _application(
    cr: Deployment, revision: str, between: Bounds, defaults: Defaults, kept_actor: dict[str, Any] | None
) -> dict[str, Any]:
    each = of_replica(cr.spec.resources, defaults.replica_resources)
    limits = cr.spec.limits
    actor: dict[str, Any] = {"num_cpus": logical_cpus(each)}
    if gpus(each):
        actor["num_gpus"] = gpus(each)
    actor = kept_actor or actor
    # An override takes the place of all options, also of the runtime environment that an action asks for.
    override = {} if cr.spec.server.action else {"ray_actor_options": actor}
    return {
        "name": cr.metadata.name,
        "route_prefix": "/",
        "import_path": host.BUILDER,
        "args": to_json(host_args(cr, actor)),
        "deployments": [
            {
                "name": host.INGRESS,
                **sized(between, cr.spec.autoscaling),
                "max_ongoing_requests": limits.ongoing_requests_per_replica
                + limits.queued_requests
                + ADMITTED_BEYOND_LIMITS,
                "user_config": to_json(host_config(cr, revision)),
                **override,
                **({"max_replicas_per_node": 1} if is_spread(cr.spec) else {}),
                "graceful_shutdown_timeout_s": longest_answer_s(cr) + DRAIN_S,
            }
        ],
    }


class _Dumper(yaml.SafeDumper):
    """Puts every text in quotes.

    KubeRay reads the config with Go's YAML, to which more plain words are numbers than to PyYAML: a revision
    such as 8975902334e2 arrived in the replica as a float.
    """


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


def _text(config: Any) -> str:
    return yaml.dump(config, Dumper=_Dumper, sort_keys=True, width=math.inf)


def _actor_options(live: str | None) -> dict[str, Any] | None:
    """Those of the host in a config that raydock wrote; None for anything else."""
    found = (_host(live) or {}).get("ray_actor_options")
    if found is None:
        found = lenient.at(_live_application(live), "args", "action", "actorOptions")
    return found if isinstance(found, dict) else None


def _host(live: str | None) -> dict[str, Any] | None:
    """The host's entry in a config that raydock wrote; None for anything else."""
    try:
        found = (_live_application(live) or {})["deployments"][0]
    except (LookupError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def _live_application(live: str | None) -> dict[str, Any] | None:
    try:
        found = yaml.safe_load(live or "")["applications"][0]
    except (yaml.YAMLError, LookupError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def head_cpus(cr: Deployment, replicas: int, defaults: Defaults) -> int:
    """Ray's logical CPUs of a Compact head: for `replicas`, and one for what Serve starts beside them."""
    return math.ceil(replicas * logical_cpus(of_replica(cr.spec.resources, defaults.replica_resources))) + 1
