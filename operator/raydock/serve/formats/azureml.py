"""The form of Azure Machine Learning's scoring URI (contracts/clouds.md 4)."""

from typing import Final

from starlette.types import Message, Scope, Send
from typing_extensions import override

from raydock.serve.answer import Code, Headers, Refused, error_body, error_headers
from raydock.serve.exchange import Counted
from raydock.serve.formats.form import ERROR_FROM, TYPE, Form, Place, Whole, lead, named, with_headers
from raydock.serve.head import Head

SCORE: Final = "/score"
TARGET: Final = b"azureml-model-deployment"
CLIENT_ID: Final = b"x-ms-client-request-id"
CLIENT_ID_MAX: Final = 100
STATUS: Final = b"ms-azureml-model-error-statuscode"
REASON: Final = b"ms-azureml-model-error-reason"
MODEL_ERROR: Final = 424
STATUSES: Final = {
    Code.NO_TRAFFIC: 404,
    Code.DEADLINE_EXCEEDED: 408,
    Code.MODEL_ERROR: MODEL_ERROR,
}
"""Where they differ from the native ones."""


class AzureML(Form):
    """One request to the scoring URI."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._more: dict[bytes, bytes] = {TARGET: place.deployment.encode()}

    @override
    def accept(self, scope: Scope, head: Head) -> None:
        headers = named(scope)
        if target := headers.get(TARGET):
            head.direct(target)
        if sent := headers.get(CLIENT_ID):
            if len(sent) > CLIENT_ID_MAX:
                said = f"{CLIENT_ID.decode()}: want at most {CLIENT_ID_MAX} characters"
                raise Refused(Code.HEADER_TOO_LARGE, said)
            self._more[CLIENT_ID] = sent
        if not scope["path"].endswith(SCORE):
            raise Refused(Code.NOT_FOUND, f"there is nothing at this path: predictions are made at {SCORE}")
        lead(scope, f"/invoke{SCORE}" if self.place.invokes else "/")

    @override
    def answer(self, send: Counted) -> Send:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                send.stands_for(message["status"])
                message = self._marked(message)
            await send(message)

        return marked

    @override
    def refusal(self, refused: Refused, request_id: str) -> Whole:
        status = STATUSES.get(refused.code, refused.code.status)
        headers: Headers = [(TYPE, b"application/json"), *error_headers(refused), *self._more.items()]
        if status == MODEL_ERROR:
            headers += _model_error(refused.code.status).items()
        return Whole(status, headers, error_body(refused, request_id))

    def _marked(self, start: Message) -> Message:
        status = start["status"]
        if status < ERROR_FROM:
            return with_headers(start, self._more)
        return with_headers({**start, "status": MODEL_ERROR}, self._more | _model_error(status))


def _model_error(status: int) -> dict[bytes, bytes]:
    return {STATUS: str(status).encode(), REASON: b"model_error"}
