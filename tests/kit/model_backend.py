"""A backend that knows models, and a store that has their files: two real HTTP servers on loopback."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from raydock.sdk.plugins.actions.inference import create_serve_multiplexed_model_id
from tests.kit.backend import Backend, Seen, backend
from tests.unit.models.server import Request, Server, serving

KEY: Final = "k" * 32
TOKEN: Final = "tok-planted-0001"
SIGNATURE: Final = "sig-planted-0004"
"""In the query of every file's URL."""


class Models:
    """What there is, and who may have it."""

    def __init__(self, known: Backend, store: Server) -> None:
        self.backend = known
        self.store = store
        self.files: dict[str, bytes] = {}
        self.refused: dict[str, int] = {}
        """Credentials that the backend refuses, with the status."""
        known.failing = self._refusal
        store.answer = self._file

    def add(self, model: str, content: bytes | None = None, **metadata: Any) -> None:
        """A model; `content`: of its archive, None for one whose weights say which it is."""
        path = f"/{model}-{metadata.get('version', 1)}.zip"
        self.files[path] = zipped(f"weights of {model}") if content is None else content
        known = {"id": model, "name": f"model {model}", "file": self.url(path), "version": 1}
        self.backend.models[model] = {**known, **metadata}

    def url(self, path: str) -> str:
        return self.store.url(f"{path}?signature={SIGNATURE}")

    def asked(self, model: str = "") -> list[Seen]:
        """Requests for metadata."""
        return [one for one in self.backend.requests if one.path.startswith(f"/models/{model}")]

    def downloads(self) -> int:
        """Files that were fetched."""
        return len(self.store.gets())

    def _refusal(self, seen: Seen) -> int | None:
        credential = seen.headers.get("Synapse-Access-Token", "").removeprefix("Token ")
        return self.refused.get(credential)

    def _file(self, request: Request) -> None:
        content = self.files.get(request.path.partition("?")[0])
        if content is None:
            request.reply(404)
        else:
            request.reply_file(content)


def token(model: int | str = "1", credential: str = TOKEN, tenant: str | None = None, **more: Any) -> str:
    """A model token, signed with KEY."""
    given: dict[str, Any] = {"signing_key": KEY, **more}
    return create_serve_multiplexed_model_id(model, credential, "http://unused", tenant, **given)


def zipped(weights: str, name: str = "weights.txt") -> bytes:
    """An archive with one file."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as out:
        out.writestr(name, weights)
        out.writestr("config.json", json.dumps({}))
    return held.getvalue()


@contextmanager
def model_backend() -> Iterator[Models]:
    with backend() as known, serving(lambda request: request.reply(404)) as store:
        yield Models(known, store)
