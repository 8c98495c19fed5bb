"""Answers that come later: envelopes, tickets, and replicas that ask each other."""

import asyncio
import inspect
import threading
import warnings
from functools import partial
from typing import Any

import pytest

from raydock.sdk.plugins.actions.inference.deferred import (
    TicketStore,
    extract_ticket,
    failed_envelope,
    is_deferred_envelope,
    is_pending,
    is_poll_request,
    not_found_envelope,
    pending_envelope,
)
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.deferring import Deferring, heard
from raydock.sdk.plugins.serving.failures import RETRY_AFTER_S
from raydock.sdk.plugins.serving.scope import Scope, current, entered
from tests.unit.sdk.waiting import gone

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, at its import
    import ray.serve.handle
    from ray.serve._private import replica_result


def test_envelopes_are_those_of_the_package() -> None:
    assert pending_envelope("t") == {"__synapse_deferred__": True, "status": "pending", "ticket": "t"}
    assert failed_envelope("e") == {"__synapse_deferred__": True, "status": "failed", "error": "e"}
    want = {"__synapse_deferred__": True, "status": "not_found", "ticket": ""}
    assert not_found_envelope(None) == want


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ({"__synapse_poll__": "t"}, True),
        ({"__synapse_poll__": None}, True),
        ({"other": 1}, False),
        (["__synapse_poll__"], False),
        ("__synapse_poll__", False),
        (None, False),
    ],
)
def test_what_is_a_poll(body: Any, want: bool) -> None:
    assert is_poll_request(body) is want


def test_the_ticket_of_a_poll() -> None:
    assert extract_ticket({"__synapse_poll__": "t"}) == "t"
    assert extract_ticket({"__synapse_poll__": None}) == ""


@pytest.mark.parametrize(
    ("answer", "deferred", "pending"),
    [
        (pending_envelope("t"), True, True),
        (failed_envelope("e"), True, False),
        (not_found_envelope("t"), True, False),
        ({"__synapse_deferred__": "yes", "status": "pending"}, False, False),
        ({"status": "pending"}, False, False),
        ([1], False, False),
        (None, False, False),
    ],
)
def test_what_is_an_envelope(answer: Any, deferred: bool, pending: bool) -> None:
    assert (is_deferred_envelope(answer), is_pending(answer)) == (deferred, pending)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def done(result: Any = None, error: BaseException | None = None) -> "asyncio.Future[Any]":
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    if error is None:
        found.set_result(result)
    else:
        found.set_exception(error)
    return found


async def test_a_result_is_given_out_once_and_to_its_caller() -> None:
    store = TicketStore()
    ticket = store.open(done([1]), "me")
    assert store.poll(ticket, "you") == ()
    assert store.poll("another", "me") == ()
    assert store.poll(ticket, "me") == ([1],)
    assert store.poll(ticket, "me") == ()


async def test_a_result_that_is_null_is_one() -> None:
    store = TicketStore()
    assert store.poll(store.open(done(None), "me"), "me") == (None,)


async def test_what_failed_is_told_without_secrets() -> None:
    store = TicketStore()
    ticket = store.open(done(error=ValueError("GET http://10.0.0.1/x?sig=1 failed")), "me")
    (told,) = store.poll(ticket, "me")
    assert told == failed_envelope("GET <redacted-url> failed")
    given_up = asyncio.get_running_loop().create_future()
    given_up.cancel()
    assert store.poll(store.open(given_up, "me"), "me") == (failed_envelope("the work was given up"),)


async def test_tickets_end_after_an_hour() -> None:
    clock = Clock()
    store = TicketStore(clock=clock)
    first = store.open(done(1), "me")
    clock.now = 1800
    second = store.open(done(2), "me")
    clock.now = 3600
    assert store.poll(first, "me") == ()
    assert store.poll(second, "me") == (2,)


async def test_of_too_many_tickets_the_oldest_goes_first() -> None:
    store = TicketStore(most=2)
    first, second, third = (store.open(done(number), "me") for number in range(3))
    assert len(store) == 2
    assert [store.poll(ticket, "me") for ticket in (first, second, third)] == [(), (1,), (2,)]


async def test_what_has_ended_makes_room_before_work_is_given_up() -> None:
    store = TicketStore(most=2)
    loop = asyncio.get_running_loop()
    running = [loop.create_future() for _ in range(3)]
    first = store.open(running[0], "me")
    second = store.open(done(2), "me")
    third = store.open(running[1], "me")
    assert store.poll(second, "me") == ()
    assert (store.poll(first, "me"), store.poll(third, "me")) == (
        (pending_envelope(first),),
        (pending_envelope(third),),
    )
    store.open(running[2], "me")
    assert [one.cancelled() for one in running] == [True, False, False], "nobody can ask for it any more"


async def test_work_whose_ticket_has_ended_is_given_up() -> None:
    clock = Clock()
    store = TicketStore(clock=clock)
    work = asyncio.get_running_loop().create_future()
    store.open(work, "me")
    clock.now = 3600
    store.poll("another", "me")
    assert work.cancelled()


async def test_a_result_that_is_handed_on_stays_for_a_while() -> None:
    clock = Clock()
    store = TicketStore(clock=clock)
    ticket = store.open(done(1), "me")
    assert store.poll(ticket, "me", keep_s=60) == (1,)
    clock.now = 59
    assert store.poll(ticket, "me", keep_s=60) == (1,), "which makes it stay no longer"
    clock.now = 60
    assert store.poll(ticket, "me", keep_s=60) == ()


async def test_tickets_cannot_be_guessed() -> None:
    store = TicketStore(most=1000)
    tickets = {store.open(done(), "me") for _ in range(500)}
    assert len(tickets) == 500
    assert min(len(ticket) for ticket in tickets) >= 32


async def test_a_poll_may_land_on_any_replica() -> None:
    replicas: list[Deferring] = []
    asked: list[str] = []

    async def elsewhere(ticket: str, caller: str) -> tuple[Any, ...]:
        asked.append(ticket)
        return next((found for one in replicas if (found := one.here(ticket, caller))), ())

    replicas += [Deferring(elsewhere) for _ in range(3)]
    go_on = asyncio.Event()

    async def work(body: Any) -> Any:
        await go_on.wait()
        return {"of": body}

    scope = Scope(caller="me")
    pending = await replicas[0].answer(scope, "x", None, work, 0)
    ticket = pending["ticket"]
    assert await replicas[1].poll(ticket, scope.caller) == pending
    assert await replicas[1].poll(ticket, Scope(caller="you").caller) == not_found_envelope(ticket)
    go_on.set()
    await replicas[0].close()
    assert await replicas[2].poll(ticket, scope.caller) == {"of": "x"}
    assert await replicas[1].poll(ticket, scope.caller) == {"of": "x"}, "the first answer may have been lost"
    assert await replicas[0].poll(ticket, scope.caller) == {"of": "x"}
    assert await replicas[0].poll(ticket, scope.caller) == not_found_envelope(ticket)
    before = len(asked)
    assert await replicas[0].poll("", scope.caller) == not_found_envelope("")
    await replicas[0].poll("x" * 1000, scope.caller)
    assert len(asked) == before, "nobody is asked for what is no ticket"


async def test_work_outlives_its_request_and_holds_what_it_needs() -> None:
    released: list[str] = []
    go_on = asyncio.Event()
    deferring = Deferring(nobody)

    def work(_: Any) -> Any:  # not a coroutine function, but it returns what can be awaited
        async def on() -> str:
            scope = current()
            assert scope is not None
            scope.at_end(lambda: released.append("model"))
            await go_on.wait()
            assert scope.files.directory().is_dir()
            return "done"

        return on()

    request = Scope(caller="me")
    directory = request.files.directory()
    pending = await deferring.answer(request, None, None, work, 0)
    request.close()
    assert directory.is_dir(), "the work may read the request's files"
    go_on.set()
    await deferring.close()
    assert released == ["model"]
    await gone(directory)
    assert await deferring.poll(pending["ticket"], request.caller) == "done"


async def test_who_goes_away_before_the_deadline_ends_the_work() -> None:
    ended = asyncio.Event()

    async def work(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    asking = asyncio.ensure_future(Deferring(nobody).answer(Scope(), None, None, work, 60))
    await asyncio.sleep(0.01)  # noqa: TID251 - the work begins
    asking.cancel()
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_model_of_the_request_stays_as_long_as_deferred_work_may_use_it() -> None:
    released: list[str] = []
    go_on = asyncio.Event()

    async def work(_: Any) -> None:
        await go_on.wait()

    deferring = Deferring(nobody)
    with entered(Scope()) as request:
        request.at_end(lambda: released.append("model"))
        await deferring.answer(request, None, None, work, 0.01)
    assert released == []
    go_on.set()
    await deferring.close()
    assert released == ["model"]


async def test_what_a_thread_uses_stays_though_its_caller_goes_away() -> None:
    released: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def work(_: Any) -> None:
        scope = current()
        assert scope is not None
        scope.at_end(lambda: released.append("model"))
        begun.set()
        go_on.wait(20)

    deferring, request = Deferring(nobody), Scope()
    asking = asyncio.ensure_future(deferring.answer(request, None, None, work, 60))
    await asyncio.to_thread(begun.wait, 20)
    asking.cancel()
    await asyncio.wait({asking})
    request.close()
    closing = asyncio.ensure_future(deferring.close())
    for _ in range(10):  # what can end without the thread has ended after it
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop
    assert released == []
    go_on.set()
    await asyncio.wait_for(closing, 20)
    assert released == ["model"]


async def test_late_work_is_bounded_and_who_comes_then_is_told_when_to_come_again() -> None:
    go_on = asyncio.Event()

    async def work(_: Any) -> None:
        await go_on.wait()

    deferring = Deferring(nobody, late_max=2)
    for _ in range(2):
        assert is_pending(await deferring.answer(Scope(), None, None, work, 0))
    with pytest.raises(ModelLoadError) as raised:
        await deferring.answer(Scope(), None, None, work, 0)
    assert (raised.value.status_code, raised.value.code) == (503, "InferenceBusy")
    assert RETRY_AFTER_S["InferenceBusy"] > 0
    go_on.set()
    await deferring.close()
    assert await deferring.answer(Scope(), None, None, work, 60) is None


async def test_what_late_work_raises_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    go_on = asyncio.Event()

    async def work(_: Any) -> None:
        await go_on.wait()
        raise KeyError("at http://10.0.0.1/x with tok-planted-0001")

    deferring = Deferring(nobody)
    request = Scope("tok-planted-0001", request_id="r-1")
    ticket = (await deferring.answer(request, None, None, work, 0))["ticket"]
    go_on.set()
    await deferring.close()
    told = await deferring.poll(ticket, request.caller)
    assert (told["status"], "planted" in told["error"]) == ("failed", False)
    (record,) = caplog.records
    assert "request r-1" in record.getMessage()
    assert "Traceback" in record.getMessage()
    assert "in work" in record.getMessage()
    assert "planted" not in record.getMessage()
    assert "10.0.0.1" not in record.getMessage()


async def raising(error: Exception) -> Any:
    raise error


async def telling(found: Any) -> Any:
    return found


async def silent() -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("answers", "want"),
    [
        pytest.param([silent, partial(telling, [7])], (7,), id="one knows it, one is silent"),
        pytest.param([partial(telling, []), partial(telling, [None])], (None,), id="the result is null"),
        pytest.param(
            [silent, partial(telling, ())], (pending_envelope("t"),), id="the silent one may have it"
        ),
        pytest.param([partial(raising, KeyError("x")), partial(telling, ())], (), id="nobody has it"),
        pytest.param([], (), id="nobody is there"),
    ],
)
async def test_each_replica_is_heard_by_itself(answers: list[Any], want: tuple[Any, ...]) -> None:
    assert await heard([one() for one in answers], "t", ask_s=0.01) == want


def test_ray_tells_the_answer_of_each_replica() -> None:
    """What is used of Ray Serve that is not public: results_async() has one time-out for all replicas."""
    response = ray.serve.handle.DeploymentBroadcastResponse
    assert inspect.iscoroutinefunction(response._fetch_replica_results_async)
    assert inspect.iscoroutinefunction(replica_result.ReplicaResult.get_async)


async def nobody(ticket: str, caller: str) -> tuple[Any, ...]:
    return ()
