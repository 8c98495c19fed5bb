"""A closed loop of keep-alive connections: `python -m benchmarks.serving.client PORT CONNECTIONS SECONDS`."""

import asyncio
import json
import sys
import time

import uvloop

from benchmarks.serving.server import ENDPOINT, KEY

WARM_UP_S = 3.0
BODY = b"[[5.1,3.5,1.4,0.2]]"
HEAD = (
    f"POST / HTTP/1.1\r\nhost: localhost\r\napi-key: {KEY}\r\nraydock-endpoint: {ENDPOINT}\r\n"
    f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
)
REQUEST = HEAD.encode() + BODY


async def caller(port: int, until: float) -> list[float]:
    """One connection: a request as soon as the last one was answered; seconds that each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    while (began := time.perf_counter()) < until:
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        took.append(time.perf_counter() - began)
    writer.close()
    return took


async def load(port: int, connections: int, seconds: float) -> dict[str, float]:
    """Requests per second, and milliseconds at the median and the 99th percentile, after a warm-up."""
    for duration_s in (WARM_UP_S, seconds):
        until = time.perf_counter() + duration_s
        took = sorted(
            t
            for each in await asyncio.gather(*[caller(port, until) for _ in range(connections)])
            for t in each
        )
    return {
        "rps": round(len(took) / seconds),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(load(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
