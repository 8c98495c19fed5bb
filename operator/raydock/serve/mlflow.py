"""`server.mlflow` of a Deployment: an MLflow model that answers as MLflow's own scoring server does."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from raydock.models.pyfunc import Pyfunc
from raydock.models.signature import Unfit
from raydock.serve import posted
from raydock.serve.answer import Code, Refused
from raydock.serve.mlflow_rows import INPUT_DATA, WANT, Asked, asked, data
from raydock.serve.predictor import listed
from raydock.wire.access import FORMAT_HEADER, Format

SCORE: Final = "/score"
_AZURE: Final = (FORMAT_HEADER.encode(), Format.AZUREML.value.encode())


async def app() -> "Scoring":
    """The app, with its model loaded. Raises LoadFailed."""
    return Scoring(await run_in_threadpool(Pyfunc))


class Scoring:
    """Answers POST at any path: `{"predictions": …}`, and Azure's callers of input_data the bare list."""

    def __init__(self, model: Pyfunc) -> None:
        self._model = model

    def reconfigure(self, params: Mapping[str, Any]) -> None:
        """`spec.params`, over the defaults of the signature. Raises LoadFailed(PARAMS_INVALID)."""
        self._model.reconfigure(params)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refused for a body that is none of MLflow's, or does not fit the signature."""
        if scope["type"] != "http":
            return
        sent = await posted.read_post(scope, receive, WANT)
        try:
            request = asked(sent)
            predictions = await run_in_threadpool(self._predict, request)
        except Unfit as exc:
            raise Refused(Code.BAD_REQUEST, str(exc)) from exc
        is_bare = request.key == INPUT_DATA and (scope["path"] == SCORE or _AZURE in scope["headers"])
        await posted.write(send, predictions if is_bare else {"predictions": predictions})

    def _predict(self, request: Asked) -> Any:
        params = self._model.params(request.params)
        answer = self._model.predict(data(request, self._model), params)
        return answer if isinstance(answer, Mapping | str) else listed(answer)
