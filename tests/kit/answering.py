"""An HTTP server of the standard library that answers in a thread of its own while a test goes on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Final, TypeVar

S = TypeVar("S", bound=ThreadingHTTPServer)
POLL_S: Final = 0.01
"""shutdown() waits so long at most."""


@contextmanager
def answering(server: S) -> Iterator[S]:
    """`server`; it is closed at the end."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL_S})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
