"""Tokens of an issuer: what opens an endpoint, and that its keys are replaced without a failed request."""

import http.client
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from tests.e2e.calls import Load, ask
from tests.e2e.cluster import Cluster, until
from tests.e2e.issuer_pod import PATH
from tests.e2e.served import API
from tests.e2e.side_pod import side_pod

pytestmark = pytest.mark.e2e
ISSUER = "https://issuer.example"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Issuer:
    """Endpoint `tokens`, and where its issuer shows its keys."""

    cluster: Cluster
    publish: Callable[[Mapping[str, RSAPrivateKey]], None]
    """Show these public keys, by name, and no others."""

    def status(self, token: str) -> int:
        """Of one request."""
        return ask(self.cluster.url("tokens"), token).status


def document(keys: Mapping[str, RSAPrivateKey]) -> str:
    """The public ones."""
    entries = [
        {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": name}
        for name, key in keys.items()
    ]
    return json.dumps({"keys": entries})


def token(name: str, key: RSAPrivateKey, **claims: Any) -> str:
    said = {"iss": ISSUER, "aud": "iris", "exp": time.time() + 3600, **claims}
    return jwt.encode(said, key, "RS256", headers={"kid": name})


@pytest.fixture(scope="module")
def keys() -> Mapping[str, RSAPrivateKey]:
    return {name: generate_private_key(65537, 2048) for name in "ab"}


def made(cluster: Cluster, **where: Any) -> None:
    """The endpoint, Ready."""
    spec = {
        "traffic": [{"deployment": "iris-v1", "percent": 100}],
        "auth": {"mode": "JWT", "jwt": {"issuer": ISSUER, "audiences": ["iris"], **where}},
    }
    metadata = {"name": "tokens", "namespace": cluster.namespace}
    cluster.apply({"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": spec})
    cluster.wait("inferenceendpoints", "tokens", timeout_s=120)


def by_secret(cluster: Cluster, keys: Mapping[str, RSAPrivateKey]) -> Iterator[Issuer]:
    def publish(shown: Mapping[str, RSAPrivateKey]) -> None:
        metadata = {"name": "issuer", "namespace": cluster.namespace}
        data = {"jwks.json": document(shown)}
        cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
        # The operator watches no Secrets: so it looks at once.
        cluster.kubectl("annotate", "--overwrite", "iep", "tokens", f"looked={time.time()}", check=False)

    publish({"a": keys["a"]})
    made(cluster, jwksSecret={"name": "issuer", "key": "jwks.json"})
    yield Issuer(cluster, publish)
    cluster.delete("secret", "issuer")


def by_uri(cluster: Cluster, keys: Mapping[str, RSAPrivateKey]) -> Iterator[Issuer]:
    files = ["tests/e2e/issuer_pod.py"]
    with side_pod(cluster, "issuer", "tests.e2e.issuer_pod", files, port=8080, service_port=80) as address:

        def publish(shown: Mapping[str, RSAPrivateKey]) -> None:
            connection = http.client.HTTPConnection(address, 8081, timeout=10)
            connection.request("PUT", PATH, document(shown))
            assert connection.getresponse().status == 200
            connection.close()

        publish({"a": keys["a"]})
        made(cluster, jwksUri=f"http://issuer.{cluster.namespace}.svc{PATH}")
        yield Issuer(cluster, publish)


@pytest.fixture(params=[by_secret, pytest.param(by_uri, marks=pytest.mark.slow)])
def issuer(
    iris: Cluster, keys: Mapping[str, RSAPrivateKey], request: pytest.FixtureRequest
) -> Iterator[Issuer]:
    yield from request.param(iris, keys)
    iris.delete("inferenceendpoints.raydock.io", "tokens")


def test_its_tokens_open_it_and_its_keys_are_replaced_under_load(
    issuer: Issuer, keys: Mapping[str, RSAPrivateKey]
) -> None:
    first, second = (token(name, key) for name, key in keys.items())
    until(lambda: issuer.status(first) == 200, 60, "the first key")
    wrong = (token("a", keys["b"]), token("a", keys["a"], exp=1), token("a", keys["a"], aud="x"), "x")
    assert {issuer.status(one) for one in wrong} == {401}
    with Load(issuer.cluster.url("tokens"), first) as load:
        until(lambda: load.statuses["200"] > 200, 30, "requests")
        issuer.publish(keys)
        load.key = second  # the moment it is published
        sent = load.statuses["200"] + 500
        until(lambda: load.statuses["200"] > sent, 60, "requests with the new key", load.told)
        began = time.monotonic()
        issuer.publish({"b": keys["b"]})
        until(lambda: issuer.status(first) == 401, 120, "end of the replaced key")
        log.info("the replaced key was refused after %.1f s", time.monotonic() - began)
    assert not load.failed, load.told()
