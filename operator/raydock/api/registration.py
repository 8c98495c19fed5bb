"""Where a Deployment is made known: a service that keeps records of what serves."""

from typing import Annotated

from annotated_types import MaxLen, MinLen

from raydock.api.base import ObjectName, Spec
from raydock.api.core import Key
from raydock.api.rule import Matches

VISIBLE = r"[!-~]+"
"""What a header can carry, without spaces."""


class SecretEntry(Spec):
    """One entry of a Secret of the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Key
    """Name of the entry."""


class Backend(Spec):
    """A model backend: it knows models, jobs and Serve applications."""

    url: Annotated[
        str,
        MinLen(1),
        MaxLen(1024),
        Matches(
            r"https?://[^\s/@?#]+(/[^\s@?#]*)?",
            "write http(s)://HOST[:PORT][/PATH], without user, password and query",
        ),
    ]
    """Its base URL; `serve_applications/` is below it."""
    token_secret: SecretEntry
    """Holds the access token. The operator reads it when it registers; pods get it as
    SYNAPSE_ACCESS_TOKEN."""
    tenant: (
        Annotated[str, MinLen(1), MaxLen(253), Matches(VISIBLE, "write the tenant in ASCII, without spaces")]
        | None
    ) = None
    """The tenant that the token is used for. Default: the one of the token."""
    job_id: (
        Annotated[
            str, MinLen(1), MaxLen(253), Matches(VISIBLE, "write the job's id in ASCII, without spaces")
        ]
        | None
    ) = None
    """The backend's job that the application belongs to. Default: the Deployment's uid."""


class Registration(Spec):
    """Who is told that the application serves."""

    backend: Backend
    """The backend that keeps a record of the application."""
