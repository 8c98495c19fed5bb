"""A Deployment's record with its backend: wanted once it runs, noted once there, taken back at the end."""

from raydock.api.deployment import Deployment
from raydock.api.registration import Backend
from raydock.facts.rayservice import Application as ServeApplication
from raydock.kube.errors import Forbidden, Invalid
from raydock.plan import registration as plan
from raydock.plan.meta import Manifest
from raydock.plan.observed import Observed
from raydock.plan.owner import release_code
from raydock.plan.registration import Standing
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps, Event, Key, Outcome
from raydock.reconcile.registrar import Errand
from raydock.remote.backend import Application

LOOK_AGAIN_S = 5.0
"""While a deleted Deployment waits for its backend; news wakes it before."""


async def keep(o: Observed, do: Deps) -> tuple[Event, ...]:
    """Bring it on by a step, after the status was written: it names no id that is only noted here.

    A Deployment that cannot be noted is not told, and served all the same.
    """
    try:
        return await _keep(o, do)
    except (Forbidden, Invalid) as error:  # by the operator's role, or by a policy of the cluster
        backend = plan.backend_of(o.cr)
        if backend is not None:
            failed = Standing(error=type(error).__name__)
            do.registrar.refused(_key(o.cr), o.cr.metadata.uid, plan.place(o.cr, backend), failed)
        told = f"finalizer and note of its registration can't be written: {error.message}"
        return (Event("Warning", Reason.REGISTRATION_FAILED, told, _key(o.cr)),)


async def _keep(o: Observed, do: Deps) -> tuple[Event, ...]:
    newest = do.store.get(o.cr.kind, o.cr.metadata.namespace, o.cr.metadata.name)
    cr = Deployment.parse(newest) if newest is not None else None
    if cr is None or cr.metadata.uid != o.cr.metadata.uid or cr.metadata.deletion_timestamp:
        return ()
    uid, backend, held = cr.metadata.uid, plan.backend_of(cr), plan.is_held(cr)
    if backend is None:
        do.registrar.forget(uid)  # a try that runs may still have its effect: the note says so, and stays
        if held:
            await _mark(cr, plan.release(cr), do)
        return ()
    noted = plan.noted_id(cr)
    if noted is not None:
        do.registrar.forget(uid)
        if not held:
            await _mark(cr, plan.hold(cr, noted), do)
        return ()
    said = do.registrar.standing(uid, plan.place(cr, backend))
    if said is not None and said.id is not None:
        await _mark(cr, plan.hold(cr, said.id), do)
        do.registrar.forget(uid)
        return (Event("Normal", Reason.REGISTERED, f"the backend's record is {said.id}", _key(cr)),)
    if o.answers and o.application is not None and o.application.status == plan.RUNNING:
        if not (held and plan.is_noted(cr)):
            await _mark(cr, plan.hold(cr, None), do)
        told_before, on_its_way = plan.was_told(cr), plan.is_noted(cr)
        do.registrar.want(_errand(cr, backend, o.application, told_before=told_before, on_its_way=on_its_way))
    return ()


async def let_go(cr: Deployment, do: Deps) -> Outcome:
    """The Deployment is being deleted: take the record back, and then no longer hold it."""
    backend, uid = plan.backend_of(cr), cr.metadata.uid
    if not plan.is_held(cr):
        return Outcome()
    late = plan.held_up_too_long(cr, do.clock())
    # A copy that told nobody yet has no record: the one that its note names is another's.
    nothing = backend is None or plan.is_copied(cr)
    if backend is None or nothing or late or do.registrar.taken_back(uid):
        await _marked(cr, plan.release(cr), do)
        do.registrar.forget(uid)
        if nothing or not late:
            return Outcome()
        told = "the backend did not take the record back within 60 s: it is left there"
        return Outcome(events=(Event("Warning", Reason.REGISTRATION_FAILED, told, _key(cr)),))
    record_id = plan.noted_id(cr)
    on_its_way = record_id is None and plan.is_noted(cr)
    do.registrar.want(_errand(cr, backend, None, on_its_way=on_its_way, takes_back=True, record_id=record_id))
    return Outcome(look_again_s=LOOK_AGAIN_S)


async def _mark(cr: Deployment, patch: Manifest, do: Deps) -> None:
    do.store.put(cr.kind, await _marked(cr, patch, do))


async def _marked(cr: Deployment, patch: Manifest, do: Deps) -> Manifest:
    return await do.kube.patch(cr.kind, cr.metadata.namespace, cr.metadata.name, patch)


def _errand(
    cr: Deployment,
    backend: Backend,
    seen: ServeApplication | None,
    *,
    told_before: bool = True,
    on_its_way: bool = False,
    takes_back: bool = False,
    record_id: str | None = None,
) -> Errand:
    return Errand(
        key=_key(cr),
        uid=cr.metadata.uid,
        backend=backend,
        place=plan.place(cr, backend),
        plugin_code=release_code(cr),
        application=Application(plan.job_of(cr, backend), plan.RUNNING, plan.record_data(cr, seen)),
        told_before=told_before,
        on_its_way=on_its_way,
        takes_back=takes_back,
        record_id=record_id,
    )


def _key(cr: Deployment) -> Key:
    return Key(cr.kind, cr.metadata.namespace, cr.metadata.name)
