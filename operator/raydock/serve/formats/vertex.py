"""The form of Vertex AI's endpoints over REST, as google-cloud-aiplatform has it (contracts/clouds.md 3)."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send
from typing_extensions import override

from raydock.serve.answer import Code, Headers, Refused, error_headers
from raydock.serve.exchange import Counted
from raydock.serve.formats.form import (
    ERROR_FROM,
    TYPE,
    Form,
    Gathered,
    Place,
    Whole,
    lead,
    named,
    with_headers,
    without_header,
)
from raydock.serve.head import Head
from raydock.wire.access import RESOURCE_HEADER

PREDICT: Final = ":predict"
RAW: Final = frozenset({":rawPredict", ":streamRawPredict"})
VERSION: Final = "1"
"""Of a model: a Deployment has one."""
MESSAGE_MAX: Final = 2048
MARKS: Final = ("x-vertex-ai-deployed-model-id", "x-vertex-ai-model", "x-vertex-ai-model-version-id")
_PATH: Final = re.compile(r"/v1/projects/([^/:]+)/locations/([^/:]+)/endpoints/([^/:]+)(.*)", re.DOTALL)
_DIRECT: Final = re.compile(r"/deployedModels/([^/:]+)(/invoke/.*)", re.DOTALL)
_STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Vertex(Form):
    """One call of predict, raw_predict, stream_raw_predict, invoke, or of the endpoint's description."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._predicts = False
        self._raw = False
        self._models = ""

    @override
    def accept(self, scope: Scope, head: Head) -> None:
        found = _PATH.fullmatch(scope["path"])
        if found is None:
            raise _nothing()
        project, location, endpoint, rest = found.groups()
        self._models = f"projects/{project}/locations/{location}/models"
        if direct := _DIRECT.fullmatch(rest):
            head.direct(direct.group(1).encode())
            rest = direct.group(2)
        posted = scope.get("method") == "POST"
        if rest == "" and scope.get("method") == "GET":
            name = f"projects/{project}/locations/{location}/endpoints/{endpoint}"
            self.tells = self._resource(name, named(scope))
        elif rest.startswith("/invoke/"):
            lead(scope, rest, scope["path"].removesuffix(rest))
        elif posted and not self.place.invokes and rest in {PREDICT, *RAW}:
            self._predicts, self._raw = rest == PREDICT, rest in RAW
            if self._predicts:  # its answer is read
                without_header(scope, b"accept-encoding")
            lead(scope, "/")
        else:
            raise _nothing()

    @override
    async def body(self, receive: Receive) -> Receive:
        if not self._predicts:
            return receive
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return _again(message, receive)
            body += message.get("body", b"")
            more = message.get("more_body", False)
        try:
            asked = json.loads(body)
        except ValueError:
            asked = None
        if not isinstance(asked, Mapping) or not isinstance(asked.get("instances"), list):
            raise Refused(Code.BAD_REQUEST, 'want a JSON object with a list: {"instances": […]}')
        return _again({"type": "http.request", "body": bytes(body), "more_body": False}, receive)

    @override
    def answer(self, send: Counted) -> Send:
        if self._predicts:
            return _Prediction(send, self)
        if not self._raw:
            return send
        values = (self.place.deployment, self.model, VERSION)
        marks = {name.encode(): value.encode() for name, value in zip(MARKS, values, strict=True)}

        async def marked(message: Message) -> None:
            is_start = message["type"] == "http.response.start"
            await send(with_headers(message, marks) if is_start else message)

        return marked

    @override
    def refusal(self, refused: Refused, request_id: str) -> Whole:
        return google_error(refused.code.status, refused.message, error_headers(refused))

    @property
    def model(self) -> str:
        """Resource name of the model that answers."""
        return f"{self._models}/{self.place.deployment}"

    def _resource(self, name: str, headers: Mapping[bytes, bytes]) -> Whole:
        try:
            told = json.loads(headers.get(RESOURCE_HEADER.encode(), b""))
        except ValueError:
            raise _nothing() from None  # past the gateway nobody knows
        models = [
            {
                "id": one,
                "displayName": one,
                "model": f"{self._models}/{one}",
                "modelVersionId": VERSION,
            }
            for one in told.get("deployments", [])
        ]
        resource = {
            "name": name,
            "displayName": name.rpartition("/")[2],
            "createTime": told.get("created", ""),
            "dedicatedEndpointEnabled": True,
            "dedicatedEndpointDns": headers.get(b"host", b"").decode("latin-1"),
            "trafficSplit": told.get("split", {}),
            "deployedModels": models,
        }
        return Whole(200, [(TYPE, b"application/json")], json.dumps(resource).encode())


class _Prediction(Gathered):
    """An app's answer as a PredictResponse; its errors as Google's."""

    def __init__(self, send: Counted, form: Vertex) -> None:
        super().__init__(send)
        self._form = form

    @override
    async def whole(self, start: Message, body: bytes) -> None:
        status = start["status"]
        if status >= ERROR_FROM:
            told = google_error(status, body.decode(errors="replace"), [])
        else:
            told = self._told(body)
        await told.send(self.send, self._form.place.deployment)

    def _told(self, body: bytes) -> Whole:
        try:
            answer: Any = json.loads(body)
        except ValueError:
            answer = None
        found = {"predictions": answer} if isinstance(answer, list) else answer
        if not isinstance(found, dict) or "predictions" not in found:
            return google_error(500, "the model answered neither a list nor an object with `predictions`", [])
        found |= {
            "deployedModelId": self._form.place.deployment,
            "model": self._form.model,
            "modelVersionId": VERSION,
        }
        return Whole(200, [(TYPE, b"application/json")], json.dumps(found).encode())


def google_error(status: int, message: str, headers: Headers) -> Whole:
    """An error as Google's APIs tell it."""
    word = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    error = {"code": status, "message": message[:MESSAGE_MAX], "status": word}
    return Whole(status, [(TYPE, b"application/json"), *headers], json.dumps({"error": error}).encode())


def _nothing() -> Refused:
    return Refused(Code.NOT_FOUND, "this endpoint has no such method")


def _again(message: Message, receive: Receive) -> Receive:
    """`receive` that gives this first."""
    left = [message]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
