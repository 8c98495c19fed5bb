"""Which job a kept Ray cluster does next, for its driver (POST /v1/job)."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from raydock.facts.meta import controller, meta
from raydock.kube.client import Kube
from raydock.kube.tokens import Caller
from raydock.plan.meta import JOB_UID_LABEL
from raydock.plan.ray_job import ATTEMPT_MARK
from raydock.plan.resolved import RESULT_ANNOTATION, record_name
from raydock.plan.warm import WARM_LABEL
from raydock.reconcile.deps import Key
from raydock.reconcile.idle import Idle
from raydock.runtime.store import Store
from raydock.wire.job import JobConfig
from raydock.wire.lent import Lent
from raydock.wire.paths import JOB_FILE
from raydock.wire.record import loads

WAIT_S: Final = 10.0
"""For a job to come, before the driver has to ask again (remote.operator.ANSWER_S: 15 s)."""


class NotKept(Exception):
    """The caller is no pod of a Ray cluster that is kept."""


class Lending:
    """Answers drivers, from the objects alone."""

    def __init__(self, kube: Kube, store: Store, idle: Idle, look_at: Callable[[Key], None]) -> None:
        """`look_at`: has an object looked at soon."""
        self._kube = kube
        self._store = store
        self._idle = idle
        self._look_at = look_at

    async def job(self, caller: Caller) -> Lent | None:
        """The job that the caller's cluster is lent to, once there is one; None after WAIT_S seconds.

        Raises NotKept, and ApiError.
        """
        uid = meta(self._ray_job(caller)).uid
        with self._idle.asking(uid) as called:
            self._look_at_holder(caller)
            try:
                async with asyncio.timeout(WAIT_S):
                    while (lent := await self._lent(caller)) is None:
                        await called.wait()
                        called.clear()
                    return lent
            except TimeoutError:
                return None

    def _ray_job(self, caller: Caller) -> Any:
        """The kept RayJob whose cluster the caller's pod is of."""
        pod = self._store.get("Pod", caller.namespace, caller.pod_name)
        if pod is None or not caller.pod_uid or pod.uid != caller.pod_uid:
            raise NotKept
        cluster = self._store.get("RayCluster", caller.namespace, pod.ray_cluster)
        owner = controller(cluster["metadata"]) if cluster else {}
        job = self._store.get("RayJob", caller.namespace, owner.get("name", ""))
        if owner.get("kind") != "RayJob" or job is None or meta(job).uid != owner.get("uid"):
            raise NotKept
        if WARM_LABEL not in meta(job).labels or meta(job).deleting or pod.deleting:
            raise NotKept
        return job

    def _look_at_holder(self, caller: Caller) -> None:
        """A driver that asks has done its job: the cluster may be kept."""
        holder = controller(self._ray_job(caller)["metadata"])
        if holder:
            self._look_at(Key("BatchJob", caller.namespace, holder["name"]))

    async def _lent(self, caller: Caller) -> Lent | None:
        job = self._ray_job(caller)
        holder, pod = controller(job["metadata"]), self._store.get("Pod", caller.namespace, caller.pod_name)
        # Its reports are taken only once the pod carries the label.
        if not holder or pod is None or pod.labels.get(JOB_UID_LABEL) != holder["uid"]:
            return None
        record = await self._kube.find("ConfigMap", caller.namespace, record_name(holder["name"]))
        if record is None or meta(record).owner_uid != holder["uid"]:
            return None
        if RESULT_ANNOTATION in meta(record).annotations:
            return None  # done: it is about to be taken back
        config = loads(JobConfig, record["data"][JOB_FILE.rpartition("/")[2]])
        return Lent(config, int(meta(job).annotations[ATTEMPT_MARK]))
