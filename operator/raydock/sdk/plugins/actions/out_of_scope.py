"""Kinds of actions of the package that raydock does not have."""

from typing import Final

NAMES: Final = frozenset(
    {
        "BaseAutoLabelAction",
        "BaseConvertAction",
        "BaseDatasetAction",
        "BaseDownloadAction",
        "BaseExportAction",
        "BaseToTaskAction",
        "BaseTrainAction",
        "BaseUploadAction",
        "DatasetAction",
    }
)
"""Classes that somebody may import from `plugins`."""


def out_of_scope(name: str) -> ImportError:
    """What the import of `name` is answered with."""
    kind = name.rpartition(".")[2]
    return ImportError(
        f"raydock.sdk has no {kind}: it runs inference and deployment actions only, not train, export, "
        "upload, dataset, auto-label or to-task ones",
        name=name,
    )
