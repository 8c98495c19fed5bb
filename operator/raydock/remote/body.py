"""Reads what others answer, and never more than was bargained for."""

from aiohttp import StreamReader


async def read_up_to(most: int, content: StreamReader) -> bytes | None:
    """The whole body; None for one of more than `most` bytes."""
    body = bytearray()
    while chunk := await content.read(most + 1 - len(body)):
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)
