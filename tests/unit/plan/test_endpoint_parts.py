"""The split in force, the URL, what the gateway said, and what a rotation needs."""

from datetime import timedelta
from typing import Any

import pytest

from raydock.api import InferenceEndpoint
from raydock.api.deployment_status import DeploymentStatus
from raydock.facts.gateway import gateway
from raydock.facts.route import http_route
from raydock.plan import access, traffic
from raydock.plan import endpoint as plan
from raydock.plan.defaults import Defaults, GatewayRef
from raydock.plan.progression import PROGRESSION_ANNOTATION, Course, memory
from raydock.plan.traffic import TRAFFIC_ANNOTATION, Backend
from tests.unit.plan.given import DEFAULTS, NOW, child, dep, endpoint, meta, route, with_status

UP, DOWN, NONE = Backend("svc", True), Backend("svc", False), Backend("", False)
SPLIT = [{"deployment": "a", "percent": 90}, {"deployment": "b", "percent": 10}]


@pytest.mark.parametrize(
    ("before", "a", "b", "wanted"),
    [
        pytest.param({}, UP, UP, {"a": 90, "b": 10}, id="all healthy"),
        pytest.param({}, UP, NONE, {"a": 90}, id="at the beginning the healthy ones share"),
        pytest.param({}, NONE, NONE, {}, id="nobody is up"),
        pytest.param({}, DOWN, DOWN, {}, id="nobody is healthy"),
        pytest.param({"a": 100}, UP, NONE, {"a": 100}, id="the old split stays for a newcomer"),
        pytest.param({"a": 100}, UP, UP, {"a": 90, "b": 10}, id="the newcomer is healthy"),
        pytest.param({"a": 90, "b": 10}, UP, DOWN, {"a": 90, "b": 10}, id="who breaks later keeps its share"),
        pytest.param({"a": 90, "b": 10}, UP, NONE, {"a": 90}, id="never a Service that isn't there"),
        pytest.param({"gone": 100}, UP, NONE, {"a": 90}, id="the old one was deleted"),
    ],
)
def test_the_split_in_force(before: dict[str, int], a: Backend, b: Backend, wanted: dict[str, int]) -> None:
    assert traffic.in_force(endpoint(traffic=SPLIT), before, {"a": a, "b": b, "gone": NONE}) == wanted


LENDS = Backend("svc", True, invokes=True)


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        pytest.param({}, {}, id="at the beginning nobody answers"),
        pytest.param({"a": 100}, {"a": 100}, id="what is in force stays"),
    ],
)
def test_predictions_and_paths_have_no_url_in_common(before: dict[str, int], wanted: dict[str, int]) -> None:
    backends = {"a": UP, "b": LENDS}
    assert traffic.mixed(endpoint(traffic=SPLIT), backends) == ("a", "b")
    assert traffic.in_force(endpoint(traffic=SPLIT), before, backends) == wanted
    both = {"a": LENDS, "b": LENDS}
    assert traffic.in_force(endpoint(traffic=SPLIT), before, both) == {"a": 90, "b": 10}
    mirror = endpoint(traffic=[{"deployment": "a", "percent": 100}], mirror={"deployment": "b", "percent": 5})
    assert traffic.mixed(mirror, backends) == ("a", "b")


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '{"a": "x"}', '"a"'])
def test_a_split_that_is_none_is_no_memory(text: str | None) -> None:
    assert traffic.remembered(text) == {}
    assert traffic.remembered(traffic.memory({"b": 10, "a": 90})) == {"a": 90, "b": 10}


def test_a_backend_is_where_its_ray_service_runs_and_as_healthy_as_it_claims() -> None:
    said = {
        "conditions": [
            {
                "type": "ApplicationHealthy",
                "status": "True",
                "reason": "ApplicationRunning",
                "message": "",
                "observedGeneration": 1,
                "lastTransitionTime": NOW,
            }
        ],
    }
    up = with_status(dep(), DeploymentStatus.model_validate(said))
    runs, starts = child(up, active="iris-a"), child(up, pending="iris-a")
    assert traffic.backend(up, runs) == Backend("iris-serve", True)
    assert traffic.backend(None, runs) == NONE
    assert traffic.backend(with_status(dep(suspend=True), up.status), runs) == NONE
    assert traffic.backend(up, starts) == NONE
    assert traffic.backend(up, None) == NONE
    lost = with_status(dep(), DeploymentStatus())
    assert traffic.backend(lost, runs) == Backend("iris-serve", False, unknown=True)


def gate(*listeners: dict[str, Any], addresses: tuple[str, ...] = ("10.0.0.1",)) -> Any:
    return gateway(
        {
            "metadata": meta("raydock"),
            "spec": {"listeners": list(listeners)},
            "status": {"addresses": [{"value": a} for a in addresses]},
        }
    )


HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}
HTTPS = {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "models.example"}


@pytest.mark.parametrize(
    ("spec", "seen", "settings", "wanted"),
    [
        pytest.param({}, gate(HTTP), {}, "http://10.0.0.1/demo/flower", id="address"),
        pytest.param({}, gate({**HTTP, "port": 8080}), {}, "http://10.0.0.1:8080/demo/flower", id="port"),
        pytest.param({}, gate(HTTP, addresses=()), {}, None, id="no address yet"),
        pytest.param({}, None, {}, None, id="no gateway"),
        pytest.param(
            {"sectionName": "https"}, gate(HTTP, HTTPS), {}, "https://models.example/demo/flower", id="tls"
        ),
        pytest.param(
            {"hostnames": ["*.x.example", "a.example"]},
            gate(HTTP),
            {},
            "http://a.example/demo/flower",
            id="hostname",
        ),
        pytest.param({}, gate(HTTP), {"gateway_address": "h:31"}, "http://h:31/demo/flower", id="setting"),
    ],
)
def test_the_url(spec: dict[str, Any], seen: Any, settings: dict[str, Any], wanted: str | None) -> None:
    assert plan.url(endpoint(gateway=spec), seen, Defaults(**settings)) == wanted


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param({}, GatewayRef(), id="the setting's"),
        pytest.param({"sectionName": "s"}, GatewayRef(section_name="s"), id="another listener of it"),
        pytest.param({"name": "own"}, GatewayRef(name="own", namespace="demo"), id="in the own namespace"),
        pytest.param(
            {"name": "own", "namespace": "x"}, GatewayRef(name="own", namespace="x"), id="elsewhere"
        ),
    ],
)
def test_the_gateway_of_an_endpoint(spec: dict[str, Any], wanted: GatewayRef) -> None:
    assert plan.gateway_of(endpoint(gateway=spec), DEFAULTS) == wanted


@pytest.mark.parametrize(
    ("seen", "taken", "word"),
    [
        pytest.param(route(), True, "", id="accepted"),
        pytest.param(route(accepted=None), False, "not looked at the route", id="no parent"),
        pytest.param(route(observed=0), False, "newest route", id="an older generation"),
        pytest.param(route(accepted=False), False, "Said: why", id="refused"),
    ],
)
def test_acceptance_is_of_the_newest_route(seen: Any, taken: bool, word: str) -> None:
    got, why = plan.accepted(seen, DEFAULTS.gateway)
    assert got == taken
    assert word in why


@pytest.mark.parametrize(
    ("value", "handled", "asked"),
    [
        pytest.param(None, None, None, id="no annotation"),
        pytest.param("primary", None, ("primary", "primary"), id="asked"),
        pytest.param("primary", "primary", None, id="handled"),
        pytest.param("primary:2", "primary", ("primary", "primary:2"), id="asked again"),
        pytest.param("secondary:x", "primary", ("secondary", "secondary:x"), id="the other"),
        pytest.param("both", None, None, id="no slot"),
    ],
)
def test_a_rotation_is_asked_once_a_value(value: str | None, handled: str | None, asked: Any) -> None:
    cr = endpoint(annotations={"raydock.io/rotate": value} if value else {})
    assert plan.rotation_asked(cr, handled) == asked
    assert plan.rotation_refused(cr) == (value == "both")


@pytest.mark.parametrize(
    ("seconds", "want"),
    [(-1, ("", 0)), (0, ("ab", 2.5)), (2, ("ab", 0.5)), (2.5, ("", 0)), (1e6, ("", 0))],
)
def test_a_replaced_key_opens_for_a_moment(seconds: float, want: tuple[str, float]) -> None:
    note = f"ab {(NOW - timedelta(seconds=seconds)).isoformat()}"
    assert plan.former(note, NOW) == want


@pytest.mark.parametrize("note", [None, "", "ab", "ab never"])
def test_no_key_was_replaced(note: str | None) -> None:
    assert plan.former(note, NOW) == ("", 0)


def test_an_open_endpoint_rotates_nothing() -> None:
    cr: InferenceEndpoint = endpoint(annotations={"raydock.io/rotate": "primary"}, auth={"mode": "None"})
    assert plan.rotation_asked(cr, None) is None


@pytest.mark.parametrize(
    ("serving", "late"),
    [
        pytest.param({}, [], id="nobody serves"),
        pytest.param({"a": "a" * 16 + "," + "b" * 16}, [], id="knows both, and more is no harm"),
        pytest.param({"a": "a" * 16, "b": ""}, ["a", "b"], id="one key, no key"),
    ],
)
def test_keys_are_pending_until_every_deployment_reported_them(
    serving: dict[str, str], late: list[str]
) -> None:
    assert plan.not_held(("a" * 64, "b" * 64), serving) == late


@pytest.mark.parametrize(
    ("outcome", "knows"), [("Progressing", True), ("RolledBack", True), ("Promoted", False)]
)
def test_who_may_get_the_traffic_back_keeps_the_keys(outcome: str, *, knows: bool) -> None:
    now = NOW.isoformat()
    move = Course({"iris": 100}, {"b": 100}, "b", now, 100, outcome=outcome)
    notes = {TRAFFIC_ANNOTATION: '{"b": 100}', PROGRESSION_ANNOTATION: memory(move)}
    seen = http_route({"metadata": meta("flower", annotations=notes), "spec": {"rules": []}})
    asks = endpoint(traffic=[{"deployment": "b", "percent": 100}])
    content = access.access(dep(), [(asks, seen)])
    assert content.endpoints["flower"].routes_here is knows


def test_an_endpoint_without_keys_is_known_by_a_mark_of_its_own() -> None:
    open_, keyed = endpoint("open", auth={"mode": "None"}), endpoint("keyed")
    found = {access.marks(cr.metadata.name, access.entry(cr, (), "")) for cr in (open_, keyed)}
    assert len(found) == 2
    content = access.access(dep(), [(open_, None)])
    assert access.held(content) == access.marks("open", access.entry(open_, (), ""))[0]


@pytest.mark.parametrize(
    ("traffic_", "mirror", "variables", "wanted"),
    [
        pytest.param(["iris", "b"], None, {"AWS_REGION": "x"}, ("b", "iris"), id="it works, and so does b"),
        pytest.param(["b"], "iris", {"AWS_REGION": "x"}, None, id="the mirror gets no copies of these"),
        pytest.param(["iris"], None, None, None, id="the Secret is missing"),
        pytest.param(["b"], None, {"AWS_REGION": "x"}, None, id="another one's"),
    ],
)
def test_who_works_on_asynchronous_requests(
    traffic_: list[str], mirror: str | None, variables: dict[str, str] | None, wanted: tuple[str, ...] | None
) -> None:
    asks = endpoint(
        traffic=[{"deployment": name, "percent": 100 if name == traffic_[0] else 0} for name in traffic_],
        asyncInference={"outputUri": "s3://answers/iris/"},
        compatibility=["SageMaker"],
        mirror={"deployment": mirror, "percent": 10} if mirror else None,
    )
    found = access.access(dep(), [(asks, None)], {} if variables is None else {"flower": variables})
    told = found.endpoints["flower"].asynchronous
    assert (told.deployments if told else None) == wanted
    if told:
        assert (told.output_uri, told.failure_uri) == ("s3://answers/iris", "s3://answers/iris/failures")
        assert (told.max_concurrent, told.credentials) == (4, variables)
        assert "AWS_REGION" not in repr(told)
    plain = access.access(dep(), [(asks, None)])
    assert access.held(found) == access.held(plain), "who holds the keys is not asked anew"
