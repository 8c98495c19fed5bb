"""On the embedded node: `python -m benchmarks.overload` with what `make env` prints, raydock installed.

First as many requests as are answered by callers that wait for each other; then twice as many for a minute,
sent at their time whether or not the ones before were answered.
"""

import argparse
import asyncio
import re
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from benchmarks.node import Room, room

NAMESPACE = "bench-overload"
CODE = """
import asyncio
from fastapi import FastAPI

app = FastAPI()


@app.post("/")
async def answer():
    await asyncio.sleep(0.05)
    return {}
"""
LIMITS = {"ongoingRequestsPerReplica": 16, "queuedRequests": 64}


@dataclass
class Seen:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    """Of the accepted ones."""
    retry_after_s: Counter[int] = field(default_factory=Counter)

    def rate(self, seconds: float) -> float:
        """Accepted requests per second."""
        return self.statuses[200] / seconds

    def late_ms(self) -> float:
        """99 of 100 accepted ones were answered within this."""
        return sorted(self.took_s)[len(self.took_s) * 99 // 100] * 1000


async def ask(session: aiohttp.ClientSession, url: str, seen: Seen) -> None:
    """One request."""
    began = time.perf_counter()
    async with session.post(url, data=b"{}") as answer:
        await answer.read()
        seen.statuses[answer.status] += 1
        if answer.status == 200:
            seen.took_s.append(time.perf_counter() - began)
        elif answer.status == 429:
            seen.retry_after_s[int(answer.headers["retry-after"])] += 1


async def closed(session: aiohttp.ClientSession, url: str, callers: int, seconds: float) -> Seen:
    """Callers of which each waits for its answer."""
    seen, end = Seen(), time.monotonic() + seconds

    async def caller() -> None:
        while time.monotonic() < end:
            await ask(session, url, seen)

    await asyncio.gather(*[caller() for _ in range(callers)])
    return seen


async def open_loop(session: aiohttp.ClientSession, url: str, rate: float, seconds: float) -> Seen:
    """`rate` requests per second, whatever becomes of them."""
    seen, began = Seen(), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due_s = max(0.0, began + number / rate - time.monotonic())
            await asyncio.sleep(due_s)  # noqa: TID251 - the rate is what is asked for
            group.create_task(ask(session, url, seen))
    return seen


def memory_mib(there: Room) -> float:
    """In use by the Deployment's pod, as its kernel counts it."""
    pod = there.kubectl("get", "pods", "-l", "raydock.io/deployment=over", "-o", "name").strip()
    # Of the second version of cgroups, or of the first.
    read = "cat /sys/fs/cgroup/memory.stat 2>/dev/null || cat /sys/fs/cgroup/memory/memory.stat"
    found = there.kubectl("exec", pod, "--", "sh", "-c", read)
    return int(re.findall(r"^(?:anon|total_rss) (\d+)$", found, re.MULTILINE)[0]) / 2**20


async def run(there: Room, seconds: float) -> None:
    """Print both."""
    url = there.url("over")
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=there.key("over")) as session:
        await closed(session, url, LIMITS["ongoingRequestsPerReplica"], 5)
        peak = (await closed(session, url, LIMITS["ongoingRequestsPerReplica"], 20)).rate(20)
        before = memory_mib(there)
        seen = await open_loop(session, url, 2 * peak, seconds)
        after = memory_mib(there)
    print(
        f"peak {peak:.0f} requests/s; then {2 * peak:.0f} requests/s for {seconds:g} s: {dict(seen.statuses)}"
    )
    print(f"accepted {seen.rate(seconds):.0f} requests/s, {seen.rate(seconds) / peak:.2f} x of the peak")
    print(f"p99 of the accepted {seen.late_ms():.0f} ms; Retry-After {dict(seen.retry_after_s)}")
    print(f"memory of the pod {before:.0f} MiB before, {after:.0f} MiB after, {after / before:.2f} x")


def main() -> None:
    """Make it, and press."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--seconds", type=float, default=60)
    given = wanted.parse_args()
    with room(NAMESPACE) as there:
        there.serve("over", CODE, limits=LIMITS)
        asyncio.run(run(there, given.seconds))


if __name__ == "__main__":
    main()
