"""What a newcomer's pods counted, over several looks."""

from itertools import count

from raydock.facts.pod import Pod, pod
from raydock.facts.requests import Answered
from raydock.reconcile.deps import Newcomer
from raydock.reconcile.requests import ASK_EVERY_S, Requests

WHO = Newcomer("demo", "b", "flower")


def made(pages: "Pages") -> Requests:
    """Time passes between any two looks."""
    return Requests(pages, count(step=ASK_EVERY_S).__next__)


class Pages:
    """The pods' pages, by address."""

    def __init__(self, **pages: str | None) -> None:
        self.by_host = {name.replace("_", "."): page for name, page in pages.items()}
        self.asked: list[str] = []

    async def read(self, host: str, port: int, timeout_s: float) -> str | None:
        assert port == 8080
        assert timeout_s > 0
        self.asked.append(host)
        return self.by_host.get(host)


def page(process: str, requests: int, errors: int = 0) -> str:
    def line(code: int, number: int) -> str:
        labels = f'deployment="b",endpoint="flower",code="{code}",WorkerId="{process}"'
        return f"ray_raydock_requests_total{{{labels}}} {number}\n"

    return line(200, requests - errors) + line(500, errors)


def pods(*ips: str, **metadata: str) -> list[Pod]:
    return [pod({"metadata": {"name": ip, **metadata}, "spec": {}, "status": {"podIP": ip}}) for ip in ips]


async def test_all_pods_are_asked_and_summed() -> None:
    requests = made(Pages(a=page("w1", 10, 1), b=page("w2", 5)))
    assert await requests.answered(WHO, pods("a", "b")) == Answered(15, 1, {})


async def test_what_an_ended_pod_counted_is_not_forgotten() -> None:
    pages = Pages(a=page("w1", 10, 3), b=page("w2", 5))
    requests = made(pages)
    await requests.answered(WHO, pods("a", "b"))
    pages.by_host = {"b": page("w2", 6)}
    assert await requests.answered(WHO, pods("b")) == Answered(16, 3, {})


async def test_a_pod_that_does_not_tell_keeps_its_figures() -> None:
    pages = Pages(a=page("w1", 10, 3), b=page("w2", 5))
    requests = made(pages)
    await requests.answered(WHO, pods("a", "b"))
    pages.by_host = {"a": None, "b": page("w2", 7)}
    assert await requests.answered(WHO, pods("a", "b")) == Answered(17, 3, {})


async def test_who_still_answers_somebody() -> None:
    def at(number: int) -> str:
        return f'ray_serve_replica_processing_queries{{deployment="host"}} {number}.0\n'

    requests = made(Pages(idle=at(0), busy=at(0) + at(1).replace("host", "step"), new=page("w1", 3)))
    assert not await requests.ongoing(pods("idle", "new"))
    assert await requests.ongoing(pods("idle", "busy"))
    assert await requests.ongoing(pods("idle", "mute")), "who does not tell may well be at one"
    assert not await requests.ongoing(pods("mute", deletionTimestamp="2026-05-04T10:00:00Z"))
    assert not await requests.ongoing([])


async def test_nobody_tells() -> None:
    requests = made(Pages(a=None))
    assert await requests.answered(WHO, pods("a")) is None
    assert await requests.answered(WHO, []) is None


async def test_pods_without_an_address_or_on_their_way_out_are_not_asked() -> None:
    pages = Pages(a=page("w1", 1))
    gone = pods("b", deletionTimestamp="2026-05-04T10:00:00Z")
    await made(pages).answered(WHO, [*pods("a", ""), *gone])
    assert pages.asked == ["a"]


async def test_another_try_begins_with_nothing() -> None:
    pages = Pages(a=page("w1", 10))
    requests = made(pages)
    await requests.answered(WHO, pods("a"))
    requests.forget(WHO)
    pages.by_host = {"b": page("w2", 2)}
    assert await requests.answered(WHO, pods("b")) == Answered(2, 0, {})


async def test_who_looks_again_at_once_sees_the_same() -> None:
    pages, now = Pages(a=page("w1", 10)), [0.0]
    requests = Requests(pages, lambda: now[0])
    first = await requests.answered(WHO, pods("a"))
    pages.by_host = {"a": page("w1", 11)}
    assert await requests.answered(WHO, pods("a")) == first == Answered(10)
    now[0] = ASK_EVERY_S
    assert await requests.answered(WHO, pods("a")) == Answered(11)
