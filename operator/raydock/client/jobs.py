"""BatchJobs in the cluster: create, look at, change, delete."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from raydock.client.errors import JobNotFound, NotFound
from raydock.client.job import Job, job
from raydock.client.session import MERGE, Session
from raydock.kube.kinds import named

KIND: Final = named("BatchJob")
MANAGER: Final = "raydock-client"
PAGE: Final = 500
"""Objects a page, as kubectl asks for."""
NO_KIND: Final = "the server could not find the requested resource"
"""What the API server says where the kind is not installed."""


def create(session: Session, manifest: Mapping[str, Any]) -> Job:
    """A new job, `generateName` included. An unknown field is Refused by name. Raises Exists."""
    namespace = manifest["metadata"].get("namespace") or session.namespace
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
    try:
        return job(session.send("POST", KIND.path(namespace), query=query, body=manifest))
    except NotFound as error:
        # Of the namespace or of the kind: the API server says which.
        raise NotFound(_told(str(error))) from None


def get(session: Session, name: str, namespace: str | None = None) -> Job:
    """The job. Raises JobNotFound."""
    return job(_send(session, "GET", name, namespace))


def list_jobs(session: Session, namespace: str | None = None, *, everywhere: bool = False) -> list[Job]:
    """All jobs of a namespace, or of all namespaces; the newest first."""
    place = None if everywhere else namespace or session.namespace
    found = [job(obj) for page in _pages(session, place) for obj in page]
    return sorted(found, key=lambda one: (one.created is not None, one.created, one.id), reverse=True)


def cancel(session: Session, name: str, namespace: str | None = None) -> Job:
    """Stop the job for good; one that has ended is left alone. Raises JobNotFound."""
    found = get(session, name, namespace)
    return found if found.ended or found.cancel else _patch(session, found, {"cancel": True})


def suspend(session: Session, name: str, namespace: str | None = None, *, resume: bool = False) -> Job:
    """Stop the job until it is resumed; one that has ended is left alone. Raises JobNotFound."""
    found = get(session, name, namespace)
    return (
        found
        if found.ended or found.suspend is not resume
        else _patch(session, found, {"suspend": not resume})
    )


def delete(session: Session, name: str, namespace: str | None = None, *, foreground: bool = False) -> None:
    """Delete the job. `foreground`: the object stays until everything it owns is gone. Raises JobNotFound."""
    policy = "Foreground" if foreground else "Background"
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
    _send(session, "DELETE", name, namespace, body=body)


def _patch(session: Session, of: Job, spec: Mapping[str, Any]) -> Job:
    query, body = {"fieldManager": MANAGER}, {"metadata": {"uid": of.uid}, "spec": spec}
    return job(_send(session, "PATCH", of.name, of.namespace, query=query, body=body, content=MERGE))


def _send(session: Session, method: str, name: str, namespace: str | None, **more: Any) -> dict[str, Any]:
    place = namespace or session.namespace
    try:
        return session.send(method, KIND.path(place, name), **more)
    except NotFound as error:
        raise JobNotFound(_told(str(error), name, place)) from None


def _told(said: str, name: str = "", namespace: str = "") -> str:
    if NO_KIND in said:
        return "this cluster knows no BatchJob: is raydock installed in it, and is this the right context?"
    if not name:
        return said
    return (
        f"there is no BatchJob {name} in namespace {namespace}: look at `raydock batch list`, or name "
        "another namespace"
    )


def _pages(session: Session, namespace: str | None) -> Iterator[list[dict[str, Any]]]:
    query = {"limit": str(PAGE)}
    while True:
        try:
            page = session.send("GET", KIND.path(namespace), query=query)
        except NotFound as error:
            raise NotFound(_told(str(error))) from None
        yield page.get("items") or []
        token = page.get("metadata", {}).get("continue")
        if not token:
            return
        query["continue"] = token
