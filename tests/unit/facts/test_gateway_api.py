"""What is kept of Gateway API's objects."""

from raydock.facts.gateway import gateway
from raydock.facts.route import http_route


def test_each_gateway_s_word_on_a_route_is_kept_apart() -> None:
    read = http_route(
        {
            "metadata": {"namespace": "demo", "name": "iris", "generation": 4},
            "spec": {"rules": [{"name": "split"}]},
            "status": {
                "parents": [
                    {
                        "parentRef": {
                            "name": "raydock",
                            "namespace": "raydock-system",
                            "sectionName": "http",
                        },
                        "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
                        "conditions": [
                            {
                                "type": "Accepted",
                                "status": "True",
                                "reason": "Accepted",
                                "observedGeneration": 4,
                            },
                            {
                                "type": "ResolvedRefs",
                                "status": "False",
                                "reason": "BackendNotFound",
                                "message": "no iris",
                            },
                        ],
                    },
                    {"parentRef": {"name": "local"}},
                ]
            },
        }
    )
    assert read.rules == ({"name": "split"},)
    shared, local = read.parents
    assert (shared.namespace, shared.name, shared.section_name) == ("raydock-system", "raydock", "http")
    assert shared.conditions["Accepted"].observed_generation == 4
    assert not shared.conditions["ResolvedRefs"].is_true
    assert shared.conditions["ResolvedRefs"].message == "no iris"
    assert (local.namespace, local.name, local.conditions) == ("demo", "local", {})


def test_a_gateway_is_read() -> None:
    read = gateway(
        {
            "metadata": {"namespace": "raydock-system", "name": "raydock"},
            "spec": {
                "gatewayClassName": "envoy",
                "listeners": [
                    {
                        "name": "http",
                        "port": 80,
                        "protocol": "HTTP",
                        "allowedRoutes": {"namespaces": {"from": "All"}},
                    },
                    {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com"},
                ],
            },
            "status": {
                "addresses": [
                    {"type": "IPAddress", "value": "10.2.0.1"},
                    {},
                    {"type": "Hostname", "value": "lb.example.com"},
                ],
                "conditions": [{"type": "Programmed", "status": "True"}],
                "listeners": [{"name": "http", "conditions": [{"type": "ResolvedRefs", "status": "True"}]}],
            },
        }
    )
    assert read.class_name == "envoy"
    assert read.addresses == ("10.2.0.1", "lb.example.com")
    assert read.conditions["Programmed"].is_true
    http, https = read.listeners
    assert (http.name, http.port, http.protocol, http.routes_from, http.hostname) == (
        "http",
        80,
        "HTTP",
        "All",
        "",
    )
    assert http.conditions["ResolvedRefs"].is_true
    assert (https.routes_from, https.hostname, https.conditions) == ("Same", "*.example.com", {})
