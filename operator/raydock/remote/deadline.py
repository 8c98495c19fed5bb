"""Sockets that are used until a moment: http.client bounds each read, and not what drips on for ever."""

import http.client
import io
import math
import socket
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, cast

from typing_extensions import Buffer, override


def left(end: float) -> float:
    """Seconds until `end`, a time.monotonic().

    Raises TimeoutError when it has passed: a time-out of 0 means something else.
    """
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def addresses(host: str, port: int, end: float) -> list[Any]:
    """As getaddrinfo, which knows no time-out: it may go on in a thread that nobody waits for."""
    told: SimpleQueue[list[Any] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            told.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            told.put(error)
        except UnicodeError:
            told.put(OSError("no name of a host"))

    try:
        threading.Thread(target=look_up, daemon=True).start()
    except RuntimeError:  # the interpreter ends: a last report is still sent
        look_up()
    try:
        found = told.get(timeout=left(end))
    except Empty:
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    return found


def timed_answers(end: float, silence_s: float) -> Any:
    """As a connection's `response_class`: answers that are read as a TimedSocket is."""

    def answer(connection: socket.socket, *args: Any, **more: Any) -> http.client.HTTPResponse:
        timed = TimedSocket(connection, end, silence_s)
        return http.client.HTTPResponse(cast("socket.socket", timed), *args, **more)

    return answer


class TimedSocket:
    """A socket as http.client's answers want it: for its makefile() alone."""

    def __init__(self, connection: socket.socket, end: float, silence_s: float = math.inf) -> None:
        """It is read until `end`, a time.monotonic(), and no longer than `silence_s` without a byte."""
        self._raw = _Reading(connection, end, silence_s)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What reads it."""
        return io.BufferedReader(self._raw)


class _Reading(io.RawIOBase):
    def __init__(self, connection: socket.socket, end: float, silence_s: float) -> None:
        super().__init__()
        self._connection = connection
        self._raw = connection.makefile("rb", buffering=0)  # it keeps the connection open
        self._end = end
        self._silence_s = silence_s

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int | None:
        self._connection.settimeout(min(self._silence_s, left(self._end)))
        return self._raw.readinto(buffer)

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()
