"""A request on its way into the store, and what its caller is told where it does not get there."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from raydock.remote.stores import StoreError
from raydock.serve.answer import Code, Refused
from raydock.serve.asynchronous.intake import INLINE_MAX, Wish
from raydock.serve.asynchronous.record import Asked
from raydock.serve.asynchronous.service import Asynchronous
from raydock.serve.checks import RETRY_S
from raydock.serve.head import Head
from raydock.wire.access import AsyncAccess

log = logging.getLogger(__name__)


async def keep(
    asynchronous: Asynchronous | None, wish: Wish, receive: Receive, head: Head
) -> tuple[Asked, AsyncAccess]:
    """What is kept, and where. Raises Refused, and ClientDisconnect where nobody is there any more."""
    body = await _read(receive)
    if bool(body) == bool(wish.location):
        raise Refused(Code.BAD_REQUEST, "send either a body or InputLocation")
    kept = None
    try:
        if asynchronous:
            kept = await asynchronous.accept(head.endpoint or "", wish, body)
    except StoreError as error:
        log.warning("request %s could not be kept: %s", head.request_id, error)
        told = f"the request could not be kept: {error}"
        raise Refused(Code.STORE_FAILED, told, retry_after_s=RETRY_S) from None
    if kept is not None:
        return kept
    if head.is_async:
        told = "asynchronous requests are being set up here"
        raise Refused(Code.STORE_FAILED, told, retry_after_s=RETRY_S)
    raise Refused(
        Code.BAD_REQUEST, "this endpoint takes no asynchronous requests: it needs spec.asyncInference"
    )


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > INLINE_MAX:
            raise Refused(Code.BODY_TOO_LARGE, f"a body may have {INLINE_MAX} bytes here: use InputLocation")
        if not message.get("more_body", False):
            return bytes(body)
