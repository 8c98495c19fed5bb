"""SageMaker's asynchronous requests: boto3 at both ends, an S3 server between them, replicas that die."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from tests.e2e.cluster import Cluster, until
from tests.e2e.object_store import BUCKET, content, object_store, secret, until_there
from tests.e2e.served import API, Served, small

pytestmark = pytest.mark.e2e
NAME = "later"
APP = """
import asyncio
import os
from pathlib import Path
from fastapi import FastAPI, HTTPException, Request

app = FastAPI()


@app.post("/")
async def predict(request: Request):
    asked = await request.json()
    if asked.get("do") == "fail":
        raise HTTPException(422, "that is no flower")
    if seconds := asked.get("seconds"):
        Path(f"/tmp/{asked['name']}.pid").write_text(str(os.getpid()))
        await asyncio.sleep(seconds)
    return {"asked": asked, "trace": request.headers.get("x-amzn-sagemaker-custom-attributes")}
"""
AUTO = {"minReplicas": 0, "maxReplicas": 1, "targetOngoingRequests": 2, "scaleDownDelaySeconds": 2}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Later:
    """The endpoint, and the store that its answers go to."""

    served: Served
    store: Any
    runtime: Any

    def ask(self, body: Any = None, **more: Any) -> str:
        """InferenceId of one request."""
        sent = {} if body is None else {"Body": json.dumps(body).encode()}
        got = self.runtime.invoke_endpoint_async(
            EndpointName=NAME, ContentType="application/json", **sent, **more
        )
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 202
        return str(got["InferenceId"])

    def answer(self, of: str, timeout_s: float = 60) -> Any:
        return json.loads(until_there(self.store, f"out/{of}.out", timeout_s))

    def failure(self, of: str, timeout_s: float = 60) -> Any:
        return json.loads(until_there(self.store, f"failed/{of}-error.out", timeout_s))

    def worker(self, name: str) -> tuple[str, str]:
        """Pod and process that work on the request with this name."""

        def found() -> tuple[str, str] | None:
            for pod in self.served.pods():
                said = self.served.cluster.kubectl(
                    "exec", pod, "-c", "ray", "--", "cat", f"/tmp/{name}.pid", check=False
                )
                if said.strip():
                    return pod, said.strip()
            return None

        return until(found, 60, f"somebody who works on {name}")


@pytest.fixture(scope="module")
def later(iris: Cluster) -> Iterator[Later]:
    """Two replicas in one pod."""
    served = Served(iris, NAME, small(NAME))
    served.code({"app.py": APP})
    served.apply(replicas=2)
    served.ready()
    metadata = {"name": NAME, "namespace": iris.namespace}
    spec = {
        "traffic": [{"deployment": NAME, "percent": 100}],
        "compatibility": ["SageMaker"],
        "asyncInference": {
            "outputUri": f"s3://{BUCKET}/out",
            "failureUri": f"s3://{BUCKET}/failed",
            "credentialsSecret": {"name": "s3-rw"},
        },
    }
    iris.apply({"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": spec})
    with object_store(iris) as store:
        missing = iris.until_condition(
            "inferenceendpoints", NAME, "AsyncReady", 60, lambda c: c["status"] == "False"
        )
        assert missing["message"] == "Secret s3-rw does not exist: create it; goes on by itself"
        iris.apply(secret(iris))
        iris.wait("inferenceendpoints", NAME, timeout_s=120)
        url = urlsplit(iris.url(NAME))
        runtime = boto3.client(
            "sagemaker-runtime",
            region_name="us-east-1",
            endpoint_url=f"http://{url.netloc}/{iris.namespace}",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            aws_session_token=iris.key(NAME),
            config=Config(retries={"total_max_attempts": 1}),
        )
        with closing(runtime):
            found = Later(served, store, runtime)
            until(lambda: _taken(found), 90, "the pods know the store")
            yield found
    iris.delete("inferenceendpoints.raydock.io", NAME)
    iris.delete("deployments.raydock.io", NAME)
    iris.delete("secret", "s3-rw")


def _taken(later: Later) -> bool:
    """The operator watches no Secrets: it looks every half a minute. Until then callers shall come again."""
    with suppress(later.runtime.exceptions.ServiceUnavailable):
        return later.ask({}, InferenceId="first") == "first"
    return False


def test_answers_and_failures_are_where_the_client_was_told(later: Later) -> None:
    later.store.put_object(Bucket=BUCKET, Key="in/row.json", Body=b'{"x": 1}')
    got = later.runtime.invoke_endpoint_async(
        EndpointName=NAME,
        InputLocation=f"s3://{BUCKET}/in/row.json",
        ContentType="application/json",
        CustomAttributes="trace=1",
    )
    output, failure = urlsplit(got["OutputLocation"]), urlsplit(got["FailureLocation"])
    assert (output.netloc, failure.netloc) == (BUCKET, BUCKET)
    found = json.loads(until_there(later.store, output.path.lstrip("/"), 60))
    assert found == {"asked": {"x": 1}, "trace": "trace=1"}
    assert content(later.store, failure.path.lstrip("/")) is None

    inline = later.ask({"y": 2}, InferenceId="mine", Filename="mine.json", S3OutputPathExtension="by/me")
    assert inline == "mine"
    assert json.loads(until_there(later.store, "out/by/me/mine.json", 60))["asked"] == {"y": 2}

    wrong = later.failure(later.ask({"do": "fail"}))
    assert (wrong["ErrorCode"], wrong["OriginalStatusCode"]) == ("ModelError", 422)
    assert later.failure(later.ask(InputLocation=f"s3://{BUCKET}/in/none"))["ErrorCode"] == "InputNotFound"
    slow = later.ask({"seconds": 30, "name": "slow"}, InvocationTimeoutSeconds=2)
    assert later.failure(slow)["ErrorCode"] == "InvocationTimeout"


def test_a_replica_that_is_killed_leaves_nothing_unanswered(later: Later) -> None:
    """Also not what it only waited with."""
    ids = [later.ask({"seconds": 15, "name": f"k{number}"}) for number in range(10)]
    pod, process = later.worker("k0")
    later.served.cluster.kubectl("exec", pod, "-c", "ray", "--", "kill", "-9", process)
    killed = time.monotonic()
    answers = [later.answer(one, 180)["asked"]["name"] for one in ids]
    assert answers == [f"k{number}" for number in range(10)]
    log.info("all were answered %.0f s after a replica was killed", time.monotonic() - killed)
    assert not [one for one in ids if content(later.store, f"failed/{one}-error.out")]


@pytest.mark.slow  # a minute; a killed replica is beside it
def test_a_lost_pod_with_all_its_replicas_loses_no_request(later: Later) -> None:
    one = later.ask({"seconds": 10, "name": "pod"})
    pod, _ = later.worker("pod")
    later.served.cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    assert later.answer(one, 240)["asked"]["name"] == "pod"


@pytest.mark.slow  # a minute; test_scaling has the way from zero
def test_from_zero_and_no_replica_leaves_while_somebody_waits(later: Later) -> None:
    later.served.apply(autoscaling=AUTO)
    later.served.ready()
    later.served.until_rest()
    # One after the other: they take many times as long as it takes to scale down.
    ids = [later.ask({"seconds": 4, "name": f"z{number}"}) for number in range(8)]
    assert [later.answer(one, 120)["asked"]["name"] for one in ids] == [f"z{number}" for number in range(8)]
    later.served.until_rest()


@pytest.mark.slow
def test_what_a_lost_pod_left_is_taken_up_though_all_may_sleep(later: Later) -> None:
    """Nobody asks anything else meanwhile, so nobody but raydock wakes a replica."""
    later.served.apply(autoscaling=AUTO)
    later.served.ready()
    one = later.ask({"seconds": 10, "name": "asleep"})
    pod, _ = later.worker("asleep")
    later.served.cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    lost = time.monotonic()
    assert later.answer(one, 300)["asked"]["name"] == "asleep"
    log.info("answered %.0f s after the only pod was lost", time.monotonic() - lost)
    later.served.until_rest()
