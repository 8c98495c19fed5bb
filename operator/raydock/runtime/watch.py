"""Kopf as a pair of eyes: it holds the watch streams open, and each event goes into the store.

Of Kopf's features only `on.event` is used. Such a handler gets no finalizer, no annotation and no stored
progress, and Kopf then writes nothing at all: its patch stays empty and no delay is asked for
(kopf 1.45, _core/reactor/processing.py, _core/actions/application.py); peering is off by `standalone`,
posting of events by a setting. A kind that isn't installed is skipped, and picked up when its CRD appears.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import kopf

from raydock.kube.client import Kube
from raydock.kube.kinds import named
from raydock.runtime.store import Change, Store

OURS: Final = ("Deployment", "InferenceEndpoint", "BatchJob")
CHILDREN: Final = (
    "RayService",
    "RayJob",
    "RayCluster",
    "HTTPRoute",
    "ControllerRevision",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "Service",
)
"""Watched where they carry our label; KubeRay hands the labels on to its RayClusters."""
SURROUNDINGS: Final = ("Gateway", "Pod", "Node", "ResourceQuota", "LimitRange", "PriorityClass")
"""Everybody's: the gate counts all pods on all nodes, and what namespaces allow."""
WATCHED: Final = (*OURS, *CHILDREN, *SURROUNDINGS)
CHILD_SELECTOR: Final = "app.kubernetes.io/managed-by=raydock"

CHUNK: Final = 500
"""Objects in a page of the first listing: bounds the memory of a start."""
WORKERS_PER_KIND: Final = 50
IDLE_S: Final = 0.2
"""How long Kopf keeps a task for an object that reported nothing more."""
STOP_S: Final = 5.0
"""For Kopf to end its streams: it gives each two seconds (QueueingSettings.exit_timeout)."""

Told = Callable[[str, Change], None]
"""Kind and change of what an event did to the store."""


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
    kube: Kube,
    store: Store,
    told: Told,
    *,
    namespaces: Sequence[str] = (),
    spawned: Callable[[], None] = lambda: None,
) -> None:
    """Watch until cancelled; only in `namespaces`, or everywhere when there is none. Raises WatchEnded.

    `spawned` is called once Kopf runs: it takes over the process's signals, which then are free again.
    """
    handlers = registry(store, told)
    _log_in(handlers, kube)
    # Not kopf.operator(): at its end it cancels every task that was made after its start, also ours.
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=settings_of(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
    )
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)
    spawned()
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _stop(tasks)
    causes = [str(task.exception()) for task in ended if not task.cancelled() and task.exception()]
    raise WatchEnded("; ".join(causes) or "Kopf stopped by itself")


async def _stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel Kopf's root tasks; once is a request, so that Kopf closes its connections, twice an order."""
    left = set(tasks)
    for patience_s in (STOP_S, 1.0):
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=patience_s)
        if not left:
            return


def _log_in(handlers: kopf.OperatorRegistry, kube: Kube) -> None:
    """Give Kopf the API server and the name of the official client, each time it asks."""

    @kopf.on.login(registry=handlers)
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
            trust_env=True,  # as the official client does
        )


class WatchEnded(Exception):
    """Kopf stopped by itself: without eyes this process must not act."""
