"""How a pass may end early. The type says what happens next, the reason and message what the user reads.

Unfinished
├── Retry      something outside failed; the key comes back with backoff
├── Waiting    something isn't there yet; an event or the slow tick brings the key back
└── Terminal   only a changed spec can help
"""

from raydock.reasons import Reason


class Unfinished(Exception):
    """A pass that cannot go on. `message` says what to do and holds no token, key or internal address."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Retry(Unfinished):
    """Something outside failed: come back after `after_s` seconds, or with the queue's backoff when None."""

    def __init__(self, reason: Reason, message: str, *, after_s: float | None = None) -> None:
        super().__init__(reason, message)
        self.after_s = after_s


class Waiting(Unfinished):
    """Something named in the spec isn't there yet. `look_again_s`: a slow tick for what no watch reports."""

    def __init__(self, reason: Reason, message: str, *, look_again_s: float | None = None) -> None:
        super().__init__(reason, message)
        self.look_again_s = look_again_s


class Terminal(Unfinished):
    """Only a changed spec can help: Stalled=True, no requeue."""


class Stopped(SystemExit):
    """A SIGTERM ended the process; any other SystemExit is the user's code, which ended itself."""
