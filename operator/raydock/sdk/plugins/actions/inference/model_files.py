"""How a model's files come here."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast


class Download(Protocol):
    """Fetches the archive at `url` and extracts it."""

    def __call__(
        self,
        url: str,
        *,
        tenant: str | None,
        version: str | None,
        output_dir: Path | None,
        headers: Mapping[str, str],
    ) -> Path:
        """The directory with the content: `output_dir`, made if missing, or a new temporary one."""
        ...


def downloads() -> Download:
    """The download of the SDK."""
    # Imported late: an action that never fetches a model needs none of what fetching takes.
    return cast("Download", importlib.import_module("raydock.sdk.downloads").download)


class ModelPath(str):
    """A directory as text that `/` goes on from: `path + "/model.pt"` and `path / "model.pt"` both work."""

    __slots__ = ()

    def __truediv__(self, other: str | Path) -> Path:
        return Path(self) / other
