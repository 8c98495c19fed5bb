"""How a call of the client can end, as types; each text says what to do.

ClientError
├── NoCluster      no kubeconfig and no pod's account to work with
├── NotFound       404
│   └── JobNotFound
├── Exists         409, reason AlreadyExists
├── Refused        any other 4xx: the API server does not take the object or the change
├── NotAllowed     401, 403
├── Expired        410: a watch is too old to be continued
├── Unreachable    no connection, 429, 5xx: it may answer later
└── NoLog          nothing was logged yet, or nothing was kept
"""

import json
from collections.abc import Mapping
from typing import Any, Final


class ClientError(Exception):
    """A call that failed."""


class NoCluster(ClientError):
    """Nothing says where the API server is."""


class NotFound(ClientError):
    """No such object, or no such kind in this cluster."""


class JobNotFound(NotFound):
    """There is no BatchJob of this name, or no more."""


class Exists(ClientError):
    """An object of this name exists."""


class Refused(ClientError):
    """The API server does not take the object or the change; the text names the field."""


class NotAllowed(ClientError):
    """The user or service account may not do this."""


class Expired(ClientError):
    """The place to go on from is too old: look again and go on from there."""


class Unreachable(ClientError):
    """No answer now; the call may have had its effect."""


class NoLog(ClientError):
    """There is no log to show."""


_BY_STATUS: Final[Mapping[int, type[ClientError]]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    410: Expired,
    429: Unreachable,
}


def of_answer(status: int, body: bytes | str | None) -> ClientError:
    """The error that an answer with `status`, not a 2xx, stands for."""
    return of_status_object(status, _status_object(body))


def of_status_object(status: int, told: Mapping[str, Any]) -> ClientError:
    """The same for a `kind: Status` object, which also ends a watch. Empty: something else came."""
    message = str(told.get("message") or f"HTTP {status} without a reason")
    if status == 401:
        message = f"{message}: log in to the cluster again, or name another --context"
    if told.get("reason") == "AlreadyExists":
        return Exists(message)
    shape = _BY_STATUS.get(status, Refused if 400 <= status < 500 else Unreachable)
    return shape(message)


def _status_object(body: bytes | str | None) -> Mapping[str, Any]:
    """Only `kind: Status` is believed: a proxy on the way may send anything, an echo of our headers too."""
    try:
        value = json.loads(body or b"")
    except ValueError:
        return {}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}
