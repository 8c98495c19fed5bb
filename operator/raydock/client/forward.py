"""A port of this machine that leads to a pod's, through the API server: as `kubectl port-forward`."""

import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Final

from typing_extensions import override

from raydock.client.errors import ClientError

HERE: Final = "127.0.0.1"
PART: Final = 64 * 1024
POLL_S: Final = 0.05
"""shutdown() waits so long at most."""

Connect = Callable[[], Any]
"""Gives a new connection to the pod's port, as a socket."""


@contextmanager
def forwarded(connect: Connect) -> Iterator[int]:
    """The port, while the context is open. Raises ClientError where the pod cannot be reached."""
    connect().close()  # what is wrong is told here: whoever talks to the port only sees it closed
    with _Listener(connect) as listener:
        thread = threading.Thread(
            target=listener.serve_forever, kwargs={"poll_interval": POLL_S}, daemon=True
        )
        thread.start()
        try:
            yield int(listener.server_address[1])
        finally:
            listener.shutdown()
            thread.join()


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # a connection that is kept open must not hold back the end

    def __init__(self, connect: Connect) -> None:
        self.connect = connect
        super().__init__((HERE, 0), _Connection)


class _Connection(socketserver.BaseRequestHandler):
    server: _Listener

    @override
    def handle(self) -> None:
        # Its caller sees that the connection ended, and tries again as it likes.
        with suppress(ClientError, OSError), closing(self.server.connect()) as there:
            _join(self.request, there)


def _join(here: socket.socket, there: socket.socket) -> None:
    """Bytes from each to the other, until one of them ends."""
    other = {here: there, there: here}
    while True:
        readable, _, _ = select.select(list(other), [], [])
        for end in readable:
            part = end.recv(PART)
            if not part:
                return
            other[end].sendall(part)
