"""Stands in for transformers and torch, which are gigabytes: as much of a pipeline as raydock calls.

What is called and given back was taken from the real packages; tests with these show the seam, no model.
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import pytest

from raydock.wire.paths import MODEL_PATH_ENV, TASK_ENV

KNOWN: Final = ("fill-mask", "text-classification", "text-generation")


class SmallPipeline:
    """Answers each row with what `answers` makes of it."""

    def __init__(self, task: str, model: str, device: int, *, trust_remote_code: bool) -> None:
        if task not in KNOWN:
            raise KeyError(f"Unknown task {task}, available tasks are {list(KNOWN)}")
        self.made_with = {"model": model, "device": device, "trust_remote_code": trust_remote_code}
        self.task = task
        self.calls: list[tuple[list[Any], dict[str, Any]]] = []
        self.answers: Callable[[Any], Any] = lambda row: {"label": "LONG" if len(row) > 4 else "SHORT"}
        self.most_at_once = 0
        self._alone = threading.Lock()

    def _sanitize_parameters(self, *, top_k: int = 1, num_return_sequences: int = 1) -> None:
        if not isinstance(top_k, int):
            raise ValueError("top_k must be a number")  # noqa: TRY004 - as transformers does

    def __call__(self, rows: list[Any], **params: Any) -> Any:
        """Of one row alone fill-mask gives no list."""
        assert self._alone.acquire(blocking=False), "called by two threads at once"
        try:
            self.calls.append((rows, params))
            results = [self.answers(row) for row in rows]
            bare = len(rows) == 1 and self.task == "fill-mask"
            return results[0] if bare else results
        finally:
            self._alone.release()


def packages(made: list[SmallPipeline], *, gpus: bool = False) -> dict[str, ModuleType]:
    """For sys.modules; each pipeline goes to `made`."""
    transformers, torch = ModuleType("transformers"), ModuleType("torch")

    def pipeline(task: str, **given: Any) -> SmallPipeline:
        made.append(SmallPipeline(task, **given))
        return made[-1]

    transformers.pipeline = pipeline  # type: ignore[attr-defined]  # a module made here
    torch.cuda = SimpleNamespace(is_available=lambda: gpus)  # type: ignore[attr-defined]  # as above
    return {"transformers": transformers, "torch": torch}


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[SmallPipeline]:
    """The pipelines that code under test makes of the model in `folder`, a text classifier."""
    (folder / "config.json").touch()
    monkeypatch.setenv(MODEL_PATH_ENV, str(folder))
    monkeypatch.setenv(TASK_ENV, "text-classification")
    made: list[SmallPipeline] = []
    for name, module in packages(made).items():
        monkeypatch.setitem(sys.modules, name, module)
    return made
