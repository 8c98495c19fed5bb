"""Who gets which requests: shares, copies, and newcomers that are named before they are there."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from math import sqrt
from typing import Any

import aiohttp
import pytest

from tests.e2e.calls import Load, ask
from tests.e2e.cluster import Cluster, until
from tests.e2e.served import API, Served, small

pytestmark = pytest.mark.e2e
REQUESTS = 10_000
CALLERS = 8
SIGMAS = 5
"""A gateway draws lots: further off than so many standard deviations is no chance."""
COUNTING = """
from fastapi import FastAPI

app = FastAPI()
posts = 0


@app.post("/")
async def answer():
    global posts
    posts += 1
    return {}


@app.get("/")
async def counted(): return {"posts": posts}
"""
ROW = b'[{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]'
log = logging.getLogger(__name__)


def endpoint(cluster: Cluster, shares: Mapping[str, int], **spec: Any) -> None:
    """`split`, as it is applied; not awaited."""
    traffic = [{"deployment": name, "percent": percent} for name, percent in shares.items()]
    metadata = {"name": "split", "namespace": cluster.namespace}
    spec = {"traffic": traffic, **spec}
    cluster.apply({"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": spec})


@pytest.fixture
def counting(iris: Cluster) -> Iterator[Served]:
    """A Deployment that counts what it is asked. `split` is taken away with it."""
    found = Served(iris, "counting", small("counting"))
    found.code({"app.py": COUNTING})
    yield found
    iris.delete("inferenceendpoints.raydock.io", "split")
    iris.delete("deployments.raydock.io", "counting")


async def many(url: str, key: str) -> Counter[tuple[int, str]]:
    """REQUESTS of them; by status and the Deployment that answered."""
    found: Counter[tuple[int, str]] = Counter()
    left = iter(range(REQUESTS))
    headers = {"api-key": key, "content-type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def caller() -> None:
            for _ in left:
                async with session.post(url, data=ROW) as answer:
                    await answer.read()
                    found[answer.status, answer.headers["raydock-deployment"]] += 1

        await asyncio.gather(*[caller() for _ in range(CALLERS)])
    return found


def has_sent(load: Load, number: int) -> bool:
    """Whether so many were answered."""
    return load.statuses.total() > number


def near(number: int, percent: int) -> bool:
    """Whether it is that share of REQUESTS, as far as chance lets it be."""
    share = percent / 100
    return abs(number - share * REQUESTS) < SIGMAS * sqrt(REQUESTS * share * (1 - share))


@pytest.mark.slow  # four minutes; a thousand requests are split in test_quickstart
def test_ninety_to_ten_with_copies_of_ten(iris: Cluster, counting: Served) -> None:
    counting.apply()
    counting.ready()
    shares = {"iris-v1": 90, "iris-v2": 10}
    endpoint(iris, shares, mirror={"deployment": "counting", "percent": 10})
    iris.wait("inferenceendpoints", "split", timeout_s=120)
    url, key = iris.url("split"), iris.key("split")
    answered = asyncio.run(many(url, key))
    assert set(answered) == {(200, name) for name in shares}, "a copy's answer is seen by nobody"
    for name, percent in shares.items():
        assert near(answered[200, name], percent), answered

    def posts() -> int:
        return int(counting_posts(url, key))

    until(lambda: near(posts(), 10), 30, "as many copies", posts)
    log.info("%s, copies %s of %s", dict(answered), posts(), REQUESTS)
    with Load(url, key) as load:
        until(partial(has_sent, load, 50), 30, "requests")
        iris.delete("deployments.raydock.io", "counting")
        until(lambda: heard_without_copies(iris), 30, "a route without copies")
        until(lambda: iris.get("service", "counting-serve") is None, 30, "a Service that nobody needs to go")
        until(partial(has_sent, load, load.statuses.total() + 200), 30, "more requests")
    assert not load.failed, load.told()
    told = iris.until_condition("inferenceendpoints", "split", "Ready", 60, lambda c: c["status"] == "False")
    assert "counting" in told["message"]


def heard_without_copies(cluster: Cluster) -> bool:
    """Whether the gateway took a route of `split` that copies nothing."""
    route = cluster.get("httproute", "split") or {}
    (parent,) = route["status"]["parents"]
    heard = {c["observedGeneration"] for c in parent["conditions"]} == {route["metadata"]["generation"]}
    return heard and "RequestMirror" not in json.dumps(route["spec"])


def counting_posts(url: str, key: str) -> int:
    """What the mirror counted; asked past the split."""

    async def get() -> int:
        async with (
            aiohttp.ClientSession(headers={"api-key": key}) as session,
            session.get(f"{url}/deployments/counting") as answer,
        ):
            return int((await answer.json())["posts"])

    return asyncio.run(get())


def test_who_is_named_before_it_is_there_fails_nobody(iris: Cluster, counting: Served) -> None:
    endpoint(iris, {"iris-v1": 100})
    iris.wait("inferenceendpoints", "split", timeout_s=120)
    with Load(iris.url("split"), iris.key("split")) as load:
        # Together, as a GitOps tool applies them.
        counting.apply()
        endpoint(iris, {"iris-v1": 50, "counting": 50})
        waits = iris.until_condition(
            "inferenceendpoints", "split", "Ready", 60, lambda c: c["status"] == "False"
        )
        assert "counting" in waits["message"]
        iris.wait("inferenceendpoints", "split", timeout_s=300)
        until(lambda: load.deployments["counting"], 30, "a request for the newcomer")

        mirror = {"mirror": {"deployment": "nobody", "percent": 10}}
        for other, more in (("nobody", {}), ("counting", mirror)):
            endpoint(iris, {"iris-v1": 50, other: 50}, **more)
            missing = iris.until_condition(
                "inferenceendpoints", "split", "Ready", 60, lambda c: "nobody" in c["message"]
            )
            assert missing["reason"] == "DependencyMissing"
            enough = load.statuses.total() + 200
            until(partial(has_sent, load, enough), 30, "more requests")

        # Who goes away with a share of what is in force fails nobody either.
        assert load.deployments["counting"]
        iris.delete("deployments.raydock.io", "counting")
        until(lambda: iris.get("service", "counting-serve") is None, 30, "a Service that nobody needs to go")
        until(partial(has_sent, load, load.statuses.total() + 200), 30, "more requests")
    assert not load.failed, load.told()
    assert ask(iris.url("split"), iris.key("split")).status == 200
