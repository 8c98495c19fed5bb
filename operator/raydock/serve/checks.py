"""What is refused before a request waits for a slot: path, size, key, and the Deployment that was named."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope

from raydock.serve.answer import Code, Refused
from raydock.serve.auth import AccessFile
from raydock.serve.caller import caller
from raydock.serve.exchange import CountedBody
from raydock.serve.formats.form import Form
from raydock.serve.head import Head, without_credentials
from raydock.serve.jwt import UnknownKey
from raydock.serve.routing import SWAGGER, Route, Routing
from raydock.wire.access import CALLER_KEY
from raydock.wire.host import HostConfig

RETRY_S: Final = 1


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that may wait for a slot."""

    route: Route | None
    """Where to; None: it asks about the endpoint, and nothing of the app."""
    body: CountedBody | None
    """How to read a body of unknown length."""


class Checks:
    """Those of one HostConfig."""

    def __init__(self, deployment: str, access: AccessFile, config: HostConfig) -> None:
        self._deployment = deployment.encode()
        self._access = access
        self._limit = config.limits.body_bytes
        self.routing = Routing(config)

    async def check(self, scope: Scope, receive: Receive, head: Head, form: Form | None = None) -> Passed:
        """Raises Refused. A token of a key that is not known is held while that is looked for."""
        try:
            return self._check(scope, receive, head, form)
        except UnknownKey:
            await self._access.learn(head.endpoint)
        try:
            return self._check(scope, receive, head, form)
        except UnknownKey:
            raise Refused(
                Code.UNAUTHORIZED, "the token is signed with a key that is not known here"
            ) from None

    def _check(self, scope: Scope, receive: Receive, head: Head, form: Form | None) -> Passed:
        if head.is_refused and not (form and form.tells):
            raise Refused(Code.NO_TRAFFIC, "this endpoint takes no traffic now", retry_after_s=RETRY_S)
        asks = scope["path"] == SWAGGER and scope.get("method") == "GET"
        route = None if asks or (form and form.tells) else self.routing.route(scope)
        length = head.length
        if length is not None and length > self._limit:
            raise Refused(Code.BODY_TOO_LARGE, f"the request's body has more than {self._limit} bytes")
        if self._access.rules.check(head.endpoint, head.credentials):
            scope[CALLER_KEY] = caller(head.endpoint, head.credentials[0])
            without_credentials(scope, form.secrets if form else frozenset())
        if head.deployment is not None and head.deployment != self._deployment:
            raise Refused(Code.DEPLOYMENT_NOT_FOUND, "this endpoint has no such deployment")
        return Passed(route, CountedBody(receive, self._limit) if length is None else None)
