"""In place of a backend, where there is none: it knows the one model that the spec names."""

from typing import Any
from urllib.parse import urlsplit

from raydock.remote.errors import NotFoundError


class LocalModels:
    """Answers `get_model` from `spec.model` (contracts/actions.md 6)."""

    hidden: tuple[str, ...] = ()
    """Texts that no message may hold: there is no credential."""

    def __init__(self, uri: str, model_id: str | None = None, version: str | None = None) -> None:
        """The members of `spec.model`. Without an id the model may be called anything."""
        self._uri, self._id, self._version = uri, model_id, version

    def get_model(self, model_id: int | str) -> dict[str, Any]:
        """Its `id`, `name`, `version` and `file`, which is its URI. Raises NotFoundError for another one."""
        if self._id is not None and str(model_id) != self._id:
            told = f"the model here is {self._id}: ask for that one, or name a backend"
            raise NotFoundError(404, told)
        name = urlsplit(self._uri).path.rstrip("/").rpartition("/")[2] or str(model_id)
        return {"id": model_id, "name": name, "version": self._version, "file": self._uri}
