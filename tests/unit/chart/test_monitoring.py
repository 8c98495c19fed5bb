"""What the chart makes for Prometheus and Grafana: whole, readable for them, and about metrics that exist."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, get_args

import promql_parser
import pytest

from hack.node.layout import REPOSITORY
from hack.reference import RAYS_OWN
from raydock.api.batch_status import JobState
from raydock.api.conditions import ConditionType
from raydock.kube import errors
from raydock.kube.kinds import KINDS
from raydock.plan.meta import DEPLOYMENT_LABEL, JOB_LABEL, MANAGED_BY, RAYDOCK
from raydock.plan.pods import PORTS
from raydock.reasons import Reason
from raydock.reconcile.deps import GateVerdict, RolloutEnded
from raydock.runtime.metrics import Metrics
from raydock.wire.metrics import HOST_METRICS, METRICS_PORT
from tests.golden import readers
from tests.unit.chart.helm import Manifests, render, the

ON: Final = [
    "crds.enabled=false",
    "monitoring.podMonitors.enabled=true",
    "monitoring.rules.enabled=true",
    "monitoring.dashboard.enabled=true",
]
TARGET: Final = {"namespace", "pod", "job", "instance", "container"}
"""Labels that Prometheus gives each target."""
RAY_TARGET: Final = TARGET | {"raydock_deployment", "raydock_batchjob"}
"""And those that the PodMonitor of the Ray pods adds."""
GUIDE: Final = REPOSITORY / "docs" / "guides" / "monitoring.md"


@cache
def rendered() -> Manifests:
    return render(sets=ON)


def alerts() -> list[dict[str, Any]]:
    groups = the(rendered(), "PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    (found,) = (one for one in rendered() if one["metadata"]["name"] == "raydock-dashboard")
    made: dict[str, Any] = json.loads(found["data"]["raydock.json"])
    return made


def panels() -> Iterator[tuple[str, str]]:
    """Title and query of each line of each panel, with a time for Grafana's."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


QUERIES: Final = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in alerts()),
    *(pytest.param(query, id=f"panel {title}") for title, query in panels()),
]


def known() -> Mapping[str, set[str]]:
    """Labels by name of each series that somebody exports."""
    found: dict[str, set[str]] = {}
    for one in Metrics().described:
        if one.type == "histogram":
            found[f"{one.name}_bucket"] = {*one.labels, "le"} | TARGET
            found[f"{one.name}_count"] = found[f"{one.name}_sum"] = {*one.labels} | TARGET
        else:
            found[one.name] = {*one.labels} | TARGET
    found |= {one.exported: {*one.labels} | RAY_TARGET for one in HOST_METRICS}
    return found | dict.fromkeys(RAYS_OWN, RAY_TARGET)


WORDS: Final[Mapping[str, frozenset[str]]] = {
    "kind": frozenset(kind.kind for kind in KINDS),
    "type": frozenset(ConditionType),
    "reason": frozenset(Reason) | {""},
    "provider": frozenset(get_args(GateVerdict.__annotations__["provider"])),
    "result": frozenset(get_args(GateVerdict.__annotations__["result"]))
    | frozenset(get_args(RolloutEnded.__annotations__["result"]))
    | frozenset(JobState),
    "outcome": frozenset(
        {"done", "retry", "waiting", "terminal", "api_error", "crash", "timeout", "ok", "cancelled"}
        | {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    ),
}
"""What the labels may say whose words are ours."""


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def grouped(query: str) -> set[str]:
    """Labels of each `by (…)`."""
    return {word.strip() for words in re.findall(r"\bby \(([^)]*)\)", query) for word in words.split(",")}


def test_nothing_of_it_is_made_unless_asked_for() -> None:
    made = render(sets=["crds.enabled=false"])
    assert not [one for one in made if one["kind"] in ("PodMonitor", "PrometheusRule")]
    assert [one["metadata"]["name"] for one in made if one["kind"] == "ConfigMap"] == ["raydock-operator"]


@pytest.mark.parametrize("kind", ["PodMonitor", "PrometheusRule"])
def test_the_prometheus_operator_accepts_what_is_made(kind: str) -> None:
    made = [one for one in rendered() if one["kind"] == kind]
    assert made
    assert [complaint for one in made for complaint in readers.complaints(one)] == []


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_about_series_that_exist(query: str) -> None:
    found = selectors(query)
    assert found
    for selector in found:
        labels = known()[str(selector.name)]
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels
    assert grouped(query) <= set.union(*(known()[str(selector.name)] for selector in found))


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_uses_words_that_are_said(query: str) -> None:
    for selector in selectors(query):
        for matcher in selector.matchers.matchers:
            if matcher.name in WORDS:
                assert set(matcher.value.split("|")) <= WORDS[matcher.name] | {"get", "list"}


def test_every_metric_has_an_alert_or_a_panel() -> None:
    used = {str(selector.name) for query in QUERIES for selector in selectors(str(query.values[0]))}
    unused = [
        one.name
        for one in Metrics().described
        if not used & {one.name, f"{one.name}_bucket", f"{one.name}_count"}
    ]
    assert unused == []
    assert {one.exported for one in HOST_METRICS} | RAYS_OWN.keys() <= used


@pytest.mark.parametrize("metric", RAYS_OWN)
def test_ray_exports_what_is_documented_as_its_own(metric: str) -> None:
    ray = find_spec("ray")
    assert ray
    assert ray.origin
    source = (Path(ray.origin).parent / "dashboard/modules/reporter/reporter_agent.py").read_text()
    assert f'"{metric.removeprefix("ray_")}": Gauge(' in source


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description"}
    assert f"\n### {rule['alert']}\n" in GUIDE.read_text()


def test_the_guide_tells_of_no_alert_that_is_gone() -> None:
    assert re.findall(r"^### (\w+)$", GUIDE.read_text(), re.MULTILINE) == [one["alert"] for one in alerts()]


def test_the_ray_pods_are_asked_at_rays_metrics_port() -> None:
    (monitor,) = (one for one in rendered() if one["metadata"]["name"] == "raydock-ray")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert monitor["spec"]["selector"]["matchLabels"] == {MANAGED_BY: RAYDOCK}
    assert endpoint["port"] in {port["name"] for port in PORTS}
    address = {"__meta_kubernetes_pod_ip": "10.0.0.7"}
    six = {"__meta_kubernetes_pod_ip": "fd00::7"}
    assert relabelled(endpoint, address)["__address__"] == f"10.0.0.7:{METRICS_PORT}"
    assert relabelled(endpoint, six)["__address__"] == f"[fd00::7]:{METRICS_PORT}"


@pytest.mark.parametrize(
    ("label", "target"), [(DEPLOYMENT_LABEL, "raydock_deployment"), (JOB_LABEL, "raydock_batchjob")]
)
def test_the_ray_pods_series_say_whose_they_are(label: str, target: str) -> None:
    (monitor,) = (one for one in rendered() if one["metadata"]["name"] == "raydock-ray")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    meta = "__meta_kubernetes_pod_label_" + re.sub(r"[^a-zA-Z0-9_]", "_", label)
    got = relabelled(endpoint, {meta: "iris", "endpoint": "dashboard"})
    assert got[target] == "iris"
    assert "endpoint" not in got  # else the host's own label would become exported_endpoint


def test_only_watched_namespaces_are_asked() -> None:
    made = render(sets=[*ON, "settings.watchNamespaces={team-a,team-b}"])
    (monitor,) = (one for one in made if one["metadata"]["name"] == "raydock-ray")
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["team-a", "team-b"]}


def test_the_dashboard_has_a_row_for_each_part_and_no_panel_over_another() -> None:
    made = dashboard()["panels"]
    assert [one["title"] for one in made if one["type"] == "row"] == [
        "Operator",
        "Rollouts and capacity",
        "Serving",
        "Batch",
    ]
    taken: set[tuple[int, int]] = set()
    for one in made:
        place = one["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        taken |= cells
    assert len({one["id"] for one in made}) == len(made)


def relabelled(endpoint: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, str]:
    """What Prometheus makes of a target's `labels` by `replace` and `labeldrop`."""
    out = dict(labels)
    for rule in endpoint["relabelings"]:
        if rule.get("action") == "labeldrop":
            out = {name: value for name, value in out.items() if not re.fullmatch(rule["regex"], name)}
            continue
        source = ";".join(out.get(name, "") for name in rule["sourceLabels"])
        match = re.fullmatch(rule.get("regex", "(.*)"), source)
        if match:
            out[rule["targetLabel"]] = rule.get("replacement", "$1").replace("$1", match[1])
    return {name: value for name, value in out.items() if value}
