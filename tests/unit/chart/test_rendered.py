"""What the charts make of their values."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hack.node.layout import REPOSITORY
from raydock.kube.kinds import KINDS
from raydock.runtime.settings import Settings
from tests.unit.chart.helm import Manifests, Refused, render, the

GOLDEN: Final = Path(__file__).parent / "golden"
WITHOUT_CRDS: Final = ["crds.enabled=false"]
TRAFFIC_POLICY: Final = "gateway.envoyproxy.io/v1alpha1/ClientTrafficPolicy"


class Dumper(yaml.SafeDumper):
    """Multi-line text as `|` blocks, for people who read the golden manifests."""


Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def dump(manifests: Manifests) -> str:
    return yaml.dump_all(manifests, Dumper=Dumper, sort_keys=True, width=110)


@pytest.mark.parametrize("case", ["default", "everything"])
def test_the_chart_renders_the_golden_manifests(case: str, golden: str) -> None:
    got = dump(render(values=GOLDEN / f"{case}.values.yaml"))
    want = GOLDEN / f"{case}.want.yaml"
    if golden == "write":
        want.write_text(got)
    assert got == want.read_text()


@pytest.mark.parametrize("chart", ["raydock", "raydock-crds"])
def test_both_charts_bring_the_generated_definitions(chart: str) -> None:
    generated = [yaml.safe_load(path.read_text()) for path in sorted((REPOSITORY / "crds").glob("*.yaml"))]
    got = [
        one for one in render(chart, sets=["crds.keep=false"]) if one["kind"] == "CustomResourceDefinition"
    ]
    assert sorted(got, key=_name) == sorted(generated, key=_name)


@pytest.mark.parametrize("chart", ["raydock", "raydock-crds"])
def test_uninstalling_keeps_the_definitions_unless_told_otherwise(chart: str) -> None:
    made = [one for one in render(chart) if one["kind"] == "CustomResourceDefinition"]
    assert [one["metadata"]["annotations"] for one in made] == [{"helm.sh/resource-policy": "keep"}] * 3
    assert not [one for one in render(chart, sets=WITHOUT_CRDS) if one["kind"] == "CustomResourceDefinition"]


def test_the_operator_pod_fits_restricted_pod_security() -> None:
    pod = the(render(sets=WITHOUT_CRDS), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(key for key in one if key != "name") for one in pod["volumes"]} == {"configMap", "emptyDir"}


def test_the_operator_cannot_enumerate_secrets() -> None:
    verbs = {verb for rule in _granted() if "secrets" in rule["resources"] for verb in rule["verbs"]}
    assert verbs == {"get", "create", "patch", "delete"}


def test_no_role_of_the_operator_has_a_wildcard() -> None:
    assert not [rule for rule in _granted() for words in rule.values() if "*" in words]


def test_the_operator_may_touch_only_kinds_that_its_code_names() -> None:
    known = {(kind.group, kind.plural) for kind in KINDS}
    known.add(("apiextensions.k8s.io", "customresourcedefinitions"))  # watched by Kopf itself
    assert _granted_kinds() <= known


@pytest.mark.parametrize("room", ["reconcile", "runtime"])
def test_the_operator_may_touch_every_kind_that_its_code_names(room: str) -> None:
    source = "".join(path.read_text() for path in (REPOSITORY / "operator" / "raydock" / room).glob("*.py"))
    named = {(kind.group, kind.plural) for kind in KINDS if f'"{kind.kind}"' in source}
    assert named <= _granted_kinds()


@pytest.mark.parametrize("case", ["default", "everything"])
def test_the_operator_accepts_the_settings_file(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = render(values=GOLDEN / f"{case}.values.yaml")
    file = tmp_path / "settings.yaml"
    file.write_text(the(made, "ConfigMap")["data"]["settings.yaml"])
    monkeypatch.setenv("RAYDOCK_SETTINGS", str(file))
    settings = Settings()
    assert settings.defaults.gateway.namespace == "raydock-system"
    assert settings.lease_name == the(made, "Deployment")["metadata"]["name"]


def test_batch_drivers_are_told_the_address_of_the_service() -> None:
    made = render(sets=WITHOUT_CRDS)
    service = the(made, "Service")
    host = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc"
    assert _settings(made)["reportUrl"] == f"http://{host}:{service['spec']['ports'][0]['port']}"
    assert service["spec"]["clusterIP"] == "None"  # a driver finds the leader among the addresses


@pytest.mark.parametrize(
    ("sets", "want"),
    [
        pytest.param([], {"name": "raydock", "namespace": "raydock-system"}, id="the release's own"),
        pytest.param(
            ["gateway.namespace=edge", "gateway.name=public", "gateway.sectionName=https"],
            {"name": "public", "namespace": "edge", "sectionName": "https"},
            id="one that exists elsewhere",
        ),
    ],
)
def test_endpoints_get_their_routes_on_the_gateway_of_the_values(
    sets: list[str], want: dict[str, str]
) -> None:
    assert _settings(render(sets=[*WITHOUT_CRDS, *sets]))["gateway"] == want


def test_a_made_gateway_admits_routes_of_all_namespaces() -> None:
    gateway = the(render(sets=[*WITHOUT_CRDS, "gateway.create=true"]), "Gateway")
    assert [one["allowedRoutes"] for one in gateway["spec"]["listeners"]] == [{"namespaces": {"from": "All"}}]


@pytest.mark.parametrize(
    ("choice", "apis", "made"),
    [
        pytest.param("Auto", [TRAFFIC_POLICY], 1, id="auto, where the kind exists"),
        pytest.param("Auto", [], 0, id="auto, where it doesn't"),
        pytest.param("Always", [], 1, id="always"),
        pytest.param("Never", [TRAFFIC_POLICY], 0, id="never"),
    ],
)
def test_envoy_gateway_lets_underscores_pass(choice: str, apis: list[str], made: int) -> None:
    sets = [*WITHOUT_CRDS, "gateway.create=true", f"gateway.envoy.clientTrafficPolicy={choice}"]
    assert [one["kind"] for one in render(sets=sets, apis=apis)].count("ClientTrafficPolicy") == made


def test_changed_settings_bring_new_operator_pods() -> None:
    pods = [
        the(render(sets=[*WITHOUT_CRDS, f"settings.modelCacheSize={size}"]), "Deployment")["spec"]["template"]
        for size in ("1Gi", "1Gi", "2Gi")
    ]
    assert pods[0] == pods[1] != pods[2]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param("replica=2", "'replica' not allowed", id="unknown value"),
        pytest.param("settings.runtimeimage=x", "'runtimeimage' not allowed", id="unknown setting"),
        pytest.param("replicas=0", "minimum: got 0", id="no operator"),
        pytest.param(
            "image.pullPolicy=Sometimes", "one of 'Always', 'IfNotPresent', 'Never'", id="not a choice"
        ),
        pytest.param("serviceAccount.create=false", "write serviceAccount.name", id="nobody to be"),
    ],
)
def test_wrong_values_are_refused_by_name(wrong: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        render(sets=[wrong])


def test_a_certificate_makes_it_listen_with_https_too() -> None:
    sets = [*WITHOUT_CRDS, "gateway.create=true", "gateway.tlsSecretName=public"]
    _, secure = the(render(sets=sets), "Gateway")["spec"]["listeners"]
    assert (secure["protocol"], secure["port"]) == ("HTTPS", 443)
    assert secure["tls"] == {"certificateRefs": [{"name": "public"}]}


def test_a_gateway_is_made_in_the_release_namespace_only() -> None:
    with pytest.raises(Refused, match=r"leave gateway\.namespace empty"):
        render(sets=["gateway.create=true", "gateway.namespace=elsewhere"])


def _name(manifest: dict[str, Any]) -> str:
    return str(manifest["metadata"]["name"])


def _settings(manifests: Manifests) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load(the(manifests, "ConfigMap")["data"]["settings.yaml"])
    return settings


def _granted_kinds() -> set[tuple[str, str]]:
    """Group and plural of what the operator's own roles name."""
    return {
        (group, resource.split("/")[0])
        for rule in _granted()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def _granted() -> list[dict[str, Any]]:
    """Rules of the operator's own roles, not of those for people."""
    made = render(sets=["rbac.aggregate=false"])
    return [rule for one in made if one["kind"] in ("Role", "ClusterRole") for rule in one["rules"]]
