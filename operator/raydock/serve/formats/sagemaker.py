"""The form of Amazon SageMaker's runtime, as boto3 speaks it (contracts/clouds.md 2)."""

import json
import re
from typing import Final

from starlette.types import Message, Scope, Send
from typing_extensions import override

from raydock.serve.answer import Code, Headers, Refused, error_headers
from raydock.serve.asynchronous.record import Asked
from raydock.serve.exchange import Counted
from raydock.serve.formats import eventstream, sagemaker_async
from raydock.serve.formats.form import (
    ERROR_FROM,
    LENGTH,
    TYPE,
    Form,
    Gathered,
    Place,
    Whole,
    header,
    lead,
    named,
    with_headers,
    without_header,
)
from raydock.serve.head import Head
from raydock.wire.access import AsyncAccess

INVOKE: Final = "invocations"
STREAM: Final = "invocations-response-stream"
ASYNC: Final = "async-invocations"
TOKEN: Final = b"x-amz-security-token"
VARIANT: Final = b"x-amzn-invoked-production-variant"
TARGET: Final = b"x-amzn-sagemaker-target-variant"
ATTRIBUTES: Final = b"x-amzn-sagemaker-custom-attributes"
INFERENCE_ID: Final = b"x-amzn-sagemaker-inference-id"
STREAM_TYPE: Final = b"x-amzn-sagemaker-content-type"
STREAM_ACCEPT: Final = b"x-amzn-sagemaker-accept"
ATTRIBUTES_MAX: Final = 1024
ID_MAX: Final = 64
MESSAGE_MAX: Final = 2048
UNKNOWN: Final = {
    b"x-amzn-sagemaker-target-model": "TargetModel",
    b"x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname",
    b"x-amzn-sagemaker-inference-component": "InferenceComponentName",
    b"x-amzn-sagemaker-enable-explanations": "EnableExplanations",
    b"x-amzn-sagemaker-session-id": "SessionId",
}
"""Options that change an answer and that raydock does not have: refused, never ignored."""
_PATH: Final = re.compile(r"/[^/]+/endpoints/[^/]+/([a-z-]+)")
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]*")

ERRORS: Final = {
    Code.BAD_REQUEST: (400, "ValidationError"),
    Code.UNAUTHORIZED: (401, "UnrecognizedClientException"),
    Code.FORBIDDEN: (403, "AccessDeniedException"),
    Code.NOT_FOUND: (404, "UnknownOperationException"),
    Code.DEPLOYMENT_NOT_FOUND: (400, "ValidationError"),
    Code.BODY_TOO_LARGE: (413, "ValidationError"),
    Code.QUEUE_FULL: (429, "ThrottlingException"),
    Code.MODEL_ERROR: (424, "ModelError"),
    Code.NO_TRAFFIC: (503, "ServiceUnavailable"),
    Code.STORE_FAILED: (503, "ServiceUnavailable"),
    Code.NOT_READY: (429, "ModelNotReadyException"),
    Code.DEADLINE_EXCEEDED: (424, "ModelError"),
}


class SageMaker(Form):
    """One call of invoke_endpoint, invoke_endpoint_with_response_stream or invoke_endpoint_async."""

    secrets = frozenset({TOKEN, b"authorization"})

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._attributes = b""
        self._id = b""
        self._streams = False
        self._has_begun = False

    @override
    def accept(self, scope: Scope, head: Head) -> None:
        headers = named(scope)
        found = _PATH.fullmatch(scope["path"])
        word = found.group(1) if found else ""
        if word not in (INVOKE, STREAM, ASYNC) or scope.get("method") != "POST":
            raise Refused(
                Code.NOT_FOUND, "this endpoint knows InvokeEndpoint and its streaming and asynchronous forms"
            )
        for name, option in UNKNOWN.items():
            if name in headers:
                raise Refused(Code.BAD_REQUEST, f"{option} is not supported: leave it out")
        self._streams = word == STREAM
        self._attributes = _option(headers.get(ATTRIBUTES, b""), "CustomAttributes", ATTRIBUTES_MAX)
        if wanted := headers.get(INFERENCE_ID):
            self._id = _option(wanted, "InferenceId", ID_MAX)
            head.rename(self._id)
        if target := headers.get(TARGET):
            head.direct(target)
        if token := headers.get(TOKEN):
            head.credentials.append(token)
        # What is packed could be put into no message.
        without_header(scope, b"accept-encoding")
        if self._streams and (accept := headers.get(STREAM_ACCEPT)):
            without_header(scope, b"accept")
            scope["headers"].append((b"accept", accept))
        path = f"/invoke/{INVOKE}" if self.place.invokes else "/"
        if word == ASYNC:
            self.wish = sagemaker_async.wish(
                headers, self._id, self._attributes, path, directed=head.deployment is not None
            )
        lead(scope, path)

    @override
    def answer(self, send: Counted) -> Send:
        return _Stream(send, self) if self._streams else _Reply(send, self)

    @override
    def kept(self, asked: Asked, rules: AsyncAccess) -> Whole:
        return sagemaker_async.kept(asked, rules)

    @override
    def refusal(self, refused: Refused, request_id: str) -> Whole:
        status, kind = ERRORS[refused.code]
        if kind == "ModelError":
            return model_error(refused.code.status, refused.message.encode())
        return Whole(status, [*_error(kind), *error_headers(refused)], _told(refused.message))

    @override
    async def break_off(self, send: Send, error: Exception) -> bool:
        if not (self._streams and self._has_begun):
            return False
        if isinstance(error, TimeoutError):
            told = {"Message": "the answer took too long", "ErrorCode": "ModelInvocationTimeExceeded"}
        else:
            told = {"Message": "the model failed in the middle of its answer", "ErrorCode": "StreamBroken"}
        await send({"type": "http.response.body", "body": eventstream.failure("ModelStreamError", told)})
        return True

    def begins(self, start: Message) -> dict[bytes, bytes]:
        """Headers of a good answer."""
        self._has_begun = True
        attributes = header(start, ATTRIBUTES) or self._attributes
        found = {VARIANT: self.place.deployment.encode(), ATTRIBUTES: attributes, INFERENCE_ID: self._id}
        return {name: value for name, value in found.items() if value}


class _Reply(Gathered):
    """The app's answer as it is; its errors as ModelError."""

    def __init__(self, send: Counted, form: SageMaker) -> None:
        super().__init__(send)
        self._form = form

    @override
    def is_held(self, start: Message) -> bool:
        return bool(start["status"] >= ERROR_FROM)

    @override
    def started(self, start: Message) -> Message:
        return with_headers(start, self._form.begins(start))

    @override
    async def whole(self, start: Message, body: bytes) -> None:
        self.send.stands_for(start["status"])
        await model_error(start["status"], body).send(self.send, self._form.place.deployment)


class _Stream(_Reply):
    """The same as messages of the event stream, sent as they come."""

    @override
    def started(self, start: Message) -> Message:
        own = {TYPE: eventstream.CONTENT_TYPE, STREAM_TYPE: header(start, TYPE)}
        told = with_headers(start, self._form.begins(start) | own)
        headers = [(name, value) for name, value in told["headers"] if name.lower() != LENGTH]
        return {**told, "status": 200, "headers": headers}

    @override
    async def passed(self, part: Message) -> None:
        messages = b"".join(eventstream.parts(part.get("body", b"")))
        more = part.get("more_body", False)
        if messages or not more:
            await self.send({"type": "http.response.body", "body": messages, "more_body": more})


def model_error(status: int, said: bytes) -> Whole:
    """What a caller gets for an error of the app."""
    told = {
        "Message": f"Received error ({status}) from the model; its pods' logs have more",
        "OriginalStatusCode": status,
        "OriginalMessage": said.decode(errors="replace")[:MESSAGE_MAX],
        "LogStreamArn": "",
    }
    return Whole(424, _error("ModelError"), json.dumps(told).encode())


def _error(kind: str) -> Headers:
    return [(TYPE, b"application/json"), (b"x-amzn-errortype", kind.encode())]


def _told(message: str) -> bytes:
    return json.dumps({"Message": message[:MESSAGE_MAX]}).encode()


def _option(value: bytes, name: str, most: int) -> bytes:
    if len(value) > most or not _PRINTABLE.fullmatch(value):
        raise Refused(Code.BAD_REQUEST, f"{name}: want at most {most} printable ASCII characters")
    return value
