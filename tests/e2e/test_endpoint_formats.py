"""The clients of other clouds against the gateway: only URL and credentials are changed."""

import gc
import http.client
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from google.cloud import aiplatform
from google.oauth2.credentials import Credentials

from tests.e2e.calls import Answer
from tests.e2e.cluster import Cluster, until
from tests.e2e.served import API, Served, small
from tests.kit.live import certificate

pytestmark = pytest.mark.e2e
APP = """
import asyncio
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

app = FastAPI(title="forms")


async def lines(breaks):
    for number in range(5):
        yield f"line {number}\\n"
        await asyncio.sleep(0.2)
    if breaks:
        raise RuntimeError("never told")


@app.post("/")
@app.post("/invocations")
async def predict(request: Request):
    asked = await request.json()
    do = asked.get("do") if isinstance(asked, dict) else None
    if do == "fail":
        raise HTTPException(422, "that is no flower")
    if do in ("stream", "break"):
        return StreamingResponse(lines(do == "break"), media_type="text/plain")
    return {"predictions": [asked], "trace": request.headers.get("x-amzn-sagemaker-custom-attributes")}


@app.api_route("/echo/{rest:path}", methods=["GET", "POST"])
async def echo(rest: str): return {"rest": rest}
"""
LINES = [f"line {number}" for number in range(5)]


@dataclass(frozen=True)
class Clouds:
    """An endpoint whose Deployment answers predictions, and one whose Deployment lends out its paths."""

    cluster: Cluster
    host: str
    """Of the gateway, which speaks HTTP and HTTPS."""
    forms: str = "forms"
    lent: str = "forms-lent"

    def sagemaker(self, key: str | None = None) -> Any:
        """Closed by the caller."""
        return boto3.client(
            "sagemaker-runtime",
            region_name="us-east-1",
            endpoint_url=self.told(self.forms, "SageMaker"),
            aws_access_key_id="any",
            aws_secret_access_key="any",
            aws_session_token=key or self.cluster.key(self.forms),
            config=Config(retries={"total_max_attempts": 1}),
        )

    def vertex(self, name: str) -> Any:
        aiplatform.init(
            project=self.cluster.namespace,
            location="us-central1",
            api_transport="rest",
            api_endpoint=self.host,
            credentials=Credentials(token=self.cluster.key(name)),  # type: ignore[no-untyped-call]  # has no types
        )
        return aiplatform.Endpoint(name)

    def score(
        self, body: bytes = b'{"x": 1}', path: str = "", method: str = "POST", **headers: str
    ) -> Answer:
        """A plain request to the scoring URI."""
        url = urlsplit(self.told(self.forms, "AzureML"))
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=30)
        sent = {"authorization": f"Bearer {self.cluster.key(self.forms)}", "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(connection):
            connection.request(method, path or url.path, body, sent)
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())

    def told(self, name: str, form: str) -> str:
        """What the status says of a form."""
        found = self.cluster.get("inferenceendpoints.raydock.io", name) or {}
        return str({one["format"]: one["url"] for one in found["status"]["compatibility"]}[form])


def secure(cluster: Cluster, where: Path, host: str) -> Path:
    """The gateway's certificate for this address; its authority."""
    made = certificate(where, host)
    data = {
        name: b64encode(path.read_bytes()).decode()
        for name, path in (("tls.crt", made.certificate), ("tls.key", made.key))
    }
    metadata = {"name": "forms-tls", "namespace": cluster.namespace}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": metadata,
            "data": data,
        }
    )
    return made.certificate


@pytest.fixture(scope="module")
def clouds(iris: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    """Behind a gateway of their own, as Google's client speaks nothing but HTTPS."""
    where = tmp_path_factory.mktemp("tls")
    secure(iris, where, "127.0.0.1")
    listeners = [
        {"name": "http", "protocol": "HTTP", "port": 80},
        {
            "name": "https",
            "protocol": "HTTPS",
            "port": 443,
            "tls": {"certificateRefs": [{"name": "forms-tls"}]},
        },
    ]
    iris.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "forms", "namespace": iris.namespace},
            "spec": {"gatewayClassName": "raydock", "listeners": listeners},
        }
    )
    forms = Served(iris, "forms", small("forms"))
    lent = Served(iris, "forms-lent", {**small("forms"), "routes": {"invoke": "/*"}})
    forms.code({"app.py": APP})
    for served in (forms, lent):
        served.apply()
    traffic = {"forms": {"forms": 100, "iris-v1": 0}, "forms-lent": {"forms-lent": 100}}
    for name, shares in traffic.items():
        iris.apply(
            {
                "apiVersion": API,
                "kind": "InferenceEndpoint",
                "metadata": {"name": name, "namespace": iris.namespace},
                "spec": {
                    "traffic": [{"deployment": one, "percent": share} for one, share in shares.items()],
                    "gateway": {"name": "forms"},
                    "compatibility": ["SageMaker", "VertexAI", "AzureML"],
                },
            }
        )
        iris.wait("inferenceendpoints", name, timeout_s=300)

    def address() -> str | None:
        found = (iris.get("gateway", "forms") or {}).get("status", {}).get("addresses") or [{}]
        return str(found[0].get("value", "")) or None

    host = until(address, 60, "address of the gateway")
    authority = secure(iris, where, host)

    def trusted() -> bool:
        try:
            requests.get(f"https://{host}/", verify=str(authority), timeout=5).close()
        except requests.exceptions.SSLError:
            return False
        return True

    until(trusted, 60, "the gateway's new certificate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(authority))
        yield Clouds(iris, host)
    iris.delete("inferenceendpoints.raydock.io", *traffic)
    iris.delete("deployments.raydock.io", "forms", "forms-lent")
    iris.delete("gateway", "forms")
    iris.delete("secret", "forms-tls")
    gc.collect()  # Google's client keeps its connections


@pytest.fixture
def runtime(clouds: Clouds) -> Iterator[Any]:
    with closing(clouds.sagemaker()) as found:
        yield found


def invoke(runtime: Any, body: bytes = b'{"x": 1}', **more: Any) -> Any:
    return runtime.invoke_endpoint(EndpointName="forms", ContentType="application/json", Body=body, **more)


def test_boto3_invoke_endpoint(runtime: Any) -> None:
    got = invoke(runtime, CustomAttributes="trace=1")
    assert json.loads(got["Body"].read()) == {"predictions": [{"x": 1}], "trace": "trace=1"}
    assert (got["InvokedProductionVariant"], got["CustomAttributes"]) == ("forms", "trace=1")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_boto3_target_variant_without_a_share(runtime: Any) -> None:
    row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    got = invoke(runtime, json.dumps([row]).encode(), TargetVariant="iris-v1")
    assert got["InvokedProductionVariant"] == "iris-v1"
    assert json.loads(got["Body"].read())[0]["species"] == "setosa"
    with pytest.raises(ClientError, match="ValidationError"):
        invoke(runtime, TargetVariant="nobody")


def test_boto3_errors(clouds: Clouds, runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as failed:
        invoke(runtime, b'{"do": "fail"}')
    assert failed.value.response["OriginalStatusCode"] == 422
    for key, word in (("x" * 43, "UnrecognizedClient"), (clouds.cluster.key("forms-lent"), "AccessDenied")):
        with closing(clouds.sagemaker(key)) as wrong, pytest.raises(ClientError, match=word):
            invoke(wrong)
    with pytest.raises(ClientError, match="SessionId is not supported"):
        invoke(runtime, SessionId="NEW_SESSION")


def test_boto3_invoke_endpoint_with_response_stream(runtime: Any) -> None:
    def streamed(do: str) -> Any:
        return runtime.invoke_endpoint_with_response_stream(
            EndpointName="forms", ContentType="application/json", Body=json.dumps({"do": do}).encode()
        )

    got = streamed("stream")
    parts = [event["PayloadPart"]["Bytes"] for event in got["Body"]]
    assert b"".join(parts).decode().splitlines() == LINES
    assert len(parts) == len(LINES), "each as it comes"
    broken = streamed("break")
    with closing(broken["Body"]), pytest.raises(EventStreamError, match="ModelStreamError"):
        list(broken["Body"])


def test_aiplatform_endpoint_and_predict(clouds: Clouds) -> None:
    found = clouds.vertex("forms")
    assert found.traffic_split == {"forms": 100}
    assert [one.id for one in found.list_models()] == ["forms", "iris-v1"]
    got = found.predict(instances=[[1.0]])
    assert (got.predictions, got.deployed_model_id) == ([{"instances": [[1.0]]}], "forms")


def test_aiplatform_raw_and_streamed_predictions(clouds: Clouds) -> None:
    found = clouds.vertex("forms")
    sent = {"Content-Type": "application/json"}
    got = found.raw_predict(body=b"[7]", headers=sent)
    assert (got.json()["predictions"], got.headers["X-Vertex-AI-Deployed-Model-Id"]) == ([[7]], "forms")
    lines = found.stream_raw_predict(body=b'{"do": "stream"}', headers=sent)
    assert [line.decode() for line in lines] == LINES


def test_aiplatform_invoke(clouds: Clouds) -> None:
    found = clouds.vertex("forms-lent")
    sent = {"Content-Type": "application/json"}
    assert found.invoke(request_path="/echo/a/b", body=b"{}", headers=sent).json() == {"rest": "a/b"}
    direct = found.invoke(request_path="/echo/c", body=b"{}", headers=sent, deployed_model_id="forms-lent")
    assert direct.json() == {"rest": "c"}
    lines = found.invoke(request_path="/invocations", body=b'{"do": "stream"}', headers=sent, stream=True)
    assert [line.decode() for line in lines] == LINES


def test_azures_scoring_uri(clouds: Clouds) -> None:
    got = clouds.score(x_ms_client_request_id="mine")
    assert (got.status, got.json()["predictions"]) == (200, [{"x": 1}])
    assert got.headers["azureml-model-deployment"] == "forms"
    assert got.headers["x-ms-client-request-id"] == "mine"
    failed = clouds.score(b'{"do": "fail"}')
    assert (failed.status, failed.headers["ms-azureml-model-error-statuscode"]) == (424, "422")
    assert failed.json() == {"detail": "that is no flower"}
    row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
    direct = clouds.score(json.dumps([row]).encode(), azureml_model_deployment="iris-v1")
    assert (direct.status, direct.headers["azureml-model-deployment"]) == (200, "iris-v1")
    assert clouds.score(azureml_model_deployment="nobody").status == 404
    assert clouds.score(authorization="Bearer wrong").status == 401
    schema = clouds.score(b"", f"/{clouds.cluster.namespace}/forms/swagger.json", "GET")
    assert schema.json()["info"]["title"] == "forms"
