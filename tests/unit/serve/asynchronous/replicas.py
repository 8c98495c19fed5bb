"""Replicas of Deployments on one object store, without Ray: what one gives away, one that lives takes."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError
from obstore.store import MemoryStore
from starlette.types import ASGIApp

from raydock.remote import stores as remote_stores
from raydock.serve.asynchronous import claims, dispatch, service, work
from raydock.serve.asynchronous.service import Asynchronous
from raydock.serve.auth import AccessFile
from raydock.serve.front import Front
from raydock.serve.target import Target
from raydock.wire import access as wire
from raydock.wire.host import HostConfig, Limits
from raydock.wire.record import dumps
from tests.unit.serve.asgi import Reply, call
from tests.unit.serve.formats.gateway import app as everything

CLUSTER = "iris-v1-abcde"
OUTPUT, FAILURES = "s3://bucket/out", "s3://bucket/failed"
PATH = "/demo/endpoints/iris/async-invocations"
THROUGH = {
    wire.ENDPOINT_HEADER: "iris",
    wire.FORMAT_HEADER: wire.Format.SAGEMAKER.value,
    "x-amz-security-token": "key",
}


class Stores:
    """Buckets, by address."""

    def __init__(self) -> None:
        self.by_uri: dict[str, MemoryStore] = {}
        self.failing = False

    def open(self, uri: str, **_: Any) -> MemoryStore:
        if self.failing:
            raise GenericError("no such region")
        return self.by_uri.setdefault(uri, MemoryStore())

    def put(self, uri: str, path: str, content: bytes) -> None:
        obstore.put(self.open(uri), path, content)

    def content(self, uri: str, path: str) -> bytes | None:
        try:
            return bytes(obstore.get(self.open(uri), path).bytes())
        except FileNotFoundError:
            return None

    def names(self, uri: str = OUTPUT) -> list[str]:
        """All that is there."""
        return sorted(one["path"] for batch in obstore.list(self.open(uri)) for one in batch)

    def failure(self, of: str) -> dict[str, Any] | None:
        found = self.content(FAILURES, f"{of}-error.out")
        return json.loads(found) if found is not None else None


class Calls:
    """Ray Serve's part, for one replica: calls to those of its Deployment in turn."""

    def __init__(self, all_: "Replicas", deployment: str, replica: "Replica") -> None:
        self._all = all_
        self._deployment = deployment
        self._replica = replica

    @property
    def is_first(self) -> bool:
        return self._all.of(self._deployment)[:1] == [self._replica]

    async def work(self, endpoint: str, of: str, number: int) -> None:
        await self._all.taker(self._deployment).work(endpoint, of, number)

    async def stay(self, seconds: float) -> None:
        self._all.stays += 1
        await asyncio.sleep(seconds)  # noqa: TID251 - what it is asked to do


class Replica:
    """One replica of one Deployment."""

    def __init__(self, all_: "Replicas", name: str, deployment: str, app: ASGIApp, limits: Limits) -> None:
        access = AccessFile(all_.access_file)
        self.name = name
        self.deployment = deployment
        self.counted: list[tuple[str, int, float | None]] = []
        self.front = Front(deployment, access, lambda *one: self.counted.append(one), "demo")
        self.front.apply(HostConfig(revision="r1", predict_path="/predict", limits=limits))
        self.front.open(Target(app, {}))
        self.asynchronous = Asynchronous(
            access,
            deployment,
            owner=name,
            cluster=CLUSTER,
            slots=lambda: limits.ongoing_requests,
            later=self.front.later,
            serve=Calls(all_, deployment, self),
        )
        self.front.asynchronous = self.asynchronous
        self.working: set[asyncio.Task[None]] = set()
        self.dispatching = asyncio.create_task(self.asynchronous.run())  # noqa: TID251 - ended by `die`

    async def ask(
        self, body: bytes = b"[1]", through: Mapping[str, str] | None = None, **headers: Any
    ) -> Reply:
        """A request as the gateway passes it on; `headers`: SageMaker's own, by the rest of their names.

        `through`: what its route says beside.
        """
        own = {f"x-amzn-sagemaker-{name.replace('_', '-')}": str(value) for name, value in headers.items()}
        return await call(self.front, PATH, headers={**THROUGH, **(through or {}), **own}, body=body)

    async def work(self, endpoint: str, of: str, number: int) -> None:
        """A call of Ray Serve: who asked may go away meanwhile."""
        task = asyncio.create_task(self.asynchronous.take(endpoint, of, number))  # noqa: TID251 - `die` ends it
        self.working.add(task)
        try:
            await asyncio.shield(task)
        finally:
            self.working.discard(task)

    async def die(self) -> None:
        """With all that it was doing."""
        for task in (self.dispatching, *self.working, *self.asynchronous.taken):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Replicas:
    """All of an endpoint."""

    def __init__(self, where: Path, stores: Stores, **rules: Any) -> None:
        self.stores = stores
        self.access_file = where / "access.json"
        self.deployments: tuple[str, ...] = ("iris-v1",)
        self.rules = rules
        self.publish()
        self.alive: list[Replica] = []
        self.stays = 0
        """How often one was asked to stay."""
        self._turn = 0

    def publish(self) -> None:
        """Write the access file."""
        own = wire.AsyncAccess(
            **{
                "output_uri": OUTPUT,
                "failure_uri": FAILURES,
                "max_concurrent": 2,
                "deployments": self.deployments,
                "cluster": CLUSTER,
                "credentials": {"AWS_ACCESS_KEY_ID": "a", "HF_TOKEN": "other"},
                **self.rules,
            }
        )
        iris = wire.EndpointAccess("Key", True, (wire.key_hash("key"),), asynchronous=own)
        silent = wire.EndpointAccess("None", True)
        self.access_file.write_text(dumps(wire.Access({"iris": iris, "silent": silent})))

    def start(
        self,
        name: str = "r1",
        deployment: str = "iris-v1",
        app: ASGIApp = everything,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> Replica:
        """One more."""
        made = Replica(self, name, deployment, app, limits)
        self.alive.append(made)
        return made

    def of(self, deployment: str) -> list[Replica]:
        """Its replicas, the oldest first."""
        return [replica for replica in self.alive if replica.deployment == deployment]

    def taker(self, deployment: str) -> Replica:
        """Whom Ray Serve would ask next."""
        self._turn += 1
        found = self.of(deployment)
        return found[self._turn % len(found)]

    async def kill(self, replica: Replica) -> None:
        self.alive.remove(replica)
        await replica.die()


@asynccontextmanager
async def replicas(
    where: Path, monkeypatch: pytest.MonkeyPatch, **rules: Any
) -> AsyncIterator[tuple[Replicas, Stores]]:
    """They look, beat and give up a hundred times as often as in earnest."""
    stores = Stores()
    monkeypatch.setattr(remote_stores, "from_url", stores.open)
    faster: Mapping[tuple[Any, str], float] = {
        (claims, "LEASE_S"): 0.3,
        (work, "BEAT_S"): 0.05,
        (work, "PAUSE_S"): 0.02,
        (dispatch, "LOOK_S"): 0.1,
        (service, "FOLLOW_S"): 0.01,
    }
    for (module, name), value in faster.items():
        monkeypatch.setattr(module, name, value)
    found = Replicas(where, stores, **rules)
    try:
        yield found, stores
    finally:
        for replica in list(found.alive):
            await found.kill(replica)
