"""What one request brings along, and what is held for it until it ends.

The scope of the request that is worked on is known by a context variable: routes, dependencies and threads
that a request starts see their own.
"""

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path

from raydock.sdk.plugins.serving.model_token import Claims

Release = Callable[[], None]


class Files:
    """Files of a request."""

    def __init__(self) -> None:
        self.by_url: dict[str, str] = {}
        """Paths of what was fetched."""
        self.urls = 0
        """How many were asked for, the vain ones too."""
        self.fetched_bytes = 0
        self.fetched_s = 0.0
        """Seconds that it took."""
        self._directory: Path | None = None

    def directory(self) -> Path:
        """Where they lie."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="raydock-request-"))
        return self._directory

    def close(self) -> None:
        """Take them away; in an event loop by a thread, which nobody waits for: a gigabyte takes its time."""
        if self._directory is None:
            return
        remove = partial(shutil.rmtree, self._directory, ignore_errors=True)
        self._directory = None
        self.by_url.clear()
        try:
            asyncio.get_running_loop().run_in_executor(None, remove)
        except RuntimeError:  # there is no loop, or it ends
            remove()


class Holds:
    """What is held for a request: it is let go when nobody who works on it is left."""

    def __init__(self) -> None:
        self.files = Files()
        self._releases: list[Release] = []
        self._users = 1

    def shared(self) -> "Holds":
        """For one more who works on it."""
        self._users += 1
        return self

    def add(self, release: Release) -> None:
        """One more thing, which `release` lets go."""
        self._releases.append(release)

    def close(self) -> None:
        """One less who works on it."""
        self._users -= 1
        if self._users == 0:
            releases, self._releases = self._releases, []
            for release in reversed(releases):
                release()
            self.files.close()


class Scope:
    """One request, or work that outlives it."""

    def __init__(self, token: str | None = None, *, caller: str = "", request_id: str = "") -> None:
        """`token`: the model token; `caller`: who asks, as far as the key or the token of the call tells."""
        self.token = token
        self.request_id = request_id
        self.claims: Claims | None = None
        """What the model token says, once it was verified."""
        self._caller = caller
        self.is_closed = False
        """Whether the request has ended; what it started may go on."""
        self._holds = Holds()

    @property
    def files(self) -> Files:
        """Those that came with the request."""
        return self._holds.files

    @property
    def caller(self) -> str:
        """A digest of who asks; the same for all requests of one caller."""
        who = [self.claims.tenant, self.claims.token] if self.claims else [self._caller]
        return hashlib.sha256(json.dumps(who).encode()).hexdigest()

    def like(self) -> "Scope":
        """For work on behalf of the same request that may outlive it; to be closed too.

        What is held for one of the two stays until both are closed: the work may use what it was given.
        """
        found = Scope(self.token, caller=self._caller, request_id=self.request_id)
        found.claims, found._holds = self.claims, self._holds.shared()
        return found

    def secrets(self) -> tuple[str, ...]:
        """Texts that no log may hold."""
        own = (self.token,) if self.token else ()
        return own if self.claims is None else (*own, self.claims.token)

    def at_end(self, release: Release) -> None:
        """Call `release` when the scope, and what is like it, ends; at once where this one has."""
        if self.is_closed:
            release()
        else:
            self._holds.add(release)

    def close(self) -> None:
        """Let everything go that no other scope of the request needs."""
        if not self.is_closed:
            self.is_closed = True
            self._holds.close()


_CURRENT: ContextVar[Scope | None] = ContextVar("raydock_request", default=None)


def current() -> Scope | None:
    """The scope of the request that is worked on here; None outside of one."""
    return _CURRENT.get()


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Work within `scope`, which is closed at the end."""
    before = _CURRENT.set(scope)
    try:
        yield scope
    finally:
        _CURRENT.reset(before)
        scope.close()


def of_task(ended: Scope | None, token: Callable[[], str | None]) -> Scope:
    """A scope for a call that came by no HTTP request, or that outlives one; it ends with the task it is in.

    `ended`: of the request; `token`: the model token of a call without one.
    """
    found = Scope(token()) if ended is None else ended.like()
    _CURRENT.set(found)
    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(lambda _: found.close())
    return found
