"""Which path of the app a request goes to: a Deployment answers predictions, or lends out its own paths."""

import posixpath
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from starlette.types import Scope

from raydock.serve.answer import Code, Refused
from raydock.wire.host import HostConfig

INVOKE: Final = "/invoke"
"""`/invoke/ANY` below an endpoint's URL is `/ANY` of the app."""
SWAGGER: Final = "/swagger.json"
DECODINGS: Final = 4
"""How often a path is decoded at most when it is compared with what is excluded: `%252e`, `%2e`, `.`."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the app."""

    path: str
    raw_path: bytes

    def apply(self, scope: Scope) -> None:
        """Send a request there."""
        scope["path"], scope["raw_path"] = self.path, self.raw_path


class Routing:
    """The paths of one HostConfig."""

    def __init__(self, config: HostConfig) -> None:
        self._predict = Route(config.predict_path, config.predict_path.encode())
        self.invokes = bool(config.invoke)
        """Whether each path of the app is lent out."""
        self._excluded = tuple(path.rstrip("/") for path in config.exclude or ())

    def route(self, scope: Scope) -> Route:
        """Where the app answers this request. Raises Refused for a path that leads nowhere."""
        path = scope["path"]
        if self.invokes:
            return self._invoked(scope)
        if path in ("/", ""):
            return self._predict
        raise Refused(Code.NOT_FOUND, "there is nothing at this path: predictions are made at the root")

    def outside(self, path: str) -> str | None:
        """Where callers find a path of the app; None: nowhere."""
        if self.invokes:
            return None if path == "/" or self._is_excluded(path) else path
        return "/" if path == self._predict.path else None

    def _invoked(self, scope: Scope) -> Route:
        path: str = scope["path"].removeprefix(INVOKE) if scope["path"].startswith(f"{INVOKE}/") else ""
        if path in ("/", ""):
            raise Refused(
                Code.NOT_FOUND, f"there is nothing at this path: call {INVOKE}/ANY for /ANY of the app"
            )
        if self._is_excluded(path):
            raise Refused(Code.NOT_FOUND, "there is nothing at this path")
        raw: bytes = scope.get("raw_path") or b""
        cut = raw.removeprefix(INVOKE.encode())
        return Route(path, cut if len(cut) < len(raw) else quote(path).encode())

    def _is_excluded(self, path: str) -> bool:
        """However it is written: an app may decode once more, and resolves `..` or not."""
        if not self._excluded:
            return False
        for _ in range(DECODINGS):
            for form in (path, posixpath.normpath("/" + path.lstrip("/"))):
                if any(form == gone or form.startswith(f"{gone}/") for gone in self._excluded):
                    return True
            path = unquote(path)
        return False
