"""`server.huggingface` of a Deployment: texts in, what the pipeline says of each out."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from raydock.models.pipeline import Pipeline
from raydock.serve import posted
from raydock.serve.answer import Code, Refused

INSTANCES: Final = "instances"
KEYS: Final = ("inputs", INSTANCES, "input_data")
PARAMS: Final = ("parameters", "params")
"""Hugging Face's and Vertex AI's word, and MLflow's."""
WANT: Final = f"a JSON object with exactly one of {', '.join(KEYS)}, and parameters, if any"


async def app() -> "Answering":
    """The app, with its model loaded. Raises LoadFailed."""
    return Answering(await run_in_threadpool(Pipeline))


class Answering:
    """Answers POST at any path with a list of results; callers of `instances` with `{"predictions": […]}`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def reconfigure(self, params: Mapping[str, Any]) -> None:
        """`spec.params`: arguments of each call of the pipeline. Raises LoadFailed(PARAMS_INVALID)."""
        self._pipeline.reconfigure(params)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused for a body of another form."""
        if scope["type"] != "http":
            return
        sent = await posted.read_post(scope, receive, WANT)
        key = _key(sent)
        rows = sent[key] if isinstance(sent[key], list) else [sent[key]]
        if not all(isinstance(row, str | Mapping | list) for row in rows):
            raise Refused(Code.BAD_REQUEST, f"{key}: each row is a text, or an object of texts")
        results = await run_in_threadpool(self._pipeline.predict, rows, self._params(sent))
        await posted.write(send, {"predictions": results} if key == INSTANCES else results)

    def _params(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Callers set only what spec.params sets: arguments of a pipeline may name code and files to load."""
        given = [sent[name] for name in PARAMS if sent.get(name) is not None]
        if len(given) > 1 or not all(isinstance(one, Mapping) for one in given):
            raise Refused(Code.BAD_REQUEST, "parameters (or params) is one JSON object, with values by name")
        found = dict(given[0]) if given else {}
        if unknown := sorted(found.keys() - self._pipeline.params.keys()):
            known = ", ".join(sorted(self._pipeline.params)) or "none"
            raise Refused(
                Code.BAD_REQUEST,
                f"parameters: {', '.join(map(repr, unknown))} cannot be set here; those that can: {known}",
            )
        return found


def _key(sent: Any) -> str:
    named = [key for key in KEYS if key in sent] if isinstance(sent, Mapping) else []
    if len(named) != 1 or sent.keys() - {*KEYS, *PARAMS}:
        raise Refused(Code.BAD_REQUEST, f"send {WANT}")
    return named[0]
