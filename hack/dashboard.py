"""The Grafana dashboard of the chart: `python hack/dashboard.py FILE` writes it from the rows below.

A panel is one question; a query may say `$namespace` and `$deployment`, which are chosen at the top.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from raydock.wire.metrics import MODEL_EVICTIONS, MODEL_LOADS

COLUMNS: Final = 3
WIDTH: Final = 24
"""Grafana's grid: 24 columns in all (dashboard JSON model, gridPos)."""
HEIGHT: Final = 7
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Panel(NamedTuple):
    """One graph."""

    title: str
    unit: str
    """A unit of Grafana's, such as `s`, `reqps` or `percentunit`."""
    queries: dict[str, str]
    """Legend → PromQL."""


def _rate(metric: str, by: str, *matchers: str) -> str:
    """How often a second, by labels."""
    return f"sum by ({by}) (rate({_series(metric, *matchers)}[$__rate_interval]))"


def _new(metric: str, by: str) -> str:
    """How many since the point before, by labels."""
    return f"sum by ({by}) (increase({metric}[$__rate_interval])) > 0"


def _quantile(share: float, buckets: str, by: str, *matchers: str) -> str:
    """The value that `share` of all stay below, by labels."""
    return f"histogram_quantile({share}, {_rate(buckets, f'{by}, le', *matchers)})"


def _most(metric: str, by: str, *matchers: str) -> str:
    """What every replica or component says of the same thing, by labels."""
    return f"max by ({by}) ({_series(metric, *matchers)})"


def _series(metric: str, *matchers: str) -> str:
    return f"{metric}{{{','.join(matchers)}}}" if matchers else metric


CHOSEN: Final = ('namespace=~"$namespace"', 'deployment=~"$deployment"')
OF_DEPLOYMENTS: Final = ('namespace=~"$namespace"', 'raydock_deployment=~"$deployment"')
OF_JOBS: Final = ('namespace=~"$namespace"', 'raydock_batchjob!=""')
REQUESTS: Final = "ray_raydock_requests_total"
SECONDS: Final = "ray_raydock_request_seconds_bucket_total"
CALLS: Final = "raydock_api_call_seconds_count"

OPERATOR: Final = (
    Panel("Leader", "short", {"leading replicas": "sum(raydock_leader)"}),
    Panel(
        "Passes by outcome",
        "ops",
        {"{{kind}} {{outcome}}": _rate("raydock_reconciles_total", "kind, outcome")},
    ),
    Panel(
        "Passes by reason",
        "ops",
        {"{{kind}} {{reason}}": _rate("raydock_reconciles_total", "kind, reason", 'reason!=""')},
    ),
    Panel(
        "Time of a pass, p99", "s", {"{{kind}}": _quantile(0.99, "raydock_reconcile_seconds_bucket", "kind")}
    ),
    Panel(
        "Queue",
        "short",
        {
            "{{kind}} {{state}}": 'sum by (kind, state) (raydock_queue_keys{state!="scheduled"})',
            "oldest, in seconds": "max(raydock_queue_oldest_seconds)",
        },
    ),
    Panel(
        "Wait in the queue, p99",
        "s",
        {"{{kind}}": _quantile(0.99, "raydock_queue_wait_seconds_bucket", "kind")},
    ),
    Panel(
        "API writes",
        "ops",
        {"{{verb}} {{kind}}": _rate(CALLS, "verb, kind", 'verb!~"get|list"', 'kind!="TokenReview"')},
    ),
    Panel(
        "API calls that fail",
        "ops",
        {"{{outcome}} {{verb}} {{kind}}": _rate(CALLS, "outcome, verb, kind", 'outcome!="ok"')},
    ),
    Panel(
        "Objects in memory",
        "short",
        {
            "{{kind}}": _most("raydock_store_objects", "kind"),
            "{{kind}} is not installed": f"{_most('raydock_missing_kind', 'kind')} == 1",
        },
    ),
)
ROLLOUTS: Final = (
    Panel("Ended rollouts", "short", {"{{way}} {{result}}": _new("raydock_rollouts_total", "way, result")}),
    Panel(
        "Verdicts of the gate",
        "short",
        {"{{provider}} {{way}} {{result}}": _new("raydock_gate_verdicts_total", "provider, way, result")},
    ),
    Panel(
        "Deployments that are not Ready",
        "short",
        {
            "{{reason}}": _most(
                "raydock_conditions", "reason", 'kind="Deployment"', 'type="Ready"', 'status!="True"'
            )
        },
    ),
)
SERVING: Final = (
    Panel(
        "Requests",
        "reqps",
        {"{{deployment}} via {{endpoint}}": _rate(REQUESTS, "deployment, endpoint", *CHOSEN)},
    ),
    Panel(
        "Answers but 200",
        "reqps",
        {"{{deployment}} {{code}}": _rate(REQUESTS, "deployment, code", *CHOSEN, 'code!="200"')},
    ),
    Panel(
        "Share of 5xx",
        "percentunit",
        {
            "{{deployment}}": _rate(REQUESTS, "deployment", *CHOSEN, 'code=~"5.."')
            + " / "
            + _rate(REQUESTS, "deployment", *CHOSEN)
        },
    ),
    Panel(
        "Time to the first byte",
        "s",
        {
            "{{deployment}} p50": _quantile(0.5, SECONDS, "deployment", *CHOSEN),
            "{{deployment}} p99": _quantile(0.99, SECONDS, "deployment", *CHOSEN),
        },
    ),
    Panel(
        "Models loaded and evicted",
        "ops",
        {
            "{{deployment}} {{result}}": _rate(MODEL_LOADS.exported, "deployment, result", *CHOSEN),
            "{{deployment}} evicted": _rate(MODEL_EVICTIONS.exported, "deployment", *CHOSEN),
        },
    ),
    Panel(
        "CPU of the Ray pods",
        "percent",
        {"{{pod}}": _most("ray_node_cpu_utilization", "pod", *OF_DEPLOYMENTS)},
    ),
    Panel("Memory of the Ray pods", "bytes", {"{{pod}}": _most("ray_node_mem_used", "pod", *OF_DEPLOYMENTS)}),
)
BATCH: Final = (
    Panel(
        "Jobs by reason of Ready",
        "short",
        {"{{reason}}": _most("raydock_conditions", "reason", 'kind="BatchJob"', 'type="Ready"')},
    ),
    Panel("Ended jobs", "short", {"{{result}}": _new("raydock_jobs_total", "result")}),
    Panel("Reports of drivers", "ops", {"{{answer}}": _rate("raydock_progress_reports_total", "answer")}),
    Panel("CPU of the Ray pods", "percent", {"{{pod}}": _most("ray_node_cpu_utilization", "pod", *OF_JOBS)}),
    Panel("Memory of the Ray pods", "bytes", {"{{pod}}": _most("ray_node_mem_used", "pod", *OF_JOBS)}),
)
ROWS: Final = {"Operator": OPERATOR, "Rollouts and capacity": ROLLOUTS, "Serving": SERVING, "Batch": BATCH}


def dashboard() -> str:
    """The dashboard as Grafana's JSON."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        place = {"h": 1, "w": WIDTH, "x": 0, "y": y}
        panels.append({"type": "row", "title": title, "id": len(panels) + 1, "gridPos": place, "panels": []})
        y += 1
        for number, panel in enumerate(row):
            line, column = divmod(number, COLUMNS)
            panels.append(_panel(panel, len(panels) + 1, column, y + line * HEIGHT))
        y += -(-len(row) // COLUMNS) * HEIGHT
    made = {
        "uid": "raydock",
        "title": "raydock",
        "tags": ["raydock"],
        "schemaVersion": 39,  # Grafana 10.4; later ones migrate it as they load it
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _choices()},
        "panels": panels,
    }
    return json.dumps(made, indent=2) + "\n"


def _panel(panel: Panel, number: int, column: int, y: int) -> dict[str, Any]:
    width = WIDTH // COLUMNS
    return {
        "type": "timeseries",
        "id": number,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": width, "x": column * width, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def _choices() -> list[dict[str, Any]]:
    """What is chosen at the top."""
    queries = {
        "namespace": f"label_values({REQUESTS}, namespace)",
        "deployment": f'label_values({REQUESTS}{{namespace=~"$namespace"}}, deployment)',
    }
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    every = {"includeAll": True, "multi": True, "allValue": ".*", "refresh": 2, "sort": 1}
    return [
        source,
        *(
            {"name": name, "type": "query", "datasource": SOURCE, "query": query, **every}
            for name, query in queries.items()
        ),
    ]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(dashboard(), encoding="utf-8")
