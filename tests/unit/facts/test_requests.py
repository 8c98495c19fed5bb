"""What the pages of metrics of a Deployment's pods say of its requests."""

import pytest

from raydock.facts.requests import Answered, answered, counts

PAGE = """\
# HELP ray_raydock_requests_total Answers by HTTP status.
# TYPE ray_raydock_requests_total counter
ray_raydock_requests_total{code="200",deployment="b",endpoint="flower",WorkerId="w1"} 95.0
ray_raydock_requests_total{code="500",deployment="b",endpoint="flower",WorkerId="w1"} 3.0
ray_raydock_requests_total{code="429",deployment="b",endpoint="flower",WorkerId="w1"} 2.0
ray_raydock_requests_total{code="200",deployment="b",endpoint="flower",WorkerId="w2"} 1.0
ray_raydock_requests_total{code="503",deployment="b",endpoint="other",WorkerId="w1"} 700.0
ray_raydock_requests_total{code="500",deployment="a",endpoint="flower",WorkerId="w1"} 700.0
ray_raydock_request_seconds_bucket_total{deployment="b",endpoint="flower",le="0.1",WorkerId="w1"} 60.0
ray_raydock_request_seconds_bucket_total{deployment="b",endpoint="flower",le="+Inf",WorkerId="w1"} 100.0
ray_raydock_request_seconds_bucket_total{deployment="b",endpoint="flower",le="+Inf",WorkerId="w2"} 1.0
ray_node_cpu_count{SessionName="s"} 2.0
"""


def test_only_its_own_requests_through_this_endpoint_are_counted() -> None:
    assert answered(counts(PAGE, "b", "flower")) == Answered(101, 3, {"0.1": 60, "+Inf": 101})


def test_who_counted_stays_apart_so_that_none_is_forgotten_when_it_ends() -> None:
    without = "\n".join(line for line in PAGE.splitlines() if "w1" not in line)
    both = counts(PAGE, "b", "flower") | counts(without, "b", "flower")
    assert answered(both) == answered(counts(PAGE, "b", "flower"))


@pytest.mark.parametrize("page", ["", "<html>", "ray_raydock_requests_total{code=", "ray_node_cpu_count 2"])
def test_a_page_that_says_nothing_of_it(page: str) -> None:
    assert counts(page, "b", "flower") == {}


def test_what_came_since() -> None:
    before, now = Answered(100, 3, {"0.1": 60, "+Inf": 100}), Answered(150, 4, {"0.1": 80, "+Inf": 150})
    assert now.since(before) == Answered(50, 1, {"0.1": 20, "+Inf": 50})
    assert before.since(now) is None, "somebody began to count anew"


@pytest.mark.parametrize(
    ("buckets", "p99_s"),
    [
        ({}, 0.0),
        ({"0.1": 100, "0.5": 100, "+Inf": 100}, 0.099),
        ({"0.1": 0, "0.5": 100, "+Inf": 100}, 0.1 + 0.4 * 0.99),
        ({"0.1": 98, "0.5": 100, "+Inf": 100}, 0.3),
        ({"0.1": 98, "0.5": 98, "+Inf": 100}, 0.5),
    ],
)
def test_p99_is_what_a_histogram_says(buckets: dict[str, int], p99_s: float) -> None:
    assert Answered(100, 0, buckets).p99_s == pytest.approx(p99_s)
