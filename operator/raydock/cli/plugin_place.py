"""The Ray cluster that the options of a command name, and the way there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from raydock.client.cluster import Head, head
from raydock.client.forward import forwarded
from raydock.client.session import Session, connect
from raydock.sdk.plugins.executors import ray_place
from raydock.sdk.plugins.executors.ray_job import Dashboard


@dataclass(frozen=True)
class Place:
    """What the options say."""

    ray_address: str = ""
    """Empty: none was given."""
    deployment: str | None = None
    namespace: str | None = None
    context: str | None = None


@dataclass(frozen=True)
class Reached:
    """A Ray cluster that can be talked to."""

    dashboard: Dashboard
    session: Session | None = None
    """With the Kubernetes cluster, where the Ray cluster is a Deployment's."""
    head: Head | None = None


@contextmanager
def reached(place: Place, variables: Mapping[str, str]) -> Iterator[Reached]:
    """The cluster of `place`, while the context is open. Raises ClientError of raydock.client, ValueError."""
    if place.deployment is None:
        address = ray_place.dashboard(place.ray_address or ray_place.AUTO, variables.get("SYNAPSE_AGENT_URL"))
        yield Reached(Dashboard(address))
        return
    session = connect(place.namespace, context=place.context)
    found = head(session, place.deployment)
    with forwarded(lambda: session.port(found.namespace, found.pod, ray_place.DASHBOARD_PORT)) as port:
        headers = {"Authorization": f"Bearer {found.token}"}
        yield Reached(Dashboard(f"http://127.0.0.1:{port}", headers), session, found)
