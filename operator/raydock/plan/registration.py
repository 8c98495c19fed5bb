"""What a Deployment's registration with a backend is, and what of it is noted on the Deployment itself.

Finalizer and note are there before a backend is told: who it is, and of which object, as notes come along
with copies and backups. The note then gets the record's id. It outlives a spec without a backend.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from raydock.api.base import GROUP
from raydock.api.core import EnvVar, EnvVarSource, KeySelector
from raydock.api.deployment import Deployment
from raydock.api.registration import Backend
from raydock.facts.rayservice import Application
from raydock.plan.meta import Manifest, fingerprint

FINALIZER: Final = f"{GROUP}/registration"
REGISTERED_ANNOTATION: Final = f"{GROUP}/registered"
"""On the Deployment: whom the application is registered with, the Deployment's uid, and the record's id."""
HELD_UP_MAX: Final = timedelta(seconds=60)
"""How long a deleted Deployment waits for its backend."""
RUNNING: Final = "RUNNING"


@dataclass(frozen=True)
class Standing:
    """What became of telling the backend, as far as this operator has tried."""

    id: str | None = None
    """Of the record."""
    error: str = ""
    """Class name of what went wrong last."""
    problem: str = ""
    """What of the spec's is missing."""


def backend_of(cr: Deployment) -> Backend | None:
    """The backend that the spec names."""
    return cr.spec.registration.backend if cr.spec.registration else None


def job_of(cr: Deployment, backend: Backend) -> str:
    """The backend's job that the application belongs to."""
    return backend.job_id or cr.metadata.uid


def place(cr: Deployment, backend: Backend) -> str:
    """With whom, and as what: another place has another record."""
    return fingerprint([backend.url.rstrip("/"), job_of(cr, backend)])


def plain_id(cr: Deployment) -> str:
    """Id of the application where no backend gives one."""
    return f"{cr.metadata.namespace}/{cr.metadata.name}"


def noted_id(cr: Deployment) -> str | None:
    """Id of the record with the backend that the spec names; None until there is one."""
    found = _note(cr).get("id") if is_noted(cr) else None
    return str(found) if found else None


def is_noted(cr: Deployment) -> bool:
    """Whether the note is of this very object, and of the backend that the spec names."""
    backend, note = backend_of(cr), _note(cr)
    said = (note.get("uid"), note.get("place"))
    return backend is not None and said == (cr.metadata.uid, place(cr, backend))


def is_copied(cr: Deployment) -> bool:
    """Whether the note is another object's: it came along with a copy, or with a backup that was restored."""
    return _note(cr).get("uid") not in (None, cr.metadata.uid)


def was_told(cr: Deployment) -> bool:
    """Whether some backend may know of the application, whoever told it.

    A PUT of the whole object takes finalizer and note off, and leaves the status.
    """
    known = cr.status.serve_application
    said = known is not None and known.id not in (None, plain_id(cr))
    return said or is_held(cr) or REGISTERED_ANNOTATION in cr.metadata.annotations


def is_held(cr: Deployment) -> bool:
    """Whether the Deployment cannot go before its backend was told."""
    return FINALIZER in cr.metadata.finalizers


def held_up_too_long(cr: Deployment, now: datetime) -> bool:
    """Whether a deleted Deployment has waited for its backend for as long as it may."""
    deleted = cr.metadata.deletion_timestamp
    return deleted is not None and now - deleted >= HELD_UP_MAX


def hold(cr: Deployment, record_id: str | None) -> Manifest:
    """The merge patch that puts on the finalizer and the note, with the id once there is one.

    Refused when the Deployment was changed since it was read: who found neither knows that nobody was told.
    """
    own, backend = cr.metadata, backend_of(cr)
    note = {"place": place(cr, backend) if backend else "", "uid": own.uid}
    if record_id is not None:
        note["id"] = record_id
    return _marked(
        cr,
        finalizers=[*_others(cr), FINALIZER],
        annotations={REGISTERED_ANNOTATION: json.dumps(note, sort_keys=True)},
    )


def release(cr: Deployment) -> Manifest:
    """The merge patch that takes the finalizer off, and leaves the note. Refused as that of `hold`."""
    return _marked(cr, finalizers=_others(cr))


def _marked(cr: Deployment, **metadata: object) -> Manifest:
    # No apply: that takes away what else was applied under raydock's name, such as a spec, and leaves what
    # another manager owns as well, such as all of an object that was made from an export.
    return {"metadata": {"resourceVersion": cr.metadata.resource_version, **metadata}}


def _others(cr: Deployment) -> list[str]:
    return [mark for mark in cr.metadata.finalizers if mark != FINALIZER]


def record_data(cr: Deployment, seen: Application | None) -> dict[str, Any]:
    """What the backend keeps of the application."""
    deployments = seen.deployments if seen else {}
    return {
        "name": cr.metadata.name,
        "status": RUNNING,
        "message": seen.message if seen else "",
        "route_prefix": "/",
        "deployments": {
            name: {"status": each.status, "message": each.message} for name, each in deployments.items()
        },
    }


def pod_variables(cr: Deployment) -> tuple[EnvVar, ...]:
    """What the code in the pods finds its backend with."""
    backend = backend_of(cr)
    if backend is None:
        return ()
    secret = KeySelector(name=backend.token_secret.name, key=backend.token_secret.key)
    tenant = (EnvVar(name="SYNAPSE_PLUGIN_RUN_TENANT", value=backend.tenant),) if backend.tenant else ()
    return (
        EnvVar(name="SYNAPSE_HOST", value=backend.url),
        EnvVar(name="SYNAPSE_ACCESS_TOKEN", value_from=EnvVarSource(secret_key_ref=secret)),
        *tenant,
    )


def _note(cr: Deployment) -> Mapping[str, Any]:
    try:
        found = json.loads(cr.metadata.annotations.get(REGISTERED_ANNOTATION) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
