"""A closed loop of keep-alive connections.

`python -m benchmarks.serving.client CONNECTIONS SECONDS`, with the Target as JSON on standard input.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import uvloop

WARM_UP_S = 3.0
BODY = "[[5.1,3.5,1.4,0.2]]"


@dataclass(frozen=True)
class Target:
    """Where requests go."""

    host: str
    port: int
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = BODY

    @property
    def request(self) -> bytes:
        """One POST."""
        named = {"host": self.host, "content-type": "application/json", **self.headers}
        lines = [f"{name}: {value}" for name, value in named.items()]
        length = f"content-length: {len(self.body)}"
        return "\r\n".join([f"POST {self.path} HTTP/1.1", *lines, length, "", self.body]).encode()


async def caller(target: Target, until: float) -> list[float]:
    """One connection: a request as soon as the last one was answered; seconds that each took."""
    reader, writer = await asyncio.open_connection(target.host, target.port)
    request = target.request
    took = []
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        took.append(time.perf_counter() - began)
    writer.close()
    return took


async def load(target: Target, connections: int, seconds: float) -> dict[str, float]:
    """Requests per second, and milliseconds at the median and the 99th percentile, after a warm-up."""
    for duration_s in (WARM_UP_S, seconds):
        until = time.perf_counter() + duration_s
        took = sorted(
            t
            for each in await asyncio.gather(*[caller(target, until) for _ in range(connections)])
            for t in each
        )
    return {
        "rps": round(len(took) / seconds),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
    }


if __name__ == "__main__":
    connections, seconds = sys.argv[1:]
    where = Target(**json.load(sys.stdin))
    print(json.dumps(uvloop.run(load(where, int(connections), float(seconds)))))
