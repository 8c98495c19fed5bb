"""Waits for what another thread does."""

import asyncio
from pathlib import Path


async def gone(path: Path) -> None:
    """`path` is not there any more."""
    async with asyncio.timeout(20):
        while path.exists():  # noqa: ASYNC110, ASYNC240 - a disk has no event
            await asyncio.sleep(0.01)  # noqa: TID251 - as above
