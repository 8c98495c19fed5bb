"""Which job the driver of a kept Ray cluster does next: it asks POST /v1/job of the operator, without a body.

Answered 200 with a `Lent`; 204 after a while in which its cluster was lent to nobody: it asks again.
"""

from dataclasses import dataclass
from typing import Final

from raydock.wire.job import JobConfig

JOB_PATH: Final = "/v1/job"
OPERATOR_ENV: Final = "RAYDOCK_OPERATOR_URL"
"""Environment variable of such a driver: base URL of the operator's HTTP service (its headless Service)."""


@dataclass(frozen=True)
class Lent:
    """The job that the cluster is lent to."""

    config: JobConfig
    attempt: int
    """Number of its attempt, from 1."""
