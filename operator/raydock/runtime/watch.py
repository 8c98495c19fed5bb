"""Kopf as a pair of eyes: it holds the watch streams open, and each event goes into the store.

Of Kopf's features only `on.event` is used. Such a handler gets no finalizer, no annotation and no stored
progress, and Kopf then writes nothing at all: its patch stays empty and no delay is asked for
(kopf 1.45, _core/reactor/processing.py, _core/actions/application.py); peering is off by `standalone`,
posting of events by a setting. A kind that isn't installed is skipped, and picked up when its CRD appears.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import kopf
import structlog

from raydock.kube.client import Kube
from raydock.kube.kinds import named
from raydock.runtime.store import Change, Store

OURS: Final = ("Deployment", "InferenceEndpoint", "BatchJob")
CHILDREN: Final = ("RayService", "RayJob", "RayCluster", "HTTPRoute")
"""Watched where they carry our label; KubeRay hands a RayService's and a RayJob's labels to its RayClusters."""
SURROUNDINGS: Final = ("Gateway", "Pod", "Node")
"""Everybody's: the gate counts all pods on all nodes."""
WATCHED: Final = (*OURS, *CHILDREN, *SURROUNDINGS)
CHILD_SELECTOR: Final = "app.kubernetes.io/managed-by=raydock"

CHUNK: Final = 500
"""Objects in a page of the first listing: bounds the memory of a start."""
WORKERS_PER_KIND: Final = 50
IDLE_S: Final = 0.2
"""How long Kopf keeps a task for an object that reported nothing more."""

Told = Callable[[str, Change], None]
"""Kind and change of what an event did to the store."""

_log = structlog.get_logger(__name__)


def selector_of(kind: str) -> str | None:
    """The label selector that a kind is listed and watched with; None: all objects."""
    return CHILD_SELECTOR if kind in CHILDREN else None


def registry(store: Store, told: Told, kinds: Iterable[str] = WATCHED) -> kopf.OperatorRegistry:
    """Handlers that keep `store` current and call `told` for each change that matters."""
    handlers = kopf.OperatorRegistry()
    for name in kinds:
        kind = named(name)
        kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=f"see-{kind.plural}")(
            _handler(name, store, told)
        )
    return handlers


def _handler(kind: str, store: Store, told: Told) -> Callable[..., Awaitable[None]]:
    async def see(event: Any, **_: Any) -> None:
        obj = event["object"]
        change = store.remove(kind, obj) if event["type"] == "DELETED" else store.put(kind, obj)
        if change is not None:
            told(kind, change)

    return see


def settings_of(kinds: Iterable[str] = WATCHED) -> kopf.OperatorSettings:
    """Kopf's settings: nothing is written, little is kept, selectors are the API server's work."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.chunk_size = CHUNK
    settings.queueing.worker_limit = WORKERS_PER_KIND
    settings.queueing.idle_timeout = IDLE_S
    settings.process.ultimate_exiting_timeout = None  # main.py decides how this process ends
    for name in kinds:
        kind, selector = named(name), selector_of(name)
        if selector:
            settings.watching.label_selectors[(kind.group, kind.version, kind.plural)] = selector
    return settings


async def run(
    kube: Kube, store: Store, told: Told, *, namespaces: tuple[str, ...], ready: asyncio.Event
) -> None:
    """Watch until cancelled. `namespaces`: only these, or all when empty; `ready` is set when Kopf is up."""
    handlers = registry(store, told)

    @kopf.on.login(registry=handlers)  # type: ignore[arg-type]  # kopf's protocol wants positional arguments too
    async def login(**_: Any) -> kopf.ConnectionInfo:
        found = await kube.login()
        return kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=found.insecure,
            scheme="Bearer" if found.token else None,
            token=found.token,
            certificate_path=found.certificate_path,
            private_key_path=found.private_key_path,
            proxy_url=found.proxy_url,
            trust_env=True,  # as the official client
        )

    await kopf.operator(
        registry=handlers,
        settings=settings_of(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        ready_flag=ready,
    )
    raise WatchEnded


class WatchEnded(Exception):
    """Kopf stopped by itself: without eyes this process must not act."""
