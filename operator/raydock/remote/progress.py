"""A batch driver's client of the operator's POST /v1/progress."""

from raydock.remote.operator import OperatorClient, Unreachable
from raydock.wire.progress import PROGRESS_PATH, Report
from raydock.wire.record import dumps

__all__ = ["ProgressClient", "Unreachable"]


class ProgressClient:
    """Sends reports."""

    def __init__(self, base_url: str, token_file: str) -> None:
        self._operator = OperatorClient(base_url, token_file)

    def post(self, report: Report) -> int:
        """The HTTP status of the first address that does not answer 503, else 503. Raises Unreachable."""
        return self._operator.post(PROGRESS_PATH, dumps(report).encode()).status
