"""A job's logs: of its pods while they are there, afterwards what the operator kept."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any, Final

from raydock.client import jobs
from raydock.client.errors import ClientError, NoLog, NotFound, Refused, Unreachable
from raydock.client.job import Job
from raydock.client.session import Session
from raydock.facts import lenient
from raydock.facts.meta import controller
from raydock.facts.pod import CLUSTER_LABEL, NODE_TYPE_LABEL
from raydock.kube.kinds import named
from raydock.plan.meta import JOB_UID_LABEL
from raydock.plan.pods import CONTAINER
from raydock.plan.warm import LENT_ANNOTATION
from raydock.wire import logs as wire

POD: Final = named("Pod")
CONFIG_MAP: Final = named("ConfigMap")
DRIVER: Final = "driver"
LOOK_AGAIN_S: Final = 3.0
"""While following: between two looks for pods that came or went."""
READ_S: Final = 60.0


@dataclass(frozen=True)
class Instance:
    """A pod of the job."""

    id: str
    """`driver` for the head pod, where the driver and the first worker run; else `worker-` and its ending."""
    pod: str
    since: str = ""
    """RFC 3339: when it was lent to this job; what it said before is another's. Empty: it has only one."""


@dataclass(frozen=True)
class Line:
    """One line of one instance."""

    instance: str
    text: str


def instances(session: Session, job: Job) -> tuple[Instance, ...]:
    """The pods of the newest attempt: the driver's first, then the others, the oldest first."""
    query = {"labelSelector": f"{JOB_UID_LABEL}={job.uid}"}
    found = lenient.objects(session.send("GET", POD.path(job.namespace), query=query).get("items"))
    pods = sorted((lenient.mapping(one.get("metadata")) for one in found), key=_age)
    heads = [one for one in pods if _label(one, NODE_TYPE_LABEL) == "head"]
    if not heads:
        return ()
    head = heads[-1]
    others = [
        one for one in pods if one not in heads and _label(one, CLUSTER_LABEL) == _label(head, CLUSTER_LABEL)
    ]
    named_ = (Instance(f"worker-{one['name'].rpartition('-')[2]}", one["name"]) for one in others)
    since = lenient.texts(head.get("annotations")).get(LENT_ANNOTATION, "")
    return (Instance(DRIVER, head["name"], since), *named_)


def chosen(found: Sequence[Instance], wanted: str | int | None) -> tuple[Instance, ...]:
    """Those that are asked for: None all, else an id, a pod's name, or a number from 0, the driver.

    Raises ValueError for another one.
    """
    if wanted is None or not found:
        return tuple(found)
    if isinstance(wanted, int) and 0 <= wanted < len(found):
        return (found[wanted],)
    match = tuple(one for one in found if wanted in (one.id, one.pod))
    if not match:
        raise ValueError(f"no instance {wanted} in this job: write one of {', '.join(o.id for o in found)}")
    return match


def read(session: Session, job: Job, instance: str | int | None = None, *, tail: int = -1) -> list[Line]:
    """What was logged until now; the last `tail` lines of each instance, -1 for all.

    Of the pods when there are any, else what was kept of the driver's. Raises NoLog, and ValueError for an
    instance that the job does not have.
    """
    found = instances(session, job)
    if not found and instance not in (None, 0, DRIVER):
        raise ValueError(
            f"no instance {instance} in this job: its pods are gone, the log of the {DRIVER} is kept"
        )
    lines: list[Line] = []
    refused: ClientError | None = None
    for one in chosen(found, instance):
        try:
            lines += [Line(one.id, text) for text in _lines(session, job, one, tail=tail)]
        except (NotFound, Refused) as error:  # it went meanwhile, or its container has not started
            refused = error
    if lines or (found and refused is None):
        return lines
    try:
        return kept(session, job, tail=tail)
    except NoLog:
        if refused is not None:
            raise NoLog(f"no log yet: {refused}") from None
        raise


def kept(session: Session, job: Job, *, tail: int = -1) -> list[Line]:
    """What the operator kept of the driver's log of the attempts that ended. Raises NoLog."""
    try:
        found = session.send("GET", CONFIG_MAP.path(job.namespace, wire.config_map_name(job.name)))
    except NotFound:
        found = {}
    ours = lenient.text(controller(lenient.mapping(found.get("metadata"))).get("uid")) == job.uid
    logs = wire.attempts(lenient.texts(found.get("data"))) if ours else {}
    if not logs:
        raise NoLog(_nothing(job))
    lines = [
        Line(DRIVER, text)
        for attempt, log in logs.items()
        for text in (*((f"--- attempt {attempt} ---",) if len(logs) > 1 else ()), *log.splitlines())
    ]
    return lines if tail < 0 else lines[max(0, len(lines) - tail) :]


def _nothing(job: Job) -> str:
    if job.ended:
        return f"no log of {job.id} was kept: its pods were gone before it could be read, or it never had any"
    return f"no log of {job.id} yet: it is {job.state}" + (f" ({job.message})" if job.message else "")


def follow(
    session: Session, job: Job, instance: str | int | None = None, *, tail: int = -1
) -> Iterator[Line]:
    """Each line as it comes, also of pods that are made later, until the job ended and all was said.

    A job that has ended already gives what `read` gives.
    """
    if job.ended:
        yield from read(session, job, instance, tail=tail)
        return
    said: Queue[Line] = Queue()
    readers: set[str] = set()
    ended = False
    while not ended:
        ended = _ended(session, job)  # what was said until then is still read
        for one in _now(session, job, instance):
            if one.pod not in readers:
                readers.add(one.pod)
                # A daemon: the head pod lives on for a while after the job's end, and its log stays open.
                threading.Thread(target=_read_on, args=(session, job, one, tail, said), daemon=True).start()
        yield from _until_silent(said)


def _now(session: Session, job: Job, instance: str | int | None) -> tuple[Instance, ...]:
    try:
        return chosen(instances(session, job), instance)
    except Unreachable:
        return ()


def _ended(session: Session, job: Job) -> bool:
    try:
        return jobs.get(session, job.name, job.namespace).ended
    except Unreachable:
        return False


def _until_silent(said: Queue[Line]) -> Iterator[Line]:
    while True:
        try:
            yield said.get(timeout=LOOK_AGAIN_S)
        except Empty:
            return


def _read_on(session: Session, job: Job, one: Instance, tail: int, said: Queue[Line]) -> None:
    """Say all of a pod's lines; a container that starts later and a lost connection are waited for."""
    path = POD.path(job.namespace, one.pod, "log")
    query = {"container": CONTAINER, "follow": "true", "timestamps": "true", **_part(one, tail)}
    last = ""
    while True:
        known = last
        try:
            with session.lines(path, query, read_s=None) as lines:
                for line in lines:
                    last, _, text = line.partition(" ")
                    if last > known:  # sinceTime counts in whole seconds
                        said.put(Line(one.id, text))
        except (Refused, Unreachable):
            # No event tells that a container started, or that the server came back.
            threading.Event().wait(LOOK_AGAIN_S)
        except ClientError:
            return
        else:
            return
        if last:
            query = {"container": CONTAINER, "follow": "true", "timestamps": "true", "sinceTime": last}


def _lines(session: Session, job: Job, one: Instance, *, tail: int) -> list[str]:
    query = {"container": CONTAINER, **_part(one, tail)}
    with session.lines(POD.path(job.namespace, one.pod, "log"), query, read_s=READ_S) as lines:
        return list(lines)


def _part(one: Instance, tail: int) -> dict[str, str]:
    wanted = {"tailLines": str(tail)} if tail >= 0 else {}
    return wanted | ({"sinceTime": one.since} if one.since else {})


def _age(metadata: Any) -> tuple[str, str]:
    return lenient.text(metadata.get("creationTimestamp")), lenient.text(metadata.get("name"))


def _label(metadata: Any, label: str) -> str:
    return lenient.texts(metadata.get("labels")).get(label, "")
