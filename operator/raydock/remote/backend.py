"""The operator's client of a backend's Serve applications (contracts/actions.md 11).

Each call is one try: who registers keeps trying by itself, and must look before it posts again. No error
names the backend's URL, its address or a credential.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import aiohttp

from raydock.remote.blocking import Call, Reply, Times
from raydock.remote.errors import ClientResponseIncompleteError, HTTPError, MalformedResponse, NotFoundError
from raydock.remote.persistence import DEADLINE_S
from raydock.remote.session import exchange
from raydock.remote.terms import (
    BODY_MAX,
    NotConfigured,
    base_url,
    is_header_value,
    raise_unless_ok,
    secrets_of,
    token_header,
)

CONNECT_S: Final = 5.0
"""For a connection: name, TCP and TLS."""
ANSWER_S: Final = 15.0
"""For the whole answer, from when the request went out."""
APPLICATIONS: Final = "serve_applications/"
PAGE_SIZE: Final = 100
PAGE_MAX: Final = 16 * 2**20
"""Bytes of a page: records hold what their applications said of themselves."""
PAGES_MAX: Final = 50
"""Pages of a list that are looked through: a plugin's records, of which each version has one."""
ID_MAX: Final = 253
"""Characters of an id, as status holds them."""
NO_DELETE: Final = 405
"""What a backend answers that keeps its records."""


class BackendNotConfigured(NotConfigured):
    """There is no backend to tell."""


@dataclass(frozen=True)
class Account:
    """Who tells which backend."""

    url: str = field(repr=False)
    token: str = field(repr=False)
    tenant: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Raises BackendNotConfigured for a token that is empty or that no header could carry."""
        if not self.token:
            raise BackendNotConfigured("the backend's token is empty")
        if not all(is_header_value(value) for value in (self.token, self.tenant)):
            raise BackendNotConfigured("the backend's credentials want one line of ASCII each")
        named = (("Synapse-Access-Token", self.token), ("Synapse-Tenant", self.tenant))
        return {name: token_header(value) for name, value in named if value}


@dataclass(frozen=True)
class Application:
    """A Serve application, as the backend is told of it."""

    job: str
    """Id of the job that made it: one application has one record."""
    status: str
    """Ray Serve's word."""
    data: Mapping[str, Any]
    """`name`, `status`, `message`, `route_prefix`, `deployments`."""

    def body(self) -> dict[str, Any]:
        """What is posted."""
        return {"job": self.job, "status": self.status, "data": dict(self.data)}

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Whether `record` is of this application: of its job, and of no other name that the job deployed."""
        data = record.get("data")
        name = data.get("name", self.data["name"]) if isinstance(data, Mapping) else self.data["name"]
        return str(record.get("job")) == self.job and name == self.data["name"]


class _Looked(NamedTuple):
    """What looking through a list came to."""

    id: str | None
    """Of the record; None: it was not seen."""
    whole: bool = False
    """The list was looked through to its end."""


class Applications:
    """The Serve applications that one backend knows. Every call raises a ClientError when it fails."""

    def __init__(self, session: aiohttp.ClientSession, account: Account) -> None:
        """`session`: of raydock.remote.session. Raises BackendNotConfigured."""
        self._session = session
        self._base = _base(account.url)
        self._headers = {
            **account.headers(),
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        secrets = secrets_of([value for value in (account.token, account.tenant) if value])
        self._hidden = (*secrets, self._base, urlsplit(self._base).hostname or "")

    async def find(self, plugin_code: str, application: Application) -> str | None:
        """Id of the record of `application`; None when there is none.

        It is looked for among those of `plugin_code`, then among those of the job, which may be of another
        plugin, or beyond the pages of the former that are looked through. A backend that does not know the
        latter filter lists all: one list to its end is enough. Raises MalformedResponse when neither has one:
        who then posted might make a second record.
        """
        of_code = await self._look("plugin_code", plugin_code, application)
        if of_code.id is not None:
            return of_code.id
        of_job = await self._look("job", application.job, application)
        if of_job.id is None and not (of_code.whole or of_job.whole):
            raise MalformedResponse(200)
        return of_job.id

    async def _look(self, name: str, value: str, application: Application) -> "_Looked":
        """Among the records that a filter leaves, on PAGES_MAX pages."""
        query: list[tuple[str, str]] = [(name, value), ("page_size", str(PAGE_SIZE))]
        for _ in range(PAGES_MAX):
            path = f"{APPLICATIONS}?{urlencode(query)}"
            page = _an_object(await self._json("GET", path, answer_max=PAGE_MAX))
            records = page.get("results")
            if not isinstance(records, list):
                raise MalformedResponse(200)
            for record in records:
                if isinstance(record, Mapping) and application.is_in(record):
                    return _Looked(_id(record))
            following = page.get("next")
            if not isinstance(following, str) or not following:
                return _Looked(None, whole=True)
            query = _query(following)
        return _Looked(None)

    async def create(self, application: Application) -> str:
        """Post a record; its id. There is one more when it is called twice."""
        return _id(_an_object(await self._json("POST", APPLICATIONS, application.body())))

    async def remove(self, record_id: str) -> None:
        """Have no record `record_id`; one that is gone, or that the backend never deletes, will do."""
        try:
            await self._json("DELETE", f"{APPLICATIONS}{_segment(record_id)}/")
        except NotFoundError:
            return
        except HTTPError as error:
            if error.status_code != NO_DELETE:
                raise

    async def _json(self, method: str, path: str, body: Any = None, answer_max: int = BODY_MAX) -> Any:
        """What a call is answered; None for an empty answer."""
        content = None if body is None else json.dumps(body).encode()
        call = Call(method, self._base + path, self._headers, content, answer_max)
        reply = await exchange(self._session, call, Times(CONNECT_S, ANSWER_S), DEADLINE_S)
        raise_unless_ok(reply.status, reply.body, reply.retry_after, self._hidden)
        return _parsed(reply)


def _base(text: str) -> str:
    try:
        return base_url(text, "the backend's")
    except ValueError as error:
        said = str(error)
    raise BackendNotConfigured(said)


def _parsed(reply: Reply) -> Any:
    if reply.cut_off:
        raise ClientResponseIncompleteError(reply.status)
    if reply.body is None:
        raise MalformedResponse(reply.status)
    if not reply.body:
        return None
    with suppress(ValueError, RecursionError):  # its text would quote the body
        return json.loads(reply.body)
    raise MalformedResponse(reply.status)


def _an_object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedResponse(200)
    return value


def _id(record: Mapping[str, Any]) -> str:
    """The record's id as text."""
    found = record.get("id")
    if isinstance(found, bool) or not isinstance(found, int | str) or not 0 < len(str(found)) <= ID_MAX:
        raise MalformedResponse(200)
    return str(found)


def _segment(value: str) -> str:
    """`value` as one part of a path. Raises MalformedResponse for one that would name another."""
    if value in ("", ".", ".."):
        raise MalformedResponse(200)
    return quote(value, safe="")


def _query(following: str) -> list[tuple[str, str]]:
    """The query of a link to the next page: where it leads to is up to us, not to the answer."""
    with suppress(ValueError):
        return parse_qsl(urlsplit(following).query)
    raise MalformedResponse(200)
