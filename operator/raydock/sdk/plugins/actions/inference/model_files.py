"""How a model's files come here, and where they lie."""

import importlib
from collections.abc import Mapping
from pathlib import Path


def download(
    url: str, *, tenant: str | None, version: str | None, output_dir: Path | None, headers: Mapping[str, str]
) -> Path:
    """The directory that the archive at `url` was extracted into: `output_dir`, or a new temporary one.

    `tenant` and `version` of the artifact tell apart what may lie at the same URL. Raises ModelLoadError.
    """
    # Imported late: an action that never fetches a model needs none of what fetching takes.
    downloads = importlib.import_module("raydock.sdk.downloads")
    found: Path = downloads.download(
        url, tenant=tenant, version=version, output_dir=output_dir, headers=headers
    )
    return found


class ModelPath(str):
    """A directory as text that `/` goes on from: `path + "/model.pt"` and `path / "model.pt"` both work."""

    __slots__ = ()

    def __truediv__(self, other: str | Path) -> Path:
        return Path(self) / other
