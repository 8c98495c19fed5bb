"""From `server.importPath` to the function that predicts a batch."""

import asyncio
import inspect
import os
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from raydock.batch.convert import Form, Unconvertible, form_of, to_arrow, to_form
from raydock.batch.declared import Declared, declared
from raydock.batch.functions import choose
from raydock.batch.params import divided
from raydock.models.entry import LoadFailed, cut_traceback, load_attribute
from raydock.models.prepare import prepare
from raydock.reasons import Reason
from raydock.wire.job import JobConfig
from raydock.wire.paths import MODEL_PATH_ENV


class Predictor:
    """A loaded model: Arrow in, Arrow out."""

    def __init__(self, predict: Callable[..., Any], form: Form, declared: Declared) -> None:
        self._predict = predict
        self._form = form
        self._declared = declared
        # One loop for all batches: what the user's coroutine keeps in it lives on from one to the next.
        self._runner = asyncio.Runner() if inspect.iscoroutinefunction(predict) else None
        if self._runner is not None:
            weakref.finalize(self, self._runner.close)

    def refuse_missing(self, columns: Sequence[str]) -> None:
        """Raises Terminal(INPUT_INVALID) where the model declares an input that is none of `columns`."""
        self._declared.refuse_missing(columns)

    def __call__(self, batch: pa.RecordBatch) -> pa.Table:
        """What the model says about `batch`.

        Raises what predict() raises, convert.Unconvertible, failures.RowFailed and Terminal(INPUT_INVALID).
        """
        answer = self._predict(to_form(self._declared.given(batch), self._form))
        if self._runner is not None:
            answer = self._runner.run(answer)
        return self._declared.answer(to_arrow(answer))


def load(config: JobConfig) -> Predictor:
    """Fetch the model, import the user's code and hand it `params`. Raises LoadFailed."""
    path = prepare(config.model_uri, config.model_sha256)
    if path is not None:
        os.environ[MODEL_PATH_ENV] = str(path)  # noqa: TID251 - this process's own, for the user's code
    found = load_attribute(config.import_path)
    module = sys.modules[config.import_path.partition(":")[0]]
    chosen = choose(found, module, config.function)
    # Before the model is made, which may take minutes.
    own, rest = divided(chosen.function, config.params, reconfigure=chosen.takes_params)
    try:
        bound = chosen.bind()
        if rest and bound.reconfigure is not None:
            _hand_over(rest, bound.reconfigure)
    except (LoadFailed, SystemExit):
        raise
    except Exception as exc:
        said = f"{config.import_path} failed while it was set up:\n{cut_traceback(exc)}"
        raise LoadFailed(Reason.MODEL_LOAD_FAILED, said) from exc
    predict = partial(bound.function, **own) if own else bound.function
    try:
        return Predictor(predict, form_of(predict), declared(bound.owner))
    except Unconvertible as exc:
        raise LoadFailed(Reason.INVALID_SPEC, str(exc)) from exc


def _hand_over(params: Mapping[str, Any], reconfigure: Callable[[dict[str, Any]], Any]) -> None:
    answer = reconfigure(dict(params))
    if inspect.isawaitable(answer):
        asyncio.run(_wait(answer))


async def _wait(answer: Any) -> None:
    await answer
