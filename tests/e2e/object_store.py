"""An S3 server as a pod: a bucket, and the Secret that opens it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from botocore.config import Config

from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import make, pairs
from tests.e2e.side_pod import RESTRICTED

NAME, BUCKET, PORT = "objects", "answers", 7070
ACCESS, SECRET = "tests", "not-a-secret-outside-the-tests"


def _objects(cluster: Cluster, image: str) -> Iterator[dict[str, Any]]:
    metadata = {"name": NAME, "namespace": cluster.namespace, "labels": {"app": NAME}}
    container = {
        "name": "s3",
        "image": image,
        "args": ["--port", f":{PORT}", "--health", "/health", "posix", "/data"],
        "env": [{"name": "ROOT_ACCESS_KEY", "value": ACCESS}, {"name": "ROOT_SECRET_KEY", "value": SECRET}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": RESTRICTED,
    }
    yield {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "containers": [container],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "securityContext": {"fsGroup": RESTRICTED["runAsUser"]},
            "terminationGracePeriodSeconds": 1,
        },
    }
    ports = [{"port": PORT}]
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": NAME}, "ports": ports},
    }


def secret(cluster: Cluster, name: str = "s3-rw") -> dict[str, Any]:
    """What `credentialsSecret` names."""
    inside = f"http://{NAME}.{cluster.namespace}.svc:{PORT}"
    data = {
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": inside,
    }
    metadata = {"name": name, "namespace": cluster.namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


@contextmanager
def object_store(cluster: Cluster) -> Iterator[Any]:
    """boto3's S3 client, with the bucket there, while the context is open."""
    image = pairs(make("test-images"))["OBJECTS_IMAGE"]
    try:
        yield from _opened(cluster, image)
    finally:
        cluster.delete("pod", NAME)
        cluster.delete("service", NAME)


def _opened(cluster: Cluster, image: str) -> Iterator[Any]:
    cluster.apply(*_objects(cluster, image))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=60s")
    service = cluster.get("service", NAME)
    assert service
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://{service['spec']['clusterIP']}:{PORT}",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
    )
    with closing(client):
        client.create_bucket(Bucket=BUCKET)
        yield client


def content(client: Any, key: str) -> bytes | None:
    """Of an object of the bucket; None where there is none."""
    try:
        return bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    except client.exceptions.NoSuchKey:
        return None


def until_there(client: Any, key: str, timeout_s: float) -> bytes:
    """Its content, once it is there."""

    def names() -> list[str]:
        return [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET).get("Contents", ())]

    return until(lambda: content(client, key), timeout_s, key, names)
