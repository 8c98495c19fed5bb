"""Asks the operator which job a kept Ray cluster is lent to (POST /v1/job)."""

from typing import Final

from raydock.remote.operator import OperatorClient, Unreachable
from raydock.wire.lent import JOB_PATH, Lent
from raydock.wire.record import WireError, loads

FOUND: Final = 200
NOBODY: Final = 204


class LentClient:
    """Of the driver in a kept cluster."""

    def __init__(self, base_url: str, token_file: str) -> None:
        self._operator = OperatorClient(base_url, token_file)

    def ask(self) -> Lent | None:
        """The job, as soon as there is one; None after some seconds without. Raises Unreachable."""
        answer = self._operator.post(JOB_PATH)
        if answer.status == NOBODY:
            return None
        if answer.status != FOUND:
            raise Unreachable(f"HTTP {answer.status}")
        try:
            return loads(Lent, answer.body)
        except WireError as error:
            raise Unreachable(str(error)) from error
