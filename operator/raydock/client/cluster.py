"""The Ray cluster that serves a Deployment, and credentials that are lent to one job in it."""

import binascii
import json
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from raydock.api.base import GROUP
from raydock.client.errors import ClientError, NotAllowed, NotFound
from raydock.client.session import MERGE, Session
from raydock.facts import lenient
from raydock.facts.pod import CLUSTER_LABEL, NODE_TYPE_LABEL
from raydock.kube.kinds import named
from raydock.plan.access import secret_name
from raydock.wire import paths

DEPLOYMENT: Final = named("Deployment")
POD: Final = named("Pod")
SECRET: Final = named("Secret")
TOKEN_KEY: Final = "auth_token"  # noqa: S105 - the name of an entry
"""In the Secret that KubeRay makes for a cluster with token authentication, under the cluster's name."""
LOAN_MAX_S: Final = 24 * 3600
"""How long a job may wait for room; what is older was left by a command that was killed."""
ENTRY: Final = re.compile(r"job-[0-9a-f]{16}-(\d+)\.json")
"""Of a loan, in the Secret; the group is when it ends, in seconds since 1970."""
LENT_ANNOTATION: Final = f"{GROUP}/lent"
"""On the head pod: a changed annotation makes the kubelet bring changed Secrets at once."""


class NoHead(ClientError):
    """The Deployment has no Ray cluster that could take a job."""


class StillLent(ClientError):
    """Credentials could not be taken out of the Secret."""


@dataclass(frozen=True)
class Head:
    """The head pod of a Deployment's Ray cluster."""

    deployment: str
    namespace: str
    pod: str
    token: str = field(repr=False)
    """What its dashboard wants as `Authorization: Bearer TOKEN`."""
    route: str = "/"
    """Where its Serve application answers, on Serve's port."""


@dataclass(frozen=True)
class Loan:
    """Credentials for one job: an entry of the Secret that the Deployment's pods have mounted."""

    session: Session
    head: Head
    entry: str

    @property
    def file(self) -> str:
        """Where the pods see it."""
        return f"{paths.ACCESS_FILE.rpartition('/')[0]}/{self.entry}"

    def end(self) -> None:
        """Take it away; again is harmless. Raises StillLent."""
        namespace, name = self.head.namespace, secret_name(self.head.deployment)
        try:
            with suppress(NotFound):
                self._write({self.entry: None})
        except ClientError as error:
            patch = json.dumps({"data": {self.entry: None}})
            raise StillLent(
                f"the job's credentials are still in Secret {namespace}/{name} ({error}): take them out with "
                f"kubectl -n {namespace} patch secret {name} --type=merge -p '{patch}'"
            ) from error

    def give(self, values: Mapping[str, str]) -> None:
        """Write it, and take away what others left too long ago. Raises ClientError."""
        content = b64encode(json.dumps(dict(values)).encode()).decode()
        self._write({**dict.fromkeys(self._left_over()), self.entry: content})
        annotations = {"metadata": {"annotations": {LENT_ANNOTATION: self.entry}}}
        with suppress(NotAllowed):  # it only takes the kubelet up to 90 s then
            self.session.send(
                "PATCH", POD.path(self.head.namespace, self.head.pod), body=annotations, content=MERGE
            )

    @property
    def _path(self) -> str:
        return SECRET.path(self.head.namespace, secret_name(self.head.deployment))

    def _left_over(self) -> list[str]:
        """Entries of commands that were killed before they could take them away."""
        try:
            found = lenient.mapping(self.session.send("GET", self._path).get("data"))
        except NotAllowed:  # to write is enough; then somebody else tidies up
            return []
        loans = (ENTRY.fullmatch(name) for name in found)
        return [loan[0] for loan in loans if loan and int(loan[1]) < time.time()]

    def _write(self, entries: Mapping[str, str | None]) -> None:
        self.session.send("PATCH", self._path, body={"data": dict(entries)}, content=MERGE)


def head(session: Session, deployment: str) -> Head:
    """The head that serves `deployment` now. Raises ClientError: NoHead while there is none."""
    namespace = session.namespace
    try:
        status = session.send("GET", DEPLOYMENT.path(namespace, deployment)).get("status")
    except NotFound:
        raise NotFound(
            f"no Deployment {namespace}/{deployment}: name another --namespace or --context"
        ) from None
    cluster = lenient.text(lenient.at(status, "rayService", "activeCluster"))
    if not cluster:
        raise NoHead(
            f"Deployment {namespace}/{deployment} has no Ray cluster that serves: wait until it is Ready"
        )
    query = {"labelSelector": f"{CLUSTER_LABEL}={cluster},{NODE_TYPE_LABEL}=head"}
    pods = lenient.objects(session.send("GET", POD.path(namespace), query=query).get("items"))
    running = [
        lenient.text(lenient.at(pod, "metadata", "name"))
        for pod in pods
        if lenient.at(pod, "status", "phase") == "Running"
        and not lenient.at(pod, "metadata", "deletionTimestamp")
    ]
    if not running:
        raise NoHead(
            f"the head pod of Deployment {namespace}/{deployment} is not running: wait until it is Ready"
        )
    route = lenient.text(lenient.at(status, "serveApplication", "routePrefix")) or "/"
    return Head(deployment, namespace, running[0], _token(session, namespace, cluster), route)


@contextmanager
def lent(session: Session, to: Head, values: Mapping[str, str]) -> Iterator[Loan]:
    """`values` for one job in the cluster of `to`, while the context is open or until they are taken away.

    They reach the pods by a Secret, and nothing else of the cluster holds them. Raises ClientError.
    """
    until = int(time.time()) + LOAN_MAX_S
    loan = Loan(session, to, f"job-{secrets.token_hex(8)}-{until}.json")
    try:
        loan.give(values)
        yield loan
    finally:
        loan.end()


def _token(session: Session, namespace: str, cluster: str) -> str:
    found = session.send("GET", SECRET.path(namespace, cluster))
    try:
        token = b64decode(lenient.text(lenient.at(found, "data", TOKEN_KEY)), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        token = ""
    if not token:
        raise NoHead(f"Secret {namespace}/{cluster} has no {TOKEN_KEY}: is KubeRay 1.6 or newer there?")
    return token
