"""A Hugging Face model: the pipeline of transformers over the folder at model.uri, for texts."""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from raydock.models.entry import LoadFailed, cut_traceback
from raydock.models.needs import folder, package
from raydock.reasons import Reason
from raydock.wire.paths import TASK_ENV

SERVER: Final = "server.huggingface"
PACKAGES: Final = "the packages transformers and torch"
QUIET: Final = "HF_HUB_DISABLE_TELEMETRY"


class Pipeline:
    """A loaded model. `predict` may be called by several threads, of which one at a time is at work."""

    def __init__(self) -> None:
        """Load it, on the GPU where there is one.

        Raises LoadFailed: IMPORT_FAILED, MODEL_NOT_FOUND, INVALID_SPEC, MODEL_LOAD_FAILED.
        """
        os.environ.setdefault(QUIET, "1")  # noqa: TID251 - the one way to say so before the import
        self.task = os.environ[TASK_ENV]  # noqa: TID251 - set by models.prepare for this process
        transformers = package("transformers", SERVER, PACKAGES)
        torch = package("torch", SERVER, PACKAGES)
        where = folder("config.json", SERVER)
        self._alone = threading.Lock()  # fast tokenizers are not to be called by two threads
        self.params: dict[str, Any] = {}
        """Arguments of each call."""
        try:
            self._pipe = transformers.pipeline(
                self.task,
                model=str(where),
                device=0 if torch.cuda.is_available() else -1,
                # Code that lies beside the weights is no part of the spec.
                trust_remote_code=False,
            )
        except KeyError as exc:
            said = f"{SERVER}.task: the transformers of the image has no such pipeline: {exc.args[0]}"
            raise LoadFailed(Reason.INVALID_SPEC, said) from exc
        except Exception as exc:
            said = f"transformers cannot load the model for {self.task}:\n{cut_traceback(exc)}"
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, said) from exc

    def reconfigure(self, params: Mapping[str, Any]) -> None:
        """Arguments of each call from here on. Raises LoadFailed(PARAMS_INVALID)."""
        try:
            # What each pipeline defines to sort its arguments; __call__ does nothing else with them.
            self._pipe._sanitize_parameters(**params)  # noqa: SLF001 - there is no public way to ask
        except (TypeError, ValueError) as exc:
            said = f"params: the pipeline {self.task} refuses them: {exc}"
            raise LoadFailed(Reason.PARAMS_INVALID, said) from exc
        self.params = dict(params)

    def predict(self, rows: Sequence[Any], params: Mapping[str, Any] | None = None) -> list[Any]:
        """One result for each row, as the pipeline gives it; a row is a text or a record of texts.

        Raises what the pipeline raises, and ValueError for another number of results.
        """
        if not rows:
            return []
        with self._alone:
            results = self._pipe(list(rows), **{**self.params, **(params or {})})
        if len(rows) == 1 and self.task == "fill-mask":  # which leaves out the list around one row
            results = [results]
        if len(results) != len(rows):
            raise ValueError(f"the pipeline gave {len(results)} results for {len(rows)} rows")
        return list(results)
