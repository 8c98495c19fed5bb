"""From `server.importPath` to the function that predicts a batch."""

import asyncio
import contextlib
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa

from raydock.batch.convert import Form, Unconvertible, form_of, source_rows, to_arrow, to_form
from raydock.batch.declared import Declared, declared
from raydock.batch.functions import choose
from raydock.batch.loop import Loop
from raydock.batch.params import divided
from raydock.models.entry import LoadFailed, cut_traceback, load_attribute
from raydock.models.prepare import provide
from raydock.reasons import Reason
from raydock.wire.job import JobConfig


@dataclass(frozen=True)
class Piece:
    """What a model gave at once."""

    table: pa.Table
    rows: pa.Array | None = None
    """Number in the batch of the row that each row was made of; None where nothing is said about it."""


class Predictor:
    """A loaded model: Arrow in, Arrow out.

    A generator function, also an asynchronous one, makes rows: as many as it likes of each batch. Any other
    answers each row with one.
    """

    def __init__(self, predict: Callable[..., Any], form: Form, declared: Declared) -> None:
        self._predict = predict
        self._form = form
        self._declared = declared
        in_loop = inspect.isasyncgenfunction(predict)
        self.grows = in_loop or inspect.isgeneratorfunction(predict)
        """Whether it makes rows."""
        self._loop = Loop() if in_loop or inspect.iscoroutinefunction(predict) else None

    def refuse_missing(self, columns: Sequence[str]) -> None:
        """Raises Terminal(INPUT_INVALID) where the model declares an input that is none of `columns`."""
        self._declared.refuse_missing(columns)

    def __call__(self, batch: pa.RecordBatch) -> Generator[Piece]:
        """What the model says about `batch`: one piece, or any number where it makes rows.

        May be called by several threads at once, of which each gets its own rows. Raises what predict()
        raises, convert.Unconvertible, failures.RowFailed and Terminal(INPUT_INVALID).
        """
        given = to_form(self._declared.given(batch), self._form)
        for answer in self._made(given) if self.grows else (self._answer(given),):
            table, rows = to_arrow(answer), None
            if self.grows and not table.num_rows:
                continue  # an empty list has no columns to judge
            if self.grows:
                table, rows = source_rows(table, batch.num_rows)
            yield Piece(self._declared.answer(table), rows)

    def _answer(self, given: Any) -> Any:
        answer = self._predict(given)
        return answer if self._loop is None else self._loop.run(answer)

    def _made(self, given: Any) -> Iterator[Any]:
        pieces = self._predict(given)
        if self._loop is None:
            with contextlib.closing(pieces):
                yield from pieces
            return
        try:
            while (piece := self._loop.run(_next(pieces))) is not _END:
                yield piece
        finally:
            self._loop.run(_wait(pieces.aclose()))


def load(config: JobConfig) -> Predictor:
    """Fetch the model, import the user's code and hand it `params`. Raises LoadFailed."""
    provide(config.model_uri, config.model_sha256, config.task)
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


async def _next(pieces: AsyncGenerator[Any]) -> Any:
    return await anext(pieces, _END)


_END: Final = object()
