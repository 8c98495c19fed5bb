"""The backend: the service that knows models, jobs and serve applications (contracts/actions.md 11)."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from raydock.remote.blocking import Times
from raydock.remote.errors import MalformedResponse
from raydock.remote.terms import secrets_of, token_header
from raydock.sdk.clients.caller import Caller, Request, Timeout, an_object, only, segment, times
from raydock.sdk.utils.data_uri import data_uri

TIMES: Final = Times(connect_s=5, answer_s=15)
PAGE_SIZE: Final = 100
"""Entries of one answer."""
LIST_MAX: Final = 64 * 2**20
"""Bytes of a list, or of what a job wrote: how long they are is up to plugins."""
JOB_KEYS: Final = ("status", "progress_record", "metrics_record", "console_logs", "result", "meta")
APPLICATION_KEYS: Final = ("job", "status", "data")
RUN_KEYS: Final = ("agent", "action", "params", "storage_id", "job_id", "debug", "version", "language")


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class BackendClient:
    """Calls of one backend. Every one raises a ClientError of raydock.sdk.exceptions when it fails."""

    def __init__(
        self,
        base_url: str,
        access_token: str | None = None,
        authorization_token: str | None = None,
        tenant: str | None = None,
        agent_token: str | None = None,
        timeout: Timeout = None,
    ) -> None:
        """`authorization_token`: a user's. Raises ValueError for a URL or a token that is none.

        `tenant` and the tokens are sent as they are, behind the word Token.
        """
        named = {
            "Synapse-Access-Token": access_token,
            "Authorization": authorization_token,
            "Synapse-Tenant": tenant,
            "SYNAPSE-Agent": agent_token,
        }
        told = {name: value for name, value in named.items() if value}
        headers = {name: token_header(value) for name, value in told.items()}
        secrets = tuple(secrets_of(list(told.values())))
        self._caller = Caller(base_url, headers, secrets, "the backend's", times(timeout, TIMES))

    @property
    def hidden(self) -> tuple[str, ...]:
        """Texts that no message may hold: credentials, and the address."""
        return self._caller.hidden

    def get_model(self, model_id: int | str) -> dict[str, Any]:
        """Metadata of a model: `id`, `name`, `file` (a URL), and what else the backend knows."""
        return an_object(self._caller.json(Request("GET", f"models/{segment(model_id)}/")))

    def get_job(self, job_id: int | str) -> dict[str, Any]:
        """A job: `id`, `status`, `action`, and what else the backend knows."""
        return an_object(self._caller.json(Request("GET", f"jobs/{segment(job_id)}/")))

    def list_job_console_logs(self, job_id: int | str) -> Any:
        """What a job wrote until now: a list of lines, or entries with `message` under `results`."""
        path = f"jobs/{segment(job_id)}/console_logs/"
        return self._caller.json(Request("GET", path, answer_max=LIST_MAX))

    def list_agents(self) -> list[dict[str, Any]]:
        """The capacity agents that the caller may use: `id`, `name`, `url`."""
        query = {"page_size": PAGE_SIZE}
        told = self._caller.json(Request("GET", "agents/", query=query, answer_max=LIST_MAX))
        found = told.get("results") if isinstance(told, Mapping) else told
        if not isinstance(found, list):
            raise MalformedResponse(200)
        return [an_object(one) for one in found]

    def update_job(self, job_id: int | str, data: Mapping[str, Any]) -> None:
        """Change fields of a job. Raises ValueError for a field that is none of JOB_KEYS."""
        body = only(data, JOB_KEYS, "a job's fields")
        # The answer may repeat the whole job, with a result that is longer than any bound.
        self._caller.done(Request("PATCH", f"jobs/{segment(job_id)}/", body))

    def create_logs(self, data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Add one entry of a job's log, or several. An entry's `file`: a path, bytes or a data URI.

        Raises OSError for a file that cannot be read.
        """
        body = [_with_content(entry) for entry in ([data] if isinstance(data, Mapping) else data)]
        self._caller.done(Request("POST", "logs/", body[0] if len(body) == 1 else body))

    def create_serve_application(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Register a Serve application: `job` (id of the job that made it), `status`, `data`; has an `id`.

        Raises ValueError when `job` is missing, and for another key.
        """
        body = only(data, APPLICATION_KEYS, "a serve application's fields")
        job = body.get("job")
        if isinstance(job, bool) or not isinstance(job, int | str) or job == "":
            message = "a serve application's job: want a job's id, a number or text"
            raise ValueError(message)
        return an_object(self._caller.json(Request("POST", "serve_applications/", body)))

    def list_serve_applications(self, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Registered applications, in `results`. `params`: `plugin_code`, `job__agent`, `page_size`."""
        query = {"page_size": PAGE_SIZE, **(params or {})}
        request = Request("GET", "serve_applications/", query=query, answer_max=LIST_MAX)
        return an_object(self._caller.json(request))

    def run_plugin(self, plugin: int | str, data: Mapping[str, Any]) -> Any:
        """Run an action of the plugin with this code. Raises ValueError for a key not in RUN_KEYS."""
        body = only(data, RUN_KEYS, "a run's fields")
        return self._caller.json(Request("POST", f"plugins/{segment(plugin)}/run/", body))


def _with_content(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`entry` of a log; its file, where it has one, as a data URI."""
    file = entry.get("file")
    return {**entry, "file": data_uri(file)} if file else dict(entry)
