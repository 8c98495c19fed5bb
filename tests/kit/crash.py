"""An operator that dies at a write: before it is sent, or after it took effect and before the answer came."""

from dataclasses import dataclass
from typing import Any

from raydock.kube.errors import Unavailable
from raydock.kube.transport import Request
from tests.kit.running import Running

UNTOUCHED = ("Lease", "Event", "TokenReview")
"""Not counted; the Lease even outlives the crash, so that the next operator need not wait for its end."""


@dataclass
class Crash:
    """What happens at the `at`-th write of an operator."""

    at: int
    sent: bool
    """Whether the write reaches the API server."""
    writes: int = 0
    happened: bool = False

    def happens_to(self, one: Running) -> None:
        """From the crash on, no call of this operator goes out any more."""
        transport = one.operator.kube._transport
        exchange = transport._exchange

        async def until_it_dies(request: Request) -> Any:
            if request.kind.kind == "Lease":
                return await exchange(request)
            if self.happened:
                raise Unavailable("dead")
            if request.verb in ("get", "list") or request.kind.kind in UNTOUCHED:
                return await exchange(request)
            self.writes += 1
            if self.writes < self.at:
                return await exchange(request)
            self.happened = True
            if self.sent:
                await exchange(request)
            raise Unavailable("dead")

        transport._exchange = until_it_dies  # type: ignore[method-assign]
